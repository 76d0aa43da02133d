
/* Row `row` of convolution @n@: @filters@ filters of @kernel@ x @kernel@, stride @stride@, and ReLU.
 * 8-bit weights, 32-bit sums; a sum becomes the nearest of 256 levels, 0 and up, of the map that
 * comes out: level = factor * sum + shift, which is the requantisation and the ReLU in one. */
static void convolve_@n@(const @input@ *rows, int row, const float *factor, uint8_t *out)
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
        TAPS = KERNEL * CHANNELS
    };
    int x, y, k, o;

    for (x = 0; x < WIDTH; ++x) {
        for (o = 0; o < FILTERS; ++o) {
            int32_t sum = 0;
            float level;

            for (y = 0; y < KERNEL; ++y) {
                const int line = row * STRIDE - TOP + y;
                const int8_t *weight = weight_@n@ + (o * KERNEL + y) * TAPS;
                const @input@ *value;

                if (line < 0 || line >= ROWS) {
                    continue;
                }
                value = rows + (line % KERNEL) * LINE + x * STRIDE * CHANNELS;
                for (k = 0; k < TAPS; ++k) {
                    sum += (int32_t)value[k] * (int32_t)weight[k];
                }
            }
            level = factor[o] * (float)sum + shift_@n@[o] + 0.5F;
            out[x * FILTERS + o] =
                (uint8_t)(level < 0.0F ? 0.0F : level > 255.0F ? 255.0F : level);
        }
    }
}
