"""Recurrent networks to compare liquid ones with: LSTM, GRU, GRU-D, CT-RNN and CT-GRU.

All follow the call contract of `Circuit`: a row whose elapsed time is 0 keeps its state, also in
the LSTM and the GRU, which otherwise do not look at elapsed times.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_control.circuits.circuit import Circuit
from liquid_control.circuits.tracing import traced

__all__ = ["CTGRU", "CTRNN", "GRU", "GRUD", "LSTM", "Baseline", "gru_step"]

# Arguments of torch.lstm and torch.gru: with biases, 1 layer, no dropout, training (cuDNN keeps
# what gradients need), one direction, batch first.
KERNEL = (True, 1, 0.0, True, False, True)


class Baseline(Circuit):
    """A network of `units` neurons, read out by a linear map.

    Args:
        inputs: number of input features.
        units: number of neurons.
        outputs: number of outputs; by default there is no map, and outputs are the neurons.
        sizes: of the parts of the state, (units,) by default.
        time_unit, batch_first, return_sequences: see `Circuit`.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int | None = None,
        *,
        sizes: tuple[int, ...] | None = None,
        time_unit: float = 1.0,
        batch_first: bool = True,
        return_sequences: bool = True,
    ) -> None:
        super().__init__(
            inputs,
            (units,) if sizes is None else sizes,
            units if outputs is None else outputs,
            time_unit,
            batch_first,
            return_sequences,
        )
        self.units = units
        self.readout = None if outputs is None else nn.Linear(units, outputs)

    def _read(self, prepared: Any, state: tuple[Tensor, ...]) -> Tensor:
        neurons = self._neurons(state)
        return neurons.clone() if self.readout is None else self.readout(neurons)

    def _neurons(self, state: tuple[Tensor, ...]) -> Tensor:
        """What the readout sees of a state, (..., units)."""
        return state[0]

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        return inputs, elapsed.unsqueeze(-1)


class LSTM(Baseline):
    """Long short-term memory (Hochreiter and Schmidhuber 1997); the state is (h, c).

    Runs torch's own sequence kernel unless some row must keep its state.
    """

    def __init__(self, inputs: int, units: int, outputs: int | None = None, **call: Any) -> None:
        super().__init__(inputs, units, outputs, sizes=(units, units), **call)
        self.cell = nn.LSTMCell(inputs, units)
        # Two biases that are added are one: the published counts have one.
        self.cell.bias_hh.requires_grad_(False).zero_()

    def _sequence(
        self, inputs: Tensor, state: tuple[Tensor, ...], elapsed: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        if traced() or self._resting(elapsed) is not None:
            return super()._sequence(inputs, state, elapsed)
        start = tuple(part.unsqueeze(0) for part in state)
        hidden, *last = torch.lstm(inputs, start, list(self.cell.parameters()), *KERNEL)
        return self._read(None, (hidden,)), tuple(part[0] for part in last)

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        return (functional.linear(inputs, self.cell.weight_ih, self.cell.bias_ih),)

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        hidden, cell = state
        gates = drive[0] + functional.linear(hidden, self.cell.weight_hh, self.cell.bias_hh)
        write, keep, candidate, show = gates.chunk(4, 1)
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(write) * torch.tanh(candidate)
        return torch.sigmoid(show) * torch.tanh(cell), cell


class GRU(Baseline):
    """Gated recurrent unit (Cho et al. 2014).

    Runs torch's own sequence kernel unless some row must keep its state.
    """

    def __init__(self, inputs: int, units: int, outputs: int | None = None, **call: Any) -> None:
        super().__init__(inputs, units, outputs, **call)
        self.cell = nn.GRUCell(inputs, units)

    def _sequence(
        self, inputs: Tensor, state: tuple[Tensor, ...], elapsed: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        if traced() or self._resting(elapsed) is not None:
            return super()._sequence(inputs, state, elapsed)
        start = state[0].unsqueeze(0)
        hidden, last = torch.gru(inputs, start, list(self.cell.parameters()), *KERNEL)
        return self._read(None, (hidden,)), (last[0],)

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        return (functional.linear(inputs, self.cell.weight_ih, self.cell.bias_ih),)

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        return (gru_step(self.cell, state[0], drive[0]),)


class GRUD(Baseline):
    """GRU whose state decays between samples: h <- exp(-max(0, w dt + b)) h, then a GRU step.

    The decay of GRU-D (Che et al., "Recurrent Neural Networks for Multivariate Time Series with
    Missing Values", 2018, eq. 10 and 13), without its treatment of missing inputs.
    """

    def __init__(self, inputs: int, units: int, outputs: int | None = None, **call: Any) -> None:
        super().__init__(inputs, units, outputs, **call)
        self.cell = nn.GRUCell(inputs, units)
        # Starts to forget over 1 to 10 time units, so that no neuron starts without a gradient.
        self.decay_weight = nn.Parameter(torch.empty(units).uniform_(0.1, 1.0) / self.time_unit)
        self.decay_bias = nn.Parameter(torch.zeros(units))

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        decay = torch.relu(elapsed.unsqueeze(-1) * self.decay_weight + self.decay_bias)
        gates = functional.linear(inputs, self.cell.weight_ih, self.cell.bias_ih)
        return gates, torch.exp(-decay)

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        return (gru_step(self.cell, drive[1] * state[0], drive[0]),)


class CTRNN(Baseline):
    """Continuous-time recurrent network dx/dt = -x / tau + tanh(W x + U u + b).

    (Funahashi and Nakamura 1993.) Solved semi-implicitly in `unfolds` steps a sample, so that
    |x| <= max(|x0|, tau) for any elapsed time.

    Args:
        inputs, units, outputs: see `Baseline`.
        time_constant: tau [s].
        unfolds: solver steps per sample.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int | None = None,
        time_constant: float = 1.0,
        unfolds: int = 6,
        **call: Any,
    ) -> None:
        super().__init__(inputs, units, outputs, **call)
        if not time_constant > 0 or unfolds < 1:
            raise ValueError(
                "A CT-RNN needs a time constant above 0 s and 1 or more unfolds, got "
                f"{time_constant} s and {unfolds}."
            )
        self.time_constant = time_constant
        self.unfolds = unfolds
        self.input_map = nn.Linear(inputs, units)
        self.recurrent_map = nn.Linear(units, units, bias=False)
        nn.init.orthogonal_(self.recurrent_map.weight)

    def _drive(self, prepared: Any, inputs: Tensor, elapsed: Tensor) -> tuple[Tensor, ...]:
        return self.input_map(inputs), elapsed.unsqueeze(-1) / self.unfolds

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        neurons, (bias, step) = state[0], drive
        for _ in range(self.unfolds):
            gain = torch.tanh(bias + self.recurrent_map(neurons))
            neurons = torch.addcmul(neurons, step, gain) / (1 + step / self.time_constant)
        return (neurons,)

    def _keeps_state_at_rest(self) -> bool:
        return True


class CTGRU(Baseline):
    """Continuous-time GRU: each neuron keeps traces that decay at `scales` different rates.

    (Mozer et al., "Discrete Event, Continuous Time RNNs", 2017, section 3.) The time scales are
    sqrt(10) apart; which are read and written is learnt.

    Args:
        inputs, units, outputs: see `Baseline`.
        scales: number of time scales, from `time_unit` on; the state has units * scales entries.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int | None = None,
        scales: int = 8,
        **call: Any,
    ) -> None:
        super().__init__(inputs, units, outputs, sizes=(units * scales,), **call)
        self.scales = scales
        both = inputs + units
        self.retrieval = nn.Linear(both, units)
        self.storage = nn.Linear(both, units)
        self.event = nn.Linear(both, units)
        logarithms = math.log(self.time_unit) + math.log(10) / 2 * torch.arange(scales)
        self.register_buffer("log_scales", logarithms, persistent=False)

    def _next(self, prepared: Any, state: tuple[Tensor, ...], *drive: Tensor) -> tuple[Tensor, ...]:
        inputs, elapsed = drive
        traces = state[0].unflatten(1, (self.units, self.scales))
        seen = torch.cat((inputs, traces.sum(2)), 1)
        read = (self._shares(self.retrieval(seen)) * traces).sum(2)
        event = torch.tanh(self.event(torch.cat((inputs, read), 1))).unsqueeze(2)
        traces = torch.lerp(traces, event.expand_as(traces), self._shares(self.storage(seen)))
        traces = traces * torch.exp(-elapsed.unsqueeze(2) * torch.exp(-self.log_scales))
        return (traces.flatten(1),)

    def _shares(self, log_scale: Tensor) -> Tensor:
        distance = log_scale.unsqueeze(2) - self.log_scales
        return torch.softmax(-distance.square(), 2)

    def _neurons(self, state: tuple[Tensor, ...]) -> Tensor:
        return state[0].unflatten(-1, (self.units, self.scales)).sum(-1)


def gru_step(cell: nn.GRUCell, hidden: Tensor, drive: Tensor) -> Tensor:
    """One step of a GRU: h (batch, units) from h and W u + b, (batch, 3 units)."""
    recurrent = functional.linear(hidden, cell.weight_hh, cell.bias_hh)
    reset, keep, candidate = drive.chunk(3, 1)
    own_reset, own_keep, own_candidate = recurrent.chunk(3, 1)
    reset, keep = torch.sigmoid(reset + own_reset), torch.sigmoid(keep + own_keep)
    return torch.lerp(torch.tanh(candidate + reset * own_candidate), hidden, keep)
