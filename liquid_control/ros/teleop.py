"""`liquid-control teleop`: a person drives, or stops, the vehicle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from liquid_control import models
from liquid_control.errors import InputError

__all__ = ["teleop"]


def teleop(
    input: Literal["keyboard", "joystick"] = "keyboard",
    max_speed: float | None = None,
    max_curvature: float | None = None,
    namespace: str = "",
    params: Path | None = None,
) -> int:
    """Take the vehicle into your hands while a policy drives, and give it back.

    Your commands go to the safety node, which obeys them before the policy's, within the same
    limits. They are recorded: what you do is what the policy can learn from.

    Args:
        input: keyboard of this terminal, or joystick: the topic joy, from ROS 2's package joy.
        max_speed: the fastest that you can ask for [m/s]; by default the parameter file's.
        max_curvature: the tightest path that you can ask for [1/m]; by default the file's.
        namespace: of the vehicle's nodes and topics.
        params: ROS parameter file in place of config/drive.yaml: reach, buttons and axes.

    Returns:
        0 when you quit.
    """
    parameters = models.share() / "config" / "drive.yaml" if params is None else params
    if not parameters.is_file():
        raise InputError(f"No parameter file {parameters}; give an existing one with --params.")
    # As for all nodes that this program starts: nothing leaves the machine unless it is asked to.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    from liquid_control.ros.teleop_node import main

    arguments = ["teleop", "--ros-args", "--params-file", str(parameters), "-p", f"input:={input}"]
    for name, value in (("max_speed", max_speed), ("max_curvature", max_curvature)):
        if value is not None:
            arguments += ["-p", f"{name}:={float(value)}"]
    if namespace:
        arguments += ["-r", f"__ns:=/{namespace.strip('/')}"]
    return main(arguments)
