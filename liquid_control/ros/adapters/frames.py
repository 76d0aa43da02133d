"""Between the axes of ROS (REP-103) and those of aviation.

World: ENU (x east, y north, z up) and NED (x north, y east, z down). Vehicle: FLU (forward, left,
up) and FRD (forward, right, down). Yaw is 0 to the east and positive to the left in ENU, 0 to the
north and positive to the right in NED. Each function is its own inverse.
"""

from __future__ import annotations

import math

from liquid_control.ros.attitude import Vector

__all__ = ["swap_enu_ned", "swap_flu_frd", "swap_yaw", "swap_yaw_rate"]


def swap_enu_ned(vector: Vector) -> Vector:
    """A vector of the world, ENU to NED or back."""
    x, y, z = vector
    return y, x, -z


def swap_flu_frd(vector: Vector) -> Vector:
    """A vector of the vehicle, FLU to FRD or back."""
    x, y, z = vector
    return x, -y, -z


def swap_yaw(yaw: float) -> float:
    """A heading [rad], ENU to NED or back, in [-pi, pi]."""
    return math.remainder(math.pi / 2 - yaw, 2 * math.pi)


def swap_yaw_rate(rate: float) -> float:
    """A turn about the upward axis [rad/s] as one about the downward axis, or back."""
    return -rate
