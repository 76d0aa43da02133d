"""Circuits as files: weights as safetensors, and how to make the circuit as JSON in their header.

Nothing that is loaded can run code. A whole policy, with camera and commands, is saved by
`Policy.save`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from liquid_control.circuits.baselines import CTGRU, CTRNN, GRU, GRUD, LSTM
from liquid_control.circuits.cfc import CfC
from liquid_control.circuits.circuit import Circuit
from liquid_control.circuits.hybrid import LTCLSTM
from liquid_control.circuits.ltc import LTC
from liquid_control.circuits.ode import ODELSTM, ODERNN
from liquid_control.circuits.reservoir import Reservoir
from liquid_control.circuits.wiring import Wiring
from liquid_control.errors import InputError

__all__ = ["describe", "load", "make", "save"]

KINDS: dict[str, type[Circuit]] = {
    kind.__name__: kind
    for kind in (*(LTC, CfC, LTCLSTM, LSTM, GRU, GRUD, CTRNN, CTGRU, ODERNN, ODELSTM, Reservoir),)
}
HEADER = "liquid_control"
CHANGEABLE = (
    *("time_unit", "batch_first", "return_sequences"),
    *("unfolds", "ode_unfolds", "solver", "time_constant"),
)


def save(network: Circuit, file: str | Path) -> None:
    """Write a circuit to one file; a file of that name is replaced only once it is complete.

    Raises:
        TypeError: it is not one of this library's circuits.
    """
    header = json.dumps(describe(network))
    file = Path(file)
    part = file.with_name(f".{file.name}.part")
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, part, {HEADER: header})
    os.replace(part, file)


def load(file: str | Path) -> Circuit:
    """The circuit that `save` wrote, in its precision, on the CPU.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    file = Path(file)
    if not file.is_file():
        raise InputError(f"There is no file {file}; save a circuit there first.")
    try:
        with safe_open(file, "pt") as content:
            header = json.loads((content.metadata() or {})[HEADER])
            weights = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        network = make(header)
        precision = {value.dtype for value in weights.values() if value.is_floating_point()}
        network.to(*precision).load_state_dict(weights)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{file} is no circuit that circuits.save wrote, or damaged: "
            f"{type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error
    return network


def describe(network: Circuit) -> dict[str, Any]:
    """How to make a circuit like this one, JSON-ready: its kind and its arguments.

    Raises:
        TypeError: it is not one of this library's circuits.
    """
    kind = type(network).__name__
    if KINDS.get(kind) is not type(network):
        raise TypeError(f"Circuits of the kinds {', '.join(KINDS)} can be saved, got {kind}.")
    return {"kind": kind, "arguments": _arguments(network)}


def make(description: dict[str, Any]) -> Circuit:
    """A fresh circuit as `describe` described it.

    Raises:
        KeyError, TypeError, ValueError: the description is not one, or its arguments do not fit.
    """
    arguments = {
        name: Wiring.from_dict(value) if isinstance(value, dict) else value
        for name, value in description["arguments"].items()
    }
    return KINDS[description["kind"]](**arguments)


def _arguments(network: Circuit) -> dict[str, Any]:
    """What the circuit was made with; where that may have changed since, the present value."""
    arguments = {
        name: getattr(network, name, given) if name in CHANGEABLE else given
        for name, given in network.made_with.items()
    }
    circuit = network.liquid if isinstance(network, LTCLSTM) else network
    wiring = getattr(circuit, "wiring", None)
    if wiring is not None:
        # The wiring itself: a recipe might draw another one with another version of numpy.
        arguments["units"] = wiring.to_dict()
        if "input_size" in arguments:
            arguments["input_size"] = wiring.inputs
    return arguments
