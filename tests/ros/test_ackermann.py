"""A car's commands as a speed and a wheel angle, where that message is installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from liquid_control.command import curvature_from_wheel_angle
from liquid_control.ros import ackermann
from liquid_control.ros.safety_node import SafetyNode
from liquid_control.safety import Limits, Setpoint


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


def test_a_wheel_angle_keeps_the_lateral_acceleration_at_a_speed_that_is_still_high():
    car = SimpleNamespace(_limits=Limits(), _wheelbase=2.7, _ackermann_type=AckermannDriveStamped)
    fast = Setpoint(speed=10.0, yaw_rate=0.5, curvature=0.1)
    told = SafetyNode._ackermann_message(car, fast, 0).drive
    curvature = curvature_from_wheel_angle(told.steering_angle, 2.7)
    assert told.speed**2 * curvature == pytest.approx(car._limits.max_lateral_acceleration)
