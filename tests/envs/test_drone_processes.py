"""The drone's world in several processes, in stable-baselines3, and over many resets."""

import functools
import resource

import gymnasium
import numpy as np
import pytest

import liquid_control.envs
from liquid_control.envs.drone import DroneEnv


def make(**options) -> gymnasium.Env:
    # Imported in the child process as well, where nothing is registered yet.
    assert liquid_control.envs is not None
    return DroneEnv(width=64, height=36, scene=None, wind=2.0, gusts=0.5, **options)


def alone(seed, actions):
    """Frames and rewards of one world in this process."""
    env = make()
    frames, rewards = [env.reset(seed=seed)[0]], []
    for action in actions:
        frame, reward, *_ = env.step(action)
        frames.append(frame)
        rewards.append(reward)
    env.close()
    return np.array(frames), np.array(rewards)


ACTIONS = np.random.default_rng(0).uniform([0, -1, -0.3, -1], [2, 1, 0.3, 1], (6, 4))


@pytest.mark.slow
def test_worker_processes_of_gymnasium_see_the_same_to_the_bit():
    env = gymnasium.vector.AsyncVectorEnv([make, make], context="spawn")
    frames, rewards = [env.reset(seed=[3, 4])[0]], []
    for action in ACTIONS:
        frame, reward, *_ = env.step(np.stack([action, action]).astype(np.float32))
        frames.append(frame.copy())
        rewards.append(reward)
    env.close()
    for index, seed in enumerate((3, 4)):
        expected = alone(seed, ACTIONS.astype(np.float32))
        assert np.array_equal(np.array(frames)[:, index], expected[0])
        assert np.array_equal(np.array(rewards)[:, index], expected[1])


@pytest.mark.slow
def test_worker_processes_of_stable_baselines_see_the_same_to_the_bit():
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    env = vec_env.SubprocVecEnv([make, make], start_method="spawn")
    env.seed(3)
    frames, rewards = [env.reset()], []
    for action in ACTIONS:
        frame, reward, *_ = env.step(np.stack([action, action]).astype(np.float32))
        frames.append(frame.copy())
        rewards.append(reward)
    env.close()
    for index, seed in enumerate((3, 4)):
        expected = alone(seed, ACTIONS.astype(np.float32))
        assert np.array_equal(np.array(frames)[:, index], expected[0])
        assert np.array(rewards)[:, index] == pytest.approx(expected[1], abs=1e-6)


@pytest.mark.filterwarnings("ignore:We recommend you to use a symmetric and normalized:UserWarning")
def test_stable_baselines_finds_nothing_to_complain_about():
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = make()
    checker.check_env(env, warn=True)
    env.close()


def peak_after(env, resets: int) -> int:
    for seed in range(resets):
        env.reset(seed=seed, options={"scene": ("forest", "city")[seed % 2]})
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def check_memory(env, resets: int, warm: int) -> None:
    before = peak_after(env, warm)
    assert peak_after(env, resets) - before < 20_000, "KiB"


@pytest.mark.slow
def test_resets_do_not_leak():
    env = make()
    check_memory(env, 30, 15)
    env.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_resets_do_not_leak():
    env = make()
    check_memory(env, 1000, 50)
    env.close()


@pytest.mark.slow
def test_closing_gives_everything_back():
    """New worlds take the place of closed ones: memory and OpenGL contexts come back."""
    build = functools.partial(make, render_mode="rgb_array")

    def round_trip() -> int:
        env = build()
        env.reset(seed=0)
        env.render()
        env.close()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _ in range(5):
        before = round_trip()
    for _ in range(25):
        after = round_trip()
    assert after - before < 40_000, "KiB"
