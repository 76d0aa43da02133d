"""`AckermannDriveStamped`, where ackermann_msgs is installed (PyPI has no wheel of it)."""

from __future__ import annotations

import importlib.util
from typing import Any

from liquid_control.ros import conversion

__all__ = ["fill", "message_type"]


def message_type() -> type | None:
    """The class of the message; None where it is not installed."""
    if not importlib.util.find_spec("ackermann_msgs"):
        return None
    from ackermann_msgs.msg import AckermannDriveStamped

    return AckermannDriveStamped


def fill(kind: type, speed: float, angle: float, stamp_ns: int) -> Any:
    """A message of `kind`: `speed` [m/s] and virtual front wheel `angle` [rad, left positive]."""
    message = kind(header=conversion.header(stamp_ns, "base_link"))
    message.drive.speed, message.drive.steering_angle = float(speed), float(angle)
    return message
