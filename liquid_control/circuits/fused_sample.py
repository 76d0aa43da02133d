"""One sample by the compiled code for sequences, for `step` where no gradient is asked for.

A torch operation costs some microseconds whatever its size, and a step takes some thirty; here the
arguments become numpy arrays, and all else is one compiled call. `Circuit.step` uses it by itself
for an LTC with the fused solver and a wired CfC; where it does not apply, or an argument does not
fit, the operations of `step` compute, or say what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from liquid_control.circuits.fused_sequence import compiled, operations_unseen, plain

if TYPE_CHECKING:
    from liquid_control.circuits.circuit import Circuit, State

__all__ = ["Sample", "sample"]

LONGEST = 3e38  # [s], below the largest float32


class Sample(NamedTuple):
    """Arguments as the compiled code takes them, and what it writes to.

    Addresses, as handing over arrays takes longer than all computations.
    """

    arguments: tuple
    """Addresses of inputs, state, elapsed times, states and outputs; numbers of rows and of inputs;
    the elapsed time of all rows."""
    outputs: Tensor
    states: Tensor
    alive: tuple[Tensor, ...]
    """Tensors whose memory is used."""


def sample(
    circuit: Circuit,
    input: Tensor,
    state: State | None,
    elapsed: float | Tensor | None,
    outputs: int,
) -> Sample | None:
    """From the arguments of `Circuit.step`; None where one of them is not plain or does not fit.

    None, too, where somebody wants gradients or to see the operations, or numba is missing.

    Args:
        outputs: how many the compiled code writes for a row.
    """
    if torch.is_grad_enabled() or not operations_unseen():
        return None
    shape, units = input.shape, circuit.state_sizes[0]
    rows = shape[:-1]
    if len(shape) not in (1, 2) or shape[-1] != circuit.inputs or 0 in rows or not plain(input):
        return None
    input = input.contiguous()
    if state is not None:
        if not isinstance(state, Tensor) or state.shape != (*rows, units) or not plain(state):
            return None
        state = state.contiguous()
    number, times = circuit.time_unit if elapsed is None else elapsed, None
    if isinstance(number, Tensor):
        if not plain(number) or number.shape not in ((), rows):
            return None
        number, times = 0.0, number.expand(rows).contiguous()
    elif not isinstance(number, int | float) or not 0 <= number < LONGEST:
        return None
    if compiled("fused_lanes") is None:
        return None
    # Numbers take half the time of a tuple.
    states, written = input.new_empty(*rows, units), input.new_empty(*rows, outputs)
    arguments = (
        input.data_ptr(),
        0 if state is None else state.data_ptr(),
        0 if times is None else times.data_ptr(),
        states.data_ptr(),
        written.data_ptr(),
        rows[0] if rows else 1,
        circuit.inputs,
        float(number),
    )
    return Sample(arguments, written, states, (input, state, times))
