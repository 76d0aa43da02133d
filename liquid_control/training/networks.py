"""The networks that a recipe can name: the flagship and what it is compared with."""

from __future__ import annotations

import re

from liquid_control.camera import CameraSetup
from liquid_control.circuits import CTRNN, GRU, LSTM, CfC, Circuit, flagship_wiring
from liquid_control.command import CommandSpec
from liquid_control.errors import InputError
from liquid_control.perception.baseline import BaselineHead, FeedForward
from liquid_control.perception.head import FEATURES
from liquid_control.policy import Policy

__all__ = ["CIRCUITS", "make_policy"]

# The published networks count frames as their time; elapsed times reach them in these.
FRAME_S = 1 / 30
UNITS = 64
WIRED = ("ncp-ltc", "ncp-cfc", "ncp-cfc-mixed")
SIZED = ("cfc", "cfc-mixed", "lstm", "gru", "ctrnn")
CIRCUITS = (*WIRED, *(f"{name}-{UNITS}" for name in SIZED), "cnn")


def make_policy(circuit: str, spec: CommandSpec, camera: CameraSetup | None = None) -> Policy:
    """A fresh policy with the circuit of this name, see `Recipe.circuit`.

    Raises:
        InputError: there is no such circuit.
    """
    if circuit == "ncp-ltc":
        return Policy(spec, camera)
    if circuit == "cnn":
        readout = FeedForward(BaselineHead.features, len(spec))
        return Policy(spec, camera, circuit=readout, head="baseline")
    if circuit in WIRED:
        mixed = circuit.endswith("mixed")
        # Motor neurons of a CfC stay within -1 and 1; the map lets them reach full command early.
        wired = CfC(flagship_wiring(len(spec)), proj_size=len(spec), mixed_memory=mixed)
        return Policy(spec, camera, circuit=wired, tick=FRAME_S)
    name, units = _sized(circuit)
    return Policy(spec, camera, circuit=_network(name, units, len(spec)), tick=FRAME_S)


def _sized(circuit: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.+?)(?:-(\d{1,4}))?", circuit)
    name, units = found.groups() if found else ("", None)
    if name not in SIZED or units == "0":
        raise InputError(
            f"There is no circuit {circuit!r}; choose one of {', '.join(CIRCUITS)}, or another "
            f"number of units for {', '.join(SIZED)}."
        )
    return name, int(units or UNITS)


def _network(name: str, units: int, outputs: int) -> Circuit:
    if name in ("cfc", "cfc-mixed"):
        return CfC(FEATURES, units, proj_size=outputs, mixed_memory=name == "cfc-mixed")
    kind = {"lstm": LSTM, "gru": GRU, "ctrnn": CTRNN}[name]
    return kind(FEATURES, units, outputs)
