
/* Dense CfC: a backbone over features and neurons, then all neurons' heads f1, f2, a, b. */
static void circuit(const float *features, float elapsed, float *x)
{
    float seen[INPUTS + UNITS];
@buffers@
    float all[HEADS * UNITS]; /* f1 of all neurons, then f2, a and b */
    int i, head;

@remember@    for (i = 0; i < INPUTS; ++i) {
        seen[i] = features[i];
    }
    for (i = 0; i < UNITS; ++i) {
        seen[INPUTS + i] = x[i];
    }
@backbone@
    for (i = 0; i < UNITS; ++i) {
        float heads[HEADS];

        for (head = 0; head < HEADS; ++head) {
            heads[head] = all[head * UNITS + i];
        }
        x[i] = closed_form(heads, elapsed, i);
    }
}
