"""One episode of a pilot in a world."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numpy as np

from liquid_control.rollout.conditions import Perturbation, Perturbed
from liquid_control.rollout.pilots import Pilot

__all__ = ["Episode", "Moment", "run_episode"]

# [s] over which accelerations and jerks are taken, whatever the frame rate.
COMFORT_S = 0.1
# [s] in the lane after which the next departure is another intervention.
RECOVERED_S = 1.0


@dataclass(frozen=True)
class Moment:
    """What was seen and done at one frame.

    Attributes:
        time: since the start [s].
        frame: uint8 RGB (rows, columns, 3) as the pilot saw it, noise included; where one was lost,
            the one before.
        action: what was executed, outputs of the world's command.
        info: the world's, at the time of the frame.
    """

    time: float
    frame: np.ndarray
    action: np.ndarray
    info: dict[str, float]


@dataclass(frozen=True)
class Episode:
    """Figures of one episode. Lateral and heading figures are NaN in worlds without a lane.

    Attributes:
        seed: of the world.
        seconds: driven [s].
        distance: along the road [m].
        crashed: the world ended the episode (it terminated, not truncated) without success.
        lane_departures: how often the body came over a line of its lane; None in worlds without
            one.
        lateral_error: mean absolute [m].
        lateral_error_max: largest absolute [m].
        heading_error: mean absolute [rad].
        speed: mean [m/s].
        steering_rate: mean absolute change of the first output per second [unit/s].
        reward: sum.
        success: 1 or 0, whether the world's task was done; None where the world has no such end.
        end_x, end_y: where it ended [m]. None, here and below: the world does not say.
        interventions: how often somebody would have had to take over: a crash, or the body came
            over a line of its lane after at least 1 s within it. One that ends in a crash counts
            once.
        lateral_acceleration: root mean square of speed times yaw rate [m/s2], of cars.
        jerk: root mean square of the change of the acceleration, along and across, [m/s3], both
            over 0.1 s.
        laps: driven, as a share of the road's length.
        error: why the episode is broken, so that its figures say nothing; None if it is whole.
    """

    seed: int
    seconds: float
    distance: float
    crashed: bool
    lane_departures: int | None
    lateral_error: float
    lateral_error_max: float
    heading_error: float
    speed: float
    steering_rate: float
    reward: float
    success: float | None = None
    end_x: float | None = None
    end_y: float | None = None
    interventions: int | None = None
    lateral_acceleration: float | None = None
    jerk: float | None = None
    laps: float | None = None
    error: str | None = None


def run_episode(
    env: gymnasium.Env,
    pilot: Pilot,
    seed: int,
    noise: float = 0.0,
    options: dict | None = None,
    on_moment: Callable[[Moment], None] | None = None,
    seconds: float | None = None,
    perturbation: Perturbation | None = None,
) -> Episode:
    """Drive one episode to its end.

    The outcome depends on nothing but the arguments: not on earlier episodes of `env` or `pilot`.

    Args:
        noise: variance of Gaussian noise on the frames, on the scale [0, 1].
        options: for the world's `reset`.
        on_moment: called with every frame and the action that answered it.
        seconds: end the episode after this time, if the world has not [s].
        perturbation: what hinders the pilot; noise alone by default.
    """
    pilot = Perturbed(pilot, perturbation or Perturbation(noise=noise))
    frame, info = env.reset(seed=seed, options=options)
    # After the reset: the rate may be one of its options.
    rate = env.metadata["render_fps"]
    limit = math.inf if seconds is None else max(1, round(seconds * rate))
    pilot.reset(env, seed)
    infos, actions, reward, steps, terminated, truncated = [], [], 0.0, 0, False, False
    while not (terminated or truncated) and steps < limit:
        action = pilot.act(env, frame, 1 / rate)
        if on_moment is not None:
            on_moment(Moment(steps / rate, pilot.seen, action, info))
        frame, gain, terminated, truncated, info = env.step(action)
        reward, steps = reward + float(gain), steps + 1
        infos.append(info)
        actions.append(action[0])

    def column(name: str) -> np.ndarray:
        return np.array([info.get(name, np.nan) for info in infos], float)

    success, error = infos[-1].get("success"), _not_finite(infos, reward, rate)
    comfort = error is None and "lateral_error" in infos[-1]
    crashed = bool(terminated) and success != 1
    lateral, departed = np.abs(column("lateral_error")), column("lane_departure") > 0
    departures = int(departed[0] + np.sum(departed[1:] & ~departed[:-1]))
    return Episode(
        seed=seed,
        seconds=steps / rate,
        distance=float(column("distance")[-1]),
        crashed=crashed,
        lane_departures=departures if "lane_departure" in infos[-1] else None,
        lateral_error=float(lateral.mean()),
        lateral_error_max=float(lateral.max()),
        heading_error=float(np.abs(column("heading_error")).mean()),
        speed=float(column("speed").mean()),
        steering_rate=float(np.abs(np.diff(actions)).mean() * rate) if steps > 1 else 0.0,
        reward=reward,
        success=None if success is None else float(success),
        end_x=_last(infos, "x"),
        end_y=_last(infos, "y"),
        interventions=_interventions(departed, crashed, rate),
        laps=_last(infos, "laps", "tiles"),
        error=error,
        **(_comfort(column("speed"), column("yaw_rate"), rate) if comfort else {}),
    )


def _last(infos: list[dict], *names: str) -> float | None:
    """The last value of the first of these names that the world knows."""
    return next((float(infos[-1][name]) for name in names if name in infos[-1]), None)


def _interventions(departed: np.ndarray, crashed: bool, rate: float) -> int:
    """How often somebody would have had to take over; see `Episode`."""
    steps = np.flatnonzero(departed)
    # The first one counts, and each that comes long after the one before.
    count = len(steps) and 1 + int(np.sum(np.diff(steps) > RECOVERED_S * rate))
    return count + (crashed and not departed[-1])


def _comfort(speed: np.ndarray, yaw_rate: np.ndarray, rate: float) -> dict[str, float]:
    """Lateral acceleration and jerk, as root mean squares; what a short episode has none of is
    left out."""
    across = speed * yaw_rate
    apart = max(1, round(COMFORT_S * rate))
    seconds = apart / rate
    along = (speed[apart:] - speed[:-apart]) / seconds
    # At the middle of the span over which `along` is taken.
    middle = across[apart // 2 :][: len(along)]
    jerks = [(each[apart:] - each[:-apart]) / seconds for each in (along, middle)]
    found = {
        "lateral_acceleration": np.sqrt(np.mean(across**2)),
        "jerk": np.sqrt(np.mean(np.square(jerks).sum(0))) if jerks[0].size else np.nan,
    }
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _not_finite(infos: list[dict], reward: float, rate: float) -> str | None:
    """What stopped being a number, and when; None if all of them are."""
    names = list(infos[-1])
    values = np.array([[info.get(name, 0.0) for name in names] for info in infos], float)
    steps, columns = np.nonzero(~np.isfinite(values))
    if len(steps):
        return f"{names[columns[0]]} is not finite after {(steps[0] + 1) / rate:.2f} s"
    return None if math.isfinite(reward) else "the reward is not finite"
