"""The closed loop: the same outcome whoever runs it, and recordings that training can read."""

import functools

import numpy as np
import pytest

from liquid_control.command import STEERING, CommandSpec
from liquid_control.data.bag import BagReader
from liquid_control.data.drive import load_drive
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.rollout import (
    Disturbed,
    ExpertPilot,
    PolicyPilot,
    make_world,
    run_episode,
    spread,
)
from liquid_control.rollout.record import record

WORLD = "liquid_control/Driving-v0"


@functools.cache
def short_world():
    return make_world(WORLD, seconds=1.0)


def run(seed):
    return run_episode(short_world(), Disturbed(ExpertPilot()), seed, noise=0.01)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing():
    seeds = [3, 1, 2]
    alone = dict(spread(run, seeds, 1))
    together = dict(spread(run, seeds, 2))
    assert alone == together
    assert [alone[seed].seed for seed in seeds] == seeds


def test_noise_is_on_the_frames_that_the_pilot_sees():
    clean, noisy = [], []
    run_episode(short_world(), ExpertPilot(), 5, 0.0, on_moment=lambda m: clean.append(m.frame))
    run_episode(short_world(), ExpertPilot(), 5, 0.1, on_moment=lambda m: noisy.append(m.frame))
    difference = (noisy[0].astype(float) - clean[0]) / 255
    # Clipping to [0, 1] takes some of the variance away.
    assert 0.04 < difference.var() < 0.1
    assert len(clean) == len(noisy) == 30


def test_a_disturbed_expert_leaves_the_middle_and_comes_back():
    env = make_world(WORLD, seconds=40.0, camera=False)
    errors = []
    episode = run_episode(
        env,
        Disturbed(ExpertPilot(), 0.5),
        0,
        on_moment=lambda moment: errors.append(moment.info["lateral_error"]),
    )
    assert not episode.crashed
    assert np.max(np.abs(errors)) > 0.4
    assert np.median(np.abs(errors)) < 0.3
    assert episode.distance > 300


def test_an_episode_that_ends_in_success_is_no_crash():
    env = make_world("fake_world:liquid_control/Fake-v0")
    reached = run_episode(env, ExpertPilot(), 0)
    assert (reached.success, reached.crashed) == (1.0, False)
    assert np.isnan(reached.lateral_error)
    # At 1 m/s to the side it meets the wall.
    away = run_episode(env, Constant([0.0, 1.0, 0.0]), 0)
    assert (away.success, away.crashed) == (0.0, True)
    early = run_episode(env, ExpertPilot(), 0, seconds=1.0)
    assert (early.success, early.crashed, early.seconds) == (0.0, False, 1.0)


def test_a_world_without_a_goal_has_no_success():
    assert run_episode(short_world(), ExpertPilot(), 0).success is None


class Constant:
    """A pilot that always does the same."""

    def __init__(self, action):
        self._action = np.array(action, np.float32)

    def reset(self, env, seed):
        pass

    def act(self, env, frame, elapsed):
        return self._action


def test_a_world_that_does_not_say_what_its_actions_mean_is_refused():
    with pytest.raises(InputError, match="does not say what its actions mean"):
        make_world("gymnasium:CartPole-v1")
    with pytest.raises(InputError, match=r"'no_such_module' .* cannot be imported"):
        make_world("no_such_module:Some-v0")


def test_a_policy_for_another_robot_is_refused():
    pilot = PolicyPilot(Policy(CommandSpec((STEERING,))))
    with pytest.raises(InputError, match="steering has no place"):
        run_episode(short_world(), pilot, 0)


@pytest.mark.parametrize("world", ["liquid_control/Flying-v7", "CartPole-v1", "no name"])
def test_an_unknown_world_names_the_known_ones(world):
    with pytest.raises(InputError, match="liquid_control/Driving-v0"):
        make_world(world, seconds=1.0)


def test_a_recording_can_be_trained_on_and_is_continued(tmp_path, capsys):
    record(WORLD, tmp_path / "bags", episodes=1, seconds=1.0, seed=40)
    first = (tmp_path / "bags" / "000040" / "metadata.yaml").stat().st_mtime_ns
    record(WORLD, tmp_path / "bags", episodes=2, seconds=1.0, seed=40)
    assert (tmp_path / "bags" / "000040" / "metadata.yaml").stat().st_mtime_ns == first
    assert "0 of 1 new episodes" in capsys.readouterr().out
    for seed in (40, 41):
        drive = load_drive(tmp_path / "bags" / f"{seed:06d}", outputs=("curvature", "speed"))
        assert drive.frames.shape == (30, 78, 200, 3)
        assert np.abs(drive.labels[:, 0]).max() <= 0.06
        assert np.allclose(np.diff(drive.stamps), 1e9 / 30, atol=1)
        with BagReader(tmp_path / "bags" / f"{seed:06d}") as bag:
            assert {"/odom", "/command", "/simulator/state"} <= set(bag.topics)


def test_a_disturbance_beyond_full_lock_is_refused(tmp_path):
    with pytest.raises(InputError, match="from 0 to 1, got 2"):
        record(WORLD, tmp_path / "bags", disturb=2.0)
    assert not (tmp_path / "bags").exists()
