"""The privileged driver of Driving-v1, in a bicycle model whose steering and drive lag behind."""

from dataclasses import dataclass

import numpy as np
import pytest

from liquid_control.envs.driving.expert import Expert
from liquid_control.envs.driving.road import RC_TRACK, RoadStyle, generate
from liquid_control.envs.driving.traffic import draw

RATE = 30  # [Hz]
SUBSTEPS = 4


@dataclass(frozen=True)
class Vehicle:
    """Half of `preview` passes before a command arrives, half is a first-order lag."""

    expert: Expert
    length: float
    width: float
    preview: float
    acceleration: float = 2.5


CAR = Vehicle(Expert(), 4.4, 1.76, 0.2)
RC = Vehicle(Expert(max_curvature=2.3, half_width=0.095), 0.42, 0.19, 0.14)
KINDS = {
    # style, vehicle, cruise [m/s], other cars
    "open": (RoadStyle(), CAR, 30 / 3.6, "none"),
    "open, fast": (RoadStyle(), CAR, 14.0, "none"),
    "one lane, parked cars": (RoadStyle(lanes=1), CAR, 30 / 3.6, "parked"),
    "loop": (RoadStyle(shape="loop"), CAR, 30 / 3.6, "none"),
    "loop, other cars": (RoadStyle(shape="loop"), CAR, 30 / 3.6, "both"),
    "RC track": (RC_TRACK, RC, 1.0, "none"),
    "RC track, fast": (RC_TRACK, RC, 2.0, "none"),
    "RC track, other cars": (RC_TRACK, RC, 1.0, "both"),
}


def drive(seed, style, vehicle, cruise, cars, seconds=30.0, aside=0.3, turned=0.03, where=None):
    """Drive from up to `aside` [m at scale 1] and `turned` [rad] beside the middle of the lane.

    Args:
        where: share of the road after which it begins; 8 m (scaled) after its begin when None.

    Returns:
        Departure from the lane's middle after each frame [m], whether it hit a car, lateral
        acceleration [m/s^2] from 2 s on, mean speed [m/s].
    """
    rng = np.random.default_rng(seed)
    road = generate(rng, style, vehicle.expert.max_curvature)
    traffic = draw(rng, road, cars, 1.0)
    scale = style.scale
    start = 8.0 * scale if where is None else where * road.length
    x, y = road.line(start, road.lane_offset + rng.uniform(-aside, aside) * scale)
    yaw, speed = float(road.at(start)[1]) + rng.uniform(-turned, turned), cruise
    curvature = float(road.lane_curvature(start))
    step, time, lateral, driven = 1 / RATE / SUBSTEPS, 0.0, 0.0, 0.0
    late = [curvature] * round(vehicle.preview / 2 / step)
    place, hit, errors = road.project(x, y, start), False, []
    for _ in range(round(seconds * RATE)):
        asked, target = vehicle.expert.command(
            road, place, yaw, speed, cruise, vehicle.preview, traffic, time
        )
        for _ in range(SUBSTEPS):
            late.append(asked)
            curvature += (late.pop(0) - curvature) * step / (vehicle.preview / 2)
            most = vehicle.acceleration * step
            speed += np.clip(target - speed, -most, most)
            yaw += speed * curvature * step
            x, y = x + speed * np.cos(yaw) * step, y + speed * np.sin(yaw) * step
            time += step
        place = road.project(x, y, place.distance)
        driven += speed / RATE
        hit = hit or traffic.hits(x, y, yaw, vehicle.length, vehicle.width, time)
        errors.append(abs(place.offset - road.lane_offset))
        if time > 2:
            lateral = max(lateral, speed**2 * abs(curvature))
        if not road.closed and place.distance > road.length - 5 * scale:
            break
    return np.array(errors), hit, lateral, driven / time


def stays_in_its_lane(kind, seed, seconds=30.0):
    style, vehicle, cruise, cars = KINDS[kind]
    errors, hit, lateral, mean_speed = drive(seed, *KINDS[kind], seconds=seconds)
    assert not hit
    worst = errors[2 * RATE :].max()
    assert worst + vehicle.width / 2 < style.lane_width / 2
    if cars == "none":
        assert worst < 0.16 * style.scale or worst < 0.16 * style.lane_width
    assert lateral < 1.15 * vehicle.expert.lateral_acceleration
    assert mean_speed > 0.7 * cruise


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_expert_stays_in_its_lane_and_hits_nobody(kind, seed):
    stays_in_its_lane(kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_expert_stays_in_its_lane_on_many_roads(kind):
    for seed in range(2, 14):
        stays_in_its_lane(kind, seed, seconds=60.0)


@pytest.mark.parametrize("kind", ["open", "loop", "RC track", "RC track, fast"])
def test_it_comes_back_from_beside_the_lane_in_curves_too(kind):
    style = KINDS[kind][0]
    for seed in range(4):
        errors = drive(
            seed, *KINDS[kind], seconds=6.0, aside=1.2, turned=0.15, where=0.1 + 0.2 * seed
        )[0]
        # A sharp curve leaves little steering to spare, so that it first gets further away.
        assert errors.max() < style.half_width
        assert errors[5 * RATE :].max() < 0.1 * style.lane_width


def test_it_slows_down_before_a_curve_not_in_it():
    road = generate(np.random.default_rng(0), RoadStyle())
    expert, cruise = Expert(), 14.0
    s = np.arange(8.0, 400.0, 2.0)
    speeds = []
    for distance in s:
        x, y = road.line(distance, road.lane_offset)
        place = road.project(x, y, distance)
        yaw = float(road.at(distance)[1])
        speeds.append(expert.command(road, place, yaw, cruise, cruise, 0.2)[1])
    speeds = np.array(speeds)
    assert np.all(speeds**2 * np.abs(road.lane_curvature(s)) <= expert.lateral_acceleration * 1.01)
    # Over 10 m it never has to slow down harder than it may; it looks at places a metre apart.
    assert np.all((speeds**2)[5:] - (speeds**2)[:-5] >= -2 * expert.deceleration * (10 + 1.1))
    assert speeds.max() <= cruise
    assert speeds.min() < 10.0


def test_it_steers_back_from_both_sides_and_never_beyond_the_vehicle():
    road = generate(np.random.default_rng(0), RoadStyle())
    expert = Expert()

    def curvature(offset, turned):
        x, y = road.line(10.0, road.lane_offset + offset)
        return expert.command(road, road.project(x, y, 10.0), turned, 8.0, 8.0, 0.2)[0]

    assert curvature(0.0, 0.0) == pytest.approx(0, abs=1e-3)
    assert curvature(0.5, 0.0) < -0.005 < 0.005 < curvature(-0.5, 0.0)
    assert curvature(0.0, 0.1) < -0.005 < 0.005 < curvature(0.0, -0.1)
    assert curvature(3.0, 1.0) == -expert.max_curvature
    assert curvature(-3.0, -1.0 - 2 * np.pi) == expert.max_curvature


def test_it_makes_room_for_a_parked_car_and_only_there():
    road = generate(np.random.default_rng(3), RoadStyle(lanes=1))
    traffic = draw(np.random.default_rng(4), road, "parked", 0.5)
    widest = int(np.argmax(traffic.intrusion))
    assert traffic.intrusion[widest] > 0.5
    expert = Expert()
    beside, before = traffic.distance[widest], traffic.distance[widest] - 40.0

    def steer(distance, cars):
        x, y = road.line(distance, road.lane_offset)
        place, yaw = road.project(x, y, distance), float(road.at(distance)[1])
        return expert.command(road, place, yaw, 8.0, 8.0, 0.2, cars)[0]

    assert steer(beside, traffic) > steer(beside, None) + 1e-3
    assert steer(before, traffic) == steer(before, None)


def test_it_passes_slowly_where_the_lane_is_narrow():
    road = generate(np.random.default_rng(3), RoadStyle(lane_width=2.6))
    traffic = draw(np.random.default_rng(4), road, "parked", 0.5)
    closest = int(np.argmax(traffic.intrusion))
    beside = float(traffic.distance[closest])

    def speed(distance, half_width):
        x, y = road.line(distance, road.lane_offset)
        place, yaw = road.project(x, y, distance), float(road.at(distance)[1])
        return Expert(half_width=half_width).command(road, place, yaw, 8.0, 8.0, 0.2, traffic)[1]

    assert speed(beside, 0.95) < speed(beside - 10, 0.95) < speed(beside - 40, 0.95)
    assert speed(beside, 0.95) < 7.0
    assert speed(beside, 0.6) == pytest.approx(8.0)
    assert speed(beside + 10, 0.95) == pytest.approx(8.0)


def test_at_rest_the_command_is_finite():
    road = generate(np.random.default_rng(0), RoadStyle())
    place = road.project(30.0, -1.0, 30.0)
    assert np.all(np.isfinite(Expert().command(road, place, 0.1, 0.0, 8.0, 0.2)))
    assert Expert().command(road, place, 0.1, 0.0, 0.0, 0.2)[1] == 0.0
