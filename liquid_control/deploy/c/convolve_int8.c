
/* Row `row` of convolution @n@: @filters@ filters of @kernel@ x @kernel@, stride @stride@, and ReLU.
 * 8-bit weights, those of 4 filters side by side so that each value is read once for them, and
 * 32-bit sums. A sum becomes the nearest of the 256 levels, 0 and up, of the map that comes out:
 * level = factor * sum + shift, which is the requantisation and the ReLU in one. */
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
    int x, y, k, o, j;

    for (x = 0; x < WIDTH; ++x) {
        for (o = 0; o < FILTERS; o += 4) {
            int32_t sums[4] = {0};

            for (y = 0; y < KERNEL; ++y) {
                const int line = row * STRIDE - TOP + y;
                const int8_t *weight = weight_@n@ + (o * KERNEL + 4 * y) * TAPS;
                const @input@ *value;

                if (line < 0 || line >= ROWS) {
                    continue;
                }
                value = rows + (line % KERNEL) * LINE + x * STRIDE * CHANNELS;
                for (k = 0; k < TAPS; ++k, weight += 4) {
                    const int32_t each = value[k];

                    sums[0] += each * weight[0];
                    sums[1] += each * weight[1];
                    sums[2] += each * weight[2];
                    sums[3] += each * weight[3];
                }
            }
            for (j = 0; j < 4; ++j) {
                const float level = factor[o + j] * (float)sums[j] + shift_@n@[o + j] + 0.5F;

                out[x * FILTERS + o + j] =
                    (uint8_t)(level < 0.0F ? 0.0F : level > 255.0F ? 255.0F : level);
            }
        }
    }
}
