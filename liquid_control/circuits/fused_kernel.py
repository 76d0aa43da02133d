"""The LTC's solver over whole sequences and its analytic gradient, compiled by numba.

Imported only when a sequence is first solved (see `fused_sequence`), as numba takes half a second
to load. The first call on a machine compiles for some seconds; the result is kept on disk.

Layout: rows of the batch lie innermost, LANES at a time, so that each synapse is a few vector
instructions; a tile of LANES rows runs through all its time before the next begins and stays in
the nearest cache. Only the states at the ends of samples are kept for the gradient: the backward
pass solves each sample again from there, which costs less than storing its unfolds.

Arrays of vectors have shape (rows, LANES). Where they hold all unfolds of a sample, neuron i of
unfold u is row u * units + i.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from liquid_control.circuits.fused_lanes import (
    LANES,
    OPTIONS,
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
from liquid_control.circuits.fused_parameters import prepare, prepare_backward

__all__ = ["backward", "forward", "logistic_of", "prepare", "prepare_backward", "step"]

float32 = np.float32
ONE = float32(1)
LONGEST = float32(1e18)  # [s]


@kept
def logistic_of(values):
    """The logistic function as the kernels compute it, of a float32 array (n,)."""
    rows = vectors(-(-values.size // LANES))
    flat = rows.reshape(-1)
    flat[: values.size] = values
    for row in range(rows.shape[0]):
        store(rows, row, logistic(load(rows, row)))
    return flat[: values.size]


@njit(**OPTIONS)
def _step_of(elapsed, unfolds):
    """h; far beyond rest, where more would overflow and give inf / inf, it grows no further."""
    return min(elapsed / float32(unfolds), LONGEST)


@njit(**OPTIONS)
def _sense(inputs, elapsed, first, time, unfolds, pairs, synapses, neurons, work):
    """What stays the same while a sample is solved: h / C, and the leak and sensory currents."""
    values, activation, rates, pull, conductance, steps = work
    read_rows(inputs, first, time, values)
    for lane in range(LANES):
        row = min(first + lane, elapsed.shape[0] - 1)
        steps[0, lane] = _step_of(elapsed[row, time], unfolds)
    for i in range(neurons.shape[1]):
        store(rates, i, neurons[2, i] * load(steps, 0))
        store(pull, i, neurons[0, i] + zero())
        store(conductance, i, neurons[1, i] + zero())
    _add_currents(values, 0, pairs, synapses, activation, 0, pull, conductance, 0)


@njit(**OPTIONS)
def _add_currents(
    values, values_at, pairs, synapses, activation, activation_at, pull, conductance, at
):
    """Add w E s and w s of each synapse to its target's `pull` and `conductance`; keep s.

    Each array is used from the row named after it on.
    """
    for k in range(pairs.shape[1]):
        j, i = values_at + pairs[0, k], at + pairs[1, k]
        s = logistic(synapses[0, k] * load(values, j) + synapses[1, k])
        store(activation, activation_at + k, s)
        store(pull, i, load(pull, i) + synapses[2, k] * s)
        store(conductance, i, load(conductance, i) + synapses[3, k] * s)


@njit(**OPTIONS)
def _add_currents_backward(
    values,
    values_at,
    pairs,
    synapses,
    activation,
    activation_at,
    by_pull,
    by_conductance,
    by_values,
    by_synapses,
):
    """Add the gradients by values and by synapses, from those by what `_add_currents` added.

    `by_values` of no rows: those are not wanted.
    """
    wanted = by_values.shape[0] > 0
    for k in range(pairs.shape[1]):
        j, i, row = pairs[0, k], pairs[1, k], 4 * k
        s = load(activation, activation_at + k)
        p, c = load(by_pull, i), load(by_conductance, i)
        inside = (synapses[2, k] * p + synapses[3, k] * c) * (s - s * s)
        store(by_synapses, row, load(by_synapses, row) + inside * load(values, values_at + j))
        store(by_synapses, row + 1, load(by_synapses, row + 1) + inside)
        store(by_synapses, row + 2, load(by_synapses, row + 2) + s * p)
        store(by_synapses, row + 3, load(by_synapses, row + 3) + s * c)
        if wanted:
            store(by_values, j, load(by_values, j) + synapses[0, k] * inside)


@kept
def forward(
    inputs,
    state,
    elapsed,
    starts,
    unfolds,
    sensory_pairs,
    pairs,
    sensory,
    synapses,
    neurons,
    states,
):
    """Solve sequences.

    Args:
        inputs: (batch, time, inputs).
        state: (batch, 1, units) before the first sample.
        elapsed: (batch, time) [s].
        starts: (batch, time) bool, samples before which the state is set to zero; (0, 0) for none.
        unfolds: solver steps per sample.
        sensory_pairs: (2, sensory synapses), source and target of each.
        pairs: (2, synapses between neurons), likewise.
        sensory: (4, sensory synapses): slope, offset, w E and w.
        synapses: (4, synapses between neurons), likewise.
        neurons: (3, units): g v, g and 1 / C.
        states: (batch, time, units), written.
    """
    units = neurons.shape[1]
    x, rates, leak, base = vectors(units), vectors(units), vectors(units), vectors(units)
    pull, conductance = vectors(units), vectors(units)
    activation = vectors(pairs.shape[1])
    sensed = vectors(sensory_pairs.shape[1])
    work = (vectors(inputs.shape[2]), sensed, rates, leak, base, vectors(1))
    for first in range(0, inputs.shape[0], LANES):
        read_rows(state, first, 0, x)
        for time in range(inputs.shape[1]):
            clear_started(starts, first, time, x)
            _sense(inputs, elapsed, first, time, unfolds, sensory_pairs, sensory, neurons, work)
            for _ in range(unfolds):
                for i in range(units):
                    store(pull, i, load(leak, i))
                    store(conductance, i, load(base, i))
                _add_currents(x, 0, pairs, synapses, activation, 0, pull, conductance, 0)
                for i in range(units):
                    rate = load(rates, i)
                    numerator = load(x, i) + rate * load(pull, i)
                    store(x, i, numerator / (ONE + rate * load(conductance, i)))
            for lane in range(min(LANES, inputs.shape[0] - first)):
                for i in range(units):
                    states[first + lane, time, i] = x[i, lane]


@njit(**OPTIONS)
def _add_currents_of_row(values, pairs, synapses, work, pull, conductance):
    """As `_add_currents` for a single row of the batch: LANES synapses in a vector."""
    count = pairs.shape[1]
    flat = work.reshape(-1)
    for k in range(count):
        flat[k] = synapses[0, k] * values[pairs[0, k]] + synapses[1, k]
    for row in range(-(-count // LANES)):
        store(work, row, logistic(load(work, row)))
    for k in range(count):
        pull[pairs[1, k]] += synapses[2, k] * flat[k]
        conductance[pairs[1, k]] += synapses[3, k] * flat[k]


@njit(**OPTIONS)
def _forward_of_row(
    inputs, state, elapsed, unfolds, sensory_pairs, pairs, sensory, synapses, neurons, after
):
    """As `forward` for one sample of one row: inputs (inputs,), state and `after` (units,)."""
    work = vectors(-(-max(sensory_pairs.shape[1], pairs.shape[1]) // LANES))
    rates = _step_of(elapsed, unfolds) * neurons[2]
    leak, base = neurons[0].copy(), neurons[1].copy()
    _add_currents_of_row(inputs, sensory_pairs, sensory, work, leak, base)
    pull, conductance = np.empty_like(leak), np.empty_like(base)
    after[:] = state
    for _ in range(unfolds):
        pull[:] = leak
        conductance[:] = base
        _add_currents_of_row(after, pairs, synapses, work, pull, conductance)
        for i in range(after.size):
            after[i] = (after[i] + rates[i] * pull[i]) / (ONE + rates[i] * conductance[i])


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
    unfolds,
    sensory_pairs,
    pairs,
    sensory,
    synapses,
    neurons,
    output_weight,
    output_bias,
):
    """As `forward`, for one sample of arrays given by their addresses.

    Args:
        inputs_at, state_at, elapsed_at: (batch, inputs), (batch, units), or 0 for a state of zeros,
            and (batch,), or 0 for the same `elapsed` of all.
        states_at, outputs_at: (batch, units) and (batch, motor), written.
        output_weight, output_bias: (motor,), the map of the last neurons to the outputs.

    Returns:
        False if an elapsed time is negative or not finite, and then nothing is written.
    """
    units, motor = neurons.shape[1], output_weight.size
    times, good = elapsed_of(elapsed_at, elapsed, batch)
    if not good:
        return False
    states = floats_at(states_at, (batch, 1, units))
    given, before = floats_at(inputs_at, (batch, 1, inputs)), state_of(state_at, (batch, 1, units))
    solver = (sensory_pairs, pairs, sensory, synapses, neurons)
    if batch == 1:
        _forward_of_row(given[0, 0], before[0, 0], times[0, 0], unfolds, *solver, states[0, 0])
    else:
        forward(given, before, times, np.zeros((0, 0), np.bool_), unfolds, *solver, states)
    outputs = floats_at(outputs_at, (batch, motor))
    for row in range(batch):
        for index in range(motor):
            value = states[row, 0, units - motor + index]
            outputs[row, index] = value * output_weight[index] + output_bias[index]
    return True


@kept
def backward(
    inputs,
    state,
    elapsed,
    starts,
    unfolds,
    sensory_pairs,
    pairs,
    sensory,
    synapses,
    neurons,
    states,
    by_states,
    by_inputs,
    by_state,
    by_elapsed,
    by_sensory,
    by_synapses,
    by_neurons,
):
    """Gradients of a scalar by the arguments of `forward`, from `by_states`, those by `states`.

    The last six arguments are written; they have the shapes of what they are the gradients by, or,
    `by_inputs` alone, (0, 0, 0) where it is not wanted.
    """
    rows, times, columns = inputs.shape
    units, count = neurons.shape[1], pairs.shape[1]
    rates, leak, base = vectors(units), vectors(units), vectors(units)
    values, sensed = vectors(columns), vectors(sensory_pairs.shape[1])
    work = (values, sensed, rates, leak, base, vectors(1))
    x, activation = vectors((unfolds + 1) * units), vectors(unfolds * count)
    pull, conductance = vectors(unfolds * units), vectors(unfolds * units)
    adjoint, by_pull, by_conductance = vectors(units), vectors(units), vectors(units)
    by_leak, by_base, by_rates = vectors(units), vectors(units), vectors(units)
    by_values = vectors(by_inputs.shape[2])
    sensory_sums, synapses_sums = vectors(4 * sensed.shape[0]), vectors(4 * count)
    neurons_sums = vectors(3 * units)
    for first in range(0, rows, LANES):
        present = min(LANES, rows - first)
        adjoint[:] = 0  # and stays 0 in the lanes beyond the last row
        for time in range(times - 1, -1, -1):
            _sense(inputs, elapsed, first, time, unfolds, sensory_pairs, sensory, neurons, work)
            if time:
                read_rows(states, first, time - 1, x)
            else:
                read_rows(state, first, 0, x)
            clear_started(starts, first, time, x[:units])
            for step in range(unfolds):
                at = step * units
                for i in range(units):
                    store(pull, at + i, load(leak, i))
                    store(conductance, at + i, load(base, i))
                _add_currents(
                    x, at, pairs, synapses, activation, step * count, pull, conductance, at
                )
                for i in range(units):
                    rate = load(rates, i)
                    numerator = load(x, at + i) + rate * load(pull, at + i)
                    after = numerator / (ONE + rate * load(conductance, at + i))
                    store(x, at + units + i, after)

            for lane in range(present):
                for i in range(units):
                    adjoint[i, lane] += by_states[first + lane, time, i]
            by_leak[:] = 0
            by_base[:] = 0
            by_rates[:] = 0
            for step in range(unfolds - 1, -1, -1):
                at = step * units
                for i in range(units):
                    rate, after = load(rates, i), load(x, at + units + i)
                    c = load(conductance, at + i)
                    direct = load(adjoint, i) / (ONE + rate * c)
                    p = direct * rate
                    store(adjoint, i, direct)
                    store(by_pull, i, p)
                    store(by_conductance, i, zero() - p * after)
                    store(by_leak, i, load(by_leak, i) + p)
                    store(by_base, i, load(by_base, i) - p * after)
                    slope = load(pull, at + i) - after * c
                    store(by_rates, i, load(by_rates, i) + direct * slope)
                _add_currents_backward(
                    x,
                    at,
                    pairs,
                    synapses,
                    activation,
                    step * count,
                    by_pull,
                    by_conductance,
                    adjoint,
                    synapses_sums,
                )
            clear_started(starts, first, time, adjoint)
            by_values[:] = 0
            _add_currents_backward(
                values,
                0,
                sensory_pairs,
                sensory,
                sensed,
                0,
                by_leak,
                by_base,
                by_values,
                sensory_sums,
            )
            steps = load(work[5], 0)
            by_steps = zero()
            for i in range(units):
                store(neurons_sums, i, load(neurons_sums, i) + load(by_leak, i))
                store(neurons_sums, units + i, load(neurons_sums, units + i) + load(by_base, i))
                row = 2 * units + i
                store(neurons_sums, row, load(neurons_sums, row) + steps * load(by_rates, i))
                by_steps = by_steps + neurons[2, i] * load(by_rates, i)
            store(work[5], 0, by_steps)
            for lane in range(present):
                by_elapsed[first + lane, time] = work[5][0, lane] / float32(unfolds)
                for column in range(by_inputs.shape[2]):
                    by_inputs[first + lane, time, column] = by_values[column, lane]
        for lane in range(present):
            for i in range(units):
                by_state[first + lane, 0, i] = adjoint[i, lane]
    for k in range(sensed.shape[0]):
        for part in range(4):
            by_sensory[part, k] = sensory_sums[4 * k + part].sum()
    for k in range(count):
        for part in range(4):
            by_synapses[part, k] = synapses_sums[4 * k + part].sum()
    for part in range(3):
        for i in range(units):
            by_neurons[part, i] = neurons_sums[part * units + i].sum()
