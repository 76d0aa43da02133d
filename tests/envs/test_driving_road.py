"""Roads of Driving-v1: closed to the millimetre, never crossing, as sharp and as long as asked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.envs.driving.curvature import is_clear
from liquid_control.envs.driving.road import RC_TRACK, RoadStyle, generate
from liquid_control.errors import InputError

SEEDS = st.integers(0, 2**32 - 1)
LOOP = RoadStyle(shape="loop")
# Style and what the vehicle can turn [1/m].
KINDS = {
    "open": (RoadStyle(), 0.06),
    "open with one lane": (RoadStyle(lanes=1, length=600.0), 0.06),
    "loop": (LOOP, 0.06),
    "small loop": (RoadStyle(shape="loop", lanes=1, length=250.0), 0.06),
    "long gentle loop": (RoadStyle(shape="loop", length=2000.0, max_curvature=0.02), 0.06),
    "RC track": (RC_TRACK, 2.3),
    "1:10 road": (replace(LOOP, lane_width=0.35, shoulder=0.06, length=120.0, scale=0.1,
                          max_curvature=0.48), 0.6),
    "1:10 open road": (RoadStyle(lanes=1, lane_width=0.5, shoulder=0.1, length=30.0,
                                 max_curvature=1.6, scale=0.1), 2.3),
}  # fmt: skip
CLOSED = {name: kind for name, kind in KINDS.items() if kind[0].shape == "loop"}


def draw(seed, kind):
    return generate(np.random.default_rng(seed), *KINDS[kind])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(sorted(KINDS)))
def test_every_road_is_drivable_as_long_as_asked_and_clear_of_itself(seed, kind):
    style, turn_limit = KINDS[kind]
    road = draw(seed, kind)
    assert road.closed == (style.shape == "loop")
    assert road.length == pytest.approx(style.length, rel=0.15)
    assert np.abs(road.curvature).max() <= style.max_curvature * (1 + 1e-9)
    lane = road.lane_curvature(np.arange(len(road.centre)) * road.spacing)
    assert np.abs(lane).max() <= turn_limit
    # The verge as it is promised to whoever puts trees there.
    assert style.clearance >= 2 * road.half_width
    assert is_clear(road.centre, road.spacing, style.clearance * 0.999, road.closed)
    assert road.centre[0] == pytest.approx([0, 0], abs=1e-9)
    assert road.heading[0] == 0


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_a_road_keeps_20_m_from_itself_by_default(seed):
    for style in (RoadStyle(), LOOP):
        points = generate(np.random.default_rng(seed), style).centre[::8]
        apart = np.abs(np.subtract.outer(np.arange(len(points)), np.arange(len(points)))) * 4.0
        if style.shape == "loop":
            apart = np.minimum(apart, style.length - apart)
        distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
        assert distance[apart > 40].min() >= 2 * style.half_width + 12


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(sorted(KINDS)))
def test_headings_and_points_follow_from_a_curvature_without_steps(seed, kind):
    road = draw(seed, kind)
    curvature, heading, centre = road.curvature, road.heading, road.centre
    if road.closed:
        turn = 2 * np.pi * np.sign(heading[-1])
        curvature, heading = np.append(curvature, curvature[0]), np.append(heading, turn)
        centre = np.vstack([centre, centre[:1]])
    # Steering never jumps: over the shortest clothoid the curvature goes from 0 to its limit.
    steepest = road.style.max_curvature / road.style.ramps[0] * 2
    assert np.abs(np.diff(curvature)).max() <= steepest * road.spacing
    turned = (curvature[1:] + curvature[:-1]) / 2 * road.spacing
    assert np.diff(heading) == pytest.approx(turned, abs=steepest * road.spacing**2 / 4)
    middle = (heading[1:] + heading[:-1]) / 2
    steps = road.spacing * np.stack([np.cos(middle), np.sin(middle)], -1)
    assert np.diff(centre, axis=0) == pytest.approx(steps, abs=3e-3 * road.spacing)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(sorted(CLOSED)))
def test_loops_close_in_position_heading_and_curvature(seed, kind):
    road = draw(seed, kind)
    turn = road.heading[-1] + (road.curvature[-1] + road.curvature[0]) / 2 * road.spacing
    assert abs(turn) == pytest.approx(2 * np.pi, abs=1e-4)
    before, after = road.at(road.length - 1e-6), road.at(1e-6)
    assert before[0] == pytest.approx(after[0], abs=1e-5)
    assert np.cos(before[1] - after[1]) == pytest.approx(1)
    assert before[2] == pytest.approx(after[2], abs=1e-5)
    # A lap later, and a lap earlier, everything is the same.
    s = np.linspace(0, road.length, 50)
    for lap in (-1, 1):
        assert road.line(s + lap * road.length, 1.0) == pytest.approx(road.line(s, 1.0), abs=1e-6)


def test_loops_turn_both_ways_round_hairpins_and_are_never_alike():
    roads = [generate(np.random.default_rng(seed), LOOP) for seed in range(40)]
    assert 8 < sum(road.heading[-1] > 0 for road in roads) < 32
    for road in roads:
        assert (road.curvature > 0.02).any()
        assert (road.curvature < -0.02).any()
    # Within 130 m, the way round a curve of 40 m radius, a hairpin turns by more than 160 degrees.
    step = round(130 / roads[0].spacing)
    turned = [np.abs(road.heading[step:] - road.heading[:-step]).max() for road in roads]
    assert np.mean(np.array(turned) > np.deg2rad(160)) > 0.4
    extents = [tuple(np.ptp(road.centre, axis=0).round(1)) for road in roads]
    assert len(set(extents)) == len(roads)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_open_roads_are_sharp_enough_and_loops_nearly(seed):
    for style, least in ((RoadStyle(), 0.3), (LOOP, 0.2)):
        road = generate(np.random.default_rng(seed), style)
        assert np.mean(np.abs(road.curvature) > 0.03) >= least - 1e-3
        assert np.mean(np.abs(road.curvature) < 0.002) > 0.01  # and somewhere straight


def test_a_road_without_sharp_curves_when_few_are_asked_for():
    sharp = [
        np.mean(np.abs(generate(np.random.default_rng(seed), style).curvature) > 0.03)
        for style in (RoadStyle(sharp_share=0.0), replace(LOOP, sharp_share=0.0))
        for seed in range(10)
    ]
    assert np.mean(sharp) < 0.25


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS,
    kind=st.sampled_from(sorted(KINDS)),
    where=st.floats(0.02, 0.98),
    beside=st.floats(-1, 1),
    wrong=st.floats(-0.5, 0.5),
)
def test_projection_finds_a_point_beside_the_road(seed, kind, where, beside, wrong):
    road = draw(seed, kind)
    s, offset, scale = where * road.length, beside * road.half_width, road.style.scale
    (x, y), (_, heading, curvature) = road.line(s, offset), road.at(s)
    for near in (s + wrong * 20 * scale, None):
        found = road.project(x, y, near)
        assert found.distance == pytest.approx(s, abs=0.1 * scale)
        assert found.offset == pytest.approx(offset, abs=0.01 * scale)
        assert found.heading == pytest.approx(heading, abs=0.01)
        assert found.curvature == pytest.approx(curvature, abs=0.05 * road.style.max_curvature)


@pytest.mark.parametrize("kind", sorted(CLOSED))
def test_projection_goes_on_over_the_seam_of_a_loop(kind):
    road = draw(3, kind)
    scale = road.style.scale
    for s in np.linspace(-2, 2, 21) * scale:
        x, y = road.line(s, road.lane_offset)
        for near in (s, s + road.length, 1.5 * scale, road.length - 1.5 * scale):
            found = road.project(x, y, near)
            assert 0 <= found.distance < road.length
            assert road.ahead(found.distance, s) == pytest.approx(0, abs=0.02 * scale)
            assert found.offset == pytest.approx(road.lane_offset, abs=0.01 * scale)


def test_an_open_road_ends_where_it_ends():
    road = draw(0, "open")
    assert road.at(-5.0)[0] == pytest.approx(road.centre[0])
    assert road.at(road.length + 5.0)[0] == pytest.approx(road.centre[-1])
    assert road.project(*road.centre[-1], near=road.length).distance == pytest.approx(road.length)


def test_offset_lines_lie_left_for_positive_offsets_and_the_lane_on_the_right():
    road = draw(0, "open")
    assert np.all(road.left_edge[:50, 1] > road.lane[:50, 1])
    assert np.all(road.lane[:50, 1] > road.right_edge[:50, 1])
    assert np.allclose(np.linalg.norm(road.lane - road.centre, axis=1), 1.75)
    assert draw(0, "open with one lane").lane_offset == 0
    assert road.line(np.arange(9.0), -1.75) == pytest.approx(road.lane[:18:2])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_same_seed_gives_the_same_road_to_the_bit(kind):
    one, other = draw(7, kind), draw(7, kind)
    assert np.array_equal(one.centre, other.centre)
    assert np.array_equal(one.curvature, other.curvature)
    assert not np.array_equal(one.curvature, draw(8, kind).curvature)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"shape": "lop"}, "one of loop, open, got 'lop'"),
        ({"lanes": 3}, "1 or 2 lanes, got 3"),
        ({"lane_width": 0.0}, "lane_width"),
        ({"length": float("nan")}, "length"),
        ({"scale": -1.0}, "scale"),
        ({"shoulder": -0.1}, "shoulder"),
        ({"sharp_share": 0.7}, "0 to 0.5, got 0.7"),
        ({"lane_width": 30.0}, "61.2 m wide needs curves of at least 34 m radius, got 20.83 m"),
        ({"shape": "loop", "length": 120.0}, "at least 175.07 m, got 120 m"),
        ({"length": 10.0}, "at least 80 m, got 10 m"),
    ],
)
def test_impossible_styles_are_refused_with_numbers(fields, says):
    with pytest.raises(InputError, match=says):
        RoadStyle(**fields)


def test_a_road_tighter_than_the_vehicle_turns_is_refused():
    # A lane 1.75 m to the right of a right-hand curve of 18.2 m radius has one of 16.4 m.
    with pytest.raises(InputError, match=r"lane of up to 0.06086 1/m.*at most 0.05429 1/m"):
        generate(np.random.default_rng(0), RoadStyle(max_curvature=0.055))
    most = RoadStyle(max_curvature=0.05429)
    assert generate(np.random.default_rng(0), most).length == 1200
    assert generate(np.random.default_rng(0), RoadStyle(lanes=1, max_curvature=0.06)).length == 1200


def test_the_shortest_loop_of_a_style_is_found():
    for kind in CLOSED:
        style, turn_limit = KINDS[kind]
        shortest = replace(style, length=style.min_length)
        road = generate(np.random.default_rng(0), shortest, turn_limit)
        assert road.length == pytest.approx(style.min_length)
