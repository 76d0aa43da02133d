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

__all__ = ["TANHS", "solve"]

# Activations amplitude * tanh(rate * u) of the backbone, by name: amplitude and rate.
TANHS = {"lecun_tanh": (1.7159, 0.666), "tanh": (1.0, 1.0)}
MODES = ("default", "no_gate", "pure")  # by their numbers in the kernel


def solve(cell: DenseCell, inputs: Tensor, state: Tensor, elapsed: Tensor) -> Tensor:
    """States (batch, time, units) after each sample, of a cell with `tanh` set.

    Arguments and gradients as `fused_sequence.solve`; kept for gradients are, for each sample, the
    values of the backbone and of the heads, too.
    """
    (drive,) = cell.drive(None, inputs)
    form, last = cell.closed_form, cell.rest[-1]
    pure = (form.w_tau.abs(), form.A) if form.mode == "pure" else ()
    how = (MODES.index(form.mode), *map(np.float32, cell.tanh))
    recurrent = cell.first.weight[:, cell.inputs :]
    keep = torch.is_grad_enabled()
    return _Solve.apply(keep, how, drive, state, elapsed, recurrent, last.weight, last.bias, *pure)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        keep: bool,
        how: tuple,
        drive: Tensor,
        state: Tensor,
        elapsed: Tensor,
        recurrent: Tensor,
        heads: Tensor,
        bias: Tensor,
        *pure: Tensor,
    ) -> Tensor:
        kernel = compiled("fused_dense_kernel")
        batch, time, width = drive.shape
        units = state.shape[1]
        count = len(bias) // units
        into_heads = _filled(heads.view(count, units, width), 1, 2).flatten(0, 1)
        into_backbone = _filled(recurrent, 0, 1)
        biases = _filled(bias.view(count, units), 1).flatten()
        amounts = torch.stack(pure) if pure else bias.new_zeros(2, units)
        amounts = _filled(amounts, 1)
        lanes = _in_lanes(_filled(drive, 2))
        start = _in_lanes(_filled(state.unsqueeze(1), 2))[0]
        times = _in_lanes(elapsed.unsqueeze(2))
        states = lanes.new_empty(*lanes.shape[:2], *start.shape[1:])
        kept = time if keep else 1
        backbone = lanes.new_empty(kept, *lanes.shape[1:])
        activations = lanes.new_empty(kept, lanes.shape[1], len(biases), lanes.shape[3])
        kernel.forward(
            *_arrays(lanes, start, times),
            *how,
            *_arrays(_packed(into_backbone), _packed(into_heads), biases, amounts),
            *_arrays(states, backbone, activations),
        )
        ctx.constants = how, width, len(pure)
        tensors = (start, times, into_backbone, into_heads, amounts, states, backbone, activations)
        ctx.save_for_backward(*tensors)
        return _in_rows(states, batch)[..., :units]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_states: Tensor) -> tuple[Tensor | None, ...]:
        kernel = compiled("fused_dense_kernel")
        how, width, pure = ctx.constants
        start, times, into_backbone, into_heads, amounts, *kept = ctx.saved_tensors
        states, backbone, activations = kept
        batch, _, units = by_states.shape
        by_lanes = _in_lanes(_filled(by_states, 2))
        by_drive, by_heads = torch.empty_like(backbone), torch.empty_like(activations)
        by_state, by_elapsed = torch.empty_like(start), torch.empty_like(times)
        by_amounts = start.new_zeros(2 * start.shape[1], start.shape[2])
        kernel.backward(
            *_arrays(times),
            *how,
            *_arrays(_packed(into_backbone.T), _packed(into_heads.T), amounts),
            *_arrays(backbone, activations, by_lanes),
            *_arrays(by_drive, by_state, by_elapsed, by_heads, by_amounts),
        )
        before = torch.cat((start.unsqueeze(0), states[:-1]))
        by_recurrent = _features(by_drive) @ _features(before).T
        by_head = _features(by_heads)
        by_weight = by_head @ _features(backbone).T
        count = len(by_head) // start.shape[1]
        by_bias = by_head.sum(1).view(count, -1)[:, :units].flatten()
        by_weight = by_weight.view(count, -1, by_weight.shape[1])[:, :units, :width].flatten(0, 1)
        by_pure = by_amounts.sum(1).view(2, -1)[:, :units].unbind() if pure else ()
        return (
            None,
            None,
            _in_rows(by_drive, batch)[..., :width],
            _in_rows(by_state.unsqueeze(0), batch)[:, 0, :units],
            _in_rows(by_elapsed, batch)[..., 0],
            by_recurrent[:width, :units],
            by_weight,
            by_bias,
            *by_pure,
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
