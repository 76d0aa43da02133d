
/* Closed form without gates (Hasani et al., "Closed-form continuous-time neural networks", Nature
 * Machine Intelligence 2022, eq. 3): A - A exp(-dt (|w_tau| + |f1|)) f1. */
static float closed_form(const float heads[HEADS], float elapsed, int neuron)
{
    const float rate = fabsf(decay_rate[neuron]) + fabsf(heads[0]);

    return amplitude[neuron] - amplitude[neuron] * expf(-elapsed * rate) * heads[0];
}
