"""Who drives: a privileged expert, a trained policy, or one of them with a hand in the wheel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import gymnasium
import numpy as np

from liquid_control.command import CommandSpec
from liquid_control.deploy.runtime import ExportDriver
from liquid_control.errors import InputError
from liquid_control.policy import Driver, Policy

__all__ = [
    "Disturbed",
    "ExpertPilot",
    "Mixture",
    "NoiseInjected",
    "Pilot",
    "PolicyPilot",
    "chosen_outputs",
    "has_expert",
    "neutral_action",
]


class Pilot(Protocol):
    """Turns frames into actions of a world."""

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        """A new episode begins; whatever is random from here on comes from `seed`."""

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        """The action, in terms of `env.unwrapped.command`, `elapsed` [s] after the frame before."""


def has_expert(env: gymnasium.Env) -> bool:
    """Whether the world can say what an expert would do."""
    return hasattr(env.unwrapped, "expert_action")


def neutral_action(env: gymnasium.Env) -> np.ndarray:
    """The command of nobody: 0, and the world's cruising speed; float32 (outputs,)."""
    world = env.unwrapped
    cruise = getattr(world, "cruise", 0.0)
    names = world.command.names
    return np.array([cruise if name == "speed" else 0.0 for name in names], np.float32)


class ExpertPilot:
    """The world's own privileged expert."""

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        if not has_expert(env):
            raise InputError(
                f"The world {env.spec.id if env.spec else env} has no expert (`expert_action`); "
                "choose a world of liquid_control, or drive with a trained model."
            )

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        return env.unwrapped.expert_action()


class PolicyPilot:
    """A trained policy. Outputs of the world that it does not have come from the world's default.

    A policy that only steers drives at the world's cruising speed.

    Attributes:
        given: bool (outputs,), which outputs of the world come from the policy; set by `reset`.
    """

    def __init__(self, policy: Policy | Driver | ExportDriver) -> None:
        self._driver = Driver(policy) if isinstance(policy, Policy) else policy
        self._names = self._driver.spec.names

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        wanted = env.unwrapped.command.names
        if unknown := set(self._names) - set(wanted):
            raise InputError(
                f"The policy gives {', '.join(self._names)}, but the world takes "
                f"{', '.join(wanted)}: {', '.join(sorted(unknown))} has no place; choose a model "
                "that was trained for this world."
            )
        self._places = [wanted.index(name) for name in self._names]
        self.given = np.isin(wanted, self._names)
        self._action = neutral_action(env)
        self._driver.reset()

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        action = self._action.copy()
        action[self._places] = self._driver.step(frame, elapsed).command
        return action


class Mixture:
    """DAgger's driver, pi_i = beta_i pi* + (1 - beta_i) pi_hat_i: now the expert, now a policy.

    Ross et al., "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
    Learning", AISTATS 2011, algorithm 3.1. The coin is thrown once for a stretch of time: thrown
    for every frame it would only make the command tremble. The policy sees every frame, so that
    its state is right when its turn comes.

    With `takeover` the expert also takes a stretch where the policy errs by much, as in SafeDAgger
    (Zhang & Cho, AAAI 2017), here by the true error instead of a predicted one.

    Args:
        policy: pi_hat.
        beta: probability that the expert drives a stretch.
        segment: length of a stretch [s]; 0 throws the coin for every frame.
        takeover: largest error of the policy, as a share of half an output's range; 0 for none.

    Attributes:
        label: what the expert would do at the last frame, (outputs,).
        proposal: what the policy would do there, (outputs,).
        given: bool (outputs,), which of them come from the policy.
        expert_drives: who did drive there.
    """

    def __init__(
        self, policy: PolicyPilot, beta: float, segment: float = 1.0, takeover: float = 0.0
    ) -> None:
        self._policy, self._expert = policy, ExpertPilot()
        self._beta, self._segment, self._takeover = beta, segment, takeover

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        self._policy.reset(env, seed)
        self._expert.reset(env, seed)
        self.given = self._policy.given
        command = env.unwrapped.command
        self._half = (command.high - command.low) / 2
        self._rng = np.random.default_rng([seed, 4])
        self._left, self.expert_drives = 0.0, False

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        self.label = np.array(self._expert.act(env, frame, elapsed))
        self.proposal = self._policy.act(env, frame, elapsed)
        # Half a frame of slack: elapsed times of 1/30 s do not sum up to whole seconds.
        if self._left <= elapsed / 2:
            self._left = self._segment
            self.expert_drives = bool(self._rng.random() < self._beta)
        error = np.abs(self.proposal - self.label) / self._half
        if self._takeover and not self.expert_drives and error[self.given].max() > self._takeover:
            self._left, self.expert_drives = self._segment, True
        self._left -= elapsed
        return self.label if self.expert_drives else self.proposal


def chosen_outputs(command: CommandSpec, names: Sequence[str]) -> list[int]:
    """Indexes of outputs of a world's command: the first one by default, ("all",) for every one.

    Raises:
        InputError: the command has no output of a name.
    """
    if not names:
        return [0]
    if tuple(names) == ("all",):
        return list(range(len(command)))
    if unknown := [name for name in names if name not in command.names]:
        raise InputError(
            f"The world's command has no output {', '.join(unknown)}; choose among "
            f"{', '.join(command.names)}, or all."
        )
    return [command.names.index(name) for name in names]


class Disturbed:
    """A pilot into whose commands somebody pulls now and then, so that recoveries are recorded.

    In the spirit of DART (Laskey et al., CoRL 2017), but in pulses: noise that changes with every
    frame averages out before a car has moved.

    Args:
        pilot: who drives otherwise.
        strength: largest pull as a share of half an output's range.
        outputs: names of the outputs that are pulled; the first one by default, ("all",) for all.
    """

    def __init__(self, pilot: Pilot, strength: float = 0.5, outputs: Sequence[str] = ()) -> None:
        self._pilot, self._strength, self._outputs = pilot, strength, outputs

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        self._pilot.reset(env, seed)
        command = env.unwrapped.command
        self._places = chosen_outputs(command, self._outputs)
        self._limits = self._strength * (command.high - command.low)[self._places] / 2
        # Not the stream of the frames' noise, which starts from the seed alone.
        self._rng = np.random.default_rng([seed, 1])
        self._left, self._pull = self._rng.uniform(0.5, 3.0), np.zeros(len(self._places))

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        action = np.array(self._pilot.act(env, frame, elapsed))
        self._left -= elapsed
        if self._left <= 0:
            pulling = not self._pull.any()
            self._left = self._rng.uniform(0.3, 1.0) if pulling else self._rng.uniform(0.7, 3.5)
            self._pull = (
                self._rng.uniform(-self._limits, self._limits) if pulling else self._limits * 0
            )
        action[self._places] += self._pull.astype(action.dtype)
        return env.unwrapped.command.clip(action)


class NoiseInjected:
    """A pilot whose every command carries Gaussian noise N(0, covariance), as in DART.

    Laskey et al., "DART: Noise Injection for Robust Imitation Learning", CoRL 2017: the supervisor
    drives with noise that looks like the robot's error, so that it is recorded how to make up for
    such errors. `dart.covariance` estimates the covariance.

    Args:
        pilot: who drives otherwise.
        covariance: (outputs, outputs) of the world's command, in the outputs' units.
    """

    def __init__(self, pilot: Pilot, covariance: np.ndarray) -> None:
        self._pilot = pilot
        # A root of the covariance, which may be singular: an output without error gets no noise.
        variances, axes = np.linalg.eigh(np.asarray(covariance, float))
        self._root = axes * np.sqrt(np.clip(variances, 0, None))

    def reset(self, env: gymnasium.Env, seed: int) -> None:
        self._pilot.reset(env, seed)
        self._rng = np.random.default_rng([seed, 3])

    def act(self, env: gymnasium.Env, frame: np.ndarray, elapsed: float) -> np.ndarray:
        noise = self._root @ self._rng.standard_normal(len(self._root))
        return env.unwrapped.command.clip(self._pilot.act(env, frame, elapsed) + noise)
