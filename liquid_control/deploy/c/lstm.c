
/* Long short-term memory (Hochreiter and Schmidhuber 1997): x is (h, c).
 * c <- s(keep) c + s(write) tanh(candidate), h <- s(show) tanh(c). Does not look at the time. */
static void circuit(const float *features, float elapsed, float *x)
{
    float seen[INPUTS + UNITS];
    float gates[4 * UNITS];
    float *const cell = x + UNITS;
    int i;

    (void)elapsed;
    for (i = 0; i < INPUTS; ++i) {
        seen[i] = features[i];
    }
    for (i = 0; i < UNITS; ++i) {
        seen[INPUTS + i] = x[i];
    }
    dense(gate_weight, gate_bias, seen, INPUTS + UNITS, 4 * UNITS, gates);
    for (i = 0; i < UNITS; ++i) {
        const float write = logistic(gates[i]);
        const float keep = logistic(gates[UNITS + i]);
        const float candidate = tanhf(gates[2 * UNITS + i]);
        const float show = logistic(gates[3 * UNITS + i]);

        cell[i] = keep * cell[i] + write * candidate;
        x[i] = show * tanhf(cell[i]);
    }
}
