
/* y = W x + b. W is stored input by input, so that compilers vectorise over the outputs. */
static void dense(const float *weight, const float *bias, const float *x, int inputs, int outputs,
                  float *y)
{
    int i, o;

    for (o = 0; o < outputs; ++o) {
        y[o] = bias[o];
    }
    for (i = 0; i < inputs; ++i, weight += outputs) {
        for (o = 0; o < outputs; ++o) {
            y[o] += weight[o] * x[i];
        }
    }
}
