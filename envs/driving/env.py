"""`liquid_control/Driving-v1`: keep the lane of any road, in any season, weather and light."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import gymnasium
import numpy as np

from liquid_control.command import CURVATURE, STEERING, THROTTLE, CommandSpec, Output, wheel_angle
from liquid_control.envs.checks import SECONDS, SLOWEST, check_number
from liquid_control.envs.driving import actuation, terrain, traffic
from liquid_control.envs.driving.actuation import Physics
from liquid_control.envs.driving.expert import Expert
from liquid_control.envs.driving.front_camera import FrontCamera
from liquid_control.envs.driving.options import Options
from liquid_control.envs.driving.road import RoadStyle, generate
from liquid_control.envs.driving.road_mask import road_mask
from liquid_control.envs.driving.specs import SPECS, VehicleSpec
from liquid_control.envs.driving.vehicle import Vehicle
from liquid_control.envs.driving.world import World
from liquid_control.envs.scene.renderer import Renderer
from liquid_control.envs.scene.window import Window
from liquid_control.errors import InputError

__all__ = ["DrivingEnv"]

# [s] that servo and tyres take to answer a new curvature.
ANSWER = {"car": 0.08, "rc": 0.05}
CHASE_HALF, CHASE_BACK = np.deg2rad(44), 9.0  # how far the view from behind sees aside; [m]
VIEW = 640, 360  # [px], width and height of `render()`
BEGIN, END, LAST = 8.0, 5.0, 100.0  # [m] of a road before the start, after the end, after start=1


class DrivingEnv(gymnasium.Env):
    """A car on a road from the seed, seen through its front camera.

    What `Options` leaves open, the seed of `reset` decides: shape, width, lanes and hills of the
    road, season, weather and time of day, and where everything stands. Every option can be given
    to the constructor, and to `reset(options=...)` for one episode.

    Observation: `Box(0, 255, (height, width, 3), uint8)`, the RGB frame of the front camera.

    Action, with `actions="curvature"`: `Box((2,), float32)`, path curvature [1/m], positive to the
    left, and target speed [m/s]: [-0.06, 0.06] and [0, 15] for the car, what the vehicle can do for
    another one. With `actions="steering"`: steering as a share of full lock in [-1, 1], positive to
    the left, and throttle in [-1, 1], negative brakes. Actions outside are clipped.

    Reward: progress along the road in a step divided by the progress at cruising speed, times
    1 - (lateral error / half a lane)^2, at least 0; a perfect step at cruising speed earns 1. A
    step that leaves the road or hits another car costs 10.

    An episode terminates when a wheel leaves the pavement or the car hits another one, and is
    truncated after `seconds` or 5 m before the end of an open road.

    `info` holds, as floats: `lateral_error` [m, positive left of the middle of the lane],
    `heading_error` [rad], `distance` [m driven along the road], `speed` [m/s], `curvature` [1/m, of
    the lane], `curvature_driven` [1/m], `x`, `y`, `z` [m], `roll`, `pitch`, `yaw` [rad],
    `yaw_rate` [rad/s], `off_road`, `lane_departure` (1 while the body is over a line of its lane),
    `collision`, `crashed`, `success` (1 at the end of an episode without a crash), `laps`, `time`
    [s].

    Args:
        render_mode: None; "rgb_array", the view of the front camera, and "chase", from behind the
            car, (360, 640, 3) from `render()`; "human", a window with the view from behind.
        height, width: of the observation [px].
        actions: "curvature" or "steering".
        seconds: time limit of an episode [s].
        cruise: speed [m/s] to drive at where the road allows it, and at the start; by default 8.33
            (30 km/h) for the car. From 0.1 m/s to what the vehicle can do.
        camera: whether to render observations; without, they are black (physics alone is faster).
        options: fields of `Options`.

    Attributes:
        command: the `CommandSpec` of the actions.
        road: the `Road` of the episode.
        traffic: the other cars of the episode.
        options: the `Options` of the episode, as decided by the seed.
        cruise: see above.
        wheelbase: of the vehicle [m].

    Raises:
        InputError: an unknown option or value, a road that cannot be built or driven.
        ValueError: an action that is not two finite numbers.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["human", "rgb_array", "chase"],
        "render_fps": Options.rate,
    }

    def __init__(
        self,
        render_mode: str | None = None,
        height: int = 78,
        width: int = 200,
        actions: str = "curvature",
        seconds: float = 120.0,
        cruise: float | None = None,
        camera: bool = True,
        **options: Any,
    ) -> None:
        for name, value, known in (
            ("render_mode", render_mode, [None, *self.metadata["render_modes"]]),
            ("actions", actions, ["curvature", "steering"]),
        ):
            if value not in known:
                raise InputError(f"Driving-v1 knows {name} {known}, got {value!r}; choose one.")
        check_number("height", height, 1, 4096, whole=True)
        check_number("width", width, 1, 4096, whole=True)
        check_number("seconds", seconds, *SECONDS)
        self.render_mode = render_mode
        self._defaults = Options().updated(options)
        self.options = self._defaults.decided(np.random.default_rng(0))
        self._spec = SPECS[self.options.vehicle]
        if cruise is not None:
            check_number("cruise", cruise, SLOWEST, self._spec.max_speed)
        self._steering = actions == "steering"
        self._curvature = _curvature(self._spec)
        self.command = _command(self._spec, self._steering)
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(self.command.low, self.command.high)
        self.wheelbase = self._spec.wheelbase
        self.cruise = self._spec.cruise if cruise is None else float(cruise)
        self._seconds = seconds
        self.metadata = type(self).metadata | {"render_fps": self.options.rate}
        self._camera = camera
        fovy = self.options.camera_fovy or self._spec.camera_fovy
        self._front = FrontCamera(height, width, float(np.deg2rad(fovy)))
        style = _style(self.options, self._spec.scale)
        self.road = generate(np.random.default_rng(0), style, self._curvature.high)
        self._worlds: dict[str, tuple[World, Vehicle]] = {}
        self._renderers: dict[str, Renderer] = {}
        self._window: Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Start on a new road; the same seed and options give the same episode, to the bit.

        Args:
            seed: of everything that is random.
            options: fields of `Options`, for this episode.
        """
        super().reset(seed=seed)
        # A stream for each purpose: physics does not depend on whether anybody looks.
        choices, roads, places, looks, lens = (
            np.random.default_rng(self.np_random.integers(2**63)) for _ in range(5)
        )
        asked = self._defaults.updated(options)
        self.options = asked.decided(choices)
        if SPECS[self.options.vehicle] is not self._spec:
            raise InputError(
                f"This Driving-v1 was made for the vehicle {self._spec.name!r}, whose limits its "
                f"action space has, got {self.options.vehicle!r}; make another world for it."
            )
        self._rate = self.options.rate
        self.metadata = type(self).metadata | {"render_fps": self._rate}
        self._steps = round(self._seconds * self._rate)
        scale = self._spec.scale
        self.road = generate(roads, _style(self.options, scale), self._curvature.high)
        self._terrain = terrain.draw(roads, self.options.hills, scale)
        self.traffic = traffic.draw(roads, self.road, self.options.obstacles, self.options.density)
        self._expert = Expert(float(self._curvature.high), self._spec.body_half_width)
        self._world, self._vehicle = self._staged(self.options.scene)
        if self._camera or self.render_mode:
            self._world.load(self.road, self._terrain, self.options, looks)
            self._front.reset(self._world, self._spec, self.options, lens)
        self._start(places, _physics(self.options, choices))
        if self.render_mode == "human":
            self.render()
        return self._observe(), self._info(False)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, float]]:
        """Drive for a frame, 1/30 s by default."""
        action = np.asarray(action, np.float64)
        if action.shape != (2,) or not np.all(np.isfinite(action)):
            raise ValueError(
                f"Driving-v1 takes two finite numbers, {' and '.join(self.command.names)}, "
                f"got {action}; check the policy that made them."
            )
        first, second = map(float, self.command.clip(action))
        before = self._travelled
        drive = self._vehicle.step_steering if self._steering else self._vehicle.step
        drive(first, second, 1 / self._rate)
        self._step += 1
        self._locate()
        ended = not self.road.closed and self._place.distance > self.road.length - self._end
        truncated = self._step >= self._steps or ended
        info = self._info(truncated)
        terminated = bool(info["crashed"])
        progress = (self._travelled - before) * self._rate / self.cruise
        centred = max(0.0, 1 - (info["lateral_error"] / (self.road.style.lane_width / 2)) ** 2)
        reward = progress * centred - 10.0 * terminated
        if self.render_mode == "human":
            self.render()
        return self._observe(), reward, terminated, truncated and not terminated, info

    def expert_action(self) -> np.ndarray:
        """What the privileged expert would do now, in terms of `command`."""
        pose = self._pose
        preview = ANSWER[self._spec.name] + self._vehicle.physics.delay
        curvature, speed = self._expert.command(
            *(self.road, self._place, pose.yaw, pose.speed, self.cruise, preview),
            *(self.traffic, self._step / self._rate),
        )
        if not self._steering:
            return np.array([curvature, speed], np.float32)
        steering = wheel_angle(curvature, self.wheelbase) / self._spec.max_wheel_angle
        throttle = self._vehicle.throttle_for(speed)
        return self.command.clip([steering, throttle])

    def intrinsics(self) -> dict[str, Any]:
        """Pinhole and lens of the observation: width, height, fx, fy, cx, cy [px], distortion."""
        return self._front.camera.to_dict()

    def road_mask(self) -> np.ndarray:
        """bool (height, width): which pixels of the last observation show the road, see there."""
        eye, reach = self._world.data.camera("front"), self._world.reach
        return road_mask(
            *(self.road, self._terrain, self._front.camera),
            *(eye.xpos.copy(), eye.xmat.reshape(3, 3).copy(), reach),
        )

    @property
    def fovy(self) -> float:
        """Vertical field of view of the front camera [rad]."""
        return self._front.camera.fovy

    def render(self) -> np.ndarray | None:
        """A view (360, 640, 3) uint8 of the episode, or None with render_mode None or "human"."""
        if self.render_mode is None:
            return None
        if self.render_mode == "rgb_array":
            return self._draw("front", *VIEW)
        view = self._draw("chase", *VIEW, body=True)
        if self.render_mode == "chase":
            return view
        if self._window is None:
            self._window = Window("Driving-v1", self._rate)
        self._window.show(view)
        return None

    def close(self) -> None:
        """Free OpenGL."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
        self._worlds.clear()
        if self._window is not None:
            self._window.close()
            self._window = None

    def _staged(self, scene: str) -> tuple[World, Vehicle]:
        if scene not in self._worlds:
            # A margin around the frame is for the lens.
            world = World(scene, self._spec, *self._front.largest(*VIEW))
            self._worlds[scene] = world, Vehicle(world.model, world.data, self._spec)
        return self._worlds[scene]

    def _start(self, rng: np.random.Generator, physics: Physics) -> None:
        k, road = self._spec.scale, self.road
        first = 0.0 if road.closed else BEGIN * k
        room = road.length if road.closed else road.length - (LAST + BEGIN) * k
        self._end = END * k
        start = first + self.options.start * max(room, 0.0)
        offset = road.lane_offset + rng.uniform(-0.3, 0.3) * k
        heading = float(road.at(start)[1])
        x, y = road.line(start, offset)
        yaw = heading + rng.uniform(-0.03, 0.03)
        self._vehicle.place(float(x), float(y), yaw, self.cruise, self._terrain, physics)
        self._step, self._travelled = 0, 0.0
        self._pose = self._vehicle.pose
        self._place = road.project(self._pose.x, self._pose.y, start)

    def _locate(self) -> None:
        road, before = self.road, self._place.distance
        self._pose = self._vehicle.pose
        self._place = road.project(self._pose.x, self._pose.y, before)
        moved = self._place.distance - before
        if road.closed:
            # Over the seam of a loop the arc length starts again.
            moved = (moved + road.length / 2) % road.length - road.length / 2
        self._travelled += moved

    def _observe(self) -> np.ndarray:
        if not self._camera:
            return np.zeros(self.observation_space.shape, np.uint8)
        frame = self._draw("front", *self._front.size)
        pose = self._pose
        return self._front.develop(frame, pose.yaw, pose.yaw_rate, pose.speed, 1 / self._rate)

    def _draw(self, camera: str, width: int, height: int, body: bool = False) -> np.ndarray:
        scene, pose = self.options.scene, self._pose
        if scene not in self._renderers:
            self._renderers[scene] = Renderer(self._world)
        (yaw, half), back = self._front.sight, 0.0
        if camera == "chase":
            yaw, half, back = 0.0, CHASE_HALF, CHASE_BACK * self._spec.scale
        x, y = pose.x - back * np.cos(pose.yaw), pose.y - back * np.sin(pose.yaw)
        self._world.show(x, y, pose.z, pose.yaw + yaw, half)
        self._world.place_cars(self.traffic, self._step / self._rate)
        return self._renderers[scene].render(camera, width, height, body)

    def _info(self, truncated: bool) -> dict[str, float]:
        pose, place, road, spec = self._pose, self._place, self.road, self._spec
        lateral = float(place.offset - road.lane_offset)
        off_road = abs(place.offset) + spec.half_track > road.half_width
        hit = self.traffic.hits(
            pose.x + spec.body_middle * np.cos(pose.yaw),
            pose.y + spec.body_middle * np.sin(pose.yaw),
            *(pose.yaw, spec.body_length, 2 * spec.body_half_width, self._step / self._rate),
        )
        crashed = off_road or hit
        return {
            "lateral_error": lateral,
            "heading_error": float(np.angle(np.exp(1j * (pose.yaw - place.heading)))),
            "distance": float(self._travelled),
            "speed": pose.speed,
            "curvature": float(place.curvature / (1 - place.curvature * road.lane_offset)),
            "curvature_driven": pose.yaw_rate / max(pose.speed, 0.1 * spec.scale),
            "x": pose.x,
            "y": pose.y,
            "z": pose.z,
            "roll": pose.roll,
            "pitch": pose.pitch,
            "yaw": pose.yaw,
            "yaw_rate": pose.yaw_rate,
            "off_road": float(off_road),
            "lane_departure": float(
                abs(lateral) + spec.body_half_width > road.style.lane_width / 2
            ),
            "collision": float(hit),
            "crashed": float(crashed),
            "success": float(truncated and not crashed),
            "laps": float(self._travelled / road.length),
            "time": self._step / self._rate,
        }


def _command(spec: VehicleSpec, steering: bool) -> CommandSpec:
    if steering:
        return CommandSpec((STEERING, THROTTLE))
    speed = Output("speed", "m/s", 0.0, spec.max_speed)
    return CommandSpec((_curvature(spec), speed))


def _curvature(spec: VehicleSpec) -> Output:
    """What a policy may ask for: roads of full size need no more than 0.06 1/m."""
    if spec.scale == 1.0:
        return CURVATURE
    return Output("curvature", "1/m", -spec.max_curvature, spec.max_curvature)


def _style(options: Options, scale: float) -> RoadStyle:
    track = options.scene == "rc_track"
    curvature = options.max_curvature or (0.12 if track else 0.048)
    return RoadStyle(
        shape=options.shape,
        lanes=options.lanes,
        lane_width=options.lane_width * scale,
        shoulder=(0.05 if track else 0.6) * scale,
        length=options.length * scale,
        max_curvature=curvature / scale,
        scale=scale,
    )


def _physics(options: Options, rng: np.random.Generator) -> Physics:
    physics = actuation.draw(rng, options.randomise)
    if options.steering_delay is not None:
        physics = replace(physics, delay=options.steering_delay)
    if options.steering_rate is not None:
        physics = replace(physics, steering_rate=options.steering_rate)
    return physics
