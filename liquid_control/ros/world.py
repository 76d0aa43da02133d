"""A simulated world in a robot's terms: velocities in, pose and velocity out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from liquid_control.command import curvature_from_yaw_rate
from liquid_control.errors import InputError
from liquid_control.ros.attitude import Quaternion, Vector, in_body, quaternion

__all__ = ["Moment", "World"]

# What a velocity command can be turned into, by the name of the world's input.
_INPUTS = {"curvature", "speed", "vx", "vy", "vz", "yaw_rate"}


@dataclass(frozen=True)
class Moment:
    """A world after a step.

    Attributes:
        frame: uint8 RGB (rows, columns, 3).
        info: the world's.
        crashed, success, ended: whether the episode is over, and how.
    """

    frame: np.ndarray
    info: dict[str, float]
    crashed: bool = False
    success: bool = False
    ended: bool = False

    @property
    def place(self) -> Vector:
        """x, y, z of base_link [m]."""
        return self.info["x"], self.info["y"], self.info.get("z", 0.0)

    @property
    def attitude(self) -> Quaternion:
        return quaternion(self.info.get("roll", 0.0), self.info.get("pitch", 0.0), self.info["yaw"])

    @property
    def velocity(self) -> Vector:
        """Along base_link's own axes, forward, left, up [m/s]."""
        if "vz" not in self.info:
            return self.info["speed"], 0.0, 0.0
        level = self.info["vx"], self.info["vy"], self.info["vz"]
        return in_body(level, self.attitude)


class World:
    """Any of our Gymnasium worlds whose commands are a path or a velocity.

    Args:
        name: Gymnasium id.
        options: of the world, each NAME=VALUE with a value in JSON, or a word.

    Attributes:
        rate: frames a second [Hz].
        outputs: names of the action's values.
        road: whether there is one.

    Raises:
        InputError: no such world or option, or a world that no velocity command drives.
    """

    def __init__(self, name: str, options: Iterable[str] = ()) -> None:
        import gymnasium

        import liquid_control.envs  # noqa: F401  (registers the worlds)

        try:
            self._env = gymnasium.make(name, disable_env_checker=True, **_typed(options))
        except gymnasium.error.Error as error:
            raise InputError(
                f"No world {name!r}: expected a Gymnasium id such as liquid_control/Driving-v1 "
                f"({str(error).splitlines()[0]})."
            ) from error
        except TypeError as error:
            raise InputError(f"The world {name} refuses its options: {error}.") from error
        world = self._env.unwrapped
        spec = getattr(world, "command", None)
        if spec is None or not set(spec.names) <= _INPUTS:
            self._env.close()
            inputs = (
                "does not say what" if spec is None else f"takes {', '.join(spec.names)}, which"
            )
            raise InputError(
                f"The world {name} {inputs} a velocity command means; the simulator node runs "
                "liquid_control/Driving-v1, Driving-v0 and Drone-v0, `liquid-control evaluate` all."
            )
        self.outputs = spec.names
        self.rate = int(self._env.metadata["render_fps"])
        self.intrinsics: dict[str, Any] = world.intrinsics()
        self.road = hasattr(world, "road")

    def reset(self, seed: int) -> Moment:
        return Moment(*self._env.reset(seed=seed))

    def step(self, action: np.ndarray) -> Moment:
        """One period of the world with an action (outputs,) in its own terms."""
        frame, _, terminated, truncated, info = self._env.step(action)
        success = info.get("success", 0.0) == 1.0
        crashed = bool(info.get("crashed", terminated)) and not success
        return Moment(frame, info, crashed, success, terminated or truncated)

    def action(self, velocity: Vector, yaw_rate: float) -> np.ndarray:
        """The action that asks for a velocity forward, left, up [m/s] and a yaw rate [rad/s]."""
        vx, vy, vz = velocity
        asked = {"vx": vx, "vy": vy, "vz": vz, "yaw_rate": yaw_rate, "speed": vx}
        asked["curvature"] = curvature_from_yaw_rate(yaw_rate, vx)
        return np.array([asked[name] for name in self.outputs], np.float32)

    def expert_action(self) -> np.ndarray:
        """What the world's privileged expert would do now (outputs,)."""
        return self._env.unwrapped.expert_action()

    def line(self, name: str) -> np.ndarray:
        """A line (N, 2) [m] of the road: "lane", "left_edge" or "right_edge"."""
        return getattr(self._env.unwrapped.road, name)

    @property
    def target(self) -> Vector | None:
        """Where the vehicle is to go [m]; None in worlds without a target."""
        return getattr(self._env.unwrapped, "target", None)

    def close(self) -> None:
        self._env.close()


def _typed(options: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in filter(None, options):
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"A world's option is NAME=VALUE, got {text!r}; write season=winter.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
