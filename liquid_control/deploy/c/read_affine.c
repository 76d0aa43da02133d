
/* Outputs are the motor neurons, the last ones, after a factor and an offset. */
static void read_out(const float *x, float *outputs)
{
    int i;

    for (i = 0; i < OUTPUTS; ++i) {
        outputs[i] = x[UNITS - OUTPUTS + i] * output_weight[i] + output_bias[i];
    }
}
