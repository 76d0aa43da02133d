
/* Where neurons can be at all, whatever the inputs and elapsed times (docs/guarantees.md);
 * infinite where nothing is proven. */
extern const float @prefix@_state_low[@PREFIX@_STATE];
extern const float @prefix@_state_high[@PREFIX@_STATE];

/* The first neuron outside of its bounds, or -1: a sign of damaged memory, not of a bad input.
 * A state that is NULL gives -2. */
int @prefix@_outside(const @prefix@_state *state);
