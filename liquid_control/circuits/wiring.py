"""Neural circuit policy wirings: which neuron feeds which, and with what polarity.

A wiring is plain data (numpy, no torch): it is drawn once, never changes, and survives its own
JSON. Sensory neurons (the inputs) feed inter neurons, these feed command neurons, which feed one
another and the motor neurons (Lechner et al., Nature Machine Intelligence 2020, Methods, "NCP
design principles").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from liquid_control.errors import InputError

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes

__all__ = ["Wiring", "flagship_wiring", "ncp"]

# outputs: (inter neurons, recurrent command synapses, motor fan-in); 6 command neurons each.
FLAGSHIPS = {1: (12, 7, 6), 2: (11, 7, 5), 3: (10, 9, 4), 4: (9, 9, 4)}


@dataclass(frozen=True, eq=False)
class Wiring:
    """Synapses between the inputs and neurons of a circuit.

    Neurons are numbered inter first, then command, then motor.

    Args:
        inputs: number of sensory neurons, the inputs of the circuit.
        inter: number of inter neurons.
        command: number of command neurons.
        motor: number of motor neurons, the outputs of the circuit.
        sensory: int8 (inputs, units), [from, to]: 1 excitatory, -1 inhibitory, 0 no synapse.
        adjacency: int8 (units, units), [from, to], likewise.
    """

    inputs: int
    inter: int
    command: int
    motor: int
    sensory: np.ndarray
    adjacency: np.ndarray

    def __post_init__(self) -> None:
        counts = (self.inputs, self.inter, self.command, self.motor)
        _require_integers(zip(("inputs", "inter", "command", "motor"), counts, strict=True))
        if min(counts) < 0 or self.inputs < 1 or self.motor < 1:
            raise ValueError(
                "A wiring needs at least one input and one motor neuron and no negative count, "
                f"got (inputs, inter, command, motor) = {counts}."
            )
        for field, sources in (("sensory", self.inputs), ("adjacency", self.units)):
            given = np.asarray(getattr(self, field))
            if given.shape != (sources, self.units) or not np.isin(given, (-1, 0, 1)).all():
                raise ValueError(
                    f"Wiring.{field} must have shape {(sources, self.units)} and entries -1, 0 or "
                    f"1, got shape {given.shape} with values {np.unique(given).tolist()[:5]}."
                )
            polarity = given.astype(np.int8)
            polarity.setflags(write=False)
            object.__setattr__(self, field, polarity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wiring) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.sensory.tobytes(), self.adjacency.tobytes(), self.command, self.motor))

    def __reduce__(self) -> tuple:
        # Made anew by the constructor, so that copies cannot be changed either.
        return Wiring, tuple(getattr(self, field.name) for field in fields(self))

    @property
    def units(self) -> int:
        """Number of neurons, the size of the circuit's state."""
        return self.inter + self.command + self.motor

    @property
    def synapses(self) -> int:
        """Number of synapses, those from the inputs included."""
        return int(np.count_nonzero(self.sensory) + np.count_nonzero(self.adjacency))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the neurons in the order of the state: inter_0, ..., command_0, ..., motor_0."""
        layers = (("inter", self.inter), ("command", self.command), ("motor", self.motor))
        return tuple(f"{layer}_{index}" for layer, count in layers for index in range(count))

    def graph(self) -> networkx.DiGraph:
        """As a networkx graph; see `drawing.graph`."""
        from liquid_control.circuits import drawing

        return drawing.graph(self)

    def draw(self, ax: Axes | None = None, labels: bool = False) -> Axes:
        """Draw it with matplotlib; see `drawing.draw`."""
        from liquid_control.circuits import drawing

        return drawing.draw(self, ax, labels)

    def to_dict(self) -> dict:
        """JSON-ready fields; synapses as [from, to, polarity], ordered by source, then target."""
        return {
            "inputs": self.inputs,
            "inter": self.inter,
            "command": self.command,
            "motor": self.motor,
            "sensory": _triples(self.sensory),
            "adjacency": _triples(self.adjacency),
        }

    @classmethod
    def from_dict(cls, fields: dict) -> Wiring:
        """The wiring that `to_dict` described.

        Raises:
            InputError: a field is missing, or a synapse leads outside the wiring.
        """
        try:
            counts = {key: int(fields[key]) for key in ("inputs", "inter", "command", "motor")}
            units = counts["inter"] + counts["command"] + counts["motor"]
            sensory = _matrix(fields["sensory"], (counts["inputs"], units))
            adjacency = _matrix(fields["adjacency"], (units, units))
            return cls(**counts, sensory=sensory, adjacency=adjacency)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                "A wiring needs inputs, inter, command, motor and the synapse lists sensory and "
                f"adjacency of [from, to, polarity]; got {type(error).__name__}: {error}; compare "
                "with a shipped models/*/config.json."
            ) from error


def ncp(
    inputs: int = 32,
    inter: int = 12,
    command: int = 6,
    motor: int = 1,
    sensory_fanout: int = 6,
    inter_fanout: int = 4,
    recurrent: int = 7,
    motor_fanin: int = 6,
    seed: int = 0,
) -> Wiring:
    """Draw a neural circuit policy wiring with exactly the asked number of synapses.

    It has inputs * sensory_fanout + inter * inter_fanout + recurrent + motor * motor_fanin
    synapses, 253 with the defaults, whatever the seed: no pair is drawn twice, and a neuron left
    without input receives a moved synapse, not an extra one. Polarities are fair coin flips (50 %
    excitatory, as in the paper's text), except that each motor neuron gets as many excitatory as
    inhibitory synapses (give or take one): with one kind it could push its command one way only.

    Raises:
        ValueError: a fan-out, fan-in or recurrent count that its layer cannot hold, or too few
            synapses to reach every inter and command neuron.
    """
    sizes = (("inputs", inputs), ("inter", inter), ("command", command), ("motor", motor))
    _require_integers(sizes)
    if min(inputs, inter, command, motor) < 1:
        raise ValueError(
            "A neural circuit policy needs one or more inputs, inter, command and motor neurons, "
            f"got {inputs}, {inter}, {command} and {motor}."
        )
    limits = (
        ("sensory_fanout", sensory_fanout, inter),
        ("inter_fanout", inter_fanout, command),
        ("motor_fanin", motor_fanin, command),
        ("recurrent", recurrent, command * command),
    )
    _require_integers((name, value) for name, value, _ in limits)
    for name, value, limit in limits:
        if not 0 <= value <= limit:
            raise ValueError(f"{name} must lie in 0 to {limit} in this wiring, got {value}.")
    if inputs * sensory_fanout < inter or inter * inter_fanout < command:
        raise ValueError(
            f"{inputs * sensory_fanout} sensory and {inter * inter_fanout} inter synapses cannot "
            f"reach {inter} inter and {command} command neurons; raise the fan-outs."
        )
    rng = np.random.default_rng(seed)
    units = inter + command + motor
    inters, commands = slice(0, inter), slice(inter, inter + command)
    motors = slice(inter + command, units)

    sensory = np.zeros((inputs, units), np.int8)
    adjacency = np.zeros((units, units), np.int8)
    sensory[:, inters] = _signed(_connect(inputs, inter, sensory_fanout, rng), rng)
    adjacency[inters, commands] = _signed(_connect(inter, command, inter_fanout, rng), rng)
    pairs = np.zeros(command * command, bool)
    pairs[rng.choice(pairs.size, recurrent, replace=False)] = True
    adjacency[commands, commands] = _signed(pairs.reshape(command, command), rng)
    # Drawn from the motor side, so that the fan-in is exact and command neurons are all used.
    fan_in = _connect(motor, command, motor_fanin, rng)
    balanced = np.zeros(fan_in.shape, np.int8)
    for row, existing in zip(balanced, fan_in, strict=True):
        alternating = np.resize(rng.permutation([-1, 1]), motor_fanin)
        row[existing] = rng.permutation(alternating)
    adjacency[commands, motors] = balanced.T
    return Wiring(inputs, inter, command, motor, sensory, adjacency)


def flagship_wiring(outputs: int, inputs: int = 32, seed: int = 0) -> Wiring:
    """The wiring of the shipped policies: 19 neurons for 1 to 4 outputs.

    With 32 inputs it has 253 synapses for each number of outputs.

    Raises:
        ValueError: outputs is not 1, 2, 3 or 4.
    """
    if outputs not in FLAGSHIPS:
        raise ValueError(
            f"19 neurons serve 1 to 4 outputs, got {outputs}; draw another wiring with ncp()."
        )
    inter, recurrent, motor_fanin = FLAGSHIPS[outputs]
    return ncp(
        inputs, inter, motor=outputs, recurrent=recurrent, motor_fanin=motor_fanin, seed=seed
    )


def _require_integers(counts: Iterable[tuple[str, Any]]) -> None:
    for name, count in counts:
        if not isinstance(count, int | np.integer):
            raise ValueError(f"{name} must be a whole number, got {count!r}.")


def _connect(sources: int, targets: int, fanout: int, rng: np.random.Generator) -> np.ndarray:
    """Boolean (sources, targets): `fanout` targets per source, every target reached if possible.

    A target without input takes a synapse from the target with the most inputs.
    """
    connected = np.zeros((sources, targets), bool)
    for row in connected:
        row[rng.choice(targets, fanout, replace=False)] = True
    for missed in np.flatnonzero(~connected.any(axis=0)):
        richest = np.argmax(connected.sum(axis=0))
        if connected[:, richest].sum() < 2:
            break
        donor = rng.choice(np.flatnonzero(connected[:, richest]))
        connected[donor, richest], connected[donor, missed] = False, True
    return connected


def _signed(connected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return connected * rng.choice(np.array([-1, 1], np.int8), connected.shape)


def _triples(polarity: np.ndarray) -> list[list[int]]:
    return [[int(i), int(j), int(polarity[i, j])] for i, j in np.argwhere(polarity)]


def _matrix(triples: list, shape: tuple[int, int]) -> np.ndarray:
    matrix = np.zeros(shape, np.int8)
    for source, target, polarity in triples:
        if min(source, target) < 0 or polarity not in (-1, 1) or matrix[source, target]:
            raise ValueError(f"synapse {[source, target, polarity]} is doubled or out of range")
        matrix[source, target] = polarity
    return matrix
