"""What a recorded decision asks of a vehicle, by the parameters that were in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liquid_control.command import curvature_from_wheel_angle, yaw_rate

__all__ = ["motion_asked"]


def motion_asked(
    outputs: Sequence[str], command: np.ndarray, parameters: Mapping[str, Any], share: float = 1.0
) -> tuple[float, float, float, float] | None:
    """Velocity forward, left, up [m/s] and yaw rate [rad/s]; None for robots of another kind.

    Args:
        outputs: of the policy, by name.
        command: its values (outputs,).
        parameters: of the policy node.
        share: of the speed that is driven, along the same path.
    """
    values = {**parameters, **dict(zip(outputs, map(float, command), strict=True))}
    if parameters.get("speed_from") == "fixed":
        values["speed"] = parameters["speed"]
    if {"vx", "yaw_rate"} <= set(outputs):
        return (
            *(values[name] * share if name in outputs else 0.0 for name in ("vx", "vy", "vz")),
            values["yaw_rate"] * share,
        )
    try:
        if "curvature" in outputs:
            curvature = values["curvature"]
        else:
            angle = values["steering"] * values["max_wheel_angle"]
            curvature = curvature_from_wheel_angle(angle, values["wheelbase"])
        speed = values["speed"] * share
        return speed, 0.0, 0.0, yaw_rate(curvature, speed)
    except KeyError:
        return None
