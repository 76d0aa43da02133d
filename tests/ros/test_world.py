"""A world in a robot's terms: velocities become its action, its pose an odometry."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from liquid_control.errors import InputError
from liquid_control.ros.attitude import level
from liquid_control.ros.world import World


@pytest.fixture(scope="module")
def drone() -> World:
    return World("liquid_control/Drone-v0", ["camera=false", "task=hike", "season=winter"])


@pytest.fixture(scope="module")
def car() -> World:
    return World("liquid_control/Driving-v1", ["camera=false"])


def test_a_car_gets_the_path_of_a_velocity_and_a_drone_the_velocity(car, drone):
    assert car.action((8.0, 0.0, 0.0), 0.16) == pytest.approx([0.02, 8.0])
    assert car.action((0.0, 0.0, 0.0), 0.5) == pytest.approx([0.0, 0.0])
    assert drone.action((1.0, -0.5, 0.25), 0.75) == pytest.approx([1.0, -0.5, 0.25, 0.75])


def test_a_flight_tells_place_attitude_and_velocity(drone):
    moment = drone.reset(3)
    for _ in range(20):
        moment = drone.step(drone.action((2.0, 1.0, 0.5), 0.5))
    info = moment.info
    assert moment.place == (info["x"], info["y"], info["z"])
    assert abs(info["pitch"]) > 0.02
    expected = info["vx"], info["vy"], info["vz"]
    assert level(moment.velocity, moment.attitude) == pytest.approx(expected)
    assert not moment.ended
    assert not moment.crashed


def test_a_drive_tells_its_speed_along_the_car(car):
    car.reset(3)
    moment = car.step(car.action((8.0, 0.0, 0.0), 0.0))
    assert moment.velocity == (moment.info["speed"], 0.0, 0.0)
    assert car.target is None
    assert car.line("lane").shape[1] == 2


def test_a_flight_into_the_ground_is_a_crash_and_no_success(drone):
    moment = drone.reset(3)
    while not moment.ended:
        moment = drone.step(drone.action((0.0, 0.0, -2.0), 0.0))
    assert moment.crashed
    assert not moment.success


def test_the_camera_and_the_target_are_those_of_the_world(drone):
    drone.reset(5)
    assert (drone.intrinsics["width"], drone.intrinsics["height"]) == (256, 144)
    assert not drone.road
    before = drone.target
    assert np.isfinite(before).all()
    drone.reset(6)
    assert drone.target != before


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("liquid_control/Nowhere-v0", [], "Nowhere-v0"),
        ("CartPole-v1", [], "CartPole-v1"),
        ("liquid_control/Driving-v1", ["actions=steering", "camera=false"], "throttle"),
        ("liquid_control/Drone-v0", ["season"], "NAME=VALUE"),
        ("liquid_control/Drone-v0", ["season=april"], "april"),
        ("liquid_control/Driving-v0", ["season=winter"], "season"),
    ],
)
def test_a_world_that_cannot_be_had_is_refused_in_one_sentence(name, options, word):
    with pytest.raises(InputError, match=word) as refused:
        World(name, options)
    assert "\n" not in str(refused.value)
