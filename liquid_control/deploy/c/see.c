
/* Mean of the pixels, and 1 / standard deviation, exact up to the last rounding. The deviation is
 * at least that of one grey level in one value, so that a uniform image gives zeros (TensorFlow's
 * per_image_standardization). */
static void statistics(const uint8_t *frame, float *mean, float *factor)
{
    uint64_t sum = 0, squares = 0;
    const uint64_t count = VALUES;
    float deviation;
    const float least = 255.0F / sqrtf((float)VALUES);
    long i;

    for (i = 0; i < VALUES; ++i) {
        sum += frame[i];
        squares += (uint32_t)frame[i] * frame[i];
    }
    deviation = sqrtf((float)(count * squares - sum * sum)) / (float)VALUES;
    *mean = (float)((double)sum / (double)count);
    *factor = 1.0F / (deviation > least ? deviation : least);
}

/* Whether all that convolution `layer` needs for its next row has been made: done[0] rows of the
 * frame, done[1] of convolution 1, and so on. */
static int ready(const int *done, int layer)
{
    const int last = done[layer] * layer_stride[layer] - layer_top[layer] + layer_kernel[layer];

    return done[layer - 1] >= (last < layer_rows[layer - 1] ? last : layer_rows[layer - 1]);
}
