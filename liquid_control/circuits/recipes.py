"""Recipes for wirings, with the constructors of `ncps.wirings`.

A recipe does not know the number of inputs; a network tells it when it is made:
`LTC(20, AutoNCP(28, 4))`. Unlike in ncps, a recipe never changes: `build(20)` returns a `Wiring`,
the same one each time, so that a recipe serves any number of networks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from liquid_control.circuits.wiring import Wiring, ncp
from liquid_control.circuits.wiring_kinds import auto_ncp, fully_connected, random_sparse

__all__ = ["NCP", "AutoNCP", "FullyConnected", "Random", "Recipe", "wiring_of"]


class Recipe:
    """What a wiring is drawn from, once its number of inputs is known."""

    def build(self, inputs: int) -> Wiring:
        """Draw the wiring for this number of inputs.

        Raises:
            ValueError: a count that its layer cannot hold.
        """
        raise NotImplementedError

    def get_config(self) -> dict:
        """The constructor's arguments, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> Recipe:
        """The recipe that `get_config` described."""
        return cls(**config)


@dataclass(frozen=True)
class NCP(Recipe):
    """Neural circuit policy; see `ncp`, which takes the same counts.

    Where fan-outs of 1 or more are too small to reach every inter or command neuron they are raised
    to what it takes. (ncps adds synapses to the forgotten neurons there.)
    """

    inter_neurons: int
    command_neurons: int
    motor_neurons: int
    sensory_fanout: int
    inter_fanout: int
    recurrent_command_synapses: int
    motor_fanin: int
    seed: int = 22222

    @property
    def units(self) -> int:
        """Number of neurons."""
        return self.inter_neurons + self.command_neurons + self.motor_neurons

    def build(self, inputs: int) -> Wiring:
        inter, command = self.inter_neurons, self.command_neurons
        return ncp(
            inputs,
            inter,
            command,
            self.motor_neurons,
            _raised(self.sensory_fanout, inputs, inter),
            _raised(self.inter_fanout, inter, command),
            self.recurrent_command_synapses,
            self.motor_fanin,
            self.seed,
        )


def _raised(fanout: int, sources: int, targets: int) -> int:
    """What it takes to reach all targets, if the given fan-out of at least 1 does not."""
    return max(fanout, -(-targets // sources)) if fanout >= 1 <= sources else fanout


@dataclass(frozen=True)
class AutoNCP(Recipe):
    """Neural circuit policy from its size alone; see `auto_ncp`."""

    units: int
    output_size: int
    sparsity_level: float = 0.5
    seed: int = 22222

    def build(self, inputs: int) -> Wiring:
        return auto_ncp(inputs, self.units, self.output_size, self.sparsity_level, self.seed)


@dataclass(frozen=True)
class FullyConnected(Recipe):
    """Every neuron feeds every neuron; see `fully_connected`."""

    units: int
    output_dim: int | None = None
    erev_init_seed: int = 1111
    self_connections: bool = True

    def build(self, inputs: int) -> Wiring:
        return fully_connected(
            inputs, self.units, self.output_dim, self.self_connections, self.erev_init_seed
        )


@dataclass(frozen=True)
class Random(Recipe):
    """Fully connected but for a share of the synapses; see `random_sparse`."""

    units: int
    output_dim: int | None = None
    sparsity_level: float = 0.0
    random_seed: int = 1111

    def build(self, inputs: int) -> Wiring:
        return random_sparse(
            inputs, self.units, self.output_dim, self.sparsity_level, self.random_seed
        )


def wiring_of(inputs: int | Wiring, units: int | Wiring | Recipe | None) -> Wiring:
    """The wiring that a network's first two arguments mean.

    Raises:
        ValueError: the wiring is for another number of inputs.
        TypeError: an argument is of another kind.
    """
    if isinstance(inputs, Wiring) and units is None:
        return inputs
    if not isinstance(inputs, int) or not isinstance(units, int | Wiring | Recipe):
        raise TypeError(
            "A network needs a Wiring, or a number of inputs and then a number of units, a Wiring "
            "or a recipe such as liquid_control.circuits.AutoNCP, got "
            f"{type(inputs).__name__} and {type(units).__module__}.{type(units).__name__}."
        )
    if isinstance(units, Recipe):
        return units.build(inputs)
    if isinstance(units, int):
        return fully_connected(inputs, units, seed=1111)
    if units.inputs != inputs:
        raise ValueError(f"The wiring is for {units.inputs} inputs, the network has {inputs}.")
    return units
