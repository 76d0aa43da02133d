"""Crazyflie with Crazyswarm2: `cmd_hover`, level velocities and a height instead of a climb rate.

A hover set-point makes a Crazyflie on the ground take off. So nothing is sent until its pose says
that it flies, and nothing more once it has landed.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any

from rclpy.node import Node

from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.adapters.setpoint import Pose, SetPoint
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import COMMAND

__all__ = ["Crazyflie", "heights", "hover", "next_height"]

# A height that is asked for runs ahead of the measured one by no more [m].
LEAD = 0.3
# Share of the lowest height to hold below which it stands on the ground.
GROUNDED = 0.5


def hover(kind: type, asked: SetPoint, height: float, stamp_ns: int) -> Any:
    """A message of `kind` (crazyflie_interfaces/Hover); its yaw rate is in rad/s, left positive."""
    message = kind(header=conversion.header(stamp_ns, "base_link"))
    message.vx, message.vy = map(float, asked.velocity[:2])
    message.yaw_rate, message.z_distance = float(asked.yaw_rate), float(height)
    return message


def next_height(
    height: float | None, climb: float, elapsed: float, measured: float, low: float, high: float
) -> float | None:
    """The height [m] to hold after `elapsed` [s] of climbing at `climb` [m/s]; None: say nothing.

    Args:
        height: held until now [m]; None while nothing was said.
        measured: by the pose [m]; NaN where it is not known now.
        low, high: what may be held [m].
    """
    if math.isnan(measured):
        # What was held is still the best that is known.
        return height
    if measured < GROUNDED * low:
        return None
    wanted = (measured if height is None else height) + climb * elapsed
    wanted = min(max(wanted, measured - LEAD), measured + LEAD)
    return min(max(wanted, low), high)


def heights(node: Node) -> tuple[float, float]:
    """The lowest and the greatest height to hold [m], as parameters of the node.

    Raises:
        InputError: they are the wrong way round.
    """
    low = declare(node, "min_height", 0.3, "lowest height to hold, Crazyflie only [m]", 0.05, 50.0)
    high = declare(
        node, "max_height", 1.5, "greatest height to hold, Crazyflie only [m]", 0.1, 50.0
    )
    if not low < high:
        raise InputError(
            f"Parameter min_height must be less than max_height, got {low} and {high} m."
        )
    return low, high


class Crazyflie:
    """Publishes `cmd_hover`, with heights from `low` to `high` [m].

    Raises:
        InputError: crazyflie_interfaces is not installed.
    """

    def __init__(self, node: Node, low: float, high: float) -> None:
        self._low, self._high = low, high
        if not importlib.util.find_spec("crazyflie_interfaces"):
            raise InputError(
                "Set-points for a Crazyflie need the ROS package crazyflie_interfaces, which is "
                "not installed; it comes with Crazyswarm2 (github.com/IMRCLab/crazyswarm2)."
            )
        from crazyflie_interfaces.msg import Hover

        self._kind = Hover
        self._publisher = node.create_publisher(Hover, "cmd_hover", COMMAND)
        self._height: float | None = None

    def send(self, asked: SetPoint, pose: Pose, elapsed: float, stamp_ns: int) -> str:
        self._height = next_height(
            self._height, asked.velocity[2], elapsed, pose.height, self._low, self._high
        )
        if self._height is None:
            return "it does not fly yet: take off first"
        self._publisher.publish(hover(self._kind, asked, self._height, stamp_ns))
        return ""
