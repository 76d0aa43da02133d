"""The wired CfC over whole sequences and its analytic gradient, compiled by numba.

Layout and recomputation as in `fused_kernel`. All that a neuron can see during a sample has a row:
first the inputs, then the neurons' states of the sample before, then those of this sample. So a
synapse from an earlier layer, whose neurons are computed already, differs from the others by its
source alone, and a neuron's own state is one more synapse.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from liquid_control.circuits.fused_lanes import (
    LANES,
    OPTIONS,
    choose,
    clear_started,
    elapsed_of,
    floats_at,
    kept,
    load,
    logistic,
    read_rows,
    state_of,
    store,
    vectors,
    zero,
)

__all__ = ["backward", "forward", "step"]

float32 = np.float32
ONE, TWO = float32(1), float32(2)


@njit(**OPTIONS)
def _tanh(value):
    return TWO * logistic(TWO * value) - ONE


@njit(**OPTIONS)
def _sample(
    inputs, elapsed, first, time, no_gate, pairs, places, ends, borders, weights, bias, work
):
    """Write the neurons' states after one sample; keep what the gradient needs of it."""
    seen, heads, activations, steps = work
    columns, units = inputs.shape[2], bias.shape[1]
    read_rows(inputs, first, time, seen)
    for lane in range(LANES):
        steps[0, lane] = elapsed[min(first + lane, elapsed.shape[0] - 1), time]
    step = load(steps, 0)
    for i in range(units):
        for head in range(4):
            store(heads, 4 * i + head, bias[head, i] + zero())
    for layer in range(ends.size - 1):
        for k in range(ends[layer], ends[layer + 1]):
            value, row, place = load(seen, pairs[0, k]), 4 * pairs[1, k], places[k]
            for head in range(4):
                store(heads, row + head, load(heads, row + head) + weights[head, place] * value)
        for i in range(borders[layer], borders[layer + 1]):
            one, two = _tanh(load(heads, 4 * i)), _tanh(load(heads, 4 * i + 1))
            gate = logistic(load(heads, 4 * i + 2) * step + load(heads, 4 * i + 3))
            after = one + gate * two if no_gate else one + gate * (two - one)
            store(activations, 3 * i, one)
            store(activations, 3 * i + 1, two)
            store(activations, 3 * i + 2, gate)
            store(seen, columns + units + i, choose(step, after, load(seen, columns + i)))


@kept
def forward(
    inputs,
    state,
    elapsed,
    starts,
    no_gate,
    pairs,
    places,
    ends,
    borders,
    weights,
    bias,
    states,
):
    """Run over sequences.

    Args:
        inputs: (batch, time, inputs).
        state: (batch, 1, units) before the first sample.
        elapsed: (batch, time) [s]; where it is 0, the state stays.
        starts: (batch, time) bool, samples before which the state is set to zero; (0, 0) for none.
        no_gate: the mode, True for "no_gate" and False for "default".
        pairs: (2, K), source (a row as described above) and target of each synapse, by layers.
        places: (K,), each synapse's column in `weights`.
        ends: (layers + 1,), where each layer's synapses begin and end.
        borders: (layers + 1,), where each layer's neurons begin and end.
        weights: (4, K), of the heads f1, f2, a and b.
        bias: (4, units).
        states: (batch, time, units), written.
    """
    columns, units = inputs.shape[2], bias.shape[1]
    seen = vectors(columns + 2 * units)
    work = (seen, vectors(4 * units), vectors(3 * units), vectors(1))
    before = seen[columns : columns + units]
    for first in range(0, inputs.shape[0], LANES):
        read_rows(state, first, 0, before)
        for time in range(inputs.shape[1]):
            clear_started(starts, first, time, before)
            _sample(
                inputs,
                elapsed,
                first,
                time,
                no_gate,
                pairs,
                places,
                ends,
                borders,
                weights,
                bias,
                work,
            )
            for i in range(units):
                store(before, i, load(seen, columns + units + i))
            for lane in range(min(LANES, inputs.shape[0] - first)):
                for i in range(units):
                    states[first + lane, time, i] = before[i, lane]


@kept
def step(
    inputs_at,
    state_at,
    elapsed_at,
    states_at,
    outputs_at,
    batch,
    inputs,
    elapsed,
    no_gate,
    pairs,
    places,
    ends,
    borders,
    weights,
    bias,
    motor,
):
    """As `forward`, for one sample of arrays given by their addresses; see `fused_kernel.step`.

    The outputs are the last `motor` neurons.
    """
    units = bias.shape[1]
    times, good = elapsed_of(elapsed_at, elapsed, batch)
    if not good:
        return False
    states = floats_at(states_at, (batch, 1, units))
    forward(
        floats_at(inputs_at, (batch, 1, inputs)),
        state_of(state_at, (batch, 1, units)),
        times,
        np.zeros((0, 0), np.bool_),
        no_gate,
        pairs,
        places,
        ends,
        borders,
        weights,
        bias,
        states,
    )
    outputs = floats_at(outputs_at, (batch, motor))
    for row in range(batch):
        for index in range(motor):
            outputs[row, index] = states[row, 0, units - motor + index]
    return True


@kept
def backward(
    inputs,
    state,
    elapsed,
    starts,
    no_gate,
    pairs,
    places,
    ends,
    borders,
    weights,
    bias,
    states,
    by_states,
    by_inputs,
    by_state,
    by_elapsed,
    by_weights,
    by_bias,
):
    """Gradients of a scalar by the arguments of `forward`, from `by_states`, those by `states`.

    The last five arguments are written; they have the shapes of what they are the gradients by.
    """
    columns, units = inputs.shape[2], bias.shape[1]
    seen, activations = vectors(columns + 2 * units), vectors(3 * units)
    heads, steps, by_steps = vectors(4 * units), vectors(1), vectors(1)
    work = (seen, heads, activations, steps)
    before = seen[columns : columns + units]
    by_seen, by_heads = vectors(columns + 2 * units), vectors(4 * units)
    weight_sums, bias_sums = vectors(4 * places.size), vectors(4 * units)
    for first in range(0, inputs.shape[0], LANES):
        present = min(LANES, inputs.shape[0] - first)
        by_seen[:] = 0  # and stays 0 in the lanes beyond the last row
        for time in range(inputs.shape[1] - 1, -1, -1):
            if time:
                read_rows(states, first, time - 1, before)
            else:
                read_rows(state, first, 0, before)
            clear_started(starts, first, time, before)
            _sample(
                inputs,
                elapsed,
                first,
                time,
                no_gate,
                pairs,
                places,
                ends,
                borders,
                weights,
                bias,
                work,
            )
            # What was the state before the later sample is the one after this.
            for i in range(units):
                store(by_seen, columns + units + i, load(by_seen, columns + i))
            by_seen[: columns + units] = 0
            for lane in range(present):
                for i in range(units):
                    by_seen[columns + units + i, lane] += by_states[first + lane, time, i]

            step, by_step = load(steps, 0), zero()
            for layer in range(ends.size - 2, -1, -1):
                for i in range(borders[layer], borders[layer + 1]):
                    by_after = load(by_seen, columns + units + i)
                    kept_part = choose(step, zero(), by_after)
                    store(by_seen, columns + i, load(by_seen, columns + i) + kept_part)
                    by_after = choose(step, by_after, zero())
                    one, two = load(activations, 3 * i), load(activations, 3 * i + 1)
                    gate = load(activations, 3 * i + 2)
                    by_one = by_after if no_gate else by_after * (ONE - gate)
                    toward = two if no_gate else two - one
                    by_gate = by_after * toward * gate * (ONE - gate)
                    store(by_heads, 4 * i, by_one * (ONE - one * one))
                    store(by_heads, 4 * i + 1, by_after * gate * (ONE - two * two))
                    store(by_heads, 4 * i + 2, by_gate * step)
                    store(by_heads, 4 * i + 3, by_gate)
                    by_step = by_step + by_gate * load(heads, 4 * i + 2)
                for k in range(ends[layer], ends[layer + 1]):
                    source, row, sums = pairs[0, k], 4 * pairs[1, k], 4 * places[k]
                    value, by_value = load(seen, source), load(by_seen, source)
                    for head in range(4):
                        by_head = load(by_heads, row + head)
                        by_value = by_value + weights[head, places[k]] * by_head
                        total = load(weight_sums, sums + head) + by_head * value
                        store(weight_sums, sums + head, total)
                    store(by_seen, source, by_value)
            clear_started(starts, first, time, by_seen[columns : columns + units])
            for row in range(4 * units):
                store(bias_sums, row, load(bias_sums, row) + load(by_heads, row))
            store(by_steps, 0, by_step)
            for lane in range(present):
                by_elapsed[first + lane, time] = by_steps[0, lane]
                for column in range(columns):
                    by_inputs[first + lane, time, column] = by_seen[column, lane]
        for lane in range(present):
            for i in range(units):
                by_state[first + lane, 0, i] = by_seen[columns + i, lane]
    for head in range(4):
        for k in range(places.size):
            by_weights[head, k] = weight_sums[4 * k + head].sum()
        for i in range(units):
            by_bias[head, i] = bias_sums[4 * i + head].sum()
