"""What the LTC's parameters amount to for the compiled solver, and the way back for gradients.

The same few lines of arithmetic as `LTC.prepare`. As torch operations they would cost more than
solving the sequence: some 25 small ones forward, 60 backward.

Parameters lie in one flat array, as `PARAMETERS` of `fused_sequence` orders them: raw weight,
midpoint, slope and reversal potential of the sensory synapses; the same of those between neurons;
raw leak conductance, leak potential and raw capacitance of the neurons; factor and offset of the
inputs.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from liquid_control.circuits.fused_lanes import floats_at, kept

__all__ = ["prepare", "prepare_backward", "unchanged"]


@njit
def _softplus(raw):
    """log(1 + e^raw) and its derivative."""
    exponential = math.exp(-abs(raw))
    positive = max(raw, 0.0) + math.log1p(exponential)
    return positive, (1.0 if raw >= 0 else exponential) / (1.0 + exponential)


@njit
def _prepare_synapses(parameters, pairs, factors, offsets, prepared):
    for k in range(pairs.shape[1]):
        weight, _ = _softplus(parameters[0, k])
        midpoint, slope, reversal = parameters[1, k], parameters[2, k], parameters[3, k]
        prepared[0, k] = slope * factors[pairs[0, k]]
        prepared[1, k] = slope * (offsets[pairs[0, k]] - midpoint)
        prepared[2, k] = weight * reversal
        prepared[3, k] = weight


@kept
def prepare(parameters, sensory_pairs, pairs, units, inputs):
    """Sensory synapses (4, K), synapses (4, K) and neurons (3, units) for `fused_kernel`."""
    sensed, count = 4 * sensory_pairs.shape[1], 4 * pairs.shape[1]
    sensory = np.empty((4, sensory_pairs.shape[1]), np.float32)
    synapses = np.empty((4, pairs.shape[1]), np.float32)
    neurons = np.empty((3, units), np.float32)
    of_neurons = parameters[sensed + count : sensed + count + 3 * units].reshape(3, units)
    of_inputs = parameters[sensed + count + 3 * units :].reshape(2, inputs)
    _prepare_synapses(
        parameters[:sensed].reshape(4, sensed // 4),
        sensory_pairs,
        of_inputs[0],
        of_inputs[1],
        sensory,
    )
    _prepare_synapses(
        parameters[sensed : sensed + count].reshape(4, count // 4),
        pairs,
        np.ones(units, np.float32),
        np.zeros(units, np.float32),
        synapses,
    )
    for i in range(units):
        conductance, _ = _softplus(of_neurons[0, i])
        neurons[0, i] = conductance * of_neurons[1, i]
        neurons[1, i] = conductance
        neurons[2, i] = 1.0 / _softplus(of_neurons[2, i])[0]
    return sensory, synapses, neurons


@njit
def _prepare_synapses_backward(
    parameters, pairs, factors, offsets, by_prepared, by_parameters, by_factors, by_offsets
):
    for k in range(pairs.shape[1]):
        weight, growth = _softplus(parameters[0, k])
        midpoint, slope, reversal = parameters[1, k], parameters[2, k], parameters[3, k]
        j = pairs[0, k]
        by_slope, by_offset = by_prepared[0, k], by_prepared[1, k]
        by_current, by_weight = by_prepared[2, k], by_prepared[3, k]
        by_parameters[0, k] = growth * (reversal * by_current + by_weight)
        by_parameters[1, k] = -slope * by_offset
        by_parameters[2, k] = factors[j] * by_slope + (offsets[j] - midpoint) * by_offset
        by_parameters[3, k] = weight * by_current
        by_factors[j] += slope * by_slope
        by_offsets[j] += slope * by_offset


@kept
def prepare_backward(
    parameters, sensory_pairs, pairs, units, inputs, by_sensory, by_synapses, by_neurons
):
    """Gradient by `parameters`, from those by what `prepare` returned."""
    sensed, count = 4 * sensory_pairs.shape[1], 4 * pairs.shape[1]
    result = np.zeros_like(parameters)
    end = sensed + count + 3 * units
    of_neurons = parameters[sensed + count : end].reshape(3, units)
    by_of_neurons = result[sensed + count : end].reshape(3, units)
    of_inputs, by_inputs = parameters[end:].reshape(2, inputs), result[end:].reshape(2, inputs)
    _prepare_synapses_backward(
        parameters[:sensed].reshape(4, sensed // 4),
        sensory_pairs,
        of_inputs[0],
        of_inputs[1],
        by_sensory,
        result[:sensed].reshape(4, sensed // 4),
        by_inputs[0],
        by_inputs[1],
    )
    unused = np.zeros(units, np.float32)
    _prepare_synapses_backward(
        parameters[sensed : sensed + count].reshape(4, count // 4),
        pairs,
        np.ones(units, np.float32),
        unused,
        by_synapses,
        result[sensed : sensed + count].reshape(4, count // 4),
        unused.copy(),
        unused.copy(),
    )
    for i in range(units):
        conductance, growth = _softplus(of_neurons[0, i])
        by_of_neurons[0, i] = growth * (of_neurons[1, i] * by_neurons[0, i] + by_neurons[1, i])
        by_of_neurons[1, i] = conductance * by_neurons[0, i]
        capacitance, growth = _softplus(of_neurons[2, i])
        by_of_neurons[2, i] = -growth * by_neurons[2, i] / (capacitance * capacitance)
    return result


@kept
def unchanged(places, values):
    """Whether arrays at addresses, places (n, 2) of (address, size), hold these values in turn."""
    start = 0
    for place in range(places.shape[0]):
        size = places[place, 1]
        present = floats_at(places[place, 0], size)
        for k in range(size):
            if present[k] != values[start + k]:
                return False
        start += size
    return True
