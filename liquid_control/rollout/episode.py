"""One episode of a pilot in a world."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numpy as np

from liquid_control.camera import gaussian
from liquid_control.rollout.pilots import Pilot

__all__ = ["Episode", "Moment", "run_episode"]


@dataclass(frozen=True)
class Moment:
    """What was seen and done at one frame.

    Attributes:
        time: since the start [s].
        frame: uint8 RGB (rows, columns, 3), noise included.
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
        lane_departures: how often the body came over a line of its lane.
        lateral_error: mean absolute [m].
        lateral_error_max: largest absolute [m].
        heading_error: mean absolute [rad].
        speed: mean [m/s].
        steering_rate: mean absolute change of the first output per second [unit/s].
        reward: sum.
        success: 1 or 0, whether the world's task was done; None where the world has no such end.
    """

    seed: int
    seconds: float
    distance: float
    crashed: bool
    lane_departures: int
    lateral_error: float
    lateral_error_max: float
    heading_error: float
    speed: float
    steering_rate: float
    reward: float
    success: float | None = None


def run_episode(
    env: gymnasium.Env,
    pilot: Pilot,
    seed: int,
    noise: float = 0.0,
    options: dict | None = None,
    on_moment: Callable[[Moment], None] | None = None,
    seconds: float | None = None,
) -> Episode:
    """Drive one episode to its end.

    The outcome depends on nothing but the arguments: not on earlier episodes of `env` or `pilot`.

    Args:
        noise: variance of Gaussian noise on the frames, on the scale [0, 1].
        options: for the world's `reset`.
        on_moment: called with every frame and the action that answered it.
        seconds: end the episode after this time, if the world has not [s].
    """
    limit = math.inf if seconds is None else max(1, round(seconds * env.metadata["render_fps"]))
    rate = env.metadata["render_fps"]
    rng = np.random.default_rng(seed)
    frame, info = env.reset(seed=seed, options=options)
    pilot.reset(env, seed)
    infos, actions, reward, steps, terminated, truncated = [], [], 0.0, 0, False, False
    while not (terminated or truncated) and steps < limit:
        frame = gaussian(frame, noise, rng)
        action = pilot.act(env, frame, 1 / rate)
        if on_moment is not None:
            on_moment(Moment(steps / rate, frame, action, info))
        frame, gain, terminated, truncated, info = env.step(action)
        reward, steps = reward + float(gain), steps + 1
        infos.append(info)
        actions.append(action[0])

    def column(name: str) -> np.ndarray:
        return np.array([info.get(name, np.nan) for info in infos], float)

    success = infos[-1].get("success")
    lateral, departed = np.abs(column("lateral_error")), column("lane_departure") > 0
    return Episode(
        seed=seed,
        seconds=steps / rate,
        distance=float(column("distance")[-1]),
        crashed=bool(terminated) and success != 1,
        lane_departures=int(departed[0] + np.sum(departed[1:] & ~departed[:-1])),
        lateral_error=float(lateral.mean()),
        lateral_error_max=float(lateral.max()),
        heading_error=float(np.abs(column("heading_error")).mean()),
        speed=float(column("speed").mean()),
        steering_rate=float(np.abs(np.diff(actions)).mean() * rate) if steps > 1 else 0.0,
        reward=reward,
        success=None if success is None else float(success),
    )
