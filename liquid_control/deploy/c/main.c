/* Drives @prefix@ from standard input, one command a line on standard output.
 *
 * @about@
 *
 *     ./main < features.txt           each line: elapsed time [s], then the features
 *     ./main 0.0333 < frames.ppm      with a head: binary PPM images (P6), one after the other,
 *                                     this much time apart [s], of the size of @prefix@.h
 *
 * Frames of a video:
 *     ffmpeg -i drive.mp4 -vf scale=WIDTH:HEIGHT -f image2pipe -c:v ppm - | ./main 0.0333
 */
#include "@prefix@.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_command(const float *command)
{
    int i;

    for (i = 0; i < @PREFIX@_OUTPUTS; ++i) {
        printf(i + 1 < @PREFIX@_OUTPUTS ? "%.9g " : "%.9g\n", (double)command[i]);
    }
}

static int fail(const char *what)
{
    fprintf(stderr, "@prefix@: %s\n", what);
    return 1;
}

static int drive_features(void)
{
    static char line[64 * (@PREFIX@_FEATURES + 1)];
    @prefix@_state state;

    @prefix@_reset(&state);
    while (fgets(line, sizeof line, stdin) != NULL) {
        float values[1 + @PREFIX@_FEATURES];
        float command[@PREFIX@_OUTPUTS];
        char *at = line;
        int i, error;

        for (i = 0; i < 1 + @PREFIX@_FEATURES; ++i) {
            char *end;

            values[i] = strtof(at, &end);
            if (end == at) {
                return fail("a line needs an elapsed time and all features");
            }
            at = end;
        }
        error = @prefix@_step(&state, values + 1, values[0], command);
        if (error != @PREFIX@_OK) {
            return fail(@prefix@_error(error));
        }
        print_command(command);
    }
    return 0;
}

#ifdef @PREFIX@_HEIGHT
static uint8_t frame[@PREFIX@_HEIGHT * @PREFIX@_WIDTH * 3];
static @prefix@_scratch scratch;

/* The next number of a PPM header, past spaces and comments; -1 where there is none. */
static long header_number(void)
{
    long value = 0;
    int c = getchar();

    while (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '#') {
        while (c == '#' && c != '\n' && c != EOF) {
            do {
                c = getchar();
            } while (c != '\n' && c != EOF);
        }
        c = getchar();
    }
    if (c < '0' || c > '9') {
        return -1;
    }
    for (; c >= '0' && c <= '9' && value < 100000; c = getchar()) {
        value = 10 * value + (c - '0');
    }
    return value;
}

static int drive_frames(float elapsed_s)
{
    @prefix@_state state;
    int c;

    @prefix@_reset(&state);
    while ((c = getchar()) != EOF) {
        float command[@PREFIX@_OUTPUTS];
        long width, height, largest;
        int error;

        if (c != 'P' || getchar() != '6') {
            return fail("expected a binary PPM image (P6)");
        }
        width = header_number();
        height = header_number();
        largest = header_number();
        if (width != @PREFIX@_WIDTH || height != @PREFIX@_HEIGHT || largest != 255) {
            return fail("the image has another size than the policy sees, or not 8 bits a colour");
        }
        if (fread(frame, 1, sizeof frame, stdin) != sizeof frame) {
            return fail("the image is cut off");
        }
        error = @prefix@_step_frame(&state, &scratch, frame, elapsed_s, command);
        if (error != @PREFIX@_OK) {
            return fail(@prefix@_error(error));
        }
        print_command(command);
    }
    return 0;
}
#endif

int main(int count, char **arguments)
{
#ifdef @PREFIX@_HEIGHT
    if (count == 2) {
        char *end;
        const float elapsed_s = strtof(arguments[1], &end);

        if (end != arguments[1] && *end == '\0') {
            return drive_frames(elapsed_s);
        }
    }
#endif
    if (count > 1) {
        return fail(strcmp(arguments[1], "--help") == 0
                        ? "main.c says what this program reads"
                        : "expected no argument, or with a head the time between frames [s]");
    }
    return drive_features();
}
