"""PX4 over uXRCE-DDS: `TrajectorySetpoint` and the `OffboardControlMode` that must stream with it.

World axes are NED, stamps are microseconds, and NaN says that something is not controlled.
https://docs.px4.io/main/en/flight_modes/offboard.html
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from liquid_control.errors import InputError
from liquid_control.ros.adapters.frames import swap_enu_ned, swap_yaw, swap_yaw_rate
from liquid_control.ros.adapters.setpoint import Pose, SetPoint
from liquid_control.ros.attitude import heading, turned
from liquid_control.ros.runtime import COMMAND, NEWEST

__all__ = ["Px4", "control_mode", "pose_of", "trajectory_setpoint"]

_FREE = [math.nan] * 3


def trajectory_setpoint(kind: type, asked: SetPoint, yaw: float, stamp_ns: int) -> Any:
    """A message of `kind` for a vehicle with the heading `yaw` [rad, 0 to the east].

    Velocity and yaw rate are controlled; position, acceleration, jerk and yaw are left free.
    """
    message = kind()
    message.timestamp = stamp_ns // 1000
    message.position, message.acceleration, message.jerk = _FREE[:], _FREE[:], _FREE[:]
    message.velocity = list(swap_enu_ned(turned(asked.velocity, yaw)))
    message.yaw = math.nan
    message.yawspeed = swap_yaw_rate(asked.yaw_rate)
    return message


def control_mode(kind: type, stamp_ns: int) -> Any:
    """A message of `kind` that says that velocities are sent, and nothing else."""
    message = kind()
    message.timestamp = stamp_ns // 1000
    message.position = message.acceleration = message.attitude = message.body_rate = False
    message.velocity = True
    return message


def pose_of(message: Any) -> Pose:
    """Heading and height of a `VehicleOdometry`, whose q (w, x, y, z) turns FRD into NED."""
    w, x, y, z = map(float, message.q)
    return Pose(swap_yaw(heading((x, y, z, w))), -float(message.position[2]))


class Px4:
    """Publishes `fmu/in/trajectory_setpoint` and `fmu/in/offboard_control_mode`.

    Args:
        heard: is given the pose of every `fmu/out/vehicle_odometry`.

    Raises:
        InputError: px4_msgs is not installed.
    """

    def __init__(self, node: Node, heard: Callable[[Pose], None]) -> None:
        if not importlib.util.find_spec("px4_msgs"):
            raise InputError(
                "Set-points for PX4 need the ROS package px4_msgs, which is not installed; build "
                "it in your workspace (github.com/PX4/px4_msgs), or use target:=mavros."
            )
        from px4_msgs.msg import OffboardControlMode, TrajectorySetpoint, VehicleOdometry

        self._kinds = OffboardControlMode, TrajectorySetpoint
        self._mode_out = node.create_publisher(
            OffboardControlMode, "fmu/in/offboard_control_mode", COMMAND
        )
        self._out = node.create_publisher(TrajectorySetpoint, "fmu/in/trajectory_setpoint", COMMAND)
        node.create_subscription(
            VehicleOdometry, "fmu/out/vehicle_odometry", lambda told: heard(pose_of(told)), NEWEST
        )

    def send(self, asked: SetPoint, pose: Pose, elapsed: float, stamp_ns: int) -> str:
        mode, trajectory = self._kinds
        still = asked.velocity == (0.0, 0.0, 0.0)
        yaw = 0.0 if still else pose.yaw
        self._mode_out.publish(control_mode(mode, stamp_ns))
        self._out.publish(trajectory_setpoint(trajectory, asked, yaw, stamp_ns))
        return ""
