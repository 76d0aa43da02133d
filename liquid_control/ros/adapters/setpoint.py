"""What every adapter is given."""

from __future__ import annotations

import math
from dataclasses import dataclass

from liquid_control.ros.attitude import Vector

__all__ = ["Pose", "SetPoint"]


@dataclass(frozen=True)
class SetPoint:
    """Velocity forward, left, up [m/s] in the yaw-aligned frame and yaw rate [rad/s, left]."""

    velocity: Vector = (0.0, 0.0, 0.0)
    yaw_rate: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Heading [rad, 0 to the east, left positive] and height [m], as last heard; NaN before."""

    yaw: float = math.nan
    height: float = math.nan
