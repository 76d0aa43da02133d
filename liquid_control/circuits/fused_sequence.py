"""LTC sequences by one compiled call instead of a few hundred small torch operations.

Used by `LTC` by itself where it applies: float32 on a CPU, the fused solver, and numba installed
(`pip install liquid_control[fast]`). Elsewhere the operations of `ltc` give the same numbers, to
rounding. numba needs no compiler on the machine; see `fused_kernel` for the arithmetic.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from liquid_control.circuits.ltc import LTC, Synapses

__all__ = ["applies", "solve"]

# Below this many samples the torch path is not worth the half second of loading numba.
FEWEST_SAMPLES = 16


def applies(inputs: Tensor, *others: Tensor) -> bool:
    """Whether `solve` can take these tensors: inputs (batch, time, inputs), and all the others.

    Not under `torch.compile`, `torch.export`, tracing or the transforms of `torch.func`, which
    need to see the operations.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        # No public function tells; `torch.autograd.Function.apply` asks this one, too.
        and not torch._C._are_functorch_transforms_active()
        and inputs.shape[0] * inputs.shape[1] >= FEWEST_SAMPLES
        and all(
            tensor.dtype == torch.float32
            and tensor.device.type == "cpu"
            and type(tensor) in (Tensor, torch.nn.Parameter)
            for tensor in (inputs, *others)
        )
        and _kernel() is not None
    )


def solve(circuit: LTC, inputs: Tensor, state: Tensor, elapsed: Tensor) -> Tensor:
    """States (batch, time, units) after each sample.

    Gradients are analytic; they cannot be differentiated again, for which there is float64. For
    them only these states are kept, 4 * units bytes a sample: long sequences need no checkpoints.

    Args:
        circuit: the circuit whose parameters to use.
        inputs: (batch, time, inputs) float32.
        state: (batch, units) float32.
        elapsed: (batch, time) float32 [s], >= 0.
    """
    sensory_pairs, sensory = _synapses(circuit.sensory, circuit.wiring.sensory)
    slope, offset, current, weight = sensory
    sensory = torch.stack(
        (
            slope * (circuit.input_weight @ circuit.sensory.source),
            torch.addcmul(offset, slope, circuit.input_bias @ circuit.sensory.source),
            current,
            weight,
        )
    )
    pairs, synapses = _synapses(circuit.recurrent, circuit.wiring.adjacency)
    conductance = circuit.leak_conductance
    neurons = torch.stack(
        (conductance * circuit.leak_potential, conductance, circuit.capacitance.reciprocal())
    )
    return _Solve.apply(
        inputs,
        state,
        elapsed,
        circuit.unfolds,
        sensory_pairs,
        sensory,
        pairs,
        torch.stack(synapses),
        neurons,
    )


def _synapses(synapses: Synapses, polarity: np.ndarray) -> tuple[np.ndarray, tuple[Tensor, ...]]:
    """Sources and targets (2, K) of the synapses, and what the kernels need of each."""
    weight = synapses.weight
    parameters = (
        synapses.slope,
        -synapses.slope * synapses.midpoint,
        weight * synapses.reversal,
        weight,
    )
    return np.stack(np.nonzero(polarity)).astype(np.intp), parameters


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        state: Tensor,
        elapsed: Tensor,
        unfolds: int,
        sensory_pairs: np.ndarray,
        sensory: Tensor,
        pairs: np.ndarray,
        synapses: Tensor,
        neurons: Tensor,
    ) -> Tensor:
        tensors = tuple(
            tensor.contiguous()
            for tensor in (inputs, state.unsqueeze(1), elapsed, sensory, synapses, neurons)
        )
        states = inputs.new_empty(*inputs.shape[:2], state.shape[1])
        ctx.constants = unfolds, sensory_pairs, pairs
        ctx.save_for_backward(*tensors, states)
        _kernel().forward(*_arguments(tensors, ctx.constants), states.numpy())
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_states: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, states = ctx.saved_tensors
        gradients = tuple(torch.empty_like(tensor) for tensor in tensors)
        _kernel().backward(
            *_arguments(tensors, ctx.constants),
            states.numpy(),
            by_states.contiguous().numpy(),
            *(gradient.numpy() for gradient in gradients),
        )
        inputs, state, elapsed, sensory, synapses, neurons = gradients
        return inputs, state.squeeze(1), elapsed, None, None, sensory, None, synapses, neurons


def _arguments(tensors: tuple[Tensor, ...], constants: tuple) -> tuple:
    """The first nine arguments of the kernels."""
    arrays = [tensor.detach().numpy() for tensor in tensors]
    unfolds, sensory_pairs, pairs = constants
    inputs, state, elapsed, sensory, synapses, neurons = arrays
    return inputs, state, elapsed, unfolds, sensory_pairs, sensory, pairs, synapses, neurons


@cache
def _kernel() -> ModuleType | None:
    """The compiled kernels, or None where numba is not installed or does not work."""
    if find_spec("numba") is None:
        return None
    try:
        return import_module("liquid_control.circuits.fused_kernel")
    except ImportError as error:
        warnings.warn(
            f"numba is installed but cannot be loaded ({error}); LTC sequences take some thirty "
            "times longer without it. Install the versions that fit: "
            "pip install -U liquid_control[fast]",
            stacklevel=2,
        )
        return None
