/* Time of one step of @prefix@, and of one frame where it has a head: the fastest and the median of
 * blocks, as one line of JSON. The clock is that of POSIX; the model itself needs none. */
#define _POSIX_C_SOURCE 199309L

#include "@prefix@.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BLOCKS = 61, STEPS = 2000, FRAMES = 5 };

static double now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *name, double *blocks, const char *end)
{
    qsort(blocks, BLOCKS, sizeof *blocks, compare);
    printf("\"%s_ns\": %.1f, \"%s_median_ns\": %.1f%s", name, blocks[0], name,
           blocks[BLOCKS / 2], end);
}

/* The largest resident set so far [KiB], where the system is Linux. */
static void report_memory(void)
{
    char line[256];
    long kib;
    FILE *status = fopen("/proc/self/status", "r");

    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmHWM: %ld", &kib) == 1) {
            printf(", \"memory_kib\": %ld", kib);
        }
    }
    if (status != NULL) {
        fclose(status);
    }
}

static float sink;

int main(void)
{
    static double blocks[BLOCKS];
    static float features[64][@PREFIX@_FEATURES];
    @prefix@_state state;
    float command[@PREFIX@_OUTPUTS];
    uint32_t random = 1;
    int block, i, k;

    for (i = 0; i < 64; ++i) {
        for (k = 0; k < @PREFIX@_FEATURES; ++k) {
            random = random * 1664525U + 1013904223U;
            features[i][k] = (float)(random >> 8) / 16777216.0F;
        }
    }
    @prefix@_reset(&state);
    printf("{");
    for (block = 0; block < BLOCKS; ++block) {
        const double start = now_ns();

        for (i = 0; i < STEPS; ++i) {
            if (@prefix@_step(&state, features[i % 64], 1.0F / 30.0F, command) != 0) {
                return 1;
            }
            sink += command[0];
        }
        blocks[block] = (now_ns() - start) / STEPS;
    }
#ifdef @PREFIX@_HEIGHT
    report("step", blocks, ", ");
    {
        static uint8_t frame[@PREFIX@_HEIGHT * @PREFIX@_WIDTH * 3];
        static @prefix@_scratch scratch;
        static double heads[BLOCKS];

        for (i = 0; i < (int)sizeof frame; ++i) {
            random = random * 1664525U + 1013904223U;
            frame[i] = (uint8_t)(random >> 24);
        }
        /* Alternately, so that a change of the clock rate falls on both. */
        for (block = 0; block < BLOCKS; ++block) {
            double start = now_ns();

            for (i = 0; i < FRAMES; ++i) {
                @prefix@_features(&scratch, frame, features[0]);
            }
            heads[block] = (now_ns() - start) / FRAMES;
            start = now_ns();
            for (i = 0; i < FRAMES; ++i) {
                if (@prefix@_step_frame(&state, &scratch, frame, 1.0F / 30.0F, command) != 0) {
                    return 1;
                }
                sink += command[0];
            }
            blocks[block] = (now_ns() - start) / FRAMES;
        }
        report("head", heads, ", ");
        report("frame", blocks, "");
    }
#else
    report("step", blocks, "");
#endif
    report_memory();
    printf("}\n");
    return 0;
}
