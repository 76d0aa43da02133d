
/* Outputs are a linear map of the neurons from READ_FROM on. */
static void read_out(const float *x, float *outputs)
{
    dense(readout_weight, readout_bias, x + READ_FROM, UNITS - READ_FROM, OUTPUTS, outputs);
}
