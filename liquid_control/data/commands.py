"""Commands of robots, whatever message carries them, as named numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from liquid_control.command import curvature_from_wheel_angle, curvature_from_yaw_rate

__all__ = ["command_values", "default_outputs"]


def command_values(message: Any, wheelbase: float | None = None) -> dict[str, float] | None:
    """All numbers that a command means; None for a message that is no command.

    Twist, TwistStamped and Odometry: vx, vy, vz [m/s], yaw_rate [rad/s], speed (= vx) and curvature
    [1/m]. Messages with `speed` and `steering_angle`, alone or in `drive` (AckermannDrive and
    AckermannDriveStamped): speed [m/s], wheel_angle [rad] and, with a `wheelbase` [m], curvature.
    Messages with `v` and `omega` (Duckietown's Twist2DStamped): speed [m/s], yaw_rate [rad/s] and
    curvature [1/m]. JointState: its positions by name, or its velocities where there are none.
    """
    if hasattr(message, "name") and hasattr(message, "position"):
        values = message.position if len(message.position) else message.velocity
        return dict(zip(message.name, map(float, np.asarray(values)), strict=False))
    drive = getattr(message, "drive", message)
    if hasattr(drive, "steering_angle") and hasattr(drive, "speed"):
        angle = float(drive.steering_angle)
        found = {"speed": float(drive.speed), "wheel_angle": angle}
        if wheelbase is not None:
            found["curvature"] = curvature_from_wheel_angle(angle, wheelbase)
        return found
    if hasattr(message, "v") and hasattr(message, "omega"):
        speed, rate = float(message.v), float(message.omega)
        return {
            "speed": speed,
            "yaw_rate": rate,
            "curvature": curvature_from_yaw_rate(rate, speed),
        }
    twist = getattr(message, "twist", message)
    twist = getattr(twist, "twist", twist)
    if hasattr(twist, "linear") and hasattr(twist, "angular"):
        speed, rate = float(twist.linear.x), float(twist.angular.z)
        return {
            "vx": speed,
            "vy": float(twist.linear.y),
            "vz": float(twist.linear.z),
            "yaw_rate": rate,
            "speed": speed,
            "curvature": curvature_from_yaw_rate(rate, speed),
        }
    return None


def default_outputs(values: dict[str, float]) -> tuple[str, ...]:
    """Which of `command_values` a policy learns by default: of a message that says one thing in
    several ways curvature and speed, else everything."""
    if {"curvature", "speed"} < values.keys() and values.keys() & {"yaw_rate", "wheel_angle"}:
        return ("curvature", "speed")
    return tuple(values)
