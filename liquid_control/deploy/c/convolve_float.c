
/* Row `row` of convolution @n@: @filters@ filters of @kernel@ x @kernel@, stride @stride@, and ReLU.
 * Each weight serves @pixels@ output pixels at a time, and the innermost loop runs over the filters,
 * which lie side by side in memory: compilers vectorise it without intrinsics. */
static void convolve_@n@(const float *rows, int row, float *out)
{
    enum {
        CHANNELS = @channels@,
        ROWS = @rows@,
        KERNEL = @kernel@,
        STRIDE = @stride@,
        TOP = @top@, /* rows of zeros above the map */
        LINE = @line@, /* values of a row, its margins included */
        WIDTH = @width@, /* pixels that come out */
        FILTERS = @filters@,
        PADDED = @padded@ /* filters with those that only fill a vector */
    };
    int x, y, k, o;

    for (x = 0; x < WIDTH; x += @pixels@) {
        float @sums@;

        if (x > WIDTH - @pixels@) {
            x = WIDTH - @pixels@;
        }
        for (o = 0; o < PADDED; ++o) {
            @start@
        }
        for (y = 0; y < KERNEL; ++y) {
            const int line = row * STRIDE - TOP + y;
            const float *weight = weight_@n@ + y * KERNEL * CHANNELS * PADDED;
            const float *value;

            if (line < 0 || line >= ROWS) {
                continue;
            }
            value = rows + (line % KERNEL) * LINE + x * STRIDE * CHANNELS;
            for (k = 0; k < KERNEL * CHANNELS; ++k, weight += PADDED) {
@values@

                for (o = 0; o < PADDED; ++o) {
@products@
                }
            }
        }
        for (o = 0; o < FILTERS; ++o) {
@stores@
        }
    }
}
