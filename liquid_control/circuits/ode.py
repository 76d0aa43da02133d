"""Baselines with a neural ODE between samples.

Adaptive solvers and the adjoint method are those of torchdiffeq (extra `train`). They look at
values while they solve, so `torch.compile`, `torch.export` and `vmap` cannot take these; solvers
with a fixed step, back-propagated through, are a few lines here and run anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_control.circuits.baselines import Baseline, gru_step
from liquid_control.circuits.memory import LongMemory
from liquid_control.circuits.tracing import traced

__all__ = ["ODELSTM", "ODERNN"]

Slope = Callable[[Tensor], Tensor]


def _euler(slope: Slope, hidden: Tensor, step: float) -> Tensor:
    return hidden + step * slope(hidden)


def _midpoint(slope: Slope, hidden: Tensor, step: float) -> Tensor:
    return hidden + step * slope(hidden + step / 2 * slope(hidden))


def _rk4(slope: Slope, hidden: Tensor, step: float) -> Tensor:
    """Kutta's 3/8 rule, which is what torchdiffeq calls rk4."""
    first = slope(hidden)
    second = slope(hidden + step / 3 * first)
    third = slope(hidden + step * (second - first / 3))
    fourth = slope(hidden + step * (first - second + third))
    return hidden + step / 8 * (first + 3 * (second + third) + fourth)


FIXED_STEP = {"euler": _euler, "midpoint": _midpoint, "rk4": _rk4}
ADAPTIVE = ("dopri5", "bosh3", "adaptive_heun")


class Flow(nn.Module):
    """dh/dt = f(h) over each row's own elapsed time, f a network with one hidden layer.

    Rows are solved together over the unit interval, each with its time scaled by its elapsed time,
    which travels as a part of the state: so gradients reach it with the adjoint method, too.

    Args:
        units: size of h.
        solver: "euler", "midpoint" or "rk4", with a fixed step, or the adaptive "dopri5", "bosh3"
            or "adaptive_heun".
        steps: steps per sample of a solver with a fixed step.
        tolerance: relative and absolute tolerance of an adaptive solver.
        adjoint: gradients by the adjoint method (memory independent of the steps) instead of
            by back-propagation through the solver.

    Raises:
        ValueError: an unknown solver, or steps or a tolerance that are not positive.
        ModuleNotFoundError: torchdiffeq is needed, and not installed.
        NotImplementedError: when called with an adaptive solver or the adjoint method inside of
            `torch.compile`, `torch.export` or `torch.func.vmap`.
    """

    def __init__(
        self, units: int, solver: str, steps: int, tolerance: float, adjoint: bool
    ) -> None:
        super().__init__()
        if solver not in (*FIXED_STEP, *ADAPTIVE) or steps < 1 or not tolerance > 0:
            raise ValueError(
                f"The solver must be one of {(*FIXED_STEP, *ADAPTIVE)}, with 1 or more steps and a "
                f"tolerance above 0, got {solver!r}, {steps} and {tolerance}."
            )
        self.field = Field(units)
        self.steps = steps
        self._step = None if adjoint else FIXED_STEP.get(solver)
        if self._step is not None:
            return
        try:
            import torchdiffeq
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "ODE-RNN and ODE-LSTM with an adaptive solver or the adjoint method need "
                "torchdiffeq; pip install 'liquid_control[train]'."
            ) from error
        self._solve = torchdiffeq.odeint_adjoint if adjoint else torchdiffeq.odeint
        options = {"step_size": 1 / steps} if solver in FIXED_STEP else None
        self._how = {"method": solver, "rtol": tolerance, "atol": tolerance, "options": options}
        if adjoint:
            self._how["adjoint_options"] = options

    def forward(self, hidden: Tensor, elapsed: Tensor) -> Tensor:
        """h (batch, units) after the elapsed times (batch, 1)."""
        if self._step is not None:
            for _ in range(self.steps):
                hidden = self._step(partial(self.field.slope, elapsed), hidden, 1 / self.steps)
            return hidden
        if torch.compiler.is_compiling():
            raise NotImplementedError(UNTRACEABLE)
        ends = hidden.new_tensor([0.0, 1.0])
        try:
            return self._solve(self.field, (hidden, elapsed), ends, **self._how)[0][-1]
        except RuntimeError as error:
            if traced():
                raise NotImplementedError(UNTRACEABLE) from error
            raise


UNTRACEABLE = (
    "Adaptive solvers and the adjoint method look at values, which torch.compile, torch.export and "
    "vmap do not have; use a solver with a fixed step, such as solver='rk4', and adjoint=False."
)


class Field(nn.Module):
    """The derivative of (h, dt) by the share of the elapsed time: (dt f(h), 0)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(units, units), nn.Tanh(), nn.Linear(units, units))

    def forward(self, time: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden, elapsed = state
        return self.slope(elapsed, hidden), torch.zeros_like(elapsed)

    def slope(self, elapsed: Tensor, hidden: Tensor) -> Tensor:
        """dt f(h)."""
        return elapsed * self.layers(hidden)


class ODERNN(Baseline):
    """ODE-RNN: the state flows along a neural ODE between samples, a GRU takes the samples in.

    (Rubanova et al., "Latent ODEs for Irregularly-Sampled Time Series", 2019, algorithm 1.)

    Args:
        inputs, units, outputs: see `Baseline`.
        solver, steps, tolerance, adjoint: see `Flow`.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int | None = None,
        solver: str = "dopri5",
        steps: int = 4,
        tolerance: float = 1e-4,
        adjoint: bool = False,
        **call: Any,
    ) -> None:
        super().__init__(inputs, units, outputs, **call)
        self.cell = nn.GRUCell(inputs, units)
        self.flow = Flow(units, solver, steps, tolerance, adjoint)

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        gates = functional.linear(inputs, self.cell.weight_ih, self.cell.bias_ih)
        return gates, elapsed.unsqueeze(-1)

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        return (gru_step(self.cell, self.flow(state[0], drive[1]), drive[0]),)


class ODELSTM(Baseline):
    """ODE-LSTM: an LSTM takes the sample in, then its hidden state flows along a neural ODE.

    The memory c is left alone, which keeps its gradients (Lechner and Hasani, "Learning Long-Term
    Dependencies in Irregularly-Sampled Time Series", 2020, algorithm 1). The state is (h, c).

    Args:
        inputs, units, outputs: see `Baseline`.
        solver, steps, tolerance, adjoint: see `Flow`.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int | None = None,
        solver: str = "dopri5",
        steps: int = 4,
        tolerance: float = 1e-4,
        adjoint: bool = False,
        **call: Any,
    ) -> None:
        super().__init__(inputs, units, outputs, sizes=(units, units), **call)
        self.memory = LongMemory(inputs, units)
        self.flow = Flow(units, solver, steps, tolerance, adjoint)

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        return self.memory.drive(inputs), elapsed.unsqueeze(-1)

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        hidden, cell = self.memory(*state, drive[0])
        return self.flow(hidden, drive[1]), cell
