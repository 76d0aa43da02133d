"""The front camera: how it is mounted, and what happens to a frame before anybody sees it."""

from __future__ import annotations

import math

import numpy as np

from liquid_control.camera import (
    CameraEffects,
    CameraPipeline,
    Headlights,
    Intrinsics,
    Lens,
    LensDrops,
    Precipitation,
    glare,
    intrinsics,
)
from liquid_control.envs.driving.options import Options
from liquid_control.envs.driving.specs import VehicleSpec
from liquid_control.envs.driving.world import World

__all__ = ["FrontCamera"]

PINHOLE = (0.0,) * 5
RENDERED = 3  # A lens wants no more than this times the size of its frames.
GLARE_BELOW = math.radians(15)  # elevation of a sun that shines into the lens


class FrontCamera:
    """Mounts the camera of a world and develops what it renders.

    Args:
        height, width: of the frames [px].
        fovy: vertical field of view [rad], until `reset` says what it is in an episode.

    Attributes:
        camera: intrinsics of the frames.
        size: width and height [px] of what must be rendered.
        sight: where the camera looks, from the vehicle's yaw, and how far it sees aside [rad].
    """

    def __init__(self, height: int, width: int, fovy: float) -> None:
        self._height, self._width = height, width
        self.camera = intrinsics(width, height, fovy)
        self.size = width, height

    def largest(self, width: int, height: int) -> tuple[int, int]:
        """Width and height [px] of a buffer for the frames of any lens, and for another view."""
        return max(width, RENDERED * self._width), max(height, RENDERED * self._height)

    def reset(
        self, world: World, spec: VehicleSpec, options: Options, rng: np.random.Generator
    ) -> None:
        """Mount the camera for an episode; `world` has been loaded with its light."""
        k, light = spec.scale, world.light

        def own(asked: float | None, default: float, unit: float) -> float:
            return default if asked is None else float(asked * unit)

        place = tuple(
            own(asked, default, k)
            for asked, default in zip(
                (options.camera_forward, options.camera_side, options.camera_height),
                spec.camera_position,
                strict=True,
            )
        )
        degree = math.pi / 180
        self._yaw = own(options.camera_yaw, 0.0, degree)
        self._pitch = own(options.camera_pitch, spec.camera_pitch, degree)
        roll = own(options.camera_roll, 0.0, degree)
        fovy = own(options.camera_fovy, spec.camera_fovy * degree, degree)
        distortion = tuple(options.distortion or PINHOLE)
        camera = intrinsics(self._width, self._height, fovy, distortion)
        self.camera: Intrinsics = camera
        self._lens = Lens(camera) if any(distortion) else None
        rendered = self._lens.pinhole if self._lens else camera
        self.size = rendered.width, rendered.height
        # A camera that is rolled sees by its diagonal.
        across = math.hypot(*self.size) if roll else max(self.size[0], 640 / 360 * self.size[1])
        self.sight = self._yaw, min(math.atan(across / 2 / rendered.fx), math.pi / 2)
        world.aim(place, self._pitch, self._yaw, roll, rendered.fovy)
        self._scale, self._sun = k, -light.sun
        low = math.asin(self._sun[2]) < GLARE_BELOW
        self._glare = light.shadow if low and not light.headlights else 0.0
        self._lamps = None
        if light.headlights:
            reach = 0.7 * light.sight * k
            self._lamps = Headlights(camera, self._pitch, place[2], reach, k)
        # A stream for each, so that rain does not change the noise.
        falling, drops, effects = (np.random.default_rng(rng.integers(2**63)) for _ in range(3))
        self._falling = self._drops = None
        if light.rain or light.snow:
            kind = "rain" if light.rain else "snow"
            self._falling = Precipitation(kind, light.rain or light.snow, camera, falling, k)
        if light.rain:
            self._drops = LensDrops(0.5 * light.rain, self._width, self._height, drops)
        self._pipeline = CameraPipeline(
            *(CameraEffects.from_dict(dict(options.effects or {})), effects),
            *(camera, self._pitch, place[2]),
        )

    def develop(
        self, frame: np.ndarray, yaw: float, yaw_rate: float, speed: float, seconds: float
    ) -> np.ndarray:
        """The camera's frame of what was rendered: lens, headlights, weather, sensor.

        Args:
            frame: uint8 RGB of the size `size`.
            yaw: of the vehicle [rad].
            yaw_rate: [rad/s].
            speed: [m/s].
            seconds: since the frame before.
        """
        if self._lens is not None:
            frame = self._lens.apply(frame)
        if self._lamps is not None:
            frame = self._lamps.apply(frame)
        if self._falling is not None:
            frame = self._falling.apply(frame, speed, seconds)
        if self._glare:
            azimuth = math.atan2(self._sun[1], self._sun[0]) - yaw - self._yaw
            elevation = math.asin(self._sun[2]) + self._pitch
            azimuth = math.remainder(azimuth, 2 * math.pi)
            frame = glare(frame, self.camera, azimuth, elevation, self._glare)
        if self._drops is not None:
            frame = self._drops.apply(frame, seconds)
        return self._pipeline.apply(frame, yaw_rate, seconds, speed)
