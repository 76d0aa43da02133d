
/* Closed form without the first gate (Hasani et al., "Closed-form continuous-time neural
 * networks", Nature Machine Intelligence 2022): tanh(f1) + s(a dt + b) tanh(f2). */
static float closed_form(const float heads[HEADS], float elapsed, int neuron)
{
    (void)neuron;
    return tanhf(heads[0]) + logistic(heads[2] * elapsed + heads[3]) * tanhf(heads[1]);
}
