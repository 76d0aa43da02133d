"""Headlights at night: how much of their light comes back to each pixel of a camera."""

from __future__ import annotations

import cv2
import numpy as np

from liquid_control.camera.lens import Intrinsics
from liquid_control.errors import InputError

__all__ = ["Headlights"]

# At full size, relative to the camera and the ground [m]: a windscreen camera behind the lamps.
AHEAD, APART, LAMP_HEIGHT = 1.8, 0.6, 0.65
CUTOFF = np.deg2rad(-0.6)  # of a low beam
RISE = np.deg2rad(3.0)  # of the cut-off, toward the kerb: 15 degrees to the right
SPREAD = np.deg2rad(26.0)  # half width of the beam
STRAY = 0.035  # of the light goes above the cut-off
BEYOND = 22.0  # [m] at which what stands above the horizon is taken to be


class Headlights:
    """Low beams of a vehicle that drives on the right, as a mask that frames are multiplied with.

    The mask depends on how the camera is mounted alone: ground below the horizon, things that stand
    at 22 m above it. Illuminance falls with the square of the distance; the camera's exposure
    compresses it.

    Args:
        camera: intrinsics.
        pitch: of the camera, positive down [rad].
        height: of the camera above the ground [m].
        reach: distance at which a quarter of the light is left [m].
        scale: of the world; 0.1 for a 1:10 car with lamps.

    Attributes:
        mask: float32 (height, width) in [0, 1].
    """

    def __init__(
        self,
        camera: Intrinsics,
        pitch: float,
        height: float,
        reach: float = 25.0,
        scale: float = 1.0,
    ) -> None:
        if not (height > 0 and reach > 0 and scale > 0):
            raise InputError(
                "Headlights need a camera height, a reach and a scale of more than 0, got "
                f"{height} m, {reach} m and {scale}."
            )
        height, reach = height / scale, reach / scale
        rays = camera.rays().astype(np.float64)
        x, y = rays[..., 0], rays[..., 1]
        sin, cos = np.sin(pitch), np.cos(pitch)
        down, ahead = y * cos + sin, cos - y * sin
        # Where each ray ends: on the ground, or on something upright far ahead.
        far = (BEYOND + AHEAD) / np.maximum(ahead, 0.05)
        length = np.minimum(np.where(down > 1e-6, height / np.maximum(down, 1e-6), np.inf), far)
        point = np.stack([ahead * length - AHEAD, -x * length, height - down * length], axis=-1)
        total = sum(_lamp(point - (0.0, side * APART, LAMP_HEIGHT)) for side in (1, -1))
        straight = _lamp(np.array([reach, 0.0, -LAMP_HEIGHT])) * 2
        # So that a quarter is left at `reach`, and the brightest is 1.
        light = 1 - np.exp(np.log(0.75) * (total / straight) ** 0.75)
        soft = cv2.GaussianBlur(light, (0, 0), max(0.012 * camera.width, 0.5))
        self.mask = np.clip(soft, 0, 1).astype(np.float32)
        bytes_ = np.rint(255 * self.mask).astype(np.uint8)
        self._mask = np.repeat(bytes_[..., None], 3, axis=2)

    def apply(self, frame: np.ndarray, dark: float = 0.06) -> np.ndarray:
        """Darken `frame`, uint8 RGB (height, width, 3), to what the headlights and the night show.

        Args:
            frame: as lit by day; stays as it is.
            dark: share of the light that is there without headlights, 0 to 1.
        """
        mask = self._mask
        if dark > 0:
            mask = cv2.max(mask, np.full(3, 255 * dark, np.float64))
        return cv2.multiply(frame, mask, scale=1 / 255)


def _lamp(offset: np.ndarray) -> np.ndarray:
    """Light of a lamp at points (..., 3) from it (ahead, left, up) [m], of any unit."""
    ahead, left, up = offset[..., 0], offset[..., 1], offset[..., 2]
    flat = np.hypot(ahead, left)
    azimuth, elevation = np.arctan2(left, ahead), np.arctan2(up, flat)
    edge = CUTOFF + RISE * np.clip(-azimuth / np.deg2rad(15), 0, 1)
    below = 1 / (1 + np.exp(-(edge - elevation) / np.deg2rad(0.35)))
    beam = np.exp(-((azimuth / SPREAD) ** 2)) * (np.abs(azimuth) < np.pi / 2)
    return beam * (STRAY + below) / (flat**2 + 4.0)
