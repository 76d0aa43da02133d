"""Motion blur from how a camera moves while its shutter is open."""

from __future__ import annotations

import math

import cv2
import numpy as np

from liquid_control.camera.lens import Intrinsics

__all__ = ["MotionBlur"]

SAMPLES = 8  # of a streak at most
LONGEST = 0.25  # of the frame's width: no streak is longer


class MotionBlur:
    """Streaks along the optical flow of a camera that turns and drives over level ground.

    What lies below the horizon is taken to be the ground, the rest to be far away: that is where
    the flow of a road differs most, and it needs no depth (H. C. Longuet-Higgins and K. Prazdny,
    The interpretation of a moving retinal image, 1980).

    Args:
        camera: intrinsics; a distortion is left out of account.
        pitch: of the camera, positive down [rad].
        height: above the ground [m].
    """

    def __init__(self, camera: Intrinsics, pitch: float, height: float) -> None:
        v, u = np.mgrid[: camera.height, : camera.width]
        x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
        sin, cos = math.sin(pitch), math.cos(pitch)
        # Turning left about the vertical, the world turns right about it.
        turn = np.stack(
            [camera.fx * (cos * (1 + x * x) - sin * y), camera.fy * (cos * x * y + sin * x)], -1
        )
        # Inverse depth of the ground, 0 from the horizon up; its velocity in the image at 1 m/s.
        nearness = np.maximum(cos * y + sin, 0.0) / height
        drive = nearness[..., None] * np.stack(
            [camera.fx * cos * x, camera.fy * (cos * y + sin)], -1
        )
        self._turn, self._drive = turn.astype(np.float32), drive.astype(np.float32)
        self._pixels = np.stack([u, v], -1).astype(np.float32)
        self._longest = LONGEST * camera.width

    def apply(self, frame: np.ndarray, yaw_rate: float, speed: float, seconds: float) -> np.ndarray:
        """Blur `frame`, uint8 RGB, by what moved in the `seconds` that the shutter was open.

        Args:
            frame: (height, width, 3) uint8.
            yaw_rate: of the camera [rad/s], positive to the left.
            speed: ahead [m/s].
            seconds: of exposure.
        """
        flow = (yaw_rate * seconds) * self._turn + (speed * seconds) * self._drive
        length = min(float(np.abs(flow).max()), self._longest)
        if length < 0.3:
            return frame
        np.clip(flow, -self._longest, self._longest, out=flow)
        count = min(max(math.ceil(length), 2), SAMPLES)
        total = np.zeros(frame.shape, np.float32)
        for share in (np.arange(count) + 0.5) / count - 0.5:
            maps = self._pixels + np.float32(share) * flow
            cv2.accumulate(
                cv2.remap(frame, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
                total,
            )
        return np.rint(total / count).astype(np.uint8)
