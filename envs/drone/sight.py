"""What comes between the scene and the observation: rain, snow, a camera that is not perfect."""

from __future__ import annotations

import numpy as np

from liquid_control.camera import CameraEffects, CameraPipeline, Intrinsics, Precipitation
from liquid_control.envs.drone.quadrotor import Pose
from liquid_control.envs.scene.light import Light

__all__ = ["FrontCamera"]


class FrontCamera:
    """Applies weather and camera effects to the rendered frames of one episode.

    Args:
        camera: intrinsics.
        effects: of the camera.
        light: what falls from the sky.
        rng: of everything random.
    """

    def __init__(
        self, camera: Intrinsics, effects: CameraEffects, light: Light, rng: np.random.Generator
    ) -> None:
        kind, amount = ("rain", light.rain) if light.rain else ("snow", light.snow)
        self._falling = Precipitation(kind, amount, camera, rng)
        # Looking ahead and level, so that the ground streaks with the height of the flight.
        self._pipeline = CameraPipeline(effects, rng, camera, height=1.5)

    def apply(self, frame: np.ndarray, pose: Pose, seconds: float) -> np.ndarray:
        """The frame that arrives, uint8 RGB, `seconds` after the one before."""
        frame = self._falling.apply(frame, pose.vx, seconds)
        return self._pipeline.apply(frame, pose.yaw_rate, seconds, pose.vx)
