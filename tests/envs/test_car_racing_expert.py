"""The expert of CarRacing: its geometry, its speeds, and its laps."""

import gymnasium
import numpy as np
import pytest

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control.envs.car_racing.line import RacingLine, elastic_band, speed_limit
from liquid_control.envs.car_racing.track import Track


def circle(radius=50.0, count=90, clockwise=False):
    angles = np.arange(count) / count * 2 * np.pi * (-1 if clockwise else 1)
    return Track(radius * np.stack([np.cos(angles), np.sin(angles)], 1))


@pytest.fixture(scope="module")
def blind():
    env = gymnasium.make("liquid_control/CarRacing-v0", camera=False).unwrapped
    yield env
    env.close()


def lap(env, seed, **options):
    _, info = env.reset(seed=seed, options=options)
    infos, actions, ended = [info], [], False
    while not ended:
        actions.append(env.expert_action())
        *_, terminated, truncated, info = env.step(actions[-1])
        infos.append(info)
        ended = terminated or truncated
    return infos, np.array(actions)


def test_the_expert_is_slower_at_an_easier_pace(blind):
    speeds = [
        np.mean([info["speed"] for info in lap(blind, 3, pace=pace, seconds=8.0)[0]])
        for pace in (1.0, 0.6)
    ]
    assert 0.5 < speeds[1] / speeds[0] < 0.8


def test_an_episode_ends_where_the_car_is_lost(blind):
    blind.reset(seed=3, options={"lost": 12.0})
    ended = False
    while not ended:
        *_, terminated, ended, info = blind.step(np.array([0.0, 0.5, 0.0], np.float32))
        assert not terminated
    assert 12.0 < abs(info["lateral_error"]) < 15.0
    assert info["time"] < 20.0


@pytest.mark.parametrize("clockwise", [False, True])
def test_a_circle_has_its_curvature_and_sides(clockwise):
    track, sign = circle(clockwise=clockwise), -1 if clockwise else 1
    assert track.length == pytest.approx(2 * np.pi * 50, rel=0.01)
    assert track.curvature == pytest.approx(sign / 50, rel=0.01)
    for angle in (0.0, 0.1, 3.0, 6.2):
        place = track.locate(48 * np.cos(angle), sign * 48 * np.sin(angle))
        assert place.distance == pytest.approx(50 * angle, abs=0.2)
        assert place.offset == pytest.approx(sign * 2, abs=0.05), "inside is left on a left turn"
        heading = sign * (angle + np.pi / 2)
        assert np.cos(place.heading - heading) == pytest.approx(1, abs=1e-4)


def test_a_point_is_first_looked_for_near_where_it_was():
    # Two straights, 4 m apart.
    x = np.arange(0.0, 100.0, 4.0)
    there, back = np.stack([x, 0 * x], 1), np.stack([x[::-1], 0 * x + 4.0], 1)
    track = Track(np.concatenate([there, back]))
    assert track.locate(20.0, 3.0).offset == pytest.approx(1.0)
    assert track.locate(20.0, 3.0, near=20.0).offset == pytest.approx(3.0)


def test_a_band_round_a_square_cuts_its_corners():
    side = np.arange(0.0, 100.0, 5.0)
    zero, full = 0 * side, 0 * side + 100.0
    corners = [(side, zero), (full, side), (100.0 - side, full), (zero, 100.0 - side)]
    square = Track(np.concatenate([np.stack(pair, 1) for pair in corners]))
    offsets = elastic_band(square, 4.0).reshape(4, 20)
    assert np.abs(offsets).max() <= 4.0
    assert offsets == pytest.approx(np.tile(offsets[0], (4, 1)), abs=0.1), "as symmetric as it"
    assert (offsets[:, 0] > 2.5).all(), "inside of the left turn"
    assert (offsets[:, 10] < offsets[:, 0] - 1.0).all()


def test_the_line_of_a_track_is_faster_and_keeps_its_margin(blind):
    for seed in range(3):
        blind.reset(seed=seed)
        racing_line = RacingLine(blind._track)
        centre, line = blind._track, racing_line.line
        assert _seconds(line) < 0.95 * _seconds(centre)
        assert line.length < centre.length
        offsets = [centre.locate(*point).offset for point in line.points]
        assert np.abs(offsets).max() < 4.5
        for distance in (0.0, 0.3 * centre.length, 0.9 * centre.length):
            x, y = (centre.at(distance, centre.points[:, axis]) for axis in (0, 1))
            beside = racing_line.near(distance)
            away = (line.locate(x, y).distance - beside + line.length / 2) % line.length
            assert away - line.length / 2 == pytest.approx(0.0, abs=8.0)


def _seconds(track):
    speeds = speed_limit(track, lateral=200.0, braking=100.0, fastest=100.0)
    return np.sum(np.diff(np.append(track.distance, track.length)) / speeds)


def test_speeds_can_be_braked_for_and_held_in_bends(blind):
    blind.reset(seed=1)
    track = blind._track
    speeds = speed_limit(track, lateral=150.0, braking=80.0, fastest=100.0)
    assert (speeds**2 * np.abs(track.curvature) <= 150.0 * 1.001).all()
    steps = np.diff(np.append(track.distance, track.length))
    slowing = (speeds**2 - np.roll(speeds, -1) ** 2) / (2 * steps)
    assert slowing.max() <= 80.0 * 1.001
    assert slowing.max() > 60, "it brakes late"
    assert (speed_limit(track, 150.0, 1e9, 100.0) >= speeds - 1e-9).all()


@pytest.mark.parametrize("seed", [10000, 10001, 10002])
def test_the_expert_finishes_its_lap_above_900_points(blind, seed):
    infos, actions = lap(blind, seed)
    assert infos[-1]["success"] == 1.0
    assert infos[-1]["tiles"] == 1.0
    assert infos[-1]["score"] > 900
    assert not any(info["off_road"] for info in infos)
    assert infos[-1]["distance"] == pytest.approx(blind._track.length, rel=0.05)
    assert all(blind.action_space.contains(action) for action in actions)
    assert np.abs(np.diff(actions[:, 0])).mean() < 0.03, "steering is calm enough to be imitated"


def test_a_lap_from_elsewhere_is_finished_as_well(blind):
    infos, _ = lap(blind, 7, start=0.6)
    assert infos[-1]["success"] == 1.0
    assert infos[-1]["score"] > 890


def test_the_expert_depends_on_the_state_alone(blind):
    blind.reset(seed=3)
    driven = []
    for _ in range(40):
        driven.append(blind.expert_action())
        assert np.array_equal(blind.expert_action(), driven[-1])
        blind.step(driven[-1])
    asked_often = blind.expert_action()
    blind.reset(seed=3)
    for action in driven:
        blind.step(action)
    assert np.array_equal(blind.expert_action(), asked_often)


@pytest.mark.parametrize(
    ("kick", "frames", "slides"),
    [
        ((0.3, 0.0, 0.0), 10, False),
        ((-0.4, 1.0, 0.0), 40, True),
        ((0.4, 0.0, 1.0), 30, False),
        ((0.4, 1.0, 0.0), 60, True),
    ],
)
def test_the_expert_finds_back_from_the_grass_and_from_spins(blind, kick, frames, slides):
    blind.reset(seed=5)
    wildest, back = 0.0, None
    for step in range(150 + frames + 400):
        kicked = 150 <= step < 150 + frames
        action = np.array(kick, np.float32) if kicked else blind.expert_action()
        info = blind.step(action)[4]
        wildest = max(wildest, abs(info["vy"]))
        on_its_way = info["speed"] > 30 and abs(info["heading_error"]) < 0.4
        if step >= 150 + frames and not info["lane_departure"] and on_its_way:
            back = step
            break
    assert back is not None
    assert (wildest > 15) == slides
    for _ in range(50):
        info = blind.step(blind.expert_action())[4]
    assert abs(info["lateral_error"]) < 6.0
