/* Instructions of one step, and of one frame where there is a head, counted by QEMU: with
 * `-icount shift=0` an instruction takes 1 ns of the emulated time, and the system timer counts
 * that at 25 MHz. Instructions are no cycles: a core and its memory decide how many of these each
 * takes. Compile with -DLOWER_PREFIX=driving_ncp
 * -DUPPER_PREFIX=DRIVING_NCP -include driving_ncp.h. */
#include <stdint.h>
#include <stdio.h>

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(b) JOIN(LOWER_PREFIX, b)
#define SIZE(b) JOIN(UPPER_PREFIX, b)

enum { NS_PER_TICK = 40, STEPS = 10 };

static volatile uint32_t *const systick = (uint32_t *)0xE000E010U; /* control, reload, value */

static uint32_t ticks(void)
{
    return 0xFFFFFFU - systick[2];
}

int main(void)
{
    static float features[SIZE(FEATURES)];
    static float command[SIZE(OUTPUTS)];
    static NAME(state) state;
    uint32_t start;
    int i;

    systick[1] = 0xFFFFFFU;
    systick[2] = 0;
    systick[0] = 5; /* on, counting the core's clock */
    for (i = 0; i < SIZE(FEATURES); ++i) {
        features[i] = 0.1F * (float)(i % 16);
    }
    NAME(reset)(&state);
    start = ticks();
    for (i = 0; i < STEPS; ++i) {
        if (NAME(step)(&state, features, 1.0F / 30.0F, command) != 0) {
            return 1;
        }
    }
    printf("{\"step_instructions\": %lu",
           (unsigned long)((ticks() - start) * NS_PER_TICK / STEPS));
#ifdef FRAMES
    {
        static uint8_t frame[SIZE(HEIGHT) * SIZE(WIDTH) * 3];
        static NAME(scratch) scratch;

        for (i = 0; i < (int)sizeof frame; ++i) {
            frame[i] = (uint8_t)(i * 37 + i / 251);
        }
        start = ticks();
        if (NAME(step_frame)(&state, &scratch, frame, 1.0F / 30.0F, command) != 0) {
            return 1;
        }
        printf(", \"frame_instructions\": %lu",
               (unsigned long)(ticks() - start) * NS_PER_TICK);
    }
#endif
    printf(", \"command\": %.9g}\n", (double)command[0]);
    return 0;
}
