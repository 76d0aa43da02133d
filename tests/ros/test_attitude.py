"""Attitudes and velocities between base_link, the yaw-aligned frame and the world."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")

from liquid_control.ros.attitude import heading, in_body, level, quaternion, turned

angles = st.floats(-3.1, 3.1)
tilts = st.floats(-1.5, 1.5)
speeds = st.floats(-50.0, 50.0)
velocities = st.tuples(speeds, speeds, speeds)


def matrix(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rz(yaw) Ry(pitch) Rx(roll), written out."""
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(a), math.cos(a)) for a in (roll, pitch, yaw))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def test_forward_is_west_for_a_nose_that_points_north_and_turns_left():
    north = quaternion(0.0, 0.0, math.pi / 2)
    assert heading(north) == pytest.approx(math.pi / 2)
    assert turned((2.0, 0.0, 0.5), math.pi / 2) == pytest.approx((0.0, 2.0, 0.5))
    assert turned((0.0, 1.0, 0.0), math.pi / 2) == pytest.approx((-1.0, 0.0, 0.0))


def test_a_drone_that_climbs_with_its_nose_down_moves_along_its_tilted_axes():
    attitude = quaternion(0.0, 0.5, 2.0)
    forward, left, up = in_body((0.0, 0.0, 1.0), attitude)
    # With the nose down, what is up lies behind the drone's head.
    assert (forward, left, up) == pytest.approx((-math.sin(0.5), 0.0, math.cos(0.5)))


@given(tilts, tilts, angles, velocities)
def test_a_levelled_velocity_is_the_worlds_turned_back_by_the_heading(roll, pitch, yaw, velocity):
    attitude = quaternion(roll, pitch, yaw)
    expected = matrix(roll, pitch, 0.0) @ velocity
    assert level(velocity, attitude) == pytest.approx(tuple(expected), abs=1e-9)
    assert turned(tuple(expected), yaw) == pytest.approx(
        tuple(matrix(roll, pitch, yaw) @ velocity), abs=1e-9
    )


@given(tilts, tilts, angles, velocities, st.floats(0.1, 10.0))
def test_there_and_back_is_the_same_whatever_the_length_of_the_quaternion(
    roll, pitch, yaw, velocity, length
):
    attitude = tuple(length * value for value in quaternion(roll, pitch, yaw))
    assert heading(attitude) == pytest.approx(yaw, abs=1e-9)
    assert level(in_body(velocity, attitude), attitude) == pytest.approx(velocity, abs=1e-9)


@pytest.mark.parametrize("wrong", [(0.0,) * 4, (math.nan, 0.0, 0.0, 1.0), (0.0, math.inf, 0.0, 1)])
def test_what_is_no_attitude_has_no_heading(wrong):
    assert math.isnan(heading(wrong))
