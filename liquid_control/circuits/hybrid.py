"""LTC-LSTM hybrid: an LSTM remembers, and a liquid network acts on what it remembers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from liquid_control.circuits.circuit import Circuit
from liquid_control.circuits.ltc import LTC
from liquid_control.circuits.memory import LongMemory
from liquid_control.circuits.recipes import Recipe
from liquid_control.circuits.wiring import Wiring

__all__ = ["LTCLSTM"]


class LTCLSTM(Circuit):
    """An LSTM whose hidden state is the sensory input of an LTC.

    Mixed memory, `LTC(..., mixed_memory=True)`, lets an LSTM write into the liquid neurons; here
    the liquid neurons stay what their synapses make of them, with their bounds, and the LSTM,
    which does not see elapsed times, comes before them. The state is (x, h, c).

    Args:
        inputs: number of input features.
        units: neurons of the LTC: a number, a recipe, or a wiring for `memory` inputs.
        memory: units of the LSTM.
        unfolds, time_unit, solver, batch_first, return_sequences: see `LTC`.
    """

    def __init__(
        self,
        inputs: int,
        units: int | Wiring | Recipe,
        memory: int = 32,
        *,
        unfolds: int = 6,
        time_unit: float = 1.0,
        solver: str = "fused",
        batch_first: bool = True,
        return_sequences: bool = True,
    ) -> None:
        liquid = LTC(memory, units, unfolds=unfolds, time_unit=time_unit, solver=solver)
        sizes = (*liquid.state_sizes, memory, memory)
        super().__init__(inputs, sizes, liquid.outputs, time_unit, batch_first, return_sequences)
        self.memory = LongMemory(inputs, memory)
        self.liquid = liquid

    def prepare(self) -> Any:
        """The constants of the LTC; stale once a parameter changes."""
        return self.liquid.prepare()

    def _prepare_sequence(self) -> Any:
        return self.liquid._prepare_sequence()

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        return self.memory.drive(inputs), elapsed

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        neurons, hidden, cell = state
        hidden, cell = self.memory(hidden, cell, drive[0])
        own = self.liquid._drive(prepared, hidden.unsqueeze(1), drive[1].unsqueeze(1))
        (neurons,) = self.liquid._next(prepared, (neurons,), *(each[:, 0] for each in own))
        return neurons, hidden, cell

    def _read(self, prepared: Any, state: tuple[Tensor, ...]) -> Tensor:
        return self.liquid._read(prepared, state[:1])
