"""A camera counts as frozen by what odometry says, and a change of size is not driven through."""

from __future__ import annotations

import time

import numpy as np
import pytest
from nav_msgs.msg import Odometry

from liquid_control.ros import conversion
from liquid_control.ros.camera_watch import CameraWatch
from liquid_control.ros.frames import Frame
from liquid_control.ros.runtime import SENSOR

pytestmark = pytest.mark.ros

PICTURE = np.random.default_rng(4).integers(40, 216, (78, 200, 3), np.uint8)
ON = {"frozen_frames": True, "black_frames": True}


def frame(pixels: np.ndarray) -> Frame:
    now = time.time_ns()
    return Frame(conversion.image(pixels, now, "camera"), now, pixels, 0.033)


def said(watch: CameraWatch, pixels: np.ndarray) -> str:
    return next(filter(None, (check(frame(pixels)) for check in watch.checks.values())), "")


def odometry(speed: float, way: float) -> Odometry:
    message = Odometry()
    message.pose.pose.position.x, message.twist.twist.linear.x = way, speed
    return message


def test_only_speed_and_pose_together_make_a_repeated_picture_a_frozen_camera(probe):
    watch = CameraWatch(probe, ON)
    out = probe.out(Odometry, "odom", SENSOR)
    number = 0

    def look(speed: float, step: float) -> str:
        """What is said of the same picture again, while odometry goes on by `step` [m]."""
        nonlocal number
        number += 1
        out.publish(odometry(speed, step * number))
        return said(watch, PICTURE)

    # A simulator that waits, a vehicle that stands beside a drifting receiver, no odometry at all.
    for speed, step in ((5.0, 0.0), (0.0, 0.01), (0.0, 0.0)):
        end = time.monotonic() + 0.4
        probe.wait(lambda: look(speed, step) or time.monotonic() > end)  # noqa: B023 (used at once)
        assert look(speed, step) == ""
    probe.wait(lambda: "repeats one picture" in look(5.0, 0.1))
    assert "repeats one picture" in look(0.0, 0.0)
    assert said(watch, PICTURE[::-1].copy()) == ""


def test_another_size_is_taken_after_a_reset_and_black_by_parameter(probe):
    parameters = dict(ON)
    watch = CameraWatch(probe, parameters)
    large = np.repeat(PICTURE, 2, axis=0)
    assert said(watch, PICTURE) == ""
    assert "followed by one of 156 x 200" in said(watch, large)
    assert said(watch, PICTURE) == ""
    watch.forget()
    assert said(watch, large) == ""
    assert "are black" in said(watch, np.zeros_like(large))
    parameters["black_frames"] = False
    assert said(watch, np.zeros_like(large)) == ""
