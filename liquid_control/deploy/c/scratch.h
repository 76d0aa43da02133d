
/* Working memory of the vision head: no content of it needs to outlive a call, and it needs no
 * initialisation. Only the last rows of each map are kept, as many as the next kernel is high. */
typedef struct @prefix@_scratch {
@members@
} @prefix@_scratch;
