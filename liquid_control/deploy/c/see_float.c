
/* The vision head (Lechner et al., "Neural circuit policies enabling auditable autonomy", Nature
 * Machine Intelligence 2020): convolutions with ReLU, then UNITS_PER_FILTER dense units with ReLU
 * for each filter of the last map. The deepest convolution that can makes its next row, so of each
 * map only as many rows are kept as the next kernel is high, and no row is overwritten too early. */
static void see(@prefix@_scratch *scratch, const uint8_t *frame, float *features)
{
    int done[CONVOLUTIONS + 1] = {0};
    float mean, factor;
    int i, x, f;

    statistics(frame, &mean, &factor);
@clear@
    for (i = 0; i < INPUTS; ++i) {
        features[i] = dense_bias[i];
    }
    while (done[CONVOLUTIONS] < layer_rows[CONVOLUTIONS]) {
        int layer = CONVOLUTIONS;

        while (layer > 0 && !ready(done, layer)) {
            --layer;
        }
        switch (layer) {
        case 0: {
            const uint8_t *pixels = frame + (long)done[0] * FRAME_LINE;
            float *line = scratch->rows_0 + @slot_0@;

            for (i = 0; i < FRAME_LINE; ++i) {
                line[i] = ((float)pixels[i] - mean) * factor;
            }
            break;
        }
@cases@
        }
        ++done[layer];
    }
    for (i = 0; i < INPUTS; ++i) {
        features[i] = features[i] > 0.0F ? features[i] : 0.0F;
    }
}
