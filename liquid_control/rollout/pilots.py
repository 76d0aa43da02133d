"""Who drives: a privileged expert, a trained policy, or one of them with a hand in the wheel."""

from __future__ import annotations

from typing import Protocol

import gymnasium
import numpy as np

from liquid_control.errors import InputError
from liquid_control.policy import Driver, Policy

__all__ = ["Disturbed", "ExpertPilot", "Pilot", "PolicyPilot"]


class Pilot(Protocol):
    """Turns frames into actions of a world."""

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        """A new episode begins; whatever is random from here on comes from `seed`."""

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        """The action, in terms of `env.unwrapped.command`, `elapsed` [s] after the frame before."""


class ExpertPilot:
    """The world's own privileged expert."""

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        if not hasattr(env.unwrapped, "expert_action"):
            raise InputError(
                f"The world {env.spec.id if env.spec else env} has no expert (`expert_action`); "
                "choose a world of liquid_control, or drive with a trained model."
            )

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        return env.unwrapped.expert_action()


class PolicyPilot:
    """A trained policy. Outputs of the world that it does not have come from the world's default.

    A policy that only steers drives at the world's cruising speed.
    """

    def __init__(self, policy: Policy) -> None:
        self._driver = Driver(policy)
        self._names = policy.spec.names

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        wanted = env.unwrapped.command.names
        if unknown := set(self._names) - set(wanted):
            raise InputError(
                f"The policy gives {', '.join(self._names)}, but the world takes "
                f"{', '.join(wanted)}: {', '.join(sorted(unknown))} has no place; choose a model "
                "that was trained for this world."
            )
        self._places = [wanted.index(name) for name in self._names]
        self._action = np.array(
            [env.unwrapped.cruise if name == "speed" else 0.0 for name in wanted], np.float32
        )
        self._driver.reset()

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        action = self._action.copy()
        action[self._places] = self._driver.step(frame, elapsed).command
        return action


class Disturbed:
    """A pilot into whose steering somebody pulls now and then, so that recoveries are recorded.

    In the spirit of DART (Laskey et al., CoRL 2017), but in pulses: noise that changes with every
    frame averages out before a car has moved.

    Args:
        pilot: who drives otherwise.
        strength: largest pull as a share of the first output's upper limit.
    """

    def __init__(self, pilot: Pilot, strength: float = 0.5) -> None:
        self._pilot, self._strength = pilot, strength

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        self._pilot.reset(env, seed)
        # Not the stream of the frames' noise, which starts from the seed alone.
        self._rng = np.random.default_rng([seed, 1])
        self._left, self._pull = self._rng.uniform(0.5, 3.0), 0.0

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        action = np.array(self._pilot.act(env, frame, elapsed))
        self._left -= elapsed
        if self._left <= 0:
            pulling = self._pull == 0.0
            self._left = self._rng.uniform(0.3, 1.0) if pulling else self._rng.uniform(0.7, 3.5)
            limit = self._strength * env.unwrapped.command.high[0]
            self._pull = self._rng.uniform(-limit, limit) if pulling else 0.0
        action[0] += self._pull
        return env.unwrapped.command.clip(action)
