"""Shadows of trees on the ground in front of a camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from liquid_control.camera.lens import Intrinsics

__all__ = ["GroundShadows", "TreeShadow"]

NEAR = 0.3  # What lies nearer along the camera's axis is cut off [m].
FRACTION = 4  # bits of a pixel that corners are rounded to


@dataclass(frozen=True)
class TreeShadow:
    """A tapering outline on level ground, of a fir where it is widest near its foot.

    Args:
        ahead, left: of its foot from the camera [m].
        direction: in which it falls, from ahead to the left [rad].
        length: of the shadow [m].
        width: where it is widest [m].
        widest: at which share of the length that is, above 0 and below 1.
        tip: its width at the end as a share of `width`, 0 to 1.
    """

    ahead: float
    left: float
    direction: float
    length: float
    width: float
    widest: float = 0.25
    tip: float = 0.0

    def outline(self) -> np.ndarray:
        """Its corners in order, ahead and left [m], (6, 2)."""
        half = self.width / 2
        along = self.length * np.array([0, self.widest, 1, 1, self.widest, 0])
        beside = half * np.array([0.15, 1, self.tip, -self.tip, -1, -0.15])
        ahead, left = math.cos(self.direction), math.sin(self.direction)
        return np.stack(
            [self.ahead + along * ahead - beside * left, self.left + along * left + beside * ahead],
            axis=1,
        )


class GroundShadows:
    """Draws shadows over frames of a forward camera above level ground.

    Args:
        camera: intrinsics of the frames; a distortion is left out of account.
        pitch: of the camera, positive down [rad].
        height: above the ground [m].
    """

    def __init__(self, camera: Intrinsics, pitch: float, height: float) -> None:
        self.camera, self.height = camera, height
        self._sin, self._cos = math.sin(pitch), math.cos(pitch)

    def cast(
        self, frames: np.ndarray, shadows: list[TreeShadow], share: float, step: float = 0.0
    ) -> np.ndarray:
        """Darkened frames; where shadows overlap it is not darker.

        Args:
            frames: uint8 (time, height, width, 3).
            shadows: as they lie before the camera of the first frame.
            share: of the brightness that is taken away, 0 to 1.
            step: how far the camera goes ahead from frame to frame [m].
        """
        seen = frames.copy()
        for index, frame in enumerate(seen):
            mask = np.zeros(frame.shape[:2], np.uint8)
            for shadow in shadows:
                corners = self._seen(shadow.outline() - (index * step, 0.0))
                if len(corners):
                    cv2.fillConvexPoly(mask, corners, 1, cv2.LINE_8, FRACTION)
            dark = mask > 0
            frame[dark] = (frame[dark] * np.float32(1 - share)).astype(np.uint8)
        return seen

    def _seen(self, corners: np.ndarray) -> np.ndarray:
        """Corners on the ground in pixels, times 2 ** FRACTION, int32 (n, 2); empty if behind."""
        ahead, left = corners.T
        depth = ahead * self._cos + self.height * self._sin
        right, down = -left, self.height * self._cos - ahead * self._sin
        points = _before(np.stack([right, down, depth], axis=1))
        if not len(points):
            return np.zeros((0, 2), np.int32)
        camera = self.camera
        u = camera.cx + camera.fx * points[:, 0] / points[:, 2]
        v = camera.cy + camera.fy * points[:, 1] / points[:, 2]
        # OpenCV counts pixels in 32 bits.
        limit = 100 * max(camera.width, camera.height)
        pixels = np.clip(np.stack([u, v], axis=1), -limit, limit)
        return np.rint(pixels * 2**FRACTION).astype(np.int32)


def _before(points: np.ndarray) -> np.ndarray:
    """The part of a convex polygon (n, 3) before the camera (Sutherland and Hodgman 1974)."""
    kept: list[np.ndarray] = []
    for here, there in zip(points, np.roll(points, -1, axis=0), strict=True):
        if here[2] >= NEAR:
            kept.append(here)
        if (here[2] >= NEAR) != (there[2] >= NEAR):
            share = (NEAR - here[2]) / (there[2] - here[2])
            kept.append(here + share * (there - here))
    return np.array(kept).reshape(-1, 3)
