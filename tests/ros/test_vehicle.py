"""What a policy's outputs mean for a vehicle."""

from __future__ import annotations

import numpy as np
import pytest

from liquid_control.command import (
    CURVATURE,
    SPEED,
    STEERING,
    THROTTLE,
    VX,
    VY,
    VZ,
    YAW_RATE,
    CommandSpec,
    Output,
)
from liquid_control.errors import InputError
from liquid_control.ros.vehicle import Vehicle

VEHICLE = Vehicle(speed=5.0, wheelbase=2.0, max_wheel_angle=0.4)


def test_curvature_is_driven_at_the_vehicles_own_speed():
    motion = VEHICLE.motion(CommandSpec((CURVATURE,)), np.array([0.02], np.float32))
    assert (motion.speed, motion.curvature) == (5.0, pytest.approx(0.02))
    assert motion.yaw_rate == pytest.approx(0.1)


def test_a_speed_of_the_policy_is_obeyed():
    motion = VEHICLE.motion(CommandSpec((SPEED, CURVATURE)), np.array([7.0, -0.02], np.float32))
    assert motion.speed == 7.0
    assert motion.yaw_rate == pytest.approx(-0.14)


@pytest.mark.parametrize("steering", [-1.0, -0.3, 0.0, 1.0])
def test_steering_turns_the_wheels_by_its_share_of_full_lock(steering):
    spec = CommandSpec((STEERING, THROTTLE))
    motion = VEHICLE.motion(spec, np.array([steering, 0.5], np.float32))
    assert VEHICLE.wheel_angle(motion) == pytest.approx(0.4 * steering)
    assert np.sign(motion.yaw_rate) == np.sign(steering)


def test_a_policy_that_steers_nothing_is_refused():
    with pytest.raises(InputError, match="curvature"):
        VEHICLE.check(CommandSpec((Output("yaw_rate", "rad/s", -1.0, 1.0),)))


def test_a_policy_that_flies_asks_for_a_velocity_and_a_turn():
    spec = CommandSpec((YAW_RATE, VZ, VX, VY))
    VEHICLE.check(spec)
    flight = VEHICLE.motion(spec, np.array([0.5, -1.0, 2.0, 0.25], np.float32))
    assert flight.velocity == (2.0, 0.25, -1.0)
    assert flight.yaw_rate == 0.5


def test_a_policy_for_a_robot_on_the_ground_asks_for_nothing_sideways_or_up():
    flight = VEHICLE.motion(CommandSpec((VX, YAW_RATE)), np.array([1.0, -0.5], np.float32))
    assert (flight.velocity, flight.yaw_rate) == ((1.0, 0.0, 0.0), -0.5)
