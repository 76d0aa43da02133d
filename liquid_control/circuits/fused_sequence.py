"""LTC sequences by one compiled call instead of a few hundred small torch operations.

Used by `LTC` by itself where it applies: float32 on a CPU, the fused solver, and numba installed
(`pip install liquid_control[fast]`). Elsewhere the operations of `ltc` give the same numbers, to
rounding. numba needs no compiler on the machine; see `fused_kernel` for the arithmetic.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from liquid_control.circuits.ltc import LTC

__all__ = [
    *("NAMES", "applies", "begun", "compiled", "operations_unseen", "plain", "prepared", "solve"),
    "torch_operations",
]

# In the order in which `fused_parameters` takes them.
NAMES = (
    "sensory.raw_weight",
    "sensory.midpoint",
    "sensory.slope",
    "sensory.reversal",
    "recurrent.raw_weight",
    "recurrent.midpoint",
    "recurrent.slope",
    "recurrent.reversal",
    "raw_leak_conductance",
    "leak_potential",
    "raw_capacitance",
    "input_weight",
    "input_bias",
)
PARAMETERS = [attrgetter(name) for name in NAMES]

# Below this many samples the torch path is not worth the half second of loading numba.
FEWEST_SAMPLES = 16

_BY_OPERATIONS = ContextVar("by_operations", default=False)


@contextmanager
def torch_operations() -> Iterator[None]:
    """Let circuits run by torch operations inside: for second derivatives, or to compare."""
    token = _BY_OPERATIONS.set(True)
    try:
        yield
    finally:
        _BY_OPERATIONS.reset(token)


def applies(inputs: Tensor, *others: Tensor) -> bool:
    """Whether compiled code can take these tensors: inputs (batch, time, inputs) and all others."""
    return (
        operations_unseen()
        and inputs.shape[0] * inputs.shape[1] >= FEWEST_SAMPLES
        and all(map(plain, (inputs, *others)))
        and compiled("fused_lanes") is not None
    )


def operations_unseen() -> bool:
    """Nobody needs to see the torch operations.

    Those who do: `torch.compile`, `torch.export`, tracing, the transforms of `torch.func`, forward
    differentiation, dispatch modes such as a counter of operations, and callers inside of
    `torch_operations`.
    """
    return not (
        torch.compiler.is_compiling()
        or _BY_OPERATIONS.get()
        or torch.jit.is_tracing()
        # No public functions tell; `torch.autograd.Function.apply` asks the first, too.
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or forward_ad._current_level >= 0
    )


def plain(tensor: Tensor) -> bool:
    """A float32 tensor on the CPU as numpy can take it, and no kind of its own."""
    return (
        type(tensor) in (Tensor, torch.nn.Parameter)
        and tensor.dtype is torch.float32
        and tensor.is_cpu
        and not tensor.is_neg()
        and tensor.layout is torch.strided
    )


def solve(
    circuit: LTC, inputs: Tensor, state: Tensor, elapsed: Tensor, starts: Tensor | None = None
) -> Tensor:
    """States (batch, time, units) after each sample.

    Gradients are analytic, and cannot be differentiated again (see `torch_operations`). For them
    only these states are kept, 4 * units bytes a sample: long sequences need no checkpoints.

    Args:
        circuit: the circuit whose parameters to use.
        inputs: (batch, time, inputs) float32.
        state: (batch, units) float32.
        elapsed: (batch, time) float32 [s], >= 0.
        starts: (batch, time) bool, samples before which the state is set to zero.
    """
    pairs = circuit.sensory.pairs, circuit.recurrent.pairs
    parameters = (get(circuit) for get in PARAMETERS)
    return _Solve.apply(inputs, state, elapsed, begun(starts), circuit.unfolds, pairs, *parameters)


def begun(starts: Tensor | None) -> np.ndarray:
    """Starts (batch, time) as the kernels take them; (0, 0) where nothing starts."""
    return np.zeros((0, 0), bool) if starts is None else np.ascontiguousarray(starts.numpy(), bool)


def prepared(circuit: LTC, values: np.ndarray) -> tuple[np.ndarray, ...]:
    """What the kernel needs of the values of `NAMES`, and of those of the output map behind them.

    Returns:
        Pairs, synapses and neurons, the arguments of the kernel's `forward`; weight and bias.
    """
    pairs = circuit.sensory.pairs, circuit.recurrent.pairs
    motor = circuit.outputs
    of_outputs = values[len(values) - 2 * motor :].reshape(2, motor).copy()
    shape = *pairs, circuit.state_sizes[0], circuit.inputs
    solver = compiled("fused_kernel").prepare(values[: len(values) - 2 * motor], *shape)
    return *pairs, *solver, *of_outputs


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        state: Tensor,
        elapsed: Tensor,
        starts: np.ndarray,
        unfolds: int,
        pairs: tuple[np.ndarray, np.ndarray],
        *parameters: Tensor,
    ) -> Tensor:
        kernel = compiled("fused_kernel")
        given = tuple(tensor.contiguous() for tensor in (inputs, state.unsqueeze(1), elapsed))
        flat = torch.cat(parameters).numpy()
        shape = *pairs, state.shape[1], inputs.shape[2]
        prepared = kernel.prepare(flat, *shape)
        states = inputs.new_empty(*inputs.shape[:2], state.shape[1])
        arrays = (tensor.detach().numpy() for tensor in given)
        kernel.forward(*arrays, starts, unfolds, *pairs, *prepared, states.numpy())
        ctx.save_for_backward(*given, states)
        # A copy of the parameters, so that a step of the optimiser cannot come in between.
        ctx.constants = kernel, starts, unfolds, pairs, flat, shape, prepared
        ctx.lengths = [parameter.numel() for parameter in parameters]
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_states: Tensor) -> tuple[Tensor | None, ...]:
        kernel, starts, unfolds, pairs, flat, shape, prepared = ctx.constants
        *given, states = ctx.saved_tensors
        gradients = tuple(torch.empty_like(tensor) for tensor in given)
        if not ctx.needs_input_grad[0]:  # such as features of a head that does not learn
            gradients = given[0].new_empty(0, 0, 0), *gradients[1:]
        by_prepared = tuple(np.empty_like(array) for array in prepared)
        kernel.backward(
            *(tensor.detach().numpy() for tensor in given),
            starts,
            unfolds,
            *pairs,
            *prepared,
            states.detach().numpy(),
            by_states.contiguous().numpy(),
            *(gradient.numpy() for gradient in gradients),
            *by_prepared,
        )
        by_flat = torch.from_numpy(kernel.prepare_backward(flat, *shape, *by_prepared))
        by_inputs, by_state, by_elapsed = gradients
        return (
            by_inputs if ctx.needs_input_grad[0] else None,
            by_state.squeeze(1),
            by_elapsed,
            None,
            None,
            None,
            *by_flat.split(ctx.lengths),
        )


@cache
def compiled(name: str) -> ModuleType | None:
    """The module `name` of this package, or None where numba is not installed or does not work."""
    if find_spec("numba") is None:
        return None
    try:
        return import_module(f"liquid_control.circuits.{name}")
    except ImportError as error:
        warnings.warn(
            f"numba is installed but cannot be loaded ({error}); circuits take many times "
            "longer without it. Install the versions that fit: "
            "pip install -U liquid_control[fast]",
            stacklevel=2,
        )
        return None
