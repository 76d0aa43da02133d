"""Driving-v1 as its users meet it: through Gymnasium."""

import ctypes
import functools
import gc
import itertools
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control.envs.driving.options import Options
from liquid_control.envs.scene.light import DAYTIMES, WEATHERS
from liquid_control.envs.scene.season import SEASONS
from liquid_control.envs.scene.window import Window

WORLD = "liquid_control/Driving-v1"


@pytest.fixture(scope="module")
def world():
    env = gymnasium.make(WORLD).unwrapped
    yield env
    env.close()


@pytest.fixture(scope="module")
def blind():
    """Physics alone."""
    env = gymnasium.make(WORLD, camera=False).unwrapped
    yield env
    env.close()


def drive(env, seed, steps, pilot=None, **options):
    """Frames, rewards and infos of `steps` steps by the expert, or by `pilot(env)`."""
    frame, info = env.reset(seed=seed, options=options)
    frames, rewards, infos = [frame], [], [info]
    for _ in range(steps):
        action = pilot(env) if pilot else env.expert_action()
        frame, reward, terminated, truncated, info = env.step(action)
        frames.append(frame)
        rewards.append(reward)
        infos.append(info)
        if terminated or truncated:
            break
    return np.array(frames), np.array(rewards), infos


@pytest.mark.filterwarnings("ignore:.*For Box action spaces, we recommend.*")
def test_gymnasium_and_stable_baselines_find_nothing_to_complain_about(world):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    check_env(world, skip_render_check=True)
    checker.check_env(world, warn=False)


def test_a_seed_repeats_to_the_bit_whatever_was_driven_before(world):
    asked = {"randomise": 1.0, "obstacles": "both", "hills": 0.8}
    frames, rewards, infos = drive(world, 11, 20, **asked)
    drive(world, 12, 15, season="winter", daytime="night", hills=0.0)
    again = drive(world, 11, 20, **asked)
    assert np.array_equal(frames, again[0])
    assert np.array_equal(rewards, again[1])
    assert infos == again[2]
    other = drive(world, 13, 1, **asked)
    assert not np.array_equal(frames[0], other[0][0])


@pytest.mark.parametrize(
    "kind", ["gymnasium", pytest.param("stable_baselines3", marks=pytest.mark.slow)]
)
def test_other_processes_give_the_same_frames_and_rewards(world, kind):
    seeds, steps = (21, 22), 6
    alone = [
        drive(world, seed, steps, lambda _: np.array([0.01, 8.0], np.float32)) for seed in seeds
    ]
    actions = np.array([[0.01, 8.0]] * len(seeds), np.float32)
    # With its module, because the other processes know no world yet.
    make = functools.partial(gymnasium.make, f"liquid_control.envs:{WORLD}")
    if kind == "gymnasium":
        many = gymnasium.vector.AsyncVectorEnv(
            [make] * len(seeds), context="spawn", shared_memory=False
        )
        frames = [many.reset(seed=list(seeds))[0]]
        rewards = []
        for _ in range(steps):
            frame, reward, *_ = many.step(actions)
            frames.append(frame)
            rewards.append(reward)
    else:
        vec = pytest.importorskip("stable_baselines3.common.vec_env")
        many = vec.SubprocVecEnv([make] * len(seeds), start_method="spawn")
        # stable-baselines3 seeds the workers with seed, seed + 1, and so on.
        many.seed(seeds[0])
        frames, rewards = [many.reset()], []
        for _ in range(steps):
            frame, reward, *_ = many.step(actions)
            frames.append(frame)
            rewards.append(reward)
    many.close()
    for index, (expected, gains, _) in enumerate(alone):
        assert np.array_equal(np.array(frames)[:, index], expected)
        # stable-baselines3 hands rewards on in float32.
        precision = np.float32 if kind == "stable_baselines3" else np.float64
        assert np.array_equal(
            np.array(rewards)[:, index].astype(precision), gains.astype(precision)
        )


def test_every_season_weather_and_time_of_day_looks_different(world):
    looks = {}
    for season, weather, daytime in itertools.product(SEASONS, WEATHERS, DAYTIMES):
        if daytime == "day" or (season in ("summer", "winter") and weather in ("clear", "fog")):
            asked = {"season": season, "weather": weather, "daytime": daytime, "hills": 0.0}
            looks[season, weather, daytime] = world.reset(seed=3, options=asked)[0].astype(int)
    # Snow falls in winter alone; asked for at another time, the sky is overcast.
    for season in SEASONS[:3]:
        snow = looks.pop((season, "snow", "day"))
        assert np.array_equal(snow, looks[season, "overcast", "day"])
    names = list(looks)
    for index, name in enumerate(names):
        for other in names[:index]:
            # By night and in fog little is seen, but never the same.
            least = 1.0 if name[2] == other[2] == "day" else 0.05
            assert np.abs(looks[name] - looks[other]).mean() > least, (name, other)
    brightness = {
        daytime: np.mean([looks[n].mean() for n in names if n[2] == daytime])
        for daytime in DAYTIMES
    }
    assert brightness["day"] > brightness["dusk"] > 1.5 * brightness["night"]
    green = looks["summer", "clear", "day"][40:].mean((0, 1))
    white = looks["winter", "clear", "day"][40:].mean((0, 1))
    assert white[2] > green[2] + 15


@pytest.mark.parametrize("daytime", ["day", "night"])
def test_the_darkest_and_foggiest_settings_leave_fifteen_metres_of_road(world, daytime):
    asked = {"visibility": 15, "weather": "fog", "daytime": daytime, "hills": 0.0}
    frame, _ = world.reset(seed=5, options=asked | {"markings": "solid", "camera_pitch": 9.0})
    camera = world.intrinsics()
    rows = np.arange(frame.shape[0]) + 0.5
    down = np.deg2rad(9.0) + np.arctan((rows - camera["cy"]) / camera["fy"])
    with np.errstate(divide="ignore"):
        distance = np.where(down > 0, 1.35 / np.tan(np.maximum(down, 1e-6)), np.inf)

    def spread(part):
        return np.ptp(part.astype(int), axis=1).max(-1)

    # In the middle, where no tree stands near, there is nothing beyond.
    assert spread(frame[:, 75:125])[(distance > 16.0) & (distance < 200.0)].max() <= 4
    assert spread(frame)[(distance > 4.0) & (distance < 9.0)].min() > 15


def test_the_seed_decides_what_is_left_open_and_nothing_else():
    rng = np.random.default_rng
    drawn = [Options().decided(rng(seed)) for seed in range(200)]
    for name in ("season", "daytime", "weather", "markings", "shape", "lanes"):
        assert len({getattr(options, name) for options in drawn}) > 1, name
    assert all(o.season == "winter" for o in drawn if o.weather == "snow")
    fixed = Options(season="autumn", lanes=1, hills=0.3)
    for seed, options in enumerate(drawn):
        mine = fixed.decided(rng(seed))
        assert (mine.season, mine.lanes, mine.hills) == ("autumn", 1, 0.3)
        # A choice of one thing does not change what is drawn for another.
        assert (mine.daytime, mine.markings, mine.shape) == (
            options.daytime,
            options.markings,
            options.shape,
        )


def test_physics_does_not_depend_on_the_camera_or_the_look(world, blind):
    pilot = lambda _: np.array([0.02, 9.0], np.float32)  # noqa: E731
    asked = {"shape": "open", "lanes": 2, "lane_width": 3.5, "hills": 0.5, "randomise": 0.5}
    seen = drive(world, 9, 30, pilot, **asked, season="winter", weather="rain")
    unseen = drive(blind, 9, 30, pilot, **asked, season="summer", weather="clear")
    assert seen[2] == unseen[2]


def test_the_expert_keeps_its_lane_over_hills_with_a_car_that_answers_late(blind):
    _, rewards, infos = drive(blind, 4, 900, hills=1.0, randomise=1.0, shape="loop", lanes=2)
    assert len(rewards) == 900
    assert max(abs(info["lateral_error"]) for info in infos) < 0.9
    assert np.ptp([info["z"] for info in infos]) > 2.0
    assert np.ptp([info["pitch"] for info in infos]) > 0.03
    assert infos[-1]["distance"] == pytest.approx(sum(i["speed"] for i in infos) / 30, rel=0.05)
    assert infos[-1]["success"] == 0.0


def test_an_episode_succeeds_at_its_end_and_fails_off_the_road():
    env = gymnasium.make(WORLD, camera=False, seconds=2.0).unwrapped
    *_, infos = drive(env, 1, 100)
    assert len(infos) == 61
    assert (infos[-1]["success"], infos[-1]["crashed"]) == (1.0, 0.0)
    _, rewards, infos = drive(env, 1, 60, lambda _: np.array([0.06, 12.0], np.float32), lanes=1)
    assert infos[-1]["off_road"] == infos[-1]["crashed"] == 1.0
    assert infos[-1]["success"] == 0.0
    assert infos[-1]["lateral_error"] > 0  # Positive curvature turns left.
    assert rewards[-1] < -8


def test_a_car_that_drives_into_the_oncoming_traffic_crashes(blind):
    def wrong_lane(env):
        curvature, speed = env.expert_action()
        info = env._info(False)
        target = env.road.style.lane_width
        error = info["lateral_error"] - target
        return np.array([curvature + 0.028 * target - 0.001 * error, speed], np.float32)

    *_, infos = drive(
        blind, 6, 3600, wrong_lane, obstacles="oncoming", density=1.0, lanes=2, hills=0
    )
    assert infos[-1]["collision"] == infos[-1]["crashed"] == 1.0
    assert infos[-1]["off_road"] == 0.0


def test_the_expert_drives_with_other_cars_around_by_either_kind_of_action():
    for actions in ("curvature", "steering"):
        env = gymnasium.make(WORLD, camera=False, actions=actions, obstacles="both").unwrapped
        *_, infos = drive(env, 8, 900, density=1.0)
        assert len(infos) == 901
        assert infos[-1]["speed"] > 3


def test_the_hall_looks_like_the_track_of_the_real_recording():
    env = gymnasium.make(WORLD, scene="rc_track", width=160, height=120).unwrapped
    frame, info = env.reset(seed=2)
    env.close()
    lower = frame[28:].astype(int).reshape(-1, 3)
    red, green, blue = lower.T
    dark = (lower.max(1) < 130) & (np.ptp(lower, axis=1) < 40)
    assert np.mean(dark) > 0.3  # the lane
    assert np.mean((blue > red + 40) & (green > red + 20)) > 0.02  # the mats
    assert np.mean((red > 130) & (green > 110) & (blue < 110)) > 0.003  # the dashed centre
    assert np.mean(lower.min(1) > 170) > 0.003  # the edges
    assert info["speed"] == pytest.approx(1.2, abs=0.1)


def test_a_small_car_drives_a_small_country_road():
    env = gymnasium.make(WORLD, vehicle="rc", camera=False).unwrapped
    *_, infos = drive(env, 3, 600, hills=0.5)
    assert len(infos) == 601
    assert env.road.half_width < 0.6
    assert max(abs(info["lateral_error"]) for info in infos) < 0.1


def test_views_have_their_sizes():
    for mode in ("rgb_array", "chase"):
        env = gymnasium.make(WORLD, render_mode=mode, camera=False).unwrapped
        env.reset(seed=0)
        view = env.render()
        assert view.shape == (360, 640, 3)
        assert view.std() > 10
        env.close()
    env = gymnasium.make(WORLD, height=120, width=160).unwrapped
    frame, _ = env.reset(seed=0)
    assert frame.shape == env.observation_space.shape == (120, 160, 3)
    env.close()


@pytest.mark.parametrize("action", [[np.nan, 5.0], [np.inf, 5.0], [0.0], [0.0, 1.0, 2.0]])
def test_actions_that_are_not_two_numbers_raise(blind, action):
    blind.reset(seed=0)
    with pytest.raises(ValueError, match="two finite numbers"):
        blind.step(np.array(action))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    actions=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=20),
)
def test_any_finite_action_keeps_the_world_finite(blind, seed, actions):
    blind.reset(seed=seed, options={"randomise": 1.0})
    for action in actions:
        _, reward, terminated, truncated, info = blind.step(np.array(action))
        assert np.isfinite([reward, *info.values()]).all()
        if terminated or truncated:
            break


def _resident():
    """Memory of this process [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _resets(count):
    env = gymnasium.make(WORLD).unwrapped
    memory = []
    for seed in range(count):
        env.reset(seed=seed)
        memory.append(_resident())
    env.close()
    return memory


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_resets_leave_memory_flat():
    memory = _resets(1000)
    assert max(memory[900:]) - max(memory[100:200]) < 8 * 2**20


@pytest.mark.slow
def test_worlds_that_are_closed_leave_nothing_behind():
    # In a process of its own: what other tests have freed would be used again, or not.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        memory = pool.submit(_made_and_closed, 10).result()
    # A model has about 7 MiB, an OpenGL context as much again.
    assert min(memory[-3:]) - min(memory[3:6]) < 14 * 2**20


def _made_and_closed(count):
    memory = []
    for _ in range(count):
        _resets(2)
        # Python looks for cycles now and then, and the C library keeps what was freed.
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        memory.append(_resident())
    return memory


@pytest.mark.lengthy
def test_it_does_not_matter_who_imports_mujoco_first():
    """MuJoCo's own default opens a window, which a robot or a server does not have."""
    draw = "import mujoco; from liquid_control.rollout import make_world;"
    draw += f"frame, _ = make_world('{WORLD}').reset(seed=5); print(frame.sum())"
    chosen = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY")
    bare = {name: value for name, value in os.environ.items() if name not in chosen}
    done = subprocess.run([sys.executable, "-c", draw], env=bare, capture_output=True, text=True)
    env = gymnasium.make(WORLD)
    assert done.stdout == f"{env.reset(seed=5)[0].sum()}\n", done.stderr[-2000:]
    env.close()


def test_a_window_shows_the_episode(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = []
    monkeypatch.setattr(Window, "show", lambda window, view: shown.append(view))
    env = gymnasium.make(WORLD, render_mode="human", camera=False).unwrapped
    env.reset(seed=0)
    assert [view.shape for view in shown] == [(360, 640, 3)]
    monkeypatch.undo()
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    drive(env, 0, 3)
    assert env.render() is None
    env.close()


def test_road_and_camera_are_known_before_the_first_reset():
    # The simulator node asks for them when it is configured.
    env = gymnasium.make(WORLD, camera_fovy=50.0).unwrapped
    assert env.road.length > 100
    assert np.rad2deg(env.fovy) == pytest.approx(50.0)
