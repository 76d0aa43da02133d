"""How far a policy is from the expert where the expert drives: the noise that DART injects.

Laskey et al., "DART: Noise Injection for Robust Imitation Learning", CoRL 2017: the covariance of
the injected noise is that of the robot's error on the supervisor's own trajectories,

    Sigma = 1/T sum_t (pi_robot(x_t) - pi_expert(x_t)) (pi_robot(x_t) - pi_expert(x_t))^T,

times a scale that stands for how much of this error the next robot will still make.
"""

from __future__ import annotations

import gymnasium
import numpy as np

from liquid_control.rollout.episode import run_episode
from liquid_control.rollout.pilots import ExpertPilot, PolicyPilot

__all__ = ["ErrorSum", "covariance", "episode_error"]

ErrorSum = tuple[int, np.ndarray]


class _Shadow:
    """The expert drives and a policy, which sees the same frames, only says what it would do."""

    def __init__(self, policy: PolicyPilot) -> None:
        self._expert, self._policy = ExpertPilot(), policy

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        self._expert.reset(env, seed)
        self._policy.reset(env, seed)
        self.errors: list[np.ndarray] = []

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        right = np.asarray(self._expert.act(env, frame, elapsed), float)
        error = self._policy.act(env, frame, elapsed) - right
        # Outputs that the policy does not have are the world's: no error of the policy.
        self.errors.append(np.where(self._policy.given, error, 0.0))
        return right.astype(np.float32)


def episode_error(
    env: gymnasium.Env,
    policy: PolicyPilot,
    seed: int,
    options: dict | None = None,
    seconds: float | None = None,
) -> ErrorSum:
    """Frames of one episode of the expert, and the sum of the error's outer products over them.

    Args:
        env: the world.
        policy: whose error it is.
        seed: of the episode.
        options: for the world's `reset`.
        seconds: longest time [s].
    """
    shadow = _Shadow(policy)
    run_episode(env, shadow, seed, options=options, seconds=seconds)
    errors = np.array(shadow.errors)
    return len(errors), errors.T @ errors


def covariance(sums: list[ErrorSum], scale: float = 1.0) -> np.ndarray:
    """(outputs, outputs), from `episode_error` of several episodes; their order sets last bits."""
    frames = sum(count for count, _ in sums)
    return scale * sum(matrix for _, matrix in sums) / frames
