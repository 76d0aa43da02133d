"""A car's commands as a speed and a wheel angle, where that message is installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from liquid_control.ros import ackermann


@dataclass
class AckermannDriveStamped:
    """A stand-in with the fields that are filled."""

    header: Any = None
    drive: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(speed=0.0, steering_angle=0.0)
    )


def test_a_message_carries_speed_wheel_angle_and_stamp():
    message = ackermann.fill(AckermannDriveStamped, 3.0, -0.2, 1_500_000_000)
    assert (message.drive.speed, message.drive.steering_angle) == (3.0, -0.2)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1, 500_000_000)
    assert message.header.frame_id == "base_link"
