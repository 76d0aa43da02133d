"""The front camera: where it is mounted, and what happens to a frame before anybody sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from liquid_control.envs.driving.options import Options
from liquid_control.envs.driving.specs import VehicleSpec
from liquid_control.envs.driving.world import World

__all__ = ["FrontCamera"]


class FrontCamera:
    """Mounts the camera of a world and develops what it renders.

    Args:
        height, width: of the frames [px].
    """

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self.fovy = 0.0

    @property
    def size(self):
        return self._width, self._height

    def largest(self, width, height):
        return max(width, self._width), max(height, self._height)

    def reset(
        self, world: World, spec: VehicleSpec, options: Options, rng: np.random.Generator
    ) -> None:
        k = spec.scale
        x, y, z = spec.camera_position
        x = x if options.camera_forward is None else options.camera_forward * k
        y = y if options.camera_side is None else options.camera_side * k
        z = z if options.camera_height is None else options.camera_height * k
        pitch = (
            spec.camera_pitch if options.camera_pitch is None else np.deg2rad(options.camera_pitch)
        )
        yaw, roll = (np.deg2rad(a or 0.0) for a in (options.camera_yaw, options.camera_roll))
        fovy = spec.camera_fovy if options.camera_fovy is None else options.camera_fovy
        self.fovy = float(np.deg2rad(fovy))
        world.aim((x, y, z), pitch, yaw, roll, self.fovy)

    def develop(self, frame, yaw_rate, speed, seconds):
        return frame

    def intrinsics(self) -> dict[str, Any]:
        return {}
