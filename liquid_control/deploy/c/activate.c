
/* @what@ */
static void activate(float *values)
{
    int i;

    for (i = 0; i < WIDTH; ++i) {
        const float u = values[i];

        values[i] = @formula@;
    }
}
