"""A simulated world as the learner sees it, and frames turned into features once a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from liquid_control.camera import CameraSetup
from liquid_control.command import CommandSpec
from liquid_control.errors import InputError
from liquid_control.perception import VisionHead
from liquid_control.perception.baseline import BaselineHead
from liquid_control.rollout import make_world, split_options

__all__ = ["FeatureVecEnv", "LearnerWorld", "command_of"]

# Seeds of training episodes begin here: those of evaluations and recordings are far below.
FIRST_SEED = 2**20


class LearnerWorld(gymnasium.Env):
    """A world with a policy's actions, observations and pace.

    Actions are the circuit's outputs, shares of the upper limits of the policy's command; outputs
    of the world that the policy does not have keep the world's default (see `PolicyPilot`).
    Observations are "frame", the prepared image as a flat row (so that nobody takes it for an image
    that must be transposed), "elapsed" [s] and "privileged", chosen values of the world's `info`.
    Each episode has a new seed, and a step lasts one of `strides` frames of the world throughout.

    When an episode ends, `info["outcome"]` has its reward by the world's own measure, seconds, and
    whether it crashed or succeeded (1.0 or 0.0), and the distance where the world measures one.

    Args:
        world, options: as for `make_world`; options go to the constructor or to `reset`.
        spec: the policy's command.
        camera: of the policy.
        privileged: names of values of `info`.
        strides: every how many frames of the world the policy sees one, drawn for each episode.
        smoothness: penalty on changes of the action, per second and squared change per second.
        time_cost: penalty per second.
        seed: of the order of episodes and strides.

    Raises:
        InputError: the world has no place for an output or does not know a privileged value.
    """

    def __init__(
        self,
        world: str,
        options: dict[str, Any],
        spec: CommandSpec,
        camera: CameraSetup,
        privileged: Sequence[str] = (),
        strides: Sequence[int] = (1,),
        smoothness: float = 0.0,
        time_cost: float = 0.0,
        seed: int = 0,
    ) -> None:
        made, self._options = split_options(world, options)
        self._env = make_world(world, **made)
        self._spec, self._camera, self._privileged = spec, camera, tuple(privileged)
        self._strides = tuple(strides)
        self._smoothness, self._time_cost = smoothness, time_cost
        self._rng = np.random.default_rng(seed)
        self._places, self._action = places(self._env, spec)
        self.rate = float(self._env.metadata["render_fps"])
        self.action_space = spaces.Box(spec.low / spec.high, np.ones(len(spec), np.float32))
        infinite = np.inf
        self.observation_space = spaces.Dict(
            {
                "frame": spaces.Box(0, 255, (camera.height * camera.width * 3,), np.uint8),
                "elapsed": spaces.Box(0.0, infinite, (1,)),
            }
            | (
                {"privileged": spaces.Box(-infinite, infinite, (len(privileged),))}
                if privileged
                else {}
            )
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """A new episode; `seed` is of all that follow."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._stride = int(self._rng.choice(self._strides))
        episode = int(self._rng.integers(FIRST_SEED, 2**31))
        frame, info = self._env.reset(
            seed=episode, options=(self._options | (options or {})) or None
        )
        if missing := [name for name in self._privileged if name not in info]:
            raise InputError(
                f"The world does not tell {', '.join(missing)}: privileged values are among "
                f"{', '.join(sorted(info))}; choose others."
            )
        self._before, self._frames, self._reward = None, 0, 0.0
        return self._observe(frame, info, 1), {}

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        command = self._action.copy()
        command[self._places] = self._spec.clip(np.asarray(action) * self._spec.high)
        reward, frames, ended = 0.0, 0, False
        while frames < self._stride and not ended:
            frame, gain, terminated, truncated, info = self._env.step(command)
            reward, frames, ended = reward + float(gain), frames + 1, terminated or truncated
        self._frames, self._reward = self._frames + frames, self._reward + reward
        outcome = {}
        if ended:
            success = info.get("success", 0.0)
            outcome = {
                "reward": self._reward,
                "seconds": self._frames / self.rate,
                "crashed": float(terminated and success != 1),
                "success": float(success),
            } | ({"distance": info["distance"]} if "distance" in info else {})
        seconds = frames / self.rate
        reward -= self._time_cost * seconds
        if self._smoothness and self._before is not None:
            change = (np.asarray(action) - self._before) / seconds
            reward -= self._smoothness * float(change @ change) * seconds
        self._before = np.array(action)
        observation = self._observe(frame, info, frames)
        return observation, reward, terminated, truncated, {"outcome": outcome} if ended else {}

    def close(self) -> None:
        self._env.close()

    def _observe(
        self, frame: np.ndarray, info: dict[str, float], frames: int
    ) -> dict[str, np.ndarray]:
        observation = {
            "frame": self._camera.apply(frame).reshape(-1),
            "elapsed": np.array([frames / self.rate], np.float32),
        }
        if self._privileged:
            values = [info[name] for name in self._privileged]
            observation["privileged"] = np.array(values, np.float32)
        return observation


class FeatureVecEnv(VecEnvWrapper):
    """Frames of all worlds become features in one pass of a head that does not learn.

    What a rollout keeps of a frame is then 128 bytes instead of 46,800, and learning from it takes
    no convolution at all.

    Args:
        venv: worlds whose observations have "frame".
        head: used as it is, without gradients.
    """

    def __init__(self, venv: VecEnv, head: VisionHead | BaselineHead) -> None:
        rest = {name: space for name, space in venv.observation_space.items() if name != "frame"}
        features = spaces.Box(0.0, np.inf, (head.features,))
        super().__init__(venv, spaces.Dict({"features": features, **rest}))
        self._head = head

    def reset(self) -> VecEnvObs:
        return self._seen(self.venv.reset())

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                last = {name: value[None] for name, value in info["terminal_observation"].items()}
                seen = self._seen(last)
                info["terminal_observation"] = {name: value[0] for name, value in seen.items()}
        return self._seen(observations), rewards, dones, infos

    @torch.inference_mode()
    def _seen(self, observations: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        frames = torch.from_numpy(observations["frame"]).view(-1, *self._head.size, 3)
        features = self._head(frames).numpy()
        rest = {name: value for name, value in observations.items() if name != "frame"}
        return {"features": features, **rest}


def command_of(world: str, options: dict[str, Any], names: Sequence[str]) -> CommandSpec:
    """The chosen outputs of a world's command, all of them where no name is given.

    Raises:
        InputError: no such world or output.
    """
    made, _ = split_options(world, options)
    env = make_world(world, **made)
    known = {output.name: output for output in env.unwrapped.command.outputs}
    env.close()
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"The world {world} takes {', '.join(known)}, got outputs {', '.join(unknown)}; choose "
            "among its own."
        )
    return CommandSpec(tuple(known[name] for name in names or known))


def places(env: gymnasium.Env, spec: CommandSpec) -> tuple[list[int], np.ndarray]:
    """Where a policy's outputs stand in a world's command, and the command without them."""
    wanted = env.unwrapped.command.names
    if unknown := [name for name in spec.names if name not in wanted]:
        raise InputError(
            f"The policy gives {', '.join(spec.names)}, but the world takes {', '.join(wanted)}: "
            f"{', '.join(unknown)} has no place; choose a model that was trained for this world."
        )
    cruise = getattr(env.unwrapped, "cruise", 0.0)
    rest = np.array([cruise if name == "speed" else 0.0 for name in wanted], np.float32)
    return [wanted.index(name) for name in spec.names], rest
