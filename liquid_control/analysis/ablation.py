"""What each synapse does for the command: cut it, drive again, compare.

A synapse is cut by setting its weight to 0: it conducts nothing, its target neuron keeps all else
that it has. All cut circuits run at once, stacked along a batch by `torch.func`, each with a state
of its own that it carries through the whole drive; frames are those of the recording.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from tqdm import tqdm

from liquid_control.circuits import LTC, CfC
from liquid_control.circuits.circuit import State
from liquid_control.errors import InputError

__all__ = ["Synapse", "cut", "cut_outputs", "synapses_of"]

# Samples a call: the stacked sensory currents of 254 circuits take 5 MB for so many.
PIECE = 128
# Circuits that run at once; more would not be faster and take more memory.
STACKED = 512


@dataclass(frozen=True)
class Synapse:
    """One synapse: its place in the circuit's order, the names of its ends and its polarity."""

    place: int
    source: str
    target: str
    polarity: int

    @property
    def text(self) -> str:
        """ "inter 3 to command 1"."""
        return f"{self.source} to {self.target}".replace("_", " ")


def synapses_of(circuit: nn.Module) -> list[Synapse]:
    """The synapses of a circuit on a wiring, by source (inputs first), then by target.

    Polarity is 1 where the synapse pulls its target up, -1 where down: the sign of the trained
    reversal potential in an LTC, of the wiring in a CfC (there it cannot change).

    Returns:
        An empty list for a circuit without a wiring.
    """
    wiring = getattr(circuit, "wiring", None)
    if wiring is None or not isinstance(circuit, LTC | CfC):
        return []
    names = [f"sensory_{index}" for index in range(wiring.inputs)] + list(wiring.names)
    polarity = np.concatenate((wiring.sensory, wiring.adjacency))
    source, target = np.nonzero(polarity)
    signs = polarity[source, target]
    if isinstance(circuit, LTC):
        trained = torch.cat((circuit.sensory.reversal, circuit.recurrent.reversal))
        signs = np.where(trained.detach().cpu().numpy() < 0, -1, 1)
    return [
        Synapse(place, names[a], wiring.names[b], int(sign))
        for place, (a, b, sign) in enumerate(zip(source, target, signs, strict=True))
    ]


def cut(circuit: nn.Module, places: Sequence[int]) -> nn.Module:
    """A copy of a circuit in which these synapses conduct nothing.

    Raises:
        InputError: the circuit has no synapses that could be cut.
    """
    other = copy.deepcopy(circuit)
    weights = {name: value[0] for name, value in _weights(circuit, [tuple(places)]).items()}
    own = dict(other.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)
    return other


@torch.no_grad()
def cut_outputs(
    circuit: nn.Module,
    features: Tensor,
    elapsed: Tensor,
    cuts: Sequence[Sequence[int]],
    state: State | None = None,
    progress: str = "",
) -> Tensor:
    """Outputs of circuits in which synapses are cut, over one drive.

    Args:
        circuit: an LTC or a CfC on a wiring.
        features: (time, inputs).
        elapsed: (time,), in the circuit's unit of time.
        cuts: for each circuit the places of the synapses that it lacks; () for an intact one.
        state: before the first sample, as the circuit takes it without a batch; zeros by default.
        progress: what a progress bar says; none by default.

    Returns:
        (cuts, time, outputs), as the intact circuit would give them on its own to about 1e-6.

    Raises:
        InputError: the circuit has no synapses that could be cut.
    """
    if not len(features):
        return features.new_zeros(len(cuts), 0, circuit.outputs)
    if isinstance(circuit, LTC) and circuit.solver != "fused":
        # An explicit solver chooses its steps by the values, which stacked circuits do not have.
        state = state if state is None else _one_row(state)
        rows = (features[None], state, elapsed[None])
        return torch.cat([cut(circuit, places)(*rows)[0] for places in cuts])
    groups = [cuts[start : start + STACKED] for start in range(0, len(cuts), STACKED)]
    total = len(groups) * len(features)
    bar = tqdm(
        total=total, desc=progress, unit="frame", delay=2, disable=None if progress else True
    )
    with bar:
        return torch.cat(
            [_stacked(circuit, features, elapsed, group, state, bar) for group in groups]
        )


def _one_row(state: State) -> State:
    return state[None] if isinstance(state, Tensor) else tuple(part[None] for part in state)


def _stacked(
    circuit: nn.Module,
    features: Tensor,
    elapsed: Tensor,
    cuts: Sequence[Sequence[int]],
    state: State | None,
    bar: tqdm,
) -> Tensor:
    weights = _weights(circuit, cuts)
    parts = (state,) if isinstance(state, Tensor) else state
    if parts is None:
        parts = [features.new_zeros(size) for size in circuit.state_sizes]
    # A batch of one row in each of the stacked circuits.
    parts = tuple(part.expand(len(cuts), 1, -1) for part in parts)

    def drive(weights: dict[str, Tensor], parts: tuple[Tensor, ...], *piece: Tensor):
        given = parts if len(parts) > 1 else parts[0]
        outputs, after = functional_call(circuit, weights, (piece[0], given, piece[1]))
        return outputs, after if isinstance(after, tuple) else (after,)

    run, outputs = vmap(drive, in_dims=(0, 0, None, None)), []
    for start in range(0, len(features), PIECE):
        piece = slice(start, start + PIECE)
        given, parts = run(weights, parts, features[None, piece], elapsed[None, piece])
        outputs.append(given[:, 0])
        bar.update(given.shape[2])
    return torch.cat(outputs, 1)


def _weights(circuit: nn.Module, cuts: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """The parameters that a cut changes, stacked (cuts, ...).

    Weights are softplus(raw), which is 0 for minus infinity, to the bit.
    """
    count = len(synapses_of(circuit))
    if not count:
        raise InputError(
            f"Synapses can be cut in an LTC or a CfC on a wiring, got a {type(circuit).__name__} "
            "without one; take another model."
        )
    gone = torch.zeros(len(cuts), count, dtype=torch.bool)
    for row, places in enumerate(cuts):
        gone[row, list(places)] = True
    if isinstance(circuit, CfC):
        names = {"cell.raw_weight": (gone, -torch.inf), "cell.gate_weight": (gone, 0.0)}
    else:
        inputs = len(circuit.sensory.raw_weight)
        names = {
            "sensory.raw_weight": (gone[:, :inputs], -torch.inf),
            "recurrent.raw_weight": (gone[:, inputs:], -torch.inf),
        }
    own, found = dict(circuit.named_parameters()), {}
    for name, (where, value) in names.items():
        weight = own[name].detach()
        where = where.to(weight.device)
        # A CfC has one weight a synapse for each of its heads: (heads, synapses).
        where = where.unsqueeze(1) if weight.dim() == 2 else where
        found[name] = torch.where(where, torch.full_like(weight, value), weight)
    return found
