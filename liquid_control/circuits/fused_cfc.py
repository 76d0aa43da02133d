"""Wired CfC sequences by one compiled call; see `fused_sequence`, which does so for the LTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from liquid_control.circuits.fused_sequence import begun, compiled
from liquid_control.circuits.wiring import Wiring

if TYPE_CHECKING:
    from liquid_control.circuits.cfc import CfC
    from liquid_control.circuits.cfc_cells import WiredCell

__all__ = ["NAMES", "Index", "index", "prepared", "solve"]

NAMES = ("cell.polarity", "cell.raw_weight", "cell.gate_weight", "cell.own_weight", "cell.bias")


class Index(NamedTuple):
    """Who sees whom, as the arguments of the same names of `fused_cfc_kernel.forward`."""

    pairs: np.ndarray
    places: np.ndarray
    ends: np.ndarray
    borders: np.ndarray


def index(wiring: Wiring, layers: list[slice]) -> Index:
    """Of a wiring whose neurons are computed layer by layer.

    The columns of the weights are the wiring's synapses in the order of `np.nonzero`, and then
    each neuron's own state.
    """
    inputs, units = wiring.inputs, wiring.units
    source, target = np.nonzero(np.concatenate((wiring.sensory, wiring.adjacency)))
    own = np.arange(units)
    source, target = np.concatenate((source, inputs + own)), np.concatenate((target, own))
    borders = np.array([0, *(layer.stop for layer in layers)])
    layer_of = np.repeat(np.arange(len(layers)), np.diff(borders))
    # Inputs are known before the first layer, but never change: they have one row each.
    source_layer = np.concatenate((np.full(inputs, len(layers)), layer_of))[source]
    row = np.where(source_layer < layer_of[target], source + units, source)
    # By layers alone, so that neighbouring synapses add to different targets and need not wait.
    places = np.argsort(layer_of[target], kind="stable")
    ends = np.searchsorted(layer_of[target][places], np.arange(len(layers) + 1))
    arrays = (np.stack((row, target))[:, places], places, ends, borders)
    return Index(*(np.ascontiguousarray(array, np.intp) for array in arrays))


def solve(
    cell: WiredCell,
    inputs: Tensor,
    state: Tensor,
    elapsed: Tensor,
    starts: Tensor | None = None,
) -> Tensor:
    """States (batch, time, units) after each sample, of the modes "default" and "no_gate".

    Arguments and gradients as `fused_sequence.solve`.
    """
    constants = begun(starts), cell.closed_form.mode == "no_gate", *cell.index
    return _Solve.apply(inputs, state, elapsed, constants, _weights(cell), cell.bias)


def prepared(circuit: CfC, values: np.ndarray) -> tuple:
    """The last arguments of the kernel's `step`, from the values of `NAMES`."""
    cell = circuit.cell
    with torch.no_grad():
        weights = _weights(cell).numpy()
    bias = values[len(values) - cell.bias.numel() :].reshape(cell.bias.shape).copy()
    return cell.closed_form.mode == "no_gate", *cell.index, weights, bias, circuit.wiring.motor


def _weights(cell: WiredCell) -> Tensor:
    """(4, synapses and neurons), in the order of `index`."""
    currents = functional.softplus(cell.raw_weight) * cell.polarity
    return torch.cat((torch.cat((currents, cell.gate_weight)), cell.own_weight), 1)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        state: Tensor,
        elapsed: Tensor,
        constants: tuple,
        weights: Tensor,
        bias: Tensor,
    ) -> Tensor:
        ctx.constants = constants
        tensors = tuple(
            tensor.contiguous() for tensor in (inputs, state.unsqueeze(1), elapsed, weights, bias)
        )
        states = inputs.new_empty(*inputs.shape[:2], state.shape[1])
        ctx.save_for_backward(*tensors, states)
        arguments = _arguments(tensors, ctx.constants)
        compiled("fused_cfc_kernel").forward(*arguments, states.numpy())
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_states: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, states = ctx.saved_tensors
        gradients = tuple(torch.empty_like(tensor) for tensor in tensors)
        compiled("fused_cfc_kernel").backward(
            *_arguments(tensors, ctx.constants),
            states.numpy(),
            by_states.contiguous().numpy(),
            *(gradient.numpy() for gradient in gradients),
        )
        inputs, state, elapsed, weights, bias = gradients
        return inputs, state.squeeze(1), elapsed, None, weights, bias


def _arguments(tensors: tuple[Tensor, ...], constants: tuple) -> tuple:
    """The first arguments of the kernels."""
    inputs, state, elapsed, weights, bias = (tensor.detach().numpy() for tensor in tensors)
    return inputs, state, elapsed, *constants, weights, bias
