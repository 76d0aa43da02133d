"""Take over a trained network of the ncps library, wiring and weights.

The outputs agree to rounding, with these differences on purpose:

- an elapsed time of 0 keeps the state (an LTC of ncps returns NaN, its CfC takes a step);
- elapsed times may be (batch, time), which ncps refuses or mistakes;
- neurons are numbered inter, command, motor, in ncps motor first: see `neuron_order`;
- dropout acts after each layer of a CfC's backbone, in ncps after all but the first.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from liquid_control.circuits.cfc import CfC
from liquid_control.circuits.cfc_cells import ACTIVATIONS
from liquid_control.circuits.circuit import Circuit
from liquid_control.circuits.ltc import LTC
from liquid_control.circuits.memory import LongMemory
from liquid_control.circuits.wiring import Wiring

if TYPE_CHECKING:
    import ncps.torch

__all__ = ["from_ncps", "neuron_order"]

# Synapses of ncps whose weight was clipped to 0 still exist; this is as good as 0.
SMALLEST = 1e-12


def from_ncps(network: ncps.torch.LTC | ncps.torch.CfC) -> Circuit:
    """Our network with the wiring and the weights of an ncps one, which stays as it is.

    Raises:
        TypeError: it is neither an LTC nor a CfC of `ncps.torch`.
        ValueError: it is a CfC on a wiring, or an LTC with negative weights.
    """
    kind = type(network).__name__
    if not type(network).__module__.startswith("ncps.torch") or kind not in ("LTC", "CfC"):
        raise TypeError(f"from_ncps takes an ncps.torch.LTC or ncps.torch.CfC, got {kind}.")
    with torch.no_grad():
        ours = _ltc(network) if kind == "LTC" else _cfc(network)
    return ours.to(next(network.parameters())).train(network.training)


def neuron_order(network: ncps.torch.LTC | ncps.torch.CfC) -> list[int]:
    """Number in ncps of each of our neurons: ours[k] is theirs[order[k]]."""
    wiring = getattr(network, "_wiring", None)
    if wiring is None:
        return list(range(network.state_size))
    kinds = [wiring.get_type_of_neuron(index) for index in range(wiring.units)]
    rank = {"inter": 0, "command": 1, "motor": 2}
    return sorted(range(wiring.units), key=lambda index: (rank[kinds[index]], index))


def _ltc(network: ncps.torch.LTC) -> LTC:
    cell, theirs, order = network.rnn_cell, network._wiring, neuron_order(network)
    # What the cell computes with; the wiring itself may have grown since it was made.
    exists = cell.sparsity_mask.numpy(force=True) != 0
    sensory_exists = cell.sensory_sparsity_mask.numpy(force=True) != 0
    kinds = [theirs.get_type_of_neuron(index) for index in order]
    wiring = Wiring(
        theirs.input_dim,
        kinds.count("inter"),
        kinds.count("command"),
        kinds.count("motor"),
        np.where(sensory_exists, theirs.sensory_adjacency_matrix, 0)[:, order],
        np.where(exists, theirs.adjacency_matrix, 0)[np.ix_(order, order)],
    )
    known = {"affine": "affine", "linear": "linear"}
    ours = LTC(
        network.input_size,
        wiring,
        network.return_sequences,
        network.batch_first,
        network.use_mixed,
        known.get(cell._input_mapping),
        known.get(cell._output_mapping),
        unfolds=cell._ode_unfolds,
    )

    def raw(value: Tensor) -> Tensor:
        if cell._implicit_param_constraints:
            return value
        if (value < 0).any():
            raise ValueError(
                "The network has weights, leak conductances or capacitances below 0; call "
                "rnn_cell.apply_weight_constraints() on it, as after each step of its training."
            )
        value = value.double().clamp_min(SMALLEST)
        return value + torch.log(-torch.expm1(-value))

    rows = {"sensory_": range(theirs.input_dim), "": order}
    for prefix, synapses in (("sensory_", ours.sensory), ("", ours.recurrent)):
        polarity = wiring.sensory if prefix else wiring.adjacency
        source, target = np.nonzero(polarity)
        pairs = np.asarray(rows[prefix])[source], np.asarray(order)[target]
        synapses.raw_weight.copy_(raw(getattr(cell, f"{prefix}w")[pairs]))
        synapses.midpoint.copy_(getattr(cell, f"{prefix}mu")[pairs])
        synapses.slope.copy_(getattr(cell, f"{prefix}sigma")[pairs])
        synapses.reversal.copy_(getattr(cell, f"{prefix}erev")[pairs])
    ours.raw_leak_conductance.copy_(raw(cell.gleak[order]))
    ours.leak_potential.copy_(cell.vleak[order])
    ours.raw_capacitance.copy_(raw(cell.cm[order]))
    for name in ("input", "output"):
        for ending, part in (("w", "weight"), ("b", "bias")):
            if hasattr(cell, f"{name}_{ending}"):
                getattr(ours, f"{name}_{part}").copy_(getattr(cell, f"{name}_{ending}"))
    _copy_memory(ours.memory, network, order)
    return ours


def _cfc(network: ncps.torch.CfC) -> CfC:
    cell = network.rnn_cell
    if type(cell).__name__ != "CfCCell":
        raise ValueError(
            "A wired CfC of ncps does not follow its wiring: neurons of a layer are all linked, "
            "time gates see every input, polarities are unused. No wired CfC here computes the "
            "same; train CfC(inputs, wiring) anew, or take over a dense CfC."
        )
    backbone = list(cell.backbone) if cell.backbone is not None else []
    linear = [layer for layer in backbone if isinstance(layer, nn.Linear)]
    kind = type(backbone[1]).__name__ if backbone else "LeCun"
    names = {activation.__name__: name for name, activation in ACTIVATIONS.items()}
    dropout = max((layer.p for layer in backbone if isinstance(layer, nn.Dropout)), default=0.0)
    ours = CfC(
        network.input_size,
        cell.hidden_size,
        network.proj_size,
        network.return_sequences,
        network.batch_first,
        network.use_mixed,
        cell.mode,
        names.get(kind, "lecun_tanh"),
        linear[0].out_features if linear else None,
        len(linear),
        dropout,
    )
    heads = [cell.ff1]
    if cell.mode == "pure":
        ours.cell.closed_form.w_tau.copy_(cell.w_tau[0])
        ours.cell.closed_form.A.copy_(cell.A[0])
    else:
        heads += [cell.ff2, cell.time_a, cell.time_b]
    layers = [ours.cell.first, *(each for each in ours.cell.rest if isinstance(each, nn.Linear))]
    for layer, theirs in zip(layers[:-1], linear, strict=True):
        layer.load_state_dict(theirs.state_dict())
    layers[-1].weight.copy_(torch.cat([head.weight for head in heads]))
    layers[-1].bias.copy_(torch.cat([head.bias for head in heads]))
    _copy_memory(ours.memory, network, list(range(cell.hidden_size)))
    if ours.projection is not None:
        ours.projection = copy.deepcopy(network.fc)
    return ours


def _copy_memory(memory: LongMemory | None, network: nn.Module, order: list[int]) -> None:
    if memory is None:
        return
    units = len(order)
    rows = [gate * units + neuron for gate in range(4) for neuron in order]
    memory.input_map.weight.copy_(network.lstm.input_map.weight[rows])
    memory.input_map.bias.copy_(network.lstm.input_map.bias[rows])
    memory.recurrent_map.weight.copy_(network.lstm.recurrent_map.weight[rows][:, order])
