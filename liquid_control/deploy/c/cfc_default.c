
/* Closed form (Hasani et al., "Closed-form continuous-time neural networks", Nature Machine
 * Intelligence 2022, eq. 10): tanh(f1) (1 - s(a dt + b)) + tanh(f2) s(a dt + b). */
static float closed_form(const float heads[HEADS], float elapsed, int neuron)
{
    const float first = tanhf(heads[0]);
    const float gate = logistic(heads[2] * elapsed + heads[3]);

    (void)neuron;
    return first + gate * (tanhf(heads[1]) - first);
}
