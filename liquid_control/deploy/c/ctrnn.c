
/* Continuous-time recurrent network (Funahashi and Nakamura 1993), solved semi-implicitly:
 * dx/dt = -x / tau + tanh(W x + U u + b), x <- (x + h tanh(...)) / (1 + h / tau). */
static void circuit(const float *features, float elapsed, float *x)
{
    float drive[UNITS], sum[UNITS];
    const float step = elapsed / (float)UNFOLDS;
    int unfold, i;

    dense(input_weight, input_bias, features, INPUTS, UNITS, drive);
    for (unfold = 0; unfold < UNFOLDS; ++unfold) {
        dense(own_weight, drive, x, UNITS, UNITS, sum);
        for (i = 0; i < UNITS; ++i) {
            x[i] = (x[i] + step * tanhf(sum[i])) / (1.0F + step / TIME_CONSTANT_S);
        }
    }
}
