/* From reset to main on a Cortex-M3, M4 or M7: the vector table, the floating-point unit, memory.
 * Input and output go through the debugger (semihosting), which a real robot replaces. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t stack_top, bss_start, bss_end;
extern void initialise_monitor_handles(void);
extern int main(int, char **);

void start(void);

/* Called by exit; there are no destructors. */
void _fini(void);
void _fini(void)
{
}

void start(void)
{
    volatile uint32_t *const coprocessor_access = (uint32_t *)0xE000ED88U;
    uint32_t *word;

    /* Full access to the coprocessors 10 and 11, the floating-point unit; before any of its use. */
    *coprocessor_access |= 0xFU << 20;
    __asm volatile("dsb\n\tisb");
    for (word = &bss_start; word < &bss_end; ++word) {
        *word = 0;
    }
    initialise_monitor_handles();
    exit(main(0, NULL));
}

/* Stops with an exit code that tells a fault from a result. */
static void fault(void)
{
    _Exit(99);
}

/* Initial stack pointer, then the handlers of the 15 system exceptions. */
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)&stack_top, start, fault, fault, fault, fault, fault, NULL,
    NULL, NULL, NULL, fault, fault, NULL, fault, fault,
};
