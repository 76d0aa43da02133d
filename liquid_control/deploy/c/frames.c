
int @prefix@_features(@prefix@_scratch *scratch, const uint8_t *frame,
                      float features[@PREFIX@_FEATURES])
{
    if (scratch == NULL || frame == NULL || features == NULL) {
        return @PREFIX@_ERROR_NULL;
    }
    see(scratch, frame, features);
    return @PREFIX@_OK;
}

int @prefix@_step_frame(@prefix@_state *state, @prefix@_scratch *scratch, const uint8_t *frame,
                        float elapsed_s, float command[@PREFIX@_OUTPUTS])
{
    float features[INPUTS];
    const int error = @prefix@_features(scratch, frame, features);

    return error != @PREFIX@_OK ? error : @prefix@_step(state, features, elapsed_s, command);
}
