"""`liquid_control/Driving-v0`: keep the right-hand lane of a two-lane road, seen from the car."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np

from liquid_control.camera import intrinsics
from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.envs.checks import SECONDS, SLOWEST, check_number
from liquid_control.envs.driving_v0 import expert
from liquid_control.envs.driving_v0.road import LANE_WIDTH, PAVED_HALF_WIDTH, generate
from liquid_control.envs.driving_v0.vehicle import BODY_HALF_WIDTH, HALF_TRACK, WHEELBASE, Car
from liquid_control.envs.driving_v0.world import CAMERA, World
from liquid_control.envs.scene.renderer import Renderer
from liquid_control.errors import InputError

__all__ = ["DrivingEnv"]

HEIGHT, WIDTH = 78, 200  # [px]
RATE = 30  # [Hz]
START = 8.0  # [m] along the road, where an episode starts by default
DRAW = 640, 360  # [px], width and height of `render()`


class DrivingEnv(gymnasium.Env):
    """A full-size car on a procedural two-lane road of 1.2 km.

    The road, what stands beside it and the light come from the seed of `reset`. The car starts in
    its lane, with a small random error, at the cruising speed.

    Observation: `Box(0, 255, (78, 200, 3), uint8)`, the RGB frame of the front camera.

    Action: `Box((2,), float32)`: path curvature [1/m] in [-0.06, 0.06], positive to the left, and
    target speed [m/s] in [0, 15]. Actions outside are clipped; NaN raises `ValueError`.

    Reward: progress along the road in a step divided by the progress at cruising speed, times
    1 - (lateral error / half a lane)^2, at least 0; a perfect step at cruising speed earns 1. A
    step that leaves the road costs 10.

    An episode terminates when a wheel leaves the pavement (two lanes of 3.5 m and shoulders of
    0.6 m), and is truncated after `seconds` or 5 m before the end of the road.

    `info` holds, as floats: `lateral_error` [m, positive left of the lane's middle],
    `heading_error` [rad], `distance` [m driven along the road], `speed` [m/s], `curvature` [1/m,
    of the lane], `curvature_driven` [1/m], `x`, `y` [m], `yaw` [rad], `yaw_rate` [rad/s],
    `off_road` and `lane_departure` (1 when the body is over a line of its lane), `time` [s].

    Args:
        render_mode: None, or "rgb_array" for a view from behind the car (360, 640, 3).
        seconds: time limit of an episode [s].
        cruise: cruising speed [m/s], at which an episode starts.
        camera: whether to render observations; without, they are black (physics alone is faster).

    Attributes:
        command: the `CommandSpec` of the actions.
        road: the `Road` of the episode.
        wheelbase: of the car [m].
        cruise: see above.
        fovy: vertical field of view of the front camera [rad].
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": RATE}

    def __init__(
        self,
        render_mode: str | None = None,
        seconds: float = 120.0,
        cruise: float = 30 / 3.6,
        camera: bool = True,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(
                f"Driving-v0 renders with one of {self.metadata['render_modes']} or None, "
                f"got {render_mode!r}; choose one of these."
            )
        check_number("seconds", seconds, *SECONDS)
        check_number("cruise", cruise, SLOWEST, SPEED.high)
        self.render_mode = render_mode
        self.command = CommandSpec((CURVATURE, SPEED))
        self.observation_space = gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(self.command.low, self.command.high)
        self.wheelbase = WHEELBASE
        self.cruise = cruise
        self.fovy = float(np.deg2rad(CAMERA["fovy"]))
        self._steps = round(seconds * RATE)
        self._camera = camera
        self._renderer: Renderer | None = None
        self.road = generate(np.random.default_rng(0))
        self._world = World(self.road, *(DRAW if render_mode else (WIDTH, HEIGHT)))
        self._car = Car(self._world.model, self._world.data)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Start on a new road; the same seed gives the same road, scenery, light and frames.

        Args:
            seed: of everything that is random.
            options: {"start": share} starts further along the road, 0 (default) at its begin and 1
                at 100 m before its end.
        """
        super().reset(seed=seed)
        if unknown := sorted(set(options or {}) - {"start"}):
            raise InputError(
                f"Driving-v0 has one option, start, got {', '.join(unknown)}; Driving-v1 has more."
            )
        start = (options or {}).get("start", 0.0)
        check_number("start", start, 0.0, 1.0)
        self.road = generate(self.np_random)
        # Its own stream: physics does not depend on whether anybody looks.
        scenery = np.random.default_rng(self.np_random.integers(2**63))
        if self._camera or self.render_mode:
            self._world.load(self.road, scenery)
        start = START + start * (self.road.length - 100.0 - START)
        offset = -LANE_WIDTH / 2 + self.np_random.uniform(-0.3, 0.3)
        (x, y), heading, _ = self.road.at(start)
        yaw = float(heading) + self.np_random.uniform(-0.03, 0.03)
        self._car.place(
            x - offset * np.sin(heading), y + offset * np.cos(heading), yaw, self.cruise
        )
        self._step = 0
        self._locate(start)
        self._start = self._place.distance
        return self._observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, float]]:
        """Drive for 1/30 s."""
        action = np.asarray(action, np.float64)
        if action.shape != (2,) or not np.all(np.isfinite(action)):
            raise ValueError(
                "Driving-v0 takes two finite numbers, curvature [1/m] and speed [m/s], "
                f"got {action}; check the policy that made them."
            )
        curvature, speed = self.command.clip(action)
        before = self._place.distance
        self._car.step(float(curvature), float(speed), 1 / RATE)
        self._locate(before)
        self._step += 1
        info = self._info()
        terminated = bool(info["off_road"])
        progress = (self._place.distance - before) * RATE / self.cruise
        reward = progress * max(0.0, 1 - (info["lateral_error"] / (LANE_WIDTH / 2)) ** 2)
        at_end = self._place.distance > self.road.length - 5.0
        truncated = self._step >= self._steps or at_end
        return self._observe(), reward - 10.0 * terminated, terminated, truncated, info

    def expert_action(self) -> np.ndarray:
        """What the privileged expert would do now: curvature [1/m] and cruising speed [m/s]."""
        curvature = expert.curvature(self.road, self._place, self._pose)
        return np.array([curvature, self.cruise], np.float32)

    def intrinsics(self) -> dict[str, Any]:
        """Pinhole model of the front camera [px]; the centre of the top left pixel is (0, 0)."""
        return intrinsics(WIDTH, HEIGHT, self.fovy).to_dict()

    def render(self) -> np.ndarray | None:
        """The car from behind, (360, 640, 3) uint8, with render_mode "rgb_array"."""
        if self.render_mode is None:
            return None
        return self._render("chase", *DRAW, body=True)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _locate(self, near: float) -> None:
        self._pose = self._car.pose
        self._place = self.road.project(self._pose.x, self._pose.y, near)

    def _observe(self) -> np.ndarray:
        if not self._camera:
            return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        return self._render("front", WIDTH, HEIGHT)

    def _render(self, camera: str, width: int, height: int, body: bool = False) -> np.ndarray:
        if self._renderer is None:
            self._renderer = Renderer(self._world)
        self._world.show(self._place.distance, self._pose.x, self._pose.y)
        return self._renderer.render(camera, width, height, body)

    def _info(self) -> dict[str, float]:
        pose, place = self._pose, self._place
        lateral = float(place.offset + LANE_WIDTH / 2)
        off_road = abs(place.offset) + HALF_TRACK > PAVED_HALF_WIDTH
        return {
            "lateral_error": lateral,
            "heading_error": float(np.angle(np.exp(1j * (pose.yaw - place.heading)))),
            "distance": place.distance - self._start,
            "speed": pose.speed,
            "curvature": place.curvature / (1 + place.curvature * LANE_WIDTH / 2),
            "curvature_driven": pose.yaw_rate / max(pose.speed, 0.1),
            "x": pose.x,
            "y": pose.y,
            "yaw": pose.yaw,
            "yaw_rate": pose.yaw_rate,
            "off_road": float(off_road),
            "lane_departure": float(abs(lateral) + BODY_HALF_WIDTH > LANE_WIDTH / 2),
            "time": self._step / RATE,
        }
