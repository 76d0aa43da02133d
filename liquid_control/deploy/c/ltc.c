
/* Liquid time-constant cell (Hasani et al., "Liquid Time-constant Networks", AAAI 2021):
 * C dx/dt = g (v - x) + sum w s(a (x_source - m)) (E - x), one synapse a row of the tables. */

/* pull = sum of g v and w s E, conductance = sum of g and w s, of each neuron. */
static void currents(const synapse *synapses, const uint16_t *first, const float *sources,
                     const float *own_pull, const float *own_conductance, float *pull,
                     float *conductance)
{
    int neuron, k;

    for (neuron = 0; neuron < UNITS; ++neuron) {
        float p = own_pull[neuron];
        float q = own_conductance[neuron];

        for (k = first[neuron]; k < first[neuron + 1]; ++k) {
            const synapse *each = &synapses[k];
            const float open = logistic(each->slope * sources[each->source] + each->offset);

            p += each->pull * open;
            q += each->weight * open;
        }
        pull[neuron] = p;
        conductance[neuron] = q;
    }
}

/* UNFOLDS semi-implicit steps (there, algorithm 1): x <- (x + h/C pull) / (1 + h/C conductance).
 * Stable for any elapsed time: x stays within its old value and pull / conductance. */
static void circuit(const float *features, float elapsed, float *x)
{
    float drive_pull[UNITS], drive_conductance[UNITS];
    float pull[UNITS], conductance[UNITS];
    int unfold, i;

@remember@    currents(sensory, sensory_first, features, leak_pull, leak_conductance, drive_pull,
             drive_conductance);
    for (unfold = 0; unfold < UNFOLDS; ++unfold) {
        currents(recurrent, recurrent_first, x, drive_pull, drive_conductance, pull, conductance);
        for (i = 0; i < UNITS; ++i) {
            const float rate = elapsed / (float)UNFOLDS / capacitance[i];

            x[i] = (x[i] + rate * pull[i]) / (1.0F + rate * conductance[i]);
        }
    }
}
