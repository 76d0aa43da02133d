
/* Outputs are the neurons from READ_FROM on. */
static void read_out(const float *x, float *outputs)
{
    int i;

    for (i = 0; i < OUTPUTS; ++i) {
        outputs[i] = x[READ_FROM + i];
    }
}
