
/* Features of a frame.
 *   frame     RGB, row by row from the top left, as the policy's camera setup prepares it:
 *             HEIGHT x WIDTH x 3 bytes. Each frame is standardised to mean 0 and variance 1.
 *   features  out: FEATURES values, 0 or more.
 */
int @prefix@_features(@prefix@_scratch *scratch, const uint8_t *frame,
                      float features[@PREFIX@_FEATURES]);

/* One decision on a frame: features and step in one call. */
int @prefix@_step_frame(@prefix@_state *state, @prefix@_scratch *scratch, const uint8_t *frame,
                        float elapsed_s, float command[@PREFIX@_OUTPUTS]);
