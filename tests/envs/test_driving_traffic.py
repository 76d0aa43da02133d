"""Other cars of Driving-v1: where they stand and drive, and what touches them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.envs.driving.road import RC_TRACK, RoadStyle, generate
from liquid_control.envs.driving.traffic import KINDS, MAX_CARS, draw, overlap
from liquid_control.errors import InputError

SEEDS = st.integers(0, 2**32 - 1)
STYLES = {
    "open": (RoadStyle(), 0.06),
    "loop": (RoadStyle(shape="loop"), 0.06),
    "one lane": (RoadStyle(lanes=1), 0.06),
    "RC track": (RC_TRACK, 2.3),
}
WIDE = {name: style for name, style in STYLES.items() if style[0].lanes == 2}


def road_of(name, seed=0):
    return generate(np.random.default_rng(seed), *STYLES[name])


def lane_position(traffic, time=0.0):
    """Offsets of the bodies' middles from the centre line, and their yaw against it."""
    places, angles = [], []
    for x, y, yaw in traffic.poses(time)[traffic.active]:
        place = traffic.road.project(x, y)
        places.append(place.offset)
        angles.append(np.angle(np.exp(1j * (yaw - place.heading))))
    return np.array(places), np.array(angles)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(sorted(STYLES)), density=st.floats(0.2, 1))
def test_parked_cars_stand_still_at_the_right_edge_of_the_road_and_leave_the_lane_open(
    seed, name, density
):
    road = road_of(name, seed % 50)
    traffic = draw(np.random.default_rng(seed), road, "parked", density)
    assert 1 <= traffic.active.sum() <= round(density * MAX_CARS)
    assert np.array_equal(traffic.poses(0.0), traffic.poses(100.0))
    offset, angle = lane_position(traffic)
    assert angle == pytest.approx(0, abs=1e-3)
    lane = road.lane_offset + road.style.lane_width * np.array([-0.5, 0.5])
    left_side = offset + traffic.sizes[traffic.active, 1] / 2
    assert np.all(left_side > lane[0] - 1e-3)
    assert np.all(left_side < lane[0] + 0.21 * road.style.lane_width)
    assert left_side - lane[0] == pytest.approx(traffic.intrusion[traffic.active], abs=2e-3)
    curvature = road.at(traffic.distance[traffic.active])[2]
    # On a small track hardly any straight is long enough.
    if road.style.scale == 1:
        assert np.median(np.abs(curvature)) <= 0.3 * road.style.max_curvature
    # Nobody parks inside another car, or where the episode begins.
    s = np.sort(traffic.distance[traffic.active])
    assert np.all(np.diff(s) > 5 * road.style.scale)
    assert s[0] >= 50 * road.style.scale or road.length < 400 * road.style.scale


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(sorted(WIDE)), time=st.floats(0, 300))
def test_oncoming_cars_keep_the_middle_of_their_lane_and_face_the_driver(seed, name, time):
    road = road_of(name)
    traffic = draw(np.random.default_rng(seed), road, "oncoming", 1.0)
    assert traffic.active.all()
    offset, angle = lane_position(traffic, time)
    assert offset == pytest.approx(-road.lane_offset, abs=2e-3 * road.style.lane_width)
    assert np.abs(angle) == pytest.approx(np.pi, abs=1e-2)


def test_oncoming_cars_move_as_fast_as_they_say_and_some_come_to_meet_the_driver():
    road = road_of("open")
    traffic = draw(np.random.default_rng(4), road, "oncoming", 0.5)
    assert traffic.active.sum() == MAX_CARS // 2
    before, after = (traffic.poses(time)[traffic.active, :2] for time in (10.0, 10.1))
    moved = np.linalg.norm(after - before, axis=1)
    # On the outside or the inside of a curve a car covers more or less than along the centre line.
    assert moved == pytest.approx(-traffic.speed[traffic.active] * 0.1, rel=0.1)
    met = set()
    for time in np.arange(0, 60, 0.1):
        x, y = road.at(8.0 + 8.0 * time)[0]
        near = np.linalg.norm(traffic.poses(time)[:, :2] - [x, y], axis=1) < 5.0
        met |= set(np.flatnonzero(near & traffic.active))
    assert len(met) >= 2


def test_both_kinds_share_the_places_and_none_leaves_them_empty():
    road = road_of("loop")
    both = draw(np.random.default_rng(0), road, "both", 1.0)
    assert both.parked.sum() == MAX_CARS // 2
    assert (both.speed < 0).sum() == MAX_CARS // 2
    nobody = draw(np.random.default_rng(0), road, "none", 1.0)
    assert not nobody.active.any()
    assert nobody.poses(3.0).shape == (MAX_CARS, 3)
    assert not draw(np.random.default_rng(0), road, "both", 0.0).active.any()


def test_traffic_is_repeated_to_the_bit_and_takes_the_same_numbers_for_every_kind():
    road = road_of("loop")
    one, other = (draw(np.random.default_rng(9), road, "both", 0.8).poses(12.3) for _ in range(2))
    assert np.array_equal(one, other)
    after = set()
    for kind in KINDS:
        for density in (0.0, 0.4, 1.0):
            rng = np.random.default_rng(9)
            draw(rng, road, kind, density)
            after.add(rng.random())
    assert len(after) == 1


@settings(max_examples=200, deadline=None)
@given(
    x=st.floats(-6, 6), y=st.floats(-6, 6), yaw=st.floats(-7, 7), turned=st.floats(-7, 7),
    size=st.tuples(st.floats(0.5, 5), st.floats(0.5, 5)),
)  # fmt: skip
def test_rectangles_overlap_where_they_have_a_point_in_common(x, y, yaw, turned, size):
    own = np.array([0.3, -0.2, turned]), np.array([4.4, 1.8])
    found = overlap(*own, np.array([[x, y, yaw]]), np.array([size]))[0]

    def inside(points, pose, half):
        delta = points - pose[:2]
        along = delta @ [np.cos(pose[2]), np.sin(pose[2])]
        across = delta @ [-np.sin(pose[2]), np.cos(pose[2])]
        return (np.abs(along) <= half[0]) & (np.abs(across) <= half[1])

    grid = np.stack(np.meshgrid(*2 * [np.linspace(-0.5, 0.5, 60)]), -1).reshape(-1, 2) * size
    turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    points = grid @ turn + [x, y]
    if inside(points, own[0], own[1] / 2).any():
        assert found
    elif found:  # then they touch by less than a step of the grid
        assert inside(points, own[0], own[1] / 2 + max(size) / 59).any()


def test_a_car_hits_what_it_drives_into_and_nothing_else():
    road = road_of("open")
    traffic = draw(np.random.default_rng(1), road, "both", 1.0)
    for time in (0.0, 7.7):
        for x, y, yaw in traffic.poses(time)[traffic.active]:
            assert traffic.hits(x, y, yaw + 0.3, 4.4, 1.8, time)
            beside = x - 1.9 * np.sin(yaw), y + 1.9 * np.cos(yaw)
            assert not traffic.hits(*beside, yaw, 4.4, 1.8, time)
            assert traffic.hits(*beside, yaw + np.pi / 2, 4.4, 1.8, time)
    assert traffic.active.sum() > MAX_CARS // 2
    x, y, yaw = traffic.poses(0.0)[0]
    nobody = draw(np.random.default_rng(1), road, "none")
    assert not nobody.hits(x, y, yaw, 4.4, 1.8, 0.0)
    assert not nobody.hits(*nobody.poses(0.0)[0], 4.4, 1.8, 0.0)


def test_impossible_traffic_is_refused():
    road = road_of("one lane")
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"one of parked, .* got 'parkd'"):
        draw(rng, road, "parkd")
    with pytest.raises(InputError, match=r"from 0 to 1, got 1\.5"):
        draw(rng, road, "parked", 1.5)
    for kind in ("oncoming", "both"):
        with pytest.raises(InputError, match=f"'{kind}' need a road of 2 lanes"):
            draw(rng, road, kind)
