
/* CfC on a wiring: inter, command and motor neurons one layer after the other; each of a neuron's
 * heads f1, f2, a, b sees its own synapses and its own state. Synapses within a layer or backwards
 * see the states of the sample before. */
static void circuit(const float *features, float elapsed, float *x)
{
    float sources[INPUTS + UNITS]; /* features, then neurons */
    int layer, neuron, head, k;

@remember@    for (k = 0; k < INPUTS; ++k) {
        sources[k] = features[k];
    }
    for (k = 0; k < UNITS; ++k) {
        sources[INPUTS + k] = x[k];
    }
    for (layer = 0; layer < LAYERS; ++layer) {
        for (neuron = layer_first[layer]; neuron < layer_first[layer + 1]; ++neuron) {
            float heads[HEADS];

            for (head = 0; head < HEADS; ++head) {
                heads[head] = head_bias[neuron][head] + own_weight[neuron][head] * x[neuron];
            }
            for (k = synapses_first[neuron]; k < synapses_first[neuron + 1]; ++k) {
                const float source = sources[synapses[k].source];

                for (head = 0; head < HEADS; ++head) {
                    heads[head] += synapses[k].weight[head] * source;
                }
            }
            x[neuron] = closed_form(heads, elapsed, neuron);
        }
        for (k = layer_first[layer]; k < layer_first[layer + 1]; ++k) {
            sources[INPUTS + k] = x[k];
        }
    }
}
