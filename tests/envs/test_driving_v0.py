"""The driving world as its users meet it: through Gymnasium."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control.envs.driving_v0 import DrivingEnv
from liquid_control.errors import InputError

WORLD = "liquid_control/Driving-v0"


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


def drive(env, seed, steps, curvature=None, **reset):
    """Frames, rewards and infos of `steps` steps by the expert, or at one curvature."""
    frames, infos = zip(env.reset(seed=seed, **reset), strict=False)
    frames, infos, rewards = list(frames), list(infos), []
    for _ in range(steps):
        action = env.expert_action()
        if curvature is not None:
            action[0] = curvature
        frame, reward, terminated, truncated, info = env.step(action)
        frames.append(frame)
        rewards.append(reward)
        infos.append(info)
        if terminated or truncated:
            break
    return np.array(frames), np.array(rewards), infos


@pytest.mark.filterwarnings("ignore:.*For Box action spaces, we recommend.*")
def test_gymnasium_finds_nothing_to_complain_about(world):
    check_env(world, skip_render_check=True)


def test_a_seed_repeats_to_the_bit_whatever_was_driven_before(world):
    frames, rewards, infos = drive(world, 11, 20)
    drive(world, 12, 15, curvature=0.03)
    again = drive(world, 11, 20)
    assert np.array_equal(frames, again[0])
    assert np.array_equal(rewards, again[1])
    assert infos == again[2]


def test_another_instance_sees_the_same(world):
    other = gymnasium.make(WORLD).unwrapped
    assert np.array_equal(drive(world, 3, 5)[0], drive(other, 3, 5)[0])
    other.close()


def test_seeds_differ_in_road_scenery_and_light(world):
    first, second = (world.reset(seed=seed)[0].astype(int) for seed in (1, 2))
    assert np.abs(first - second).mean() > 5


def test_physics_does_not_depend_on_the_camera(world, blind):
    assert drive(world, 5, 10)[2] == drive(blind, 5, 10)[2]


@pytest.mark.parametrize("seed", range(3))
def test_the_expert_stays_in_its_lane(blind, seed):
    _, rewards, infos = drive(blind, seed, 900)
    assert len(rewards) == 900
    assert not any(info["lane_departure"] for info in infos)
    assert infos[-1]["distance"] == pytest.approx(250, abs=5)
    assert rewards.mean() > 0.95


@pytest.mark.parametrize("curvature", [-0.05, 0.02, 0.05])
def test_the_car_follows_the_curvature_that_it_is_asked_for(blind, curvature):
    # 1.2 s: long enough for steering and tyres to settle, short enough to stay on the road.
    _, _, infos = drive(blind, 0, 36, curvature)
    assert infos[-1]["curvature_driven"] == pytest.approx(curvature, rel=0.05)
    assert np.sign(infos[-1]["yaw"] - infos[0]["yaw"]) == np.sign(curvature)


def test_leaving_the_road_ends_the_episode_and_costs(blind):
    _, rewards, infos = drive(blind, 0, 300, curvature=-0.06)
    assert infos[-1]["off_road"] == 1.0
    assert infos[-1]["lateral_error"] < 0, "a right turn leaves to the right"
    assert len(rewards) < 300
    assert rewards[-1] < -9


def test_a_target_speed_is_reached(blind):
    blind.reset(seed=0)
    for _ in range(90):
        action = blind.expert_action()
        action[1] = 4.0
        info = blind.step(action)[4]
    assert info["speed"] == pytest.approx(4.0, abs=0.1)


def test_an_episode_can_start_anywhere(blind):
    _, info = blind.reset(seed=0, options={"start": 0.5})
    assert abs(info["lateral_error"]) < 0.4
    assert info["distance"] == 0.0
    assert np.hypot(info["x"], info["y"]) > 100


def test_the_time_limit_truncates():
    env = gymnasium.make(WORLD, camera=False, seconds=1.0).unwrapped
    assert len(drive(env, 0, 100)[1]) == 30
    assert env.step(env.expert_action())[3]


def test_the_view_from_behind_shows_the_car():
    env = gymnasium.make(WORLD, render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    env.close()
    assert picture.shape == (360, 640, 3)
    red = (picture[..., 0] > 80) & (picture[..., 1] < 60)
    assert red[120:300, 240:400].mean() > 0.05
    assert red[:, :160].mean() < 0.001, "the car is in the middle"


@pytest.mark.parametrize("action", [[np.nan, 8.0], [0.0, np.inf], [0.0], [0.0, 0.0, 0.0]])
def test_actions_that_make_no_sense_are_refused(blind, action):
    blind.reset(seed=0)
    with pytest.raises(ValueError, match="two finite numbers"):
        blind.step(np.array(action))


def test_bad_options_name_the_good_ones(blind):
    with pytest.raises(InputError, match="rgb_array"):
        DrivingEnv(render_mode="human")
    with pytest.raises(InputError, match="from 0 to 1, got 2"):
        blind.reset(seed=0, options={"start": 2})
    for given in ({"cruise": 0}, {"cruise": "fast"}, {"seconds": "long"}, {"seconds": 0}):
        with pytest.raises(InputError, match=f"The option {next(iter(given))} is a number from"):
            DrivingEnv(camera=False, **given)
    with pytest.raises(InputError, match="from 0 to 1, got 'far'"):
        blind.reset(seed=0, options={"start": "far"})


@pytest.mark.slow
def test_resets_do_not_leak(world):
    import resource

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for seed in range(20):
        world.reset(seed=seed)
    before = peak()
    for seed in range(200):
        world.reset(seed=seed)
    assert peak() - before < 20_000, "KiB"


def test_options_that_it_does_not_have_are_refused(blind):
    with pytest.raises(InputError, match="one option, start, got season"):
        blind.reset(seed=0, options={"season": "winter"})
