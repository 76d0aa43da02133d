"""Dense CfC sequences by one compiled call; see `fused_sequence`, which does so for the LTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from liquid_control.circuits.fused_sequence import compiled

if TYPE_CHECKING:
    from liquid_control.circuits.cfc_cells import DenseCell
    from liquid_control.circuits.memory import LongMemory

__all__ = ["TANHS", "solve"]

# Activations amplitude * tanh(rate * u) of the backbone, by name: amplitude and rate.
TANHS = {"lecun_tanh": (1.7159, 0.666), "tanh": (1.0, 1.0)}
MODES = ("default", "no_gate", "pure")  # by their numbers in the kernel


def solve(
    cell: DenseCell,
    memory: LongMemory | None,
    inputs: Tensor,
    state: tuple[Tensor, ...],
    elapsed: Tensor,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """States (batch, time, units) after each sample, and all parts of the last state.

    Gradients as `fused_sequence.solve`; kept for them are, for each sample, the values of the
    backbone, of the heads and of the memory's gates, too.

    Args:
        cell: with `tanh` set.
        memory: of a network with mixed memory.
        inputs: (batch, time, inputs) float32.
        state: (batch, units) float32, and with a memory (batch, units) of it.
        elapsed: (batch, time) float32 [s], >= 0.
    """
    (drive,) = cell.drive(None, inputs)
    form, last = cell.closed_form, cell.rest[-1]
    hidden, nothing = state[0], drive.new_empty(0)
    pure = torch.stack((form.w_tau.abs(), form.A)) if form.mode == "pure" else nothing
    long = nothing, nothing, nothing
    if memory is not None:
        long = memory.drive(inputs), state[1], memory.recurrent_map.weight
    states, remembered = _Solve.apply(
        (MODES.index(form.mode), *map(np.float32, cell.tanh)),
        torch.is_grad_enabled(),
        drive,
        hidden,
        elapsed,
        cell.first.weight[:, cell.inputs :],
        last.weight,
        last.bias,
        pure,
        *long,
    )
    # A copy, so that a caller who keeps the state does not keep the whole sequence.
    after = states[:, -1].clone()
    return states, (after,) if memory is None else (after, remembered)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        how: tuple,
        keep: bool,
        drive: Tensor,
        state: Tensor,
        elapsed: Tensor,
        recurrent: Tensor,
        heads: Tensor,
        bias: Tensor,
        pure: Tensor,
        gates_drive: Tensor,
        memory: Tensor,
        gates_recurrent: Tensor,
    ) -> tuple[Tensor, Tensor]:
        (batch, time, width), units = drive.shape, state.shape[1]
        count, remembers = len(bias) // units, len(gates_drive) > 0
        matrices = (
            _filled(recurrent, 0, 1),
            _filled(heads.view(count, units, width), 1, 2).flatten(0, 1),
            _filled(gates_recurrent.view(4, -1, units), 1, 2).flatten(0, 1),
        )
        biases = _filled(bias.view(count, units), 1).flatten()
        amounts = _filled(pure.view(2, -1), 1)
        lanes, times = _in_lanes(_filled(drive, 2)), _in_lanes(elapsed.unsqueeze(2))
        start = _in_lanes(_filled(state.unsqueeze(1), 2))[0]
        own = _filled(gates_drive.view(batch, time, 4, -1), 3).flatten(2)
        gates_lanes = _in_lanes(own)
        cell = _in_lanes(_filled(memory.view(batch, 1, -1), 2))[0] if remembers else start
        kept, tiles, size = time if keep else 1, lanes.shape[1], start.shape[1]

        def room(length: int, rows: int) -> Tensor:
            return lanes.new_empty(length, tiles, rows, lanes.shape[3])

        states, cells = room(time, size), room(time, size * remembers)
        backbone, activations = room(kept, lanes.shape[2]), room(kept, len(biases))
        gates, hidden = room(kept, 4 * size * remembers), room(kept, size * remembers)
        into_backbone, into_heads, into_gates = map(_packed, matrices)
        compiled("fused_dense_kernel").forward(
            *_arrays(lanes, start, times),
            *how,
            *_arrays(into_backbone, into_heads, biases, amounts, gates_lanes, cell, into_gates),
            *_arrays(states, backbone, activations, gates, hidden, cells),
        )
        ctx.how, ctx.width, ctx.shape = how, width, pure.shape
        saved = start, cell, times, amounts, states, backbone, activations, gates, hidden, cells
        ctx.save_for_backward(*saved, *matrices)
        last = _in_rows(cells[-1:], batch)[:, 0, :units] if remembers else memory.clone()
        return _in_rows(states, batch)[..., :units], last.contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_states: Tensor, by_last: Tensor) -> tuple[Tensor | None, ...]:
        start, cell, times, amounts, *saved = ctx.saved_tensors
        states, backbone, activations, gates, hidden, cells, *matrices = saved
        (batch, _, units), (_, size, lanes) = by_states.shape, start.shape
        by_lanes = _in_lanes(_filled(by_states, 2))
        by_drive, by_heads = torch.empty_like(backbone), torch.empty_like(activations)
        by_state, by_elapsed = torch.empty_like(start), torch.empty_like(times)
        by_gates, by_amounts = torch.empty_like(gates), start.new_zeros(2 * size, lanes)
        remembers = gates.shape[2] > 0
        by_cell = start
        if remembers:
            by_cell = _in_lanes(_filled(by_last.unsqueeze(1), 2))[0].clone()
        into_backbone, into_heads, into_gates = (_packed(matrix.T) for matrix in matrices)
        compiled("fused_dense_kernel").backward(
            *_arrays(times),
            *ctx.how,
            *_arrays(into_backbone, into_heads, amounts, cell, into_gates),
            *_arrays(backbone, activations, gates, cells, by_lanes),
            *_arrays(by_drive, by_state, by_elapsed, by_heads, by_amounts, by_gates, by_cell),
        )
        before = _features(torch.cat((start.unsqueeze(0), states[:-1])))
        seen = _features(hidden) if remembers else before
        by_recurrent = (_features(by_drive) @ seen.T)[: ctx.width, :units]
        by_head = _features(by_heads)
        count = len(by_head) // size
        by_weight = (by_head @ _features(backbone).T).view(count, size, -1)
        by_bias = by_head.sum(1).view(count, size)[:, :units]
        by_pure = (
            by_amounts.sum(1).view(2, size)[:, :units] if ctx.shape[0] else by_last.new_empty(0)
        )
        by_long: tuple = (None, None, None)
        if remembers:
            by_gate = (_features(by_gates) @ before.T).view(4, size, size)[:, :units, :units]
            by_gates_drive = _in_rows(by_gates, batch).unflatten(2, (4, size))[..., :units]
            by_memory = _in_rows(by_cell.unsqueeze(0), batch)[:, 0, :units]
            by_long = by_gates_drive.flatten(2), by_memory, by_gate.flatten(0, 1)
        return (
            None,
            None,
            _in_rows(by_drive, batch)[..., : ctx.width],
            _in_rows(by_state.unsqueeze(0), batch)[:, 0, :units],
            _in_rows(by_elapsed, batch)[..., 0],
            by_recurrent,
            by_weight[:, :units, : ctx.width].flatten(0, 1),
            by_bias.flatten(),
            by_pure,
            *by_long,
        )


def _filled(tensor: Tensor, *dims: int) -> Tensor:
    """With zeros up to a multiple of the kernel's BLOCK in these dimensions."""
    block = compiled("fused_dense_kernel").BLOCK
    padding = [0] * (2 * tensor.dim())
    for dim in dims:
        padding[2 * (tensor.dim() - dim) - 1] = -tensor.shape[dim] % block
    return functional.pad(tensor, padding) if any(padding) else tensor


def _packed(matrix: Tensor) -> Tensor:
    """(outputs, inputs) as the kernel reads it."""
    block = compiled("fused_dense_kernel").BLOCK
    return matrix.unflatten(0, (-1, block)).transpose(1, 2)


def _in_lanes(rows: Tensor) -> Tensor:
    """(batch, time, features) as (time, tiles, features, LANES), filled up with zeros."""
    lanes = compiled("fused_lanes").LANES
    rows = functional.pad(rows, (0, 0, 0, 0, 0, -len(rows) % lanes))
    return rows.unflatten(0, (-1, lanes)).permute(2, 0, 3, 1).contiguous()


def _in_rows(lanes: Tensor, batch: int) -> Tensor:
    """The way back from `_in_lanes`."""
    return lanes.permute(1, 3, 0, 2).flatten(0, 1)[:batch]


def _features(lanes: Tensor) -> Tensor:
    """(features, samples) of (time, tiles, features, LANES)."""
    return lanes.permute(2, 0, 1, 3).flatten(1)


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)
