"""Echo-state reservoir: random neurons that stay as they are, and a readout found by regression."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from liquid_control.circuits.circuit import Circuit
from liquid_control.circuits.tracing import traced

__all__ = ["Reservoir"]


class Reservoir(Circuit):
    """Echo-state network x <- x + (1 - exp(-dt / tau)) (tanh(W x + U u + b) - x).

    (Jaeger, "The 'echo state' approach", 2001; leaky neurons as in Jaeger et al. 2007, with the
    leak of the elapsed time dt.) Weights are drawn once; `fit` finds the readout of x by ridge
    regression. Nothing is trained by gradients, but gradients pass through.

    Args:
        inputs, units, outputs: number of input features, neurons and outputs.
        radius: spectral radius of W; below 1 the network forgets how it began.
        input_scale: U and b are uniform in +- this.
        density: share of the neuron pairs that are linked.
        time_constant: tau [s].
        seed: of the weights.
        time_unit, batch_first, return_sequences: see `Circuit`.

    Raises:
        ValueError: a radius, density or time constant out of its range.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int,
        *,
        radius: float = 0.9,
        input_scale: float = 0.5,
        density: float = 0.1,
        time_constant: float = 1.0,
        seed: int = 0,
        time_unit: float = 1.0,
        batch_first: bool = True,
        return_sequences: bool = True,
    ) -> None:
        super().__init__(inputs, (units,), outputs, time_unit, batch_first, return_sequences)
        if radius < 0 or not 0 < density <= 1 or not time_constant > 0:
            raise ValueError(
                "A reservoir needs a radius of 0 or more, a density above 0 and up to 1 and a time "
                f"constant above 0 s, got {radius}, {density} and {time_constant} s."
            )
        self.time_constant = time_constant
        draw = torch.Generator().manual_seed(seed)
        recurrent = torch.randn(units, units, generator=draw)
        recurrent *= torch.rand(units, units, generator=draw) < density
        largest = torch.linalg.eigvals(recurrent).abs().max()
        # Few neurons may be linked without a loop, and then there is no radius to scale.
        recurrent *= radius / largest if largest > 1e-6 else 1.0
        weights = torch.rand(inputs + 1, units, generator=draw) * 2 - 1
        self.register_buffer("recurrent", recurrent)
        self.register_buffer("input_weight", input_scale * weights[:inputs])
        self.register_buffer("bias", input_scale * weights[inputs])
        self.readout = nn.Linear(units, outputs).requires_grad_(False)
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(
        self,
        inputs: Tensor,
        targets: Tensor,
        elapsed: float | Tensor | None = None,
        ridge: float = 1e-6,
        washout: int = 0,
    ) -> float:
        """Find the readout that maps sequences to targets, from a state of zeros.

        Args:
            inputs: (batch, time, inputs), or (time, batch, inputs) as the network is called.
            targets: (batch, time, outputs), likewise.
            elapsed: as in `forward`.
            ridge: weight of the squared readout weights against the mean squared error.
            washout: samples at the start of each sequence that do not count.

        Returns:
            The mean squared error on what it was fitted to.

        Raises:
            ValueError: shapes that do not fit, or a washout that leaves no sample.
        """
        if targets.shape != (*inputs.shape[:-1], self.outputs) or inputs.dim() != 3:
            raise ValueError(
                f"Inputs and targets must be (batch, time, {self.inputs}) and (batch, time, "
                f"{self.outputs}), got {tuple(inputs.shape)} and {tuple(targets.shape)}."
            )
        inputs, state, elapsed = self._entered(inputs, None, elapsed)
        if not 0 <= washout < inputs.shape[1]:
            raise ValueError(
                f"The washout must leave some of {inputs.shape[1]} samples, got {washout}."
            )
        (states,) = self._states(None, state, None, self._drive(None, inputs, elapsed))
        targets = targets if self.batch_first else targets.transpose(0, 1)
        features = states[:, washout:].flatten(0, 1).double()
        wanted = targets[:, washout:].flatten(0, 1).to(features)
        centre, middle = features.mean(0), wanted.mean(0)
        spread, wish = features - centre, wanted - middle
        gram = spread.T @ spread / len(spread)
        gram.diagonal().add_(ridge)
        weight = torch.linalg.solve(gram, spread.T @ wish / len(spread))
        self.readout.weight.copy_(weight.T)
        self.readout.bias.copy_(middle - centre @ weight)
        self.fitted.fill_(True)
        return (spread @ weight - wish).square().mean().item()

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        leak = -torch.expm1(-elapsed.unsqueeze(-1) / self.time_constant)
        return inputs @ self.input_weight + self.bias, leak

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        target = torch.tanh(torch.addmm(drive[0], state[0], self.recurrent))
        return (torch.lerp(state[0], target, drive[1]),)

    def _read(self, prepared: Any, state: tuple[Tensor, ...]) -> Tensor:
        if not traced() and not self.fitted:
            raise ValueError("A reservoir has no readout yet: call fit(inputs, targets) first.")
        return self.readout(state[0])

    def _keeps_state_at_rest(self) -> bool:
        return True

    def _like(self) -> Tensor:
        return self.recurrent
