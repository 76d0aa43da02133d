"""What flows through synapses, and what a command is the sum of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_control.circuits import LTC, CfC
from liquid_control.circuits.synapses import currents, sense
from liquid_control.policy import Policy

__all__ = ["Part", "command_parts", "synapse_currents"]


@dataclass(frozen=True)
class Part:
    """One summand of a command: what it comes from, and how much it is, (outputs,), in the units of
    the outputs."""

    name: str
    values: np.ndarray


@torch.no_grad()
def synapse_currents(circuit: nn.Module, features: Tensor, states: Tensor) -> np.ndarray | None:
    """What each synapse conducts, float32 (T, synapses); positive pulls the target's state up.

    In an LTC the current w s(sigma (x_j - mu)) (E - x_i) of the equation. In a CfC, which has no
    currents, what the synapse adds to the argument of f1 plus that of f2, w x_j.

    Args:
        circuit: on a wiring; None is returned for others.
        features: (T, inputs).
        states: (T, units), after each frame.
    """
    wiring = getattr(circuit, "wiring", None)
    if wiring is None:
        return None
    if isinstance(circuit, CfC):
        polarity = np.concatenate((wiring.sensory, wiring.adjacency))
        source = torch.from_numpy(np.nonzero(polarity)[0])
        weight = (functional.softplus(circuit.cell.raw_weight) * circuit.cell.polarity).sum(0)
        return (torch.cat((features, states), 1)[:, source] * weight).numpy()
    found = []
    inputs = features * circuit.input_weight + circuit.input_bias
    for part, values in ((circuit.sensory, inputs), (circuit.recurrent, states)):
        source, target = (torch.from_numpy(row) for row in part.pairs)
        activation = torch.sigmoid(part.slope * (values[:, source] - part.midpoint))
        found.append(part.weight * activation * (part.reversal - states[:, target]))
    return torch.cat(found, 1).numpy()


@torch.no_grad()
def command_parts(
    policy: Policy, features: np.ndarray, elapsed: np.ndarray, before: np.ndarray
) -> list[Part]:
    """The command after the last frame as a sum, before it is clipped.

    For an LTC with the fused solver: each of its steps x <- (x + r (g v + sum w s E)) / (1 + r (g +
    sum w s)), r = h / C, makes a motor neuron's state a weighted mean of the state before, of v and
    of each E. Followed through all steps of all frames, the state is what is left of the one before
    the first frame, plus what leak and each incoming synapse put in. For other networks, whose
    outputs are a linear map of the hidden state, a summand is weight times hidden unit.

    Args:
        policy: whose command it is.
        features: float32 (T, features), T >= 1.
        elapsed: float32 (T,) [s].
        before: float32 (numbers,), the circuit's state before the first frame.

    Returns:
        Parts that add up to the command; the constant offset is one of them. Empty for a circuit of
        another kind.
    """
    circuit = policy.circuit
    inputs = torch.from_numpy(features)
    seconds = torch.from_numpy(elapsed) / policy.tick
    scale = policy.scale.numpy()
    if isinstance(circuit, LTC) and circuit.memory is None and circuit.solver == "fused":
        return _of_motor_neurons(circuit, inputs, seconds, torch.from_numpy(before), scale)
    state = torch.from_numpy(before)[None]
    sizes = circuit.state_sizes
    given = state if len(sizes) == 1 else (state.split(sizes, 1) if sizes else None)
    _, after = circuit(inputs[None], given, seconds[None])
    if not sizes:
        read, values, names = circuit.readout, inputs[-1], "feature"
    else:
        first = (after if isinstance(after, Tensor) else after[0])[0]
        read = getattr(circuit, "readout", None) or getattr(circuit, "projection", None)
        values, names = first, "unit"
        if isinstance(circuit, CfC):
            values = first[circuit._read_from :]
    if not isinstance(read, nn.Linear) or read.in_features != len(values):
        return []
    wired = getattr(circuit, "wiring", None)
    labels = (
        wired.names[-len(values) :] if wired else [f"{names}_{unit}" for unit in range(len(values))]
    )
    terms = (read.weight * values).T.numpy() * scale
    parts = [Part(name, term) for name, term in zip(labels, terms, strict=True)]
    offset = np.zeros(len(scale)) if read.bias is None else read.bias.numpy() * scale
    return [*parts, Part("offset", offset)]


def _of_motor_neurons(
    circuit: LTC, inputs: Tensor, elapsed: Tensor, state: Tensor, scale: np.ndarray
) -> list[Part]:
    prepared, wiring = circuit.prepare(), circuit.wiring
    first = wiring.units - wiring.motor
    # Rows of the parts: what was there before, the leak, then every synapse with a motor neuron.
    sensory = [int(k) for k in np.flatnonzero(circuit.sensory.pairs[1] >= first)]
    recurrent = [int(k) for k in np.flatnonzero(circuit.recurrent.pairs[1] >= first)]
    held = state.new_zeros(2 + len(sensory) + len(recurrent), wiring.motor)
    held[0] = state[first:]
    state = state[None]
    for sample, time in zip(inputs[:, None], elapsed, strict=True):
        drive = sense(prepared, sample)
        rate = time / circuit.unfolds / prepared.capacitance
        open_sensory = torch.sigmoid(sample @ prepared.sensory_slope + prepared.sensory_offset)[0]
        for _ in range(circuit.unfolds):
            pull, conductance = currents(prepared, state, drive)
            opened = torch.sigmoid(state @ prepared.slope + prepared.offset)[0]
            put = torch.zeros_like(held)
            put[1] = prepared.leak[first : wiring.units]
            pulls = slice(first, wiring.units)
            for row, k in enumerate(sensory, 2):
                put[row] = open_sensory[k] * prepared.sensory_current[k, pulls]
            for row, k in enumerate(recurrent, 2 + len(sensory)):
                put[row] = opened[k] * prepared.current[k, pulls]
            held = (held + rate[first:] * put) / (1 + rate[first:] * conductance[0, first:])
            state = torch.addcmul(state, rate, pull) / (1 + rate * conductance)
    values = (held * circuit.output_weight).numpy() * scale
    names = ["state_before", "leak"]
    names += [f"sensory_{circuit.sensory.pairs[0, k]}" for k in sensory]
    names += [wiring.names[circuit.recurrent.pairs[0, k]] for k in recurrent]
    parts: dict[str, np.ndarray] = {}
    # A neuron that feeds several motor neurons is one summand, with a number for each.
    for name, value in zip(names, values, strict=True):
        parts[name] = parts.get(name, 0) + value
    parts["offset"] = circuit.output_bias.numpy() * scale
    return [Part(name, value) for name, value in parts.items()]
