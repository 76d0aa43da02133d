
/* Gated recurrent unit (Cho et al. 2014).
 * h <- n + keep (h - n), n = tanh(W x + b + reset (U h + b')). @time@ */
static void circuit(const float *features, float elapsed, float *x)
{
    float drive[3 * UNITS], own[3 * UNITS];
    int i;

@decay@
    dense(input_weight, input_bias, features, INPUTS, 3 * UNITS, drive);
    dense(own_weight, own_bias, x, UNITS, 3 * UNITS, own);
    for (i = 0; i < UNITS; ++i) {
        const float reset = logistic(drive[i] + own[i]);
        const float keep = logistic(drive[UNITS + i] + own[UNITS + i]);
        const float candidate = tanhf(drive[2 * UNITS + i] + reset * own[2 * UNITS + i]);

        x[i] = candidate + keep * (x[i] - candidate);
    }
}
