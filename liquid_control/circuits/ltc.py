"""The liquid time-constant cell (LTC) on a sparse wiring, solved semi-implicitly.

    C_i dx_i/dt = g_i (v_i - x_i) + sum_j w_ji s(a_ji (x_j - m_ji)) (E_ji - x_i)

with the logistic function s, capacitance C, leak conductance g, leak potential v, and per synapse
the weight w, slope a, midpoint m and reversal potential E (Hasani et al., "Liquid Time-constant
Networks", AAAI 2021, eq. 1 and 3; Lechner et al. 2020, Methods).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_control.circuits.wiring import Wiring

__all__ = ["LTC", "Prepared"]


class Prepared(NamedTuple):
    """What a circuit's parameters amount to for the solver; see `LTC.prepare`.

    Activations of K synapses are s(x @ slope + offset); `current` (K, 2 units) turns them into
    the sums of w s E (first half) and of w s (second half) per target neuron.
    """

    sensory_slope: Tensor  # (inputs, sensory synapses), input affine map folded in
    sensory_offset: Tensor
    sensory_current: Tensor
    slope: Tensor  # (units, synapses between neurons)
    offset: Tensor
    current: Tensor
    leak: Tensor  # (2 units,): g v and g
    capacitance: Tensor


class Synapses(nn.Module):
    """Parameters of the existing synapses of one polarity matrix (sources, units), no others.

    The order of the synapses is that of `np.argwhere(polarity)`: by source, then by target.
    """

    def __init__(self, polarity: np.ndarray) -> None:
        super().__init__()
        source, target = np.nonzero(polarity)
        count = len(source)
        self.raw_weight = nn.Parameter(_inverse_softplus(_uniform(count, 0.001, 1.0)))
        self.midpoint = nn.Parameter(_uniform(count, 0.3, 0.8))
        self.slope = nn.Parameter(_uniform(count, 3.0, 8.0))
        self.reversal = nn.Parameter(torch.from_numpy(polarity[source, target]).float())
        # One-hot matrices turn gather and scatter into products, which are faster at this size.
        for name, index, size in (("source", source, 0), ("target", target, 1)):
            one_hot = torch.eye(polarity.shape[size])[torch.from_numpy(index)]
            self.register_buffer(name, one_hot.T.contiguous() if not size else one_hot, False)

    @property
    def weight(self) -> Tensor:
        """Positive weights w."""
        return functional.softplus(self.raw_weight)

    def prepare(self) -> tuple[Tensor, Tensor, Tensor]:
        """(slope (sources, K), offset (K,), current (K, 2 units)) as `Prepared` needs them."""
        weight = self.weight
        currents = torch.stack((weight * self.reversal, weight), 1)  # (K, 2)
        current = (currents.unsqueeze(2) * self.target.unsqueeze(1)).flatten(1)
        return self.source * self.slope, -self.slope * self.midpoint, current


class LTC(nn.Module):
    """Liquid time-constant cell with the fused solver of the NCP paper.

    Each sample takes `unfolds` steps of length h = elapsed time / unfolds:
    x <- (x + h/C (g v + sum w s E)) / (1 + h/C (g + sum w s)).
    The state stays within the smallest and largest of {initial state, v, E of the incoming
    synapses}, however long the elapsed time, and an elapsed time of 0 leaves it as it is.

    Outputs are the motor neurons' states after an affine map. The cell computes in the precision
    of its parameters, also inside `torch.autocast`.

    Args:
        wiring: who is wired to whom; only its synapses have parameters.
        unfolds: solver steps per sample.
        time_unit: scale of the initial time constants [s], capacitances 0.4 to 0.6 time units. The
            reference counts frames at 30 Hz as its time; with seconds in their place a fresh
            circuit would answer 30 times slower, too late to steer by and to train on 16 frames.
    """

    def __init__(self, wiring: Wiring, unfolds: int = 6, time_unit: float = 1 / 30) -> None:
        super().__init__()
        self.wiring = wiring
        self.unfolds = unfolds
        units = wiring.units
        self.sensory = Synapses(wiring.sensory)
        self.recurrent = Synapses(wiring.adjacency)
        self.raw_leak_conductance = nn.Parameter(_inverse_softplus(_uniform(units, 0.001, 1.0)))
        self.leak_potential = nn.Parameter(_uniform(units, -0.2, 0.2))
        self.raw_capacitance = nn.Parameter(
            _inverse_softplus(time_unit * _uniform(units, 0.4, 0.6))
        )
        self.input_weight = nn.Parameter(torch.ones(wiring.inputs))
        self.input_bias = nn.Parameter(torch.zeros(wiring.inputs))
        self.output_weight = nn.Parameter(torch.ones(wiring.motor))
        self.output_bias = nn.Parameter(torch.zeros(wiring.motor))
        self._balance_motor_neurons()

    @property
    def leak_conductance(self) -> Tensor:
        """Positive leak conductances g (units,)."""
        return functional.softplus(self.raw_leak_conductance)

    @property
    def capacitance(self) -> Tensor:
        """Positive capacitances C (units,)."""
        return functional.softplus(self.raw_capacitance)

    def prepare(self) -> Prepared:
        """The solver's constants for the present parameters.

        A caller that steps often with the same parameters computes them once and hands them to
        `step`; they are stale as soon as a parameter changes.
        """
        sensory_slope, sensory_offset, sensory_current = self.sensory.prepare()
        conductance = self.leak_conductance
        return Prepared(
            sensory_slope * self.input_weight.unsqueeze(1),
            self.input_bias @ sensory_slope + sensory_offset,
            sensory_current,
            *self.recurrent.prepare(),
            torch.cat((conductance * self.leak_potential, conductance)),
            self.capacitance,
        )

    def forward(
        self, inputs: Tensor, state: Tensor | None, elapsed: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run over sequences.

        Args:
            inputs: (batch, time, inputs).
            state: (batch, units), or None for zeros.
            elapsed: time since the sample before [s], >= 0: a number, (time,) or (batch, time).

        Returns:
            Outputs (batch, time, motor) and the state (batch, units) after the last sample.

        Raises:
            ValueError: an elapsed time is negative or NaN, or a shape does not fit.
        """
        batch, time, _ = inputs.shape
        with torch.autocast(inputs.device.type, enabled=False):
            inputs = inputs.to(self.input_weight.dtype)
            elapsed = self._elapsed(elapsed, ((), (time,), (batch, time)), inputs)
            state = self._state(state, batch, inputs)
            prepared = self.prepare()
            drives = _sense(prepared, inputs.reshape(batch * time, -1)).view(batch, time, -1)
            rates = self._rate(prepared, elapsed.expand(batch, time))
            states = []
            for drive, rate in zip(drives.unbind(1), rates.unbind(1), strict=True):
                state = self._advance(prepared, state, drive, rate)
                states.append(state)
            return self._output(torch.stack(states, 1)), state

    def step(
        self,
        inputs: Tensor,
        state: Tensor | None,
        elapsed: float | Tensor,
        prepared: Prepared | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One sample.

        Args:
            inputs: (batch, inputs).
            state: (batch, units), or None for zeros.
            elapsed: time since the sample before [s], >= 0: a number or (batch,).
            prepared: what `prepare` returned for the present parameters; saves a third of the time.

        Returns:
            Outputs (batch, motor) and the new state (batch, units).

        Raises:
            ValueError: as `forward`.
        """
        batch = len(inputs)
        with torch.autocast(inputs.device.type, enabled=False):
            inputs = inputs.to(self.input_weight.dtype)
            elapsed = self._elapsed(elapsed, ((), (batch,)), inputs)
            prepared = prepared or self.prepare()
            rate = self._rate(prepared, elapsed.expand(batch))
            state = self._state(state, batch, inputs)
            state = self._advance(prepared, state, _sense(prepared, inputs), rate)
            return self._output(state), state

    def time_constants(
        self, inputs: Tensor, state: Tensor, prepared: Prepared | None = None
    ) -> Tensor:
        """Effective time constants C / (g + sum w s) [s] at an input and a state.

        Args:
            inputs: (batch, inputs).
            state: (batch, units).
            prepared: as in `step`.

        Returns:
            (batch, units), each between C / (g + sum w) and C / g (Hasani et al. 2021, theorem 1).
        """
        with torch.autocast(inputs.device.type, enabled=False):
            prepared = prepared or self.prepare()
            drive = _sense(prepared, inputs.to(self.input_weight.dtype))
            return prepared.capacitance / _currents(prepared, state, drive)[1]

    def _advance(self, prepared: Prepared, state: Tensor, drive: Tensor, rate: Tensor) -> Tensor:
        for _ in range(self.unfolds):
            pull, conductance = _currents(prepared, state, drive)
            # In this form a rate of 0 returns the state to the bit, and nothing divides by 0.
            state = torch.addcmul(state, rate, pull) / (1 + rate * conductance)
        return state

    def _rate(self, prepared: Prepared, elapsed: Tensor) -> Tensor:
        """h / C, (..., units)."""
        return (elapsed / self.unfolds).unsqueeze(-1) / prepared.capacitance

    def _output(self, state: Tensor) -> Tensor:
        return state[..., -self.wiring.motor :] * self.output_weight + self.output_bias

    def _elapsed(
        self, elapsed: float | Tensor, shapes: tuple[tuple[int, ...], ...], like: Tensor
    ) -> Tensor:
        elapsed = torch.as_tensor(elapsed, dtype=like.dtype, device=like.device)
        if tuple(elapsed.shape) not in shapes:
            raise ValueError(
                f"Elapsed times must have one of the shapes {shapes}, got {tuple(elapsed.shape)}."
            )
        if not (elapsed >= 0).all():
            raise ValueError(f"Elapsed times must be 0 s or more, got {elapsed.min().item()} s.")
        return elapsed

    def _state(self, state: Tensor | None, batch: int, like: Tensor) -> Tensor:
        if state is None:
            return like.new_zeros(batch, self.wiring.units)
        if tuple(state.shape) != (batch, self.wiring.units):
            raise ValueError(
                f"The state must have shape {(batch, self.wiring.units)}, got {tuple(state.shape)}."
            )
        return state.to(like)

    @torch.no_grad()
    def _balance_motor_neurons(self) -> None:
        """Start with outputs of about 0 at rest, and room for +-1 in both directions.

        Motor neurons leak to 0. At rest (inputs 0.5) excitation P and inhibition Q of one are made
        equal by the factors sqrt(Q/P) and sqrt(P/Q) on the weights, and both are raised until
        either kind of synapse alone outweighs the leak; the output weight makes that an output of
        1.5. A neuron with synapses of one kind only stays as drawn.
        """
        prepared = self.prepare()
        drive = _sense(prepared, torch.full((1, self.wiring.inputs), 0.5))
        state = torch.zeros(1, self.wiring.units)
        rate = torch.ones(1)  # h / C = 1 for each neuron settles well within 180 steps
        for _ in range(30):
            state = self._advance(prepared, state, drive, rate)
        activation = torch.sigmoid(torch.addmm(prepared.offset, state, prepared.slope))[0]
        weight = self.recurrent.weight
        first = self.wiring.units - self.wiring.motor
        self.leak_potential[first:] = 0
        for motor in range(first, self.wiring.units):
            incoming = self.recurrent.target[:, motor] > 0
            exciting = incoming & (self.recurrent.reversal > 0)
            inhibiting = incoming & (self.recurrent.reversal < 0)
            if not (exciting.any() and inhibiting.any()):
                continue
            excitation = (weight * activation)[exciting].sum()
            inhibition = (weight * activation)[inhibiting].sum()
            weight[exciting] *= torch.sqrt(inhibition / excitation)
            weight[inhibiting] *= torch.sqrt(excitation / inhibition)
            weaker = torch.minimum(weight[exciting].sum(), weight[inhibiting].sum())
            leak = prepared.leak[self.wiring.units + motor]
            raised = torch.maximum(weaker, 2 * leak)
            weight[incoming] *= raised / weaker
            self.output_weight[motor - first] = 1.5 * (raised + leak) / raised
        self.recurrent.raw_weight.copy_(_inverse_softplus(weight))


def _sense(prepared: Prepared, inputs: Tensor) -> Tensor:
    """Sums over leak and sensory synapses, (rows, 2 units); constant while a sample is solved."""
    activation = torch.sigmoid(torch.addmm(prepared.sensory_offset, inputs, prepared.sensory_slope))
    return torch.addmm(prepared.leak, activation, prepared.sensory_current)


def _currents(prepared: Prepared, state: Tensor, drive: Tensor) -> tuple[Tensor, ...]:
    """(g v + sum w s E, g + sum w s), each (rows, units)."""
    activation = torch.sigmoid(torch.addmm(prepared.offset, state, prepared.slope))
    return torch.addmm(drive, activation, prepared.current).chunk(2, 1)


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.empty(count).uniform_(low, high)


def _inverse_softplus(value: Tensor) -> Tensor:
    # log(expm1(v)), written so that large values do not overflow.
    return value + torch.log(-torch.expm1(-value))
