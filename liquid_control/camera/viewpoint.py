"""What a camera would have seen from beside its path."""

from __future__ import annotations

import math

import cv2
import numpy as np

from liquid_control.camera.lens import Intrinsics

__all__ = ["Viewpoint"]


class Viewpoint:
    """Frames of a forward camera as from a place beside, turned, over level ground.

    What lies below the horizon is taken to be the ground, the rest to be far away, as in
    `MotionBlur`; so poles and cars lean, which small changes forgive. What the camera did not see
    is the frame's edge, drawn out.

    Args:
        camera: intrinsics of the frames; a distortion is left out of account.
        pitch: of the camera, positive down [rad].
        height: above the ground [m].
    """

    def __init__(self, camera: Intrinsics, pitch: float, height: float) -> None:
        self.camera = camera
        v, u = np.mgrid[: camera.height, : camera.width]
        x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
        self._sin, self._cos = math.sin(pitch), math.cos(pitch)
        # Directions of the pixels: ahead, left, up, for a camera that looks level.
        self._rays = np.stack([self._cos - y * self._sin, -x, -(y * self._cos + self._sin)])
        self._height = height

    def apply(self, frames: np.ndarray, left: float, yaw: float) -> np.ndarray:
        """Frames as seen from `left` [m] and turned left by `yaw` [rad].

        Args:
            frames: uint8 (..., height, width, 3).
            left: of the place, positive to the left [m].
            yaw: of the camera about the vertical, positive to the left [rad].
        """
        if left == 0 and yaw == 0:
            return frames
        maps = self._maps(left, yaw)
        flat = np.ascontiguousarray(frames).reshape(-1, *frames.shape[-3:])
        seen = np.empty_like(flat)
        for frame, target in zip(flat, seen, strict=True):
            cv2.remap(frame, *maps, cv2.INTER_LINEAR, target, cv2.BORDER_REPLICATE)
        return seen.reshape(frames.shape)

    def _maps(self, left: float, yaw: float) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of the new frame lies in the old one."""
        ahead, side, up = self._rays
        ahead, side = (
            ahead * math.cos(yaw) - side * math.sin(yaw),
            ahead * math.sin(yaw) + side * math.cos(yaw),
        )
        # A ray meets the ground at distance height / -up; above the horizon never.
        side = side + left * np.maximum(-up, 0.0) / self._height
        # Back into the old camera: its axis, and down.
        depth = np.maximum(ahead * self._cos - up * self._sin, 1e-3)
        down = -(ahead * self._sin + up * self._cos)
        camera = self.camera
        u = camera.cx - camera.fx * side / depth
        v = camera.cy + camera.fy * down / depth
        return cv2.convertMaps(u.astype(np.float32), v.astype(np.float32), cv2.CV_16SC2)
