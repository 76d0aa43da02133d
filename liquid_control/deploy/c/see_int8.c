
/* The vision head (Lechner et al., "Neural circuit policies enabling auditable autonomy", Nature
 * Machine Intelligence 2020): convolutions with ReLU, then UNITS_PER_FILTER dense units with ReLU
 * for each filter of the last map. The deepest convolution that can makes its next row, so of each
 * map only as many rows are kept as the next kernel is high, and no row is overwritten too early.
 * Pixels enter as (p - mean) in steps of 1 / PIXEL_STEPS grey level; the frame's own deviation
 * goes into the factor of the first convolution. */
static void see(@prefix@_scratch *scratch, const uint8_t *frame, float *features)
{
    int done[CONVOLUTIONS + 1] = {0};
    int32_t sums[INPUTS] = {0};
    float first_factor[FIRST_FILTERS];
    float mean, factor;
    int i, x, f;

    statistics(frame, &mean, &factor);
@clear@
    for (i = 0; i < FIRST_FILTERS; ++i) {
        first_factor[i] = factor_1[i] * factor / (float)PIXEL_STEPS;
    }
    while (done[CONVOLUTIONS] < layer_rows[CONVOLUTIONS]) {
        int layer = CONVOLUTIONS;

        while (layer > 0 && !ready(done, layer)) {
            --layer;
        }
        switch (layer) {
        case 0: {
            const uint8_t *pixels = frame + (long)done[0] * FRAME_LINE;
            int16_t *line = scratch->rows_0 + @slot_0@;

            for (i = 0; i < FRAME_LINE; ++i) {
                const float level = ((float)pixels[i] - mean) * (float)PIXEL_STEPS;

                line[i] = (int16_t)(level < 0.0F ? level - 0.5F : level + 0.5F);
            }
            break;
        }
@cases@
        }
        ++done[layer];
    }
    for (i = 0; i < INPUTS; ++i) {
        const float feature = dense_factor[i] * (float)sums[i] + dense_bias[i];

        features[i] = feature > 0.0F ? feature : 0.0F;
    }
}
