/* @prefix@: the policy @model@ as C, exported by liquid_control @version@.
 *
 * @about@
 * Weights @hash@.
 *
 * No heap, no recursion, no variable that is not const: all that changes lies in structs that the
 * caller owns, so any number of these run side by side. Needs libm alone. C99, and C++.
 * Bytes of constants: @flash@. Bytes of RAM: @ram@.
 *
 *     @prefix@_state state;
 *     float command[@PREFIX@_OUTPUTS];
 *     @prefix@_reset(&state);
 *     for (;;) {
 *         error = @prefix@_step(&state, features, elapsed_s, command);
 *         if (error != @PREFIX@_OK) { stop the vehicle; say @prefix@_error(error); }
 *     }
 */
#ifndef @PREFIX@_H
#define @PREFIX@_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

@defines@

/* What functions return. After anything but OK, state and command are as they were. */
enum {
    @PREFIX@_OK = 0,
    @PREFIX@_ERROR_NULL = 1,    /* a pointer is NULL */
    @PREFIX@_ERROR_ELAPSED = 2, /* the elapsed time is negative or not finite */
    @PREFIX@_ERROR_INPUT = 3,   /* a feature is not finite */
    @PREFIX@_ERROR_RESULT = 4   /* the result is not finite: a state that was not reset */
};

/* The neurons: their states, then the long-term memory where there is one. */
typedef struct @prefix@_state {
    float x[@PREFIX@_STATE];
} @prefix@_state;
@scratch@
/* SHA-256 of the weights file, as the model's config.json has it. */
extern const char @prefix@_model_hash[65];
/* Of each output: its name, its SI unit ("1" for a ratio), its lower and upper limit. */
extern const char *const @prefix@_output_names[@PREFIX@_OUTPUTS];
extern const char *const @prefix@_output_units[@PREFIX@_OUTPUTS];
extern const float @prefix@_output_low[@PREFIX@_OUTPUTS];
extern const float @prefix@_output_high[@PREFIX@_OUTPUTS];

/* Forget the past: all neurons at zero. Call it before the first step and at each engagement. */
int @prefix@_reset(@prefix@_state *state);

/* One decision.
 *   state      of the neurons; advanced by elapsed_s. With an elapsed time of 0 it stays as it is.
 *   features   of the vision head.
 *   elapsed_s  time since the step before [s], 0 or more; after a reset the camera's period.
 *   command    out: physical units, clipped to the limits above.
 */
int @prefix@_step(@prefix@_state *state, const float features[@PREFIX@_FEATURES], float elapsed_s,
                  float command[@PREFIX@_OUTPUTS]);
@prototypes@
/* What an error means, in English; never NULL. */
const char *@prefix@_error(int error);

#ifdef __cplusplus
}
#endif

#endif
