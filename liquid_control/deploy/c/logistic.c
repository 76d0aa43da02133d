
/* s(z) = 1 / (1 + exp(-z)); 0 or 1 where exp overflows or vanishes. */
static float logistic(float z)
{
    return 1.0F / (1.0F + expf(-z));
}
