"""Axes of ROS and of aviation: hand-checked cases, and properties that hold for any vector."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")

from liquid_control.ros.adapters.frames import swap_enu_ned, swap_flu_frd, swap_yaw, swap_yaw_rate
from liquid_control.ros.attitude import turned

numbers = st.floats(-1e3, 1e3)
vectors = st.tuples(numbers, numbers, numbers)
EAST, NORTH, WEST = 0.0, math.pi / 2, math.pi


def test_north_east_and_down_are_what_they_are_called():
    assert swap_enu_ned((0.0, 1.0, 0.0)) == (1.0, 0.0, 0.0)
    assert swap_enu_ned((1.0, 0.0, 0.0)) == (0.0, 1.0, 0.0)
    assert swap_enu_ned((0.0, 0.0, 1.0)) == (0.0, 0.0, -1.0)
    assert swap_flu_frd((1.0, 2.0, 3.0)) == (1.0, -2.0, -3.0)


def test_headings_to_the_four_sides():
    assert swap_yaw(NORTH) == pytest.approx(0.0)
    assert swap_yaw(EAST) == pytest.approx(math.pi / 2)
    assert swap_yaw(WEST) == pytest.approx(-math.pi / 2)
    assert abs(swap_yaw(-NORTH)) == pytest.approx(math.pi)
    assert swap_yaw_rate(0.5) == -0.5


@given(vectors)
def test_there_and_back_gives_the_same_vector(vector):
    assert swap_enu_ned(swap_enu_ned(vector)) == vector
    assert swap_flu_frd(swap_flu_frd(vector)) == vector


@given(st.floats(-10.0, 10.0))
def test_there_and_back_gives_the_same_heading(yaw):
    back = swap_yaw(swap_yaw(yaw))
    assert (math.cos(back), math.sin(back)) == pytest.approx((math.cos(yaw), math.sin(yaw)))
    assert abs(swap_yaw(yaw)) <= math.pi


@given(vectors, vectors)
def test_lengths_angles_and_handedness_are_kept(one, other):
    def dot(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    def cross(a, b):
        return (
            a[1] * b[2] - a[2] * b[1],
            a[2] * b[0] - a[0] * b[2],
            a[0] * b[1] - a[1] * b[0],
        )

    for swap in (swap_enu_ned, swap_flu_frd):
        assert dot(swap(one), swap(other)) == pytest.approx(dot(one, other))
        assert swap(cross(one, other)) == pytest.approx(cross(swap(one), swap(other)))


@given(vectors, st.floats(-math.pi, math.pi))
def test_both_ways_from_the_vehicle_to_ned_agree(velocity, yaw):
    through_enu = swap_enu_ned(turned(velocity, yaw))
    through_frd = turned(swap_flu_frd(velocity), swap_yaw(yaw))
    assert through_enu == pytest.approx(through_frd, abs=1e-9)
