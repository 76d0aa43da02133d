
int @prefix@_outside(const @prefix@_state *state)
{
    int i;

    if (state == NULL) {
        return -2;
    }
    for (i = 0; i < STATE; ++i) {
        if (!(state->x[i] >= @prefix@_state_low[i] && state->x[i] <= @prefix@_state_high[i])) {
            return i;
        }
    }
    return -1;
}
