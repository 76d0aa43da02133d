"""`liquid_control/Drone-v0`: fly a quadrotor to coloured targets, seen through its camera."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gymnasium
import numpy as np

from liquid_control.camera import CameraEffects, intrinsics
from liquid_control.command import VX, VY, VZ, YAW_RATE, CommandSpec
from liquid_control.envs.drone import expert
from liquid_control.envs.drone.options import Options
from liquid_control.envs.drone.quadrotor import KINDS, Quadrotor
from liquid_control.envs.drone.sight import FrontCamera
from liquid_control.envs.drone.task import Sight, Task, look
from liquid_control.envs.drone.world import FOVY, World
from liquid_control.envs.scene.renderer import Renderer
from liquid_control.envs.scene.window import Window
from liquid_control.errors import InputError

__all__ = ["DroneEnv"]

RATE = 30  # [Hz]
DRAW = 640, 360  # [px], width and height of `render()`
CRASH_SPEED = 1.0  # [m/s]: hitting anything faster ends the flight
CRASH_TILT = math.radians(75)
LOST = 30.0  # [m] from start and targets: further off the episode ends
FACING_REWARD, COLLISION_COST, CRASH_COST, SUCCESS = 0.02, 1.0, 10.0, 10.0


class DroneEnv(gymnasium.Env):
    """A quadrotor in a forest or a city, which a seed makes, and coloured targets in it.

    The tasks follow Chahine et al., "Robust flight navigation out of distribution with liquid
    neural networks" (Science Robotics, 2023): the drone starts hovering, about 10 m from a target
    that is in view.

    - "target": fly to it. Success: within 2 m of its middle, with its middle in view and at most
      15 degrees off the nose.
    - "hover": success when it was held for `hold` seconds without a break: at 1.2 to 2.6 m, in
      view, at most 15 degrees off the nose, at less than 0.6 m/s.
    - "hike": a target that was reached as in "target" vanishes, and the next one stands about
      10 m ahead. Success: all `targets` were reached.
    - "moving": the target goes round in a circle; held as in "hover", relative to its motion.

    Observation: `Box(0, 255, (height, width, 3), uint8)`, the RGB frame of the front camera.

    Action: `Box((4,), float32)` in the yaw-aligned frame of REP-103: velocity forward [m/s] in
    [-4, 4], left in [-3, 3], up in [-2, 2], and yaw rate [rad/s] in [-1.5, 1.5], positive to the
    left. Actions outside are clipped; NaN raises `ValueError`.

    Reward: the way [m] by which a step brought the drone nearer to the target, down to 1.65 m from
    its middle ("hover" and "moving": to that distance, from both sides), plus 0.02 times the cosine
    of the bearing while the target is in view, minus 1 for every collision, minus 10 for a crash,
    plus 10 for success.

    An episode terminates with success or with a crash: hitting something at more than 1 m/s, or
    tilting by more than 75 degrees. It is truncated after `seconds`, or 30 m off the start and
    every target.

    `info` holds, as floats: `x`, `y`, `z` [m], `roll`, `pitch`, `yaw` [rad], `vx`, `vy`, `vz`
    [m/s, in the frame of the action], `yaw_rate` [rad/s], `speed` [m/s], `target_distance` [m, to
    its middle], `target_bearing` [rad, positive left], `target_visible` (1 when its middle is in
    the picture and nothing in between), `targets_reached`, `collisions` (how often it touched
    anything), `crashed`, `success`, `distance` [m flown], `time` [s].

    Args:
        render_mode: None; "rgb_array" or "chase" for a view from behind the drone (360, 640, 3);
            "human" for a window with that view.
        kind: of drone: "x2" (1.325 kg, rotors of up to 13 N) or "nano" (27 g).
        width, height: of the observation [px].
        camera: whether to render observations; without, they are black (physics alone is faster).
        options: see `Options`; defaults for every episode, which `reset` can change for one.

    Attributes:
        command: the `CommandSpec` of the actions.
        cruise: speed [m/s] of the expert.
        options: of the episode, with all that the seed decided.
        target: middle of the target to fly to now [m].
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["human", "rgb_array", "chase"],
        "render_fps": RATE,
    }

    def __init__(
        self,
        render_mode: str | None = None,
        kind: str = "x2",
        width: int = 256,
        height: int = 144,
        camera: bool = True,
        **options: Any,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(
                f"Drone-v0 renders with one of {self.metadata['render_modes']} or None, "
                f"got {render_mode!r}; choose one of these."
            )
        if kind not in KINDS:
            raise InputError(f"Unknown kind {kind!r}: expected one of {', '.join(KINDS)}.")
        for name, size in (("width", width), ("height", height)):
            whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
            if not whole or not 16 <= size <= 2048:
                raise InputError(f"The {name} is a whole number from 16 to 2048, got {size!r}.")
        self.render_mode = render_mode
        self._defaults = Options().updated(options)
        self.options = self._defaults.decided(np.random.default_rng(0))
        self.command = CommandSpec((VX, VY, VZ, YAW_RATE))
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(self.command.low, self.command.high)
        self.cruise = expert.CRUISE
        self._width, self._height, self._camera = width, height, camera
        self._intrinsics = intrinsics(width, height, float(FOVY))
        self._renderer: Renderer | None = None
        self._window: Window | None = None
        room = DRAW if render_mode else (0, 0)
        self._world = World(kind, max(width, room[0]), max(height, room[1]))
        self._drone = Quadrotor(self._world.model, self._world.data)
        half = math.tan(FOVY / 2)
        self._tangents = half * width / height, half

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Start a new flight; the same seed and options give the same frames and infos.

        Args:
            seed: of everything that is random. The lie of things depends neither on colours nor on
                the weather: one seed is the same flight in every light.
            options: on top of those of the constructor, for this episode.
        """
        super().reset(seed=seed)
        # Streams of their own: what is drawn in one never moves another.
        chooser, ground, looks, air, lens = (
            np.random.default_rng(self.np_random.integers(2**63)) for _ in range(5)
        )
        self.options = self._defaults.updated(options).decided(chooser)
        self._world.load(self.options, ground)
        if self._camera or self.render_mode:
            light = self._world.dress(self.options, looks)
            effects = CameraEffects.from_dict(dict(self.options.effects or {}))
            self._front = FrontCamera(self._intrinsics, effects, light, lens)
        route = self._world.route
        self._drone.disturb(air, self.options.wind, self.options.gusts, self.options.motor_noise)
        self._drone.place(*route.start, route.yaw)
        self._task = Task(self.options, route)
        self._places = route.line.tolist()
        self._step = self._collisions = 0
        self._distance, self._crashed, self._touching = 0.0, False, False
        self._limit = round(self.options.seconds * RATE)
        self._look()
        if self.render_mode == "human":
            self.render()
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, float]]:
        """Fly for 1/30 s."""
        action = np.asarray(action, np.float64)
        if action.shape != (4,) or not np.all(np.isfinite(action)):
            raise ValueError(
                "Drone-v0 takes four finite numbers, vx, vy, vz [m/s] and yaw rate [rad/s], "
                f"got {action}; check the policy that made them."
            )
        before, sight = self._pose, self._sight
        self._world.surround(before.x, before.y)
        self._drone.step(tuple(self.command.clip(action).tolist()), 1 / RATE)
        self._step += 1
        self._look()
        pose = self._pose
        self._distance += math.dist((pose.x, pose.y, pose.z), (before.x, before.y, before.z))
        hit = self._drone.touched and not self._touching
        self._touching = self._drone.touched
        self._collisions += hit
        tilt = math.cos(pose.roll) * math.cos(pose.pitch)
        self._crashed = self._drone.impact > CRASH_SPEED or tilt < math.cos(CRASH_TILT)
        reward = self._nearness(sight.distance) - self._nearness(self._sight.distance)
        reward += FACING_REWARD * math.cos(self._sight.bearing) * self._sight.visible
        reward -= COLLISION_COST * hit + CRASH_COST * self._crashed
        if not self._crashed and self._task.update(self._sight, 1 / RATE):
            reward += SUCCESS * self._task.done
            if not self._task.done:
                self._look()
        terminated = self._crashed or self._task.done
        lost = min(math.dist(place, (pose.x, pose.y)) for place in self._places) > LOST
        truncated = self._step >= self._limit or lost or pose.z > LOST
        if self.render_mode == "human":
            self.render()
        return self._observe(), float(reward), terminated, truncated, self._info()

    @property
    def target(self) -> tuple[float, float, float]:
        """Middle of the target to fly to now [m]."""
        return tuple(self._task.target(self._step / RATE).tolist())

    def expert_action(self) -> np.ndarray:
        """What the privileged expert would do now: vx, vy, vz [m/s], yaw rate [rad/s]."""
        route, time = self._world.route, self._step / RATE
        return expert.command(
            self.command,
            self._pose,
            self._task.target(time),
            self._task.drift(time),
            self._world.obstacles,
            np.array([other.place for other in route.others]).reshape(-1, 2),
            self._drone.radius,
        )

    def intrinsics(self) -> dict[str, Any]:
        """Pinhole model of the front camera [px]; the centre of the top left pixel is (0, 0)."""
        return self._intrinsics.to_dict()

    def render(self) -> np.ndarray | None:
        """The drone from behind, (360, 640, 3) uint8; in a window with render_mode "human"."""
        if self.render_mode is None:
            return None
        frame = self._render("chase", *DRAW, body=True)
        if self.render_mode != "human":
            return frame
        if self._window is None:
            self._window = Window("Drone-v0", RATE)
        self._window.show(frame)
        return None

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        if self._window is not None:
            self._window.close()
            self._window = None

    def _look(self) -> None:
        """Take in where drone and target are now."""
        time = self._step / RATE
        self._pose = self._drone.pose
        target, eye = self._task.target(time), self._world.eye()
        self._world.put(0, target[:2], self._world.route.target_yaw)
        hidden = self._world.obstacles.hide(eye, target.tolist())
        self._sight: Sight = look(
            self._pose,
            eye,
            target,
            self._task.drift(time),
            hidden,
            self._tangents,
            self.options.gimbal,
        )

    def _nearness(self, distance: float) -> float:
        """What is left to fly [m]."""
        rest = distance - expert.STANDOFF
        return abs(rest) if self.options.task in ("hover", "moving") else max(rest, 0.0)

    def _observe(self) -> np.ndarray:
        if not self._camera:
            return np.zeros((self._height, self._width, 3), np.uint8)
        frame = self._render("front", self._width, self._height)
        return self._front.apply(frame, self._pose, 1 / RATE)

    def _render(self, camera: str, width: int, height: int, body: bool = False) -> np.ndarray:
        if self._renderer is None:
            self._renderer = Renderer(self._world)
        self._world.show(self._pose, self.options.gimbal)
        return self._renderer.render(camera, width, height, body)

    def _info(self) -> dict[str, float]:
        pose, sight = self._pose, self._sight
        return {
            **{name: float(value) for name, value in vars(pose).items()},
            "speed": pose.speed,
            "target_distance": sight.distance,
            "target_bearing": sight.bearing,
            "target_visible": float(sight.visible),
            "targets_reached": float(self._task.reached),
            "collisions": float(self._collisions),
            "crashed": float(self._crashed),
            "success": float(self._task.done),
            "distance": self._distance,
            "time": self._step / RATE,
        }
