"""What stands between world and pilot: real times, late commands, the same from the same seed."""

import gymnasium
import numpy as np
import pytest

from liquid_control.camera import gaussian
from liquid_control.command import CURVATURE, CommandSpec, Output
from liquid_control.errors import InputError
from liquid_control.rollout import ExpertPilot, Perturbation, make_world, run_episode

RATE = 20
COMMAND = CommandSpec((CURVATURE, Output("speed", "m/s", 0.0, 15.0)))


class Scripted(gymnasium.Env):
    """Shows the number of the step as brightness, tells scripted `infos`, keeps the actions."""

    def __init__(self, infos, rate=RATE, crash=False):
        self.metadata = {"render_fps": rate}
        self.command, self.cruise = COMMAND, 7.0
        self._infos, self._crash, self.actions = infos, crash, []

    def reset(self, *, seed=None, options=None):
        self.actions = []
        return self._frame(), self._infos[0]

    def step(self, action):
        self.actions.append(np.array(action))
        end = len(self.actions) == len(self._infos)
        info = self._infos[len(self.actions) - 1]
        return self._frame(), 1.0, end and self._crash, end and not self._crash, info

    def _frame(self):
        return np.full((40, 60, 3), min(len(self.actions), 255), np.uint8)


class Watcher:
    """Answers every frame with its brightness as speed, and remembers what it was given."""

    def reset(self, env, seed):
        self.frames, self.elapsed = [], []

    def act(self, env, frame, elapsed):
        self.frames.append(frame)
        self.elapsed.append(elapsed)
        return np.array([0.0, frame.flat[0]], np.float32)

    @property
    def numbers(self):
        return [int(frame.flat[0]) for frame in self.frames]


def drive(perturbation, steps=60, seed=3):
    env, pilot, moments = Scripted([{"distance": 1.0}] * steps), Watcher(), []
    run_episode(env, pilot, seed, on_moment=moments.append, perturbation=perturbation)
    return env, pilot, moments


def test_without_a_perturbation_every_frame_is_answered_at_once():
    env, pilot, _ = drive(Perturbation())
    assert pilot.numbers == list(range(60))
    assert [action[1] for action in env.actions] == pilot.numbers
    assert pilot.elapsed == [1 / RATE] * 60


def test_after_lost_frames_the_elapsed_time_is_the_real_one_and_the_last_command_has_held():
    env, pilot, moments = drive(Perturbation(dropped=0.5), steps=200)
    assert 70 < len(pilot.frames) < 130
    # Time since the frame before is what passed between the two.
    assert np.allclose(pilot.elapsed[1:], np.diff(pilot.numbers) / RATE)
    newest = [max(n for n in pilot.numbers if n <= step) for step in range(200)]
    assert [action[1] for action in env.actions] == newest
    # A recording shows what the pilot saw, not what the world drew.
    assert [moment.frame.flat[0] for moment in moments] == newest
    assert pilot.numbers == drive(Perturbation(dropped=0.5), steps=200)[1].numbers
    assert pilot.numbers != drive(Perturbation(dropped=0.5), steps=200, seed=4)[1].numbers


def test_a_late_frame_acts_later_and_until_then_nobody_steers():
    env, pilot, _ = drive(Perturbation(latency=0.15))
    assert pilot.numbers == list(range(60))
    assert pilot.elapsed == [1 / RATE] * 60
    speeds = [action[1] for action in env.actions]
    assert speeds == [7.0] * 3 + list(range(57))


def test_latency_and_losses_come_together():
    env, pilot, _ = drive(Perturbation(latency=0.1, dropped=0.4))
    newest = [max(n for n in pilot.numbers if n <= step) for step in range(58)]
    assert [action[1] for action in env.actions] == [7.0, 7.0, *newest]


def test_a_latency_between_two_steps_is_refused():
    with pytest.raises(InputError, match=r"steps of 50.0 ms, got 80.0 ms; choose 50.0 or 100.0 ms"):
        drive(Perturbation(latency=0.08))


def test_noise_is_that_of_the_published_test_from_the_seed_alone():
    _, pilot, _ = drive(Perturbation(noise=0.2), steps=3)
    rng = np.random.default_rng(3)
    for number, frame in enumerate(pilot.frames):
        assert np.array_equal(frame, gaussian(np.full((40, 60, 3), number, np.uint8), 0.2, rng))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_what_covers_the_lens_stays_where_it_is(share):
    _, pilot, _ = drive(Perturbation(occlusion=share), steps=30)
    covered = [frame != number for number, frame in enumerate(pilot.frames)]
    assert covered[0].mean() == pytest.approx(share, rel=0.1)
    assert all(np.array_equal(each, covered[0]) for each in covered)
    _, other, _ = drive(Perturbation(occlusion=share), steps=1, seed=4)
    assert not np.array_equal(other.frames[0] != 0, covered[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nois": 0.1}, "no perturbation 'nois'; those there are: noise"),
        ({"noise": -0.1}, "'noise' is a number from 0 to 1, got -0.1"),
        ({"dropped": 1.0}, "'dropped' is a number from 0 to 0.95"),
        ({"latency": "late"}, "'latency' is a number from 0 to 2, got 'late'"),
        ({"occlusion": float("nan")}, "'occlusion' is a number"),
    ],
)
def test_bad_perturbations_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Perturbation.from_dict(values)


@pytest.mark.parametrize("rate", [10, 60])
def test_another_frame_rate_is_the_same_road_in_the_same_time(rate):
    seen = {}
    for each in (30, rate):
        env = make_world("liquid_control/Driving-v1", seconds=4.0, camera=False)
        elapsed = []

        class Timed(ExpertPilot):
            def act(self, env, frame, passed, elapsed=elapsed):
                elapsed.append(passed)
                return super().act(env, frame, passed)

        seen[each] = run_episode(env, Timed(), 5, options={"rate": each})
        env.close()
        assert elapsed == [1 / each] * (4 * each)
    one, other = seen[30], seen[rate]
    assert other.seconds == one.seconds == 4.0
    assert other.end_x == pytest.approx(one.end_x, abs=0.1)
    assert other.end_y == pytest.approx(one.end_y, abs=0.1)
    assert other.speed == pytest.approx(one.speed, abs=0.05)


def scripted(rate=RATE, crash=False, **columns):
    names = {"lateral_error": 0.0, "distance": 1.0, "speed": 8.0, "yaw_rate": 0.0}
    length = len(next(iter(columns.values())))
    infos = [
        names | {name: values[step] for name, values in columns.items()} for step in range(length)
    ]
    return run_episode(Scripted(infos, rate, crash), Watcher(), 0)


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_comfort_is_the_same_at_every_frame_rate(rate):
    time = np.arange(20 * rate) / rate
    omega = 2 * np.pi / 5
    weave = scripted(rate, yaw_rate=0.2 * np.sin(omega * time))
    # a = v yaw_rate; its derivative is v 0.2 omega cos.
    assert weave.lateral_acceleration == pytest.approx(8 * 0.2 / np.sqrt(2), rel=0.01)
    assert weave.jerk == pytest.approx(8 * 0.2 * omega / np.sqrt(2), rel=0.02)
    braking = scripted(rate, speed=20 + 3 / omega**2 * np.sin(omega * time))
    assert braking.lateral_acceleration == 0
    assert braking.jerk == pytest.approx(3 / np.sqrt(2), rel=0.02)


def test_an_episode_of_a_few_frames_has_no_jerk():
    assert scripted(speed=[1.0, 2.0]).jerk is None


def test_interventions_are_departures_apart_and_crashes():
    lane = np.zeros(200)
    assert scripted(lane_departure=lane).interventions == 0
    lane[10:15] = lane[20:22] = 1  # Half a second later it is still the same one.
    lane[100:110] = 1
    episode = scripted(lane_departure=lane)
    assert (episode.interventions, episode.lane_departures) == (2, 3)
    # A crash out of nothing is another one, a departure that ends in a crash is not.
    assert scripted(lane_departure=lane, crash=True).interventions == 3
    lane[190:] = 1
    assert scripted(lane_departure=lane, crash=True).interventions == 3


def test_a_world_without_a_lane_counts_no_departures():
    episode = scripted(x=[1.0, 2.0], crash=True)
    assert (episode.lane_departures, episode.interventions) == (None, 1)


def test_the_end_of_an_episode_and_what_is_not_finite_are_kept():
    episode = scripted(x=[0.0, 1.0], y=[0.0, -2.0], laps=[0.0, 0.25])
    assert (episode.end_x, episode.end_y, episode.laps) == (1.0, -2.0, 0.25)
    assert episode.error is None
    broken = scripted(speed=[1.0, 1.0, np.inf])
    assert broken.error == "speed is not finite after 0.15 s"
