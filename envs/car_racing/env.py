"""`liquid_control/CarRacing-v0`: one lap of Gymnasium's CarRacing, seen from above."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from liquid_control.command import STEERING, CommandSpec, Output
from liquid_control.envs.car_racing.expert import Expert
from liquid_control.envs.car_racing.options import Options
from liquid_control.envs.car_racing.racing import FPS, FRAME_SHAPE, Racing
from liquid_control.envs.car_racing.track import Track
from liquid_control.errors import InputError

__all__ = ["CarRacingEnv"]

LOST = 40.0  # [m] from the road: from here on it is looked for everywhere
COMMAND = CommandSpec((STEERING, Output("gas", "1", 0.0, 1.0), Output("brake", "1", 0.0, 1.0)))


class CarRacingEnv(gymnasium.Env):
    """One lap on a random closed track, as fast as possible.

    Wraps CarRacing-v3: the same seed gives the same track, frames, physics and rewards as there;
    only the sign of the steering differs. Its lengths are taken as metres: the car is 5 m long,
    the road 13.3 m wide, a lap 0.9 to 1.2 km.

    Observation: `Box(0, 255, (96, 96, 3), uint8)`, RGB from above, the car's nose upwards; the
    view zooms in during the first second. The black panel at the bottom shows, from left to
    right: score, speed, the four wheels' rotation (ABS), steering wheel, yaw rate.

    Action: `Box((3,), float32)`, at 50 Hz:
        steering: share in [-1, 1], POSITIVE TO THE LEFT (REP-103; in CarRacing-v3 it is positive
            to the right). It is also the target angle of the front wheels in rad, which stop at
            0.4: beyond +-0.4 nothing more happens.
        gas: share of the rear engine's power, 0 to 1; it rises by at most 0.1 a frame.
        brake: share of the brakes' force on all wheels, 0 to 1; from 0.9 on the wheels lock.
    Actions outside are clipped; a wrong shape, NaN or infinity raises `ValueError`.

    Reward: 1000 / N for each of the N road tiles touched for the first time, and -0.1 a frame: a
    lap in 732 frames scores 926.8. Leaving the playfield costs 100.

    An episode terminates when all tiles have been touched (`success`) or when the car leaves the
    playfield of 667 m x 667 m (`crashed`), and is truncated after `seconds`, or beyond `lost`.

    `info` holds, as floats: `x`, `y` [m], `yaw` [rad] of the car; `speed`, `vx` (forward), `vy`
    (left) [m/s, body frame]; `yaw_rate` [rad/s]; `lateral_error` [m, positive left of the road's
    middle], `heading_error` [rad], `curvature` [1/m, of the road's middle], `curvature_driven`
    [1/m]; `distance` [m along the road since the start]; `tiles` (share of the tiles touched);
    `off_road` (1 when no wheel is on the road), `lane_departure` (1 when a wheel is not);
    `crashed`, `success` (0 or 1); `score` (sum of the rewards); `time` [s].

    Args:
        render_mode: None, "rgb_array" for pictures (400, 600, 3), or "human" for a window.
        camera: whether to draw observations; without, they are black and physics is the same.
        **options: defaults of the scene options, see `Options`; `reset(options={...})` changes
            them for one episode.

    Attributes:
        command: the `CommandSpec` of the actions.

    Raises:
        InputError: an unknown render mode, option or value, here and in `reset`.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["human", "rgb_array"],
        "render_fps": FPS,
    }

    def __init__(self, render_mode: str | None = None, camera: bool = True, **options: Any) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(
                f"CarRacing renders with one of {self.metadata['render_modes']} or None, "
                f"got {render_mode!r}; choose one of these."
            )
        self.render_mode = render_mode
        self.command = COMMAND
        self.observation_space = gymnasium.spaces.Box(0, 255, FRAME_SHAPE, np.uint8)
        self.action_space = gymnasium.spaces.Box(COMMAND.low, COMMAND.high)
        self._defaults = Options().changed(options)
        self._camera = camera
        self._racing = Racing()
        self._track: Track | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Start on a new track, from standstill.

        Args:
            seed: of the track and of whatever else is random.
            options: scene options of this episode, see `Options`.
        """
        super().reset(seed=seed)
        self._options = self._defaults.changed(options)
        racing = self._racing
        racing.np_random = self.np_random
        racing.draws = self._camera
        racing.variant, racing.start = self._options.variant, self._options.start
        racing.lap_complete_percent = self._options.lap_complete_percent
        # From a copy, so that the track is CarRacing-v3's of the same seed, in every variant.
        key = int(copy.deepcopy(self.np_random).integers(2**63))
        frame = racing.begin(key, self._options.domain_randomize, self._options.randomize)
        self._track = Track(np.array([point[2:4] for point in racing.track]))
        self._expert: Expert | None = None
        self._steps, self._score, self._distance = 0, 0.0, 0.0
        self._locate(near=0.0)
        self._distance = 0.0
        if self.render_mode == "human":
            self.render()
        return frame, self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, float]]:
        """Drive for 1/50 s."""
        self._need_reset()
        action = np.asarray(action, np.float64)
        if action.shape != (3,) or not np.all(np.isfinite(action)):
            raise ValueError(
                "CarRacing takes three finite numbers, steering, gas and brake, "
                f"got {action}; check the policy that made them."
            )
        steering, gas, brake = self.command.clip(action)
        frame, reward, terminated, _, ended = self._racing.step(
            np.array([-steering, gas, brake], np.float32)
        )
        self._steps += 1
        self._score += float(reward)
        self._locate(near=self._place.distance)
        info = self._info()
        if terminated:
            info["success" if ended["lap_finished"] else "crashed"] = 1.0
        lost = 0 < self._options.lost < abs(self._place.offset)
        late = self._steps >= round(self._options.seconds * FPS)
        truncated = not terminated and (late or lost)
        if self.render_mode == "human":
            self.render()
        return frame, float(reward), terminated, truncated, info

    def expert_action(self) -> np.ndarray:
        """What the privileged expert would do now, float32 (3,); see `expert.Expert`."""
        self._need_reset()
        if self._expert is None:
            self._expert = Expert(self._track, self._options.pace)
        return self._expert.act(self._racing.car, self._place)

    def intrinsics(self) -> None:
        """None: the view from above is drawn, no pinhole camera takes it."""

    def render(self) -> np.ndarray | None:
        """A picture (400, 600, 3) uint8, or with "human" a window that is kept up to date."""
        if self.render_mode is None:
            return None
        self._need_reset()
        return self._racing._render(self.render_mode)

    def close(self) -> None:
        self._racing.close()

    @property
    def track(self) -> Track:
        """The track of the episode; it exists after `reset`."""
        self._need_reset()
        return self._track

    def _need_reset(self) -> None:
        if self._track is None:
            raise ResetNeeded("CarRacing has no track before `reset`; call it first.")

    def _locate(self, near: float) -> None:
        x, y = self._racing.car.hull.position
        place = self._track.locate(x, y, near)
        if abs(place.offset) > LOST:
            place = self._track.locate(x, y)
        lap = self._track.length
        self._distance += (place.distance - near + lap / 2) % lap - lap / 2
        self._place = place

    def _info(self) -> dict[str, float]:
        racing, place = self._racing, self._place
        hull = racing.car.hull
        (x, y), (vx, vy) = hull.position, hull.linearVelocity
        # CarRacing's car looks along y at angle 0.
        yaw, speed = hull.angle + np.pi / 2, float(np.hypot(vx, vy))
        on_grass = [not wheel.tiles for wheel in racing.car.wheels]
        return {
            "x": float(x),
            "y": float(y),
            "yaw": float(np.angle(np.exp(1j * yaw))),
            "speed": speed,
            "vx": float(vx * np.cos(yaw) + vy * np.sin(yaw)),
            "vy": float(vy * np.cos(yaw) - vx * np.sin(yaw)),
            "yaw_rate": float(hull.angularVelocity),
            "lateral_error": place.offset,
            "heading_error": float(np.angle(np.exp(1j * (yaw - place.heading)))),
            "curvature": place.curvature,
            "curvature_driven": float(hull.angularVelocity) / max(speed, 0.1),
            "distance": self._distance,
            "tiles": racing.tile_visited_count / len(racing.track),
            "off_road": float(all(on_grass)),
            "lane_departure": float(any(on_grass)),
            "crashed": 0.0,
            "success": 0.0,
            "score": self._score,
            "time": self._steps / FPS,
        }
