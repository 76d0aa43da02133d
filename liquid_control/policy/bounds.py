"""Provable bounds of neuron states, effective time constants and outputs, for every circuit.

What holds for any input, any elapsed time and from a fresh state on, at the weights as they are:

- LTC, fused solver (Hasani et al., "Liquid Time-constant Networks", AAAI 2021, theorems 1 and 2). A
  step moves a neuron towards p / q = (g v + sum w s E) / (g + sum w s), a mean of v and of the
  reversal potentials E, and never beyond it. The paper bounds that mean by the smallest and largest
  of v and E; here it is bounded by its own extremes over all activations s that are possible, which
  is narrower. An activation lies between its values at the ends of what its source can reach, so
  narrower states make narrower activations and these narrower states: `ROUNDS` times. The time
  constant C / q lies between its values at the largest and the smallest s.
- LTC, Euler: the same, since `solvers.substeps` takes steps of at most 1 / q. Runge-Kutta 4 may
  overshoot: its time constants are bounded, its states are not.
- Mixed memory: each sample starts in (-1, 1), where tanh of the LSTM ends, and goes on as above.
- CfC: a mean of two tanh (default), their sum (no gate). "pure" multiplies its head, which has no
  bound, by exp(-dt |head|), which for short times is no bound either.
- LSTM's h, GRU, GRU-D, CT-GRU, reservoir: means of what they were and of a tanh, from 0 on; CT-RNN:
  its time constant (Funahashi and Nakamura 1993, solved semi-implicitly).
- An LSTM's cell state can grow by 1 every sample, and what a neural ODE carries on has no bound:
  none is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from liquid_control.circuits import CTGRU, CTRNN, GRU, GRUD, LSTM, LTC, LTCLSTM, CfC, Reservoir
from liquid_control.perception.baseline import FeedForward

__all__ = ["ULP", "Interval", "bounds", "readout", "time_constant_bounds"]

ROUNDS = 4
# Float32 against exact numbers: a sum of n terms is off by at most n halves of an ulp, and the
# kernels' logistic function by 2e-7 plus the rounding of its argument.
ULP = 2.0**-23
_LOGISTIC = 1e-4
# A feature of a head is a ReLU: 0 or more, and without an upper bound.
_ANY = 1e30
_FEATURES = (0.0, _ANY)


@dataclass(frozen=True)
class Interval:
    """Ends, float64 (numbers,), rounding allowed for; infinite, and `why`, where there are none."""

    low: np.ndarray
    high: np.ndarray
    why: str = ""

    @classmethod
    def of(cls, size: int, largest: float, why: str = "") -> Interval:
        ends = np.full(size, largest * (1 + 64 * ULP))
        return cls(-ends, ends, why)


def bounds(circuit: nn.Module) -> list[Interval]:
    """Of each part of a circuit's state, as `circuit.state_sizes` has them."""
    sizes = circuit.state_sizes
    kind = type(circuit)
    if kind is LTC:
        parts = [_liquid(circuit)[0]]
    elif kind is CfC:
        parts = [_closed_form(circuit)]
    elif kind is LTCLSTM:
        parts = [_liquid(circuit.liquid, (-1.0, 1.0))[0], Interval.of(sizes[1], 1.0)]
    elif kind is CTRNN:
        parts = [Interval.of(sizes[0], circuit.time_constant)]
    elif kind in (LSTM, GRU, GRUD, CTGRU, Reservoir):
        parts = [Interval.of(sizes[0], 1.0)]
    elif kind is FeedForward:
        parts = []
    else:
        why = f"what the differential equation of {kind.__name__} carries on has no bound"
        parts = [Interval.of(sizes[0], np.inf, why)]
    why = "an LSTM's cell state can grow by 1 every sample"
    return parts + [Interval.of(size, np.inf, why) for size in sizes[len(parts) :]]


def time_constant_bounds(circuit: nn.Module) -> Interval | None:
    """Of the effective time constants that `LTC.time_constants` gives [s]; None for others."""
    return _liquid(circuit)[1] if type(circuit) is LTC and circuit.memory is None else None


def readout(circuit: nn.Module, state: Interval) -> Interval:
    """Of the outputs (outputs,), from those of the first part of the state."""
    if type(circuit) is LTCLSTM:
        circuit = circuit.liquid
    if type(circuit) is LTC:
        first = circuit.wiring.units - circuit.wiring.motor
        weight = np.diag(_numpy(circuit.output_weight))
        low, high = _affine(
            weight, _numpy(circuit.output_bias), state.low[first:], state.high[first:]
        )
    else:
        neurons = state.low, state.high
        if type(circuit) is CTGRU:  # a neuron is the sum of its traces
            neurons = tuple(each.reshape(-1, circuit.scales).sum(1) for each in neurons)
        if type(circuit) is CfC:
            first = 0 if circuit.wiring is None else circuit.wiring.units - circuit.wiring.motor
            neurons = tuple(each[first:] for each in neurons)
        layer = circuit.projection if type(circuit) is CfC else circuit.readout
        if layer is None:
            low, high = neurons
        else:
            low, high = _affine(_numpy(layer.weight), _numpy(layer.bias), *neurons)
    return Interval(low, high, state.why)


def _closed_form(circuit: CfC) -> Interval:
    mode, size = circuit.cell.closed_form.mode, circuit.state_sizes[0]
    if mode == "pure":
        return Interval.of(size, np.inf, "a CfC of mode pure has no bound for short elapsed times")
    return Interval.of(size, 1.0 if mode == "default" else 2.0)


def _liquid(circuit: LTC, features: tuple[float, float] = _FEATURES) -> tuple[Interval, Interval]:
    """States, and time constants [s], of an LTC whose inputs lie within `features`."""
    conductance, leak = _numpy(circuit.leak_conductance), _numpy(circuit.leak_potential)
    start = 0.0 if circuit.memory is None else 1.0
    both = (circuit.sensory, circuit.recurrent)
    source, target = np.concatenate([each.pairs for each in both], 1)
    weight, reversal, slope, midpoint = (
        np.concatenate([_numpy(getattr(each, name)) for each in both])
        for name in ("weight", "reversal", "slope", "midpoint")
    )
    count = circuit.sensory.pairs.shape[1]
    factor, offset = _numpy(circuit.input_weight), _numpy(circuit.input_bias)
    inputs = np.sort([factor * end + offset for end in features], 0)
    low, high = np.full(len(leak), -_ANY), np.full(len(leak), _ANY)
    for _ in range(ROUNDS):
        ends = [
            np.concatenate((inputs[i][source[:count]], x[source[count:]]))
            for i, x in enumerate((low, high))
        ]
        closed, opened = np.sort([_logistic(slope * (end - midpoint)) for end in ends], 0)
        closed = closed * (1 - _LOGISTIC)
        opened = np.minimum(opened * (1 + _LOGISTIC), 1 + ULP)
        for neuron in range(len(leak)):
            mine = target == neuron
            arguments = (
                conductance[neuron],
                leak[neuron],
                weight[mine] * closed[mine],
                weight[mine] * opened[mine],
                reversal[mine],
            )
            low[neuron] = -max(start, _largest_mean(*arguments, sign=-1.0))
            high[neuron] = max(start, _largest_mean(*arguments, sign=1.0))
    ulps = ULP * (16 + np.bincount(target, minlength=len(leak)))
    room = ulps * np.maximum(-low, high)
    states = Interval(low - room, high + room)
    if circuit.solver == "rk4":
        states = Interval.of(len(leak), np.inf, "Runge-Kutta 4 may overshoot what bounds an LTC")
    capacitance = _numpy(circuit.capacitance)
    fastest, slowest = (
        capacitance / (conductance + np.bincount(target, weight * each, len(leak)))
        for each in (opened, closed)
    )
    return states, Interval(fastest * (1 - ulps), slowest * (1 + ulps))


def _largest_mean(
    conductance: float,
    leak: float,
    closed: np.ndarray,
    opened: np.ndarray,
    reversal: np.ndarray,
    sign: float,
) -> float:
    """The largest of sign (g v + sum w s E) / (g + sum w s) over w s between `closed` and `opened`.

    A ratio of sums is largest where the synapses with E above it are opened and the others closed,
    so one of the orders by E, cut somewhere, has it.
    """
    order = np.argsort(-sign * reversal)
    closed, opened, pull = closed[order], opened[order], sign * reversal[order]

    def sums(values: np.ndarray) -> np.ndarray:
        return np.concatenate(([0.0], np.cumsum(values)))

    def cut(values: np.ndarray) -> np.ndarray:
        shut = sums(closed * values)
        return sums(opened * values) + shut[-1] - shut

    above = conductance * sign * leak + cut(pull)
    below = conductance + cut(np.ones_like(pull))
    return float((above / below).max())


def _affine(
    weight: np.ndarray, bias: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of weight x + bias, (outputs,), over low <= x <= high."""
    with np.errstate(invalid="ignore"):
        ends = np.nan_to_num(
            np.stack([weight * low, weight * high]), nan=0.0, posinf=np.inf, neginf=-np.inf
        )
        room = ULP * (16 + weight.shape[1]) * (np.abs(ends).max(0).sum(1) + np.abs(bias))
    return ends.min(0).sum(1) + bias - room, ends.max(0).sum(1) + bias + room


def _logistic(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -87.0, 87.0)))


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
