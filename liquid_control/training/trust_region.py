"""How far a circuit may move from the weights that it was shipped with, and what then still holds.

Two limits, both around the shipped weights, so that their meeting is convex:

- a ball: the root mean square of all changes, each as a share of the size of its kind of parameter
  (the root mean square of that tensor, at least 0.1), is at most `radius`;
- a box: synaptic weights, leak conductances and capacitances keep within a factor of 1 + REACH of
  what they were, the others within REACH of the size of their kind. Leak and reversal potentials
  also keep within their neuron's shipped interval, smallest to largest of {0, v, E of its incoming
  synapses}.

So the bounds of the shipped circuit (Hasani et al., "Liquid Time-constant Networks", 2021, theorems
1 and 2) go on to hold: a neuron that starts in its shipped interval never leaves it, and its time
constant C / (g + sum w s) stays within the shipped bounds, widened by (1 + REACH)^2 on either side.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from liquid_control.circuits import LTC
from liquid_control.circuits.flat import flat, learnt
from liquid_control.circuits.synapses import Synapses
from liquid_control.errors import InputError

__all__ = ["REACH", "TrustRegion"]

REACH = 0.5
# A tensor near 0, such as an offset that training hardly used, may move as if it were this large.
_SMALLEST = 0.1
_POSITIVE = ("raw_weight", "raw_leak_conductance", "raw_capacitance")


class TrustRegion:
    """The weights that are near enough to those of `circuit` as it is now.

    Rows are those of `liquid_control.circuits.flat`.

    Args:
        circuit: as shipped; later changes of it do not matter.
        radius: of the ball, 0 to REACH.

    Attributes:
        shipped: the centre, (numbers,).
        low, high: the box, (numbers,).
        state_low, state_high: shipped interval of each neuron, (units,).
        fastest, slowest: bounds of each neuron's time constant that hold anywhere in the region
            [s], (units,).

    Raises:
        InputError: the circuit has no such bounds, as it is no LTC with the fused solver, or has a
            mixed memory.
    """

    def __init__(self, circuit: LTC, radius: float) -> None:
        if type(circuit) is not LTC or circuit.solver != "fused" or circuit.memory is not None:
            raise InputError(
                "Only an LTC with the fused solver and no mixed memory keeps its bounds while it "
                f"learns, got a {type(circuit).__name__}; turn the adaptation off or choose such "
                "a model."
            )
        self.radius = radius
        named = learnt(circuit)
        self.shipped = flat(circuit)
        sizes = {
            name: max(float(each.detach().square().mean().sqrt()), _SMALLEST)
            for name, each in named.items()
        }
        self._sizes = torch.cat(
            [torch.full((each.numel(),), sizes[name]) for name, each in named.items()]
        )
        self.state_low, self.state_high = _intervals(circuit)
        bounds = [
            self._box(circuit, name, each.detach(), sizes[name]) for name, each in named.items()
        ]
        self.low, self.high = (torch.cat(parts) for parts in zip(*bounds, strict=True))
        self.fastest, self.slowest = _time_constants(circuit)

    def _box(self, circuit: LTC, name: str, value: Tensor, size: float) -> tuple[Tensor, Tensor]:
        kind = name.rpartition(".")[2]
        if kind in _POSITIVE:
            positive = functional.softplus(value.double())
            low, high = (
                torch.log(torch.expm1(positive * factor)).float()
                for factor in (1 / (1 + REACH), 1 + REACH)
            )
            return torch.minimum(low, value), torch.maximum(high, value)
        low, high = value - REACH * size, value + REACH * size
        if kind == "leak_potential":
            low, high = low.maximum(self.state_low), high.minimum(self.state_high)
        elif kind == "reversal":
            synapses: Synapses = circuit.get_submodule(name.rpartition(".")[0])
            target = synapses.pairs[1]
            low = low.maximum(self.state_low[target])
            high = high.minimum(self.state_high[target])
        return low, high

    def distance(self, values: Tensor) -> float:
        """How far a row is from the centre, as a share of the radius; 0 where the radius is 0."""
        if not self.radius:
            return 0.0
        moved = (values - self.shipped).double() / self._sizes
        return float(moved.square().mean().sqrt()) / self.radius

    def project(self, values: Tensor) -> Tensor:
        """A row inside of the region: into the box, then straight towards the centre."""
        boxed = values.maximum(self.low).minimum(self.high)
        distance = self.distance(boxed)
        if not self.radius:
            return self.shipped.clone()
        if distance <= 1:
            return boxed
        # A hair more, so that rounding does not leave it outside.
        share = (1 - 1e-6) / distance
        inside = (self.shipped + share * (boxed - self.shipped).double()).float()
        return inside.maximum(self.low).minimum(self.high)

    def holds(self, values: Tensor) -> bool:
        """Whether a row is finite and inside."""
        boxed = bool(((values >= self.low) & (values <= self.high)).all())
        return (
            boxed
            and self.distance(values) <= 1
            and (bool(self.radius) or torch.equal(values, self.shipped))
        )


@torch.no_grad()
def _intervals(circuit: LTC) -> tuple[Tensor, Tensor]:
    """Smallest and largest of {0, v, E of the incoming synapses} of each neuron."""
    low = circuit.leak_potential.clamp(max=0.0).clone()
    high = circuit.leak_potential.clamp(min=0.0).clone()
    for synapses in (circuit.sensory, circuit.recurrent):
        target = torch.from_numpy(synapses.pairs[1])
        low.scatter_reduce_(0, target, synapses.reversal, "amin")
        high.scatter_reduce_(0, target, synapses.reversal, "amax")
    return low, high


@torch.no_grad()
def _time_constants(circuit: LTC) -> tuple[Tensor, Tensor]:
    """C / (g + sum w) and C / g, widened by what the box allows."""
    total = circuit.leak_conductance.clone()
    for synapses in (circuit.sensory, circuit.recurrent):
        total.index_add_(0, torch.from_numpy(synapses.pairs[1]), synapses.weight)
    widened = (1 + REACH) ** 2
    return circuit.capacitance / total / widened, (
        circuit.capacitance / circuit.leak_conductance * widened
    )
