        default: {
            const int8_t *weight = dense_weight + (long)done[CONVOLUTIONS] * LAST_WIDTH * INPUTS;

            convolve_@n@(scratch->rows_@before@, done[@n@], factor_@n@, scratch->last);
            for (x = 0; x < LAST_WIDTH; ++x, weight += INPUTS) {
                for (f = 0; f < LAST_FILTERS; ++f) {
                    const int32_t value = scratch->last[x * LAST_FILTERS + f];

                    for (i = 0; i < UNITS_PER_FILTER; ++i) {
                        sums[f * UNITS_PER_FILTER + i] +=
                            value * weight[f * UNITS_PER_FILTER + i];
                    }
                }
            }
            break;
        }
