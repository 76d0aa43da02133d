"""Closed-form continuous-time networks (CfC): liquid networks without a solver."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from liquid_control.circuits import fused_cfc, fused_dense, fused_sample, fused_sequence
from liquid_control.circuits.cfc_cells import ACTIVATIONS, MODES, DenseCell, WiredCell
from liquid_control.circuits.circuit import Circuit, State
from liquid_control.circuits.memory import LongMemory
from liquid_control.circuits.recipes import Recipe, wiring_of
from liquid_control.circuits.snapshot import Snapshot
from liquid_control.circuits.tracing import full_precision
from liquid_control.circuits.wiring import Wiring

__all__ = ["CfC"]


class CfC(Circuit):
    """Closed-form continuous-time network, dense or on a wiring; see `cfc_cells` for the equations.

    Made with the arguments of `ncps.torch.CfC`: `CfC(20, 50)` is dense, `CfC(20, AutoNCP(28, 4))`
    and `CfC(wiring)` follow a wiring. The dense network computes what ncps does. The wired one
    does not: there, only the first layer's inputs follow the wiring (see `WiredCell`).

    Outputs are the states of all neurons, on a wiring those of the motor neurons. A row whose
    elapsed time is 0 keeps its state; in ncps it takes a step.

    Args:
        input_size: number of inputs; or the wiring itself, and then no `units`.
        units: number of neurons, or a wiring, or a recipe for one.
        proj_size: outputs of a linear map behind the network; by default there is none.
        return_sequences, batch_first: see `Circuit`.
        mixed_memory: let an LSTM carry a long-term memory; the state is then (h, c).
        mode: "default", "no_gate" or "pure".
        activation: of the backbone: "lecun_tanh", "tanh", "relu", "silu" or "gelu".
        backbone_units, backbone_layers, backbone_dropout: 128, 1 and 0.0 by default; for a dense
            network only, as a wiring leaves no room for a backbone.
        time_unit: elapsed time where none is given [s].

    Raises:
        ValueError: an unknown mode or activation, or a wiring that does not fit the inputs or
            comes with a backbone.
    """

    def __init__(
        self,
        input_size: int | Wiring,
        units: int | Wiring | Recipe | None = None,
        proj_size: int | None = None,
        return_sequences: bool = True,
        batch_first: bool = True,
        mixed_memory: bool = False,
        mode: str = "default",
        activation: str = "lecun_tanh",
        backbone_units: int | None = None,
        backbone_layers: int | None = None,
        backbone_dropout: float | None = None,
        *,
        time_unit: float = 1.0,
    ) -> None:
        if mode not in MODES or activation not in ACTIVATIONS:
            raise ValueError(
                f"CfC has the modes {MODES} and the activations {tuple(ACTIVATIONS)}, got {mode!r} "
                f"and {activation!r}."
            )
        backbone = (backbone_units, backbone_layers, backbone_dropout)
        if isinstance(units, int) and isinstance(input_size, int):
            wiring, inputs, read = None, input_size, units
        else:
            wiring = wiring_of(input_size, units)
            inputs, units, read = wiring.inputs, wiring.units, wiring.motor
            if any(value is not None for value in backbone):
                raise ValueError("A wired CfC has no backbone; give a number of units instead.")
        sizes = (units, units) if mixed_memory else (units,)
        outputs = read if proj_size is None else proj_size
        super().__init__(inputs, sizes, outputs, time_unit, batch_first, return_sequences)
        self.wiring = wiring
        if wiring is None:
            width, layers, dropout = (
                default if given is None else given
                for given, default in zip(backbone, (128, 1, 0.0), strict=True)
            )
            if width < 1 or layers < 0 or not 0 <= dropout < 1:
                raise ValueError(
                    "A backbone needs 1 or more units, 0 or more layers and a dropout in 0 to 1, "
                    f"got {width}, {layers} and {dropout}."
                )
            self.cell = DenseCell(inputs, units, mode, activation, width, layers, dropout)
        else:
            self.cell = WiredCell(wiring, mode)
        self.memory = LongMemory(inputs, units) if mixed_memory else None
        self._compilable = wiring is not None and not mixed_memory and mode != "pure"
        self.projection = None if proj_size is None else nn.Linear(read, proj_size)
        self._read_from = units - read
        self._prepared = Snapshot(fused_cfc.NAMES, fused_cfc.prepared)

    def prepare(self) -> Any:
        """The cell's weights in the form in which it uses them; stale once a parameter changes."""
        return self.cell.prepare()

    def _sequence(
        self, inputs: Tensor, state: tuple[Tensor, ...], elapsed: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        cell = self.cell
        if self.wiring is None:
            plain = cell.tanh is not None
            if plain and fused_sequence.applies(inputs, *state, elapsed, cell.first.weight):
                states, last = fused_dense.solve(cell, self.memory, inputs, state, elapsed)
                return self._read(None, (states,)), last
        elif self._compilable and fused_sequence.applies(inputs, *state, elapsed, cell.bias):
            states = fused_cfc.solve(cell, inputs, *state, elapsed)
            # A copy, so that a caller who keeps the state does not keep the whole sequence.
            return self._read(None, (states,)), (states[:, -1].clone(),)
        return super()._sequence(inputs, state, elapsed)

    def episodes(
        self, input: Tensor, state: State, elapsed: Tensor, starts: Tensor
    ) -> tuple[Tensor, State] | None:
        """As `forward`, with the state set to zero before samples that start, see `LTC.episodes`.

        Only a wired CfC without an LSTM has compiled code for it.
        """
        if not (self._compilable and self.batch_first):
            return None
        input, parts, elapsed = self._entered(input, state, elapsed)
        if not fused_sequence.applies(input, *parts, elapsed, self.cell.bias):
            return None
        states = fused_cfc.solve(self.cell, input, *parts, elapsed, starts)
        return self._read(None, (states,)), states[:, -1].clone()

    def _step_compiled(
        self, input: Tensor, state: State | None, elapsed: float | Tensor | None
    ) -> tuple[Tensor, State] | None:
        if not self._compilable:
            return None
        sample = fused_sample.sample(self, input, state, elapsed, self.wiring.motor)
        prepared = None if sample is None else self._prepared.of(self)
        if prepared is None:
            return None
        step = fused_sequence.compiled("fused_cfc_kernel").step
        if not step(*sample.arguments, *prepared):
            return None
        if self.projection is None:
            return sample.outputs, sample.states
        with full_precision(input.device):
            return self.projection(sample.outputs), sample.states

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        memory = () if self.memory is None else (self.memory.drive(inputs),)
        return (*memory, *self.cell.drive(prepared, inputs), elapsed.unsqueeze(-1))

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        if self.memory is None:
            return (self.cell(prepared, state[0], *drive),)
        hidden, cell = self.memory(*state, drive[0])
        return self.cell(prepared, hidden, *drive[1:]), cell

    def _read(self, prepared: Any, state: tuple[Tensor, ...]) -> Tensor:
        read = state[0][..., self._read_from :]
        # Not the state itself: a caller may change outputs in place.
        return torch.clone(read) if self.projection is None else self.projection(read)
