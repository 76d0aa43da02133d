
/* Mixed memory: an LSTM cell carries (h, c), and the liquid cell then refines h (Lechner and
 * Hasani, "Learning Long-Term Dependencies in Irregularly-Sampled Time Series", 2020):
 * c <- c s(keep + 1) + tanh(candidate) s(write), h <- tanh(c) s(show). */
static void remember(const float *features, float *hidden, float *cell)
{
    float seen[INPUTS + UNITS];
    float gates[4 * UNITS];
    int i;

    for (i = 0; i < INPUTS; ++i) {
        seen[i] = features[i];
    }
    for (i = 0; i < UNITS; ++i) {
        seen[INPUTS + i] = hidden[i];
    }
    dense(memory_weight, memory_bias, seen, INPUTS + UNITS, 4 * UNITS, gates);
    for (i = 0; i < UNITS; ++i) {
        const float candidate = tanhf(gates[i]);
        const float write = logistic(gates[UNITS + i]);
        const float keep = logistic(gates[2 * UNITS + i] + 1.0F);
        const float show = logistic(gates[3 * UNITS + i]);

        cell[i] = cell[i] * keep + candidate * write;
        hidden[i] = tanhf(cell[i]) * show;
    }
}
