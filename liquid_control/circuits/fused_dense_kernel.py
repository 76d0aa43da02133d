"""The dense CfC with a backbone of one layer over whole sequences, compiled by numba.

Arrays of a sequence have shape (time, tiles, rows, LANES): LANES rows of the batch make a tile. All
counts of rows are multiples of BLOCK, filled up with weights of 0. A matrix (outputs, inputs) is
given as (outputs / BLOCK, inputs, BLOCK), in the order in which `_multiply` reads it.

With mixed memory, an LSTM cell (see `memory`) comes before the backbone in each sample, and the
backbone sees what it makes of the state; without, the arrays named after it have no rows.

What the backbone, the heads and the memory's gates came to is kept for the gradient, which leaves
to it one product with each matrix a sample; gradients by the weights are products over all samples
at once, and left to torch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from liquid_control.circuits.fused_lanes import (
    OPTIONS,
    absolute,
    choose,
    kept,
    load,
    logistic,
    store,
    vectors,
    zero,
)

__all__ = ["BLOCK", "DEFAULT", "NO_GATE", "PURE", "backward", "forward"]

BLOCK = 4  # sums that are in the making at once: what a processor can add while one takes its time
DEFAULT, NO_GATE, PURE = 0, 1, 2
float32 = np.float32
ONE, TWO = float32(1), float32(2)


@njit(**OPTIONS)
def _tanh(value):
    return TWO * logistic(TWO * value) - ONE


@njit(**OPTIONS)
def _multiply(weights, values, sums):
    """sums (outputs, LANES) += weights @ values (inputs, LANES)."""
    for block in range(weights.shape[0]):
        row = BLOCK * block
        a, b = load(sums, row), load(sums, row + 1)
        c, d = load(sums, row + 2), load(sums, row + 3)
        for k in range(weights.shape[1]):
            value = load(values, k)
            a = a + weights[block, k, 0] * value
            b = b + weights[block, k, 1] * value
            c = c + weights[block, k, 2] * value
            d = d + weights[block, k, 3] * value
        store(sums, row, a)
        store(sums, row + 1, b)
        store(sums, row + 2, c)
        store(sums, row + 3, d)


@kept
def forward(
    drive,
    state,
    elapsed,
    mode,
    amplitude,
    rate,
    recurrent,
    heads,
    bias,
    pure,
    gates_drive,
    cell,
    gates_recurrent,
    states,
    backbone,
    activations,
    gates,
    hidden,
    cells,
):
    """Run over sequences.

    Args:
        drive: (time, tiles, width, LANES), what the inputs add to the backbone.
        state: (tiles, units, LANES) before the first sample.
        elapsed: (time, tiles, 1, LANES) [s]; where it is 0, the state stays.
        mode: DEFAULT, NO_GATE or PURE.
        amplitude, rate: the backbone's activation is amplitude * tanh(rate * u).
        recurrent: matrix (width, units).
        heads: matrix (heads * units, width); f1, f2, a and b, in the mode PURE f1 alone.
        bias: (heads * units,).
        pure: (2, units), |w_tau| and A, in the mode PURE alone.
        gates_drive: (time, tiles, 4 * units, LANES), what the inputs add to the memory's gates:
            candidate, write, keep and show.
        cell: (tiles, units, LANES), the memory before the first sample.
        gates_recurrent: matrix (4 * units, units).
        states: (time, tiles, units, LANES), written.
        backbone, activations: (time, tiles, width, LANES) and (time, tiles, heads * units, LANES),
            written for `backward`; with a length of 1 in place of time where none follows.
        gates, hidden: (time, tiles, 4 * units, LANES) and (time, tiles, units, LANES), likewise;
            the gates, and the state as the memory makes it.
        cells: (time, tiles, units, LANES), written; the memory after each sample.
    """
    units, remembers = state.shape[1], gates_drive.shape[2] > 0
    for tile in range(drive.shape[1]):
        before, old = state[tile], cell[tile]
        for time in range(drive.shape[0]):
            own, after = drive[time, tile], states[time, tile]
            keep = min(time, backbone.shape[0] - 1)
            z, head = backbone[keep, tile], activations[keep, tile]
            step = load(elapsed[time, tile], 0)
            for row in range(z.shape[0]):
                store(z, row, load(own, row))
            if remembers:
                seen, new = hidden[keep, tile], cells[time, tile]
                own = gates_drive[time, tile]
                _remember(own, before, old, gates_recurrent, step, gates[keep, tile], seen, new)
                old = new
                _multiply(recurrent, seen, z)
            else:
                _multiply(recurrent, before, z)
            for row in range(z.shape[0]):
                store(z, row, amplitude * _tanh(rate * load(z, row)))
            for row in range(bias.size):
                store(head, row, bias[row] + zero())
            _multiply(heads, z, head)
            for i in range(units):
                value = load(head, i)
                if mode == PURE:
                    decay = _decay(step, pure[0, i] + absolute(value))
                    moved = pure[1, i] - pure[1, i] * (decay * value)
                else:
                    one, two = _tanh(value), _tanh(load(head, units + i))
                    slope = load(head, 2 * units + i)
                    gate = logistic(slope * step + load(head, 3 * units + i))
                    moved = one + gate * (two if mode == NO_GATE else two - one)
                    store(head, i, one)
                    store(head, units + i, two)
                    store(head, 3 * units + i, gate)
                store(after, i, choose(step, moved, load(before, i)))
            before = after


@njit(**OPTIONS)
def _remember(drive, state, old, recurrent, step, gates, hidden, new):
    """A sample of the memory: write its gates, the hidden state and, where time passes, itself."""
    units = old.shape[0]
    for row in range(4 * units):
        store(gates, row, load(drive, row))
    _multiply(recurrent, state, gates)
    for i in range(units):
        candidate, write = _tanh(load(gates, i)), logistic(load(gates, units + i))
        # A bias of 1 on the forget gate, as in `memory`.
        keep = logistic(load(gates, 2 * units + i) + ONE)
        show = logistic(load(gates, 3 * units + i))
        value = load(old, i) * keep + candidate * write
        store(gates, i, candidate)
        store(gates, units + i, write)
        store(gates, 2 * units + i, keep)
        store(gates, 3 * units + i, show)
        store(hidden, i, _tanh(value) * show)
        store(new, i, choose(step, value, load(old, i)))


@njit(**OPTIONS)
def _remember_backward(by_hidden, by_cell, gates, old, step, by_gates):
    """From the gradients by the hidden state and by the memory, by its gates and as it was."""
    units = old.shape[0]
    for i in range(units):
        candidate, write = load(gates, i), load(gates, units + i)
        keep, show = load(gates, 2 * units + i), load(gates, 3 * units + i)
        before = load(old, i)
        shown = _tanh(before * keep + candidate * write)
        by_shown, by_new = load(by_hidden, i), load(by_cell, i)
        by_value = choose(step, by_new, zero()) + by_shown * show * (ONE - shown * shown)
        store(by_gates, i, by_value * write * (ONE - candidate * candidate))
        store(by_gates, units + i, by_value * candidate * write * (ONE - write))
        store(by_gates, 2 * units + i, by_value * before * keep * (ONE - keep))
        store(by_gates, 3 * units + i, by_shown * shown * show * (ONE - show))
        store(by_cell, i, choose(step, by_value * keep, by_new))


@njit(**OPTIONS)
def _decay(step, speed):
    """e^(-step speed), both 0 or more."""
    exponent = step * speed
    return logistic(zero() - exponent) / logistic(exponent)


@kept
def backward(
    elapsed,
    mode,
    amplitude,
    rate,
    recurrent,
    heads,
    pure,
    cell,
    gates_recurrent,
    backbone,
    activations,
    gates,
    cells,
    by_states,
    by_drive,
    by_state,
    by_elapsed,
    by_heads,
    by_pure,
    by_gates,
    by_cell,
):
    """Gradients of a scalar from `by_states`, those by `states`.

    Args:
        recurrent, heads, gates_recurrent: the matrices transposed, (units, width),
            (width, heads * units) and (units, 4 * units).
        by_drive, by_state, by_elapsed, by_heads: written; gradients by drive, state and elapsed
            times, and by the heads before their activations.
        by_pure: (2 * units, LANES), to which those by `pure` are added.
        by_gates: written; those by `gates_drive`.
        by_cell: (tiles, units, LANES), holds those by the last memory, and then by the first.
        others: as in `forward`.
    """
    units, width, remembers = by_state.shape[1], backbone.shape[2], gates.shape[2] > 0
    by_hidden = vectors(units)
    for tile in range(elapsed.shape[1]):
        by_before = by_state[tile]
        by_before[:] = 0
        for time in range(elapsed.shape[0] - 1, -1, -1):
            z, head, by_head = backbone[time, tile], activations[time, tile], by_heads[time, tile]
            by_own, by_after_own = by_drive[time, tile], by_states[time, tile]
            step, by_step = load(elapsed[time, tile], 0), zero()
            for i in range(units):
                by_after = load(by_before, i) + load(by_after_own, i)
                store(by_before, i, choose(step, zero(), by_after))
                by_after = choose(step, by_after, zero())
                if mode == PURE:
                    value = load(head, i)
                    size = absolute(value)
                    speed = pure[0, i] + size
                    decay = _decay(step, speed)
                    by_decay = pure[1, i] * (by_after * decay)
                    store(by_head, i, by_decay * (step * size - ONE))
                    by_step = by_step + by_decay * value * speed
                    total = load(by_pure, i) + by_decay * value * step
                    store(by_pure, i, total)
                    total = load(by_pure, units + i) + by_after * (ONE - decay * value)
                    store(by_pure, units + i, total)
                else:
                    one, two = load(head, i), load(head, units + i)
                    slope, gate = load(head, 2 * units + i), load(head, 3 * units + i)
                    by_one = by_after if mode == NO_GATE else by_after * (ONE - gate)
                    toward = two if mode == NO_GATE else two - one
                    by_gate = by_after * toward * gate * (ONE - gate)
                    store(by_head, i, by_one * (ONE - one * one))
                    store(by_head, units + i, by_after * gate * (ONE - two * two))
                    store(by_head, 2 * units + i, by_gate * step)
                    store(by_head, 3 * units + i, by_gate)
                    by_step = by_step + by_gate * slope
            store(by_elapsed[time, tile], 0, by_step)
            by_own[:] = 0
            _multiply(heads, by_head, by_own)
            for row in range(width):
                value = load(z, row) / amplitude
                grown = amplitude * rate * (ONE - value * value)
                store(by_own, row, load(by_own, row) * grown)
            if remembers:
                by_hidden[:] = 0
                _multiply(recurrent, by_own, by_hidden)
                old = cells[time - 1, tile] if time else cell[tile]
                by_gate = by_gates[time, tile]
                _remember_backward(by_hidden, by_cell[tile], gates[time, tile], old, step, by_gate)
                _multiply(gates_recurrent, by_gate, by_before)
            else:
                _multiply(recurrent, by_own, by_before)
