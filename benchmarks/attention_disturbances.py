"""What may happen to a camera, or where it may be put, that was not in training."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from liquid_control.camera.effects import CameraEffects, CameraPipeline
from liquid_control.camera.lens import intrinsics
from liquid_control.camera.viewpoint import Viewpoint

__all__ = ["disturbances"]

Disturb = Callable[[np.ndarray, int], np.ndarray]


def disturbances(size: tuple[int, int]) -> dict[str, Disturb]:
    """By name, what turns frames uint8 (frames, rows, columns, 3) and a seed into disturbed ones.

    Args:
        size: rows and columns of the frames.
    """
    return {
        "dirt on the lens, 0.5": _effects(dirt=0.5),
        "dirt on the lens, 1": _effects(dirt=1.0),
        "something before the lens": _covered(*size),
        "half the lens covered": lambda frames, seed: _half(frames),
        "noise, variance 0.05": _effects(noise=0.05),
        "noise, variance 0.2": _effects(noise=0.2),
        "out of focus, 2 px": _effects(defocus=2.0),
        "out of focus, 5 px": _effects(defocus=5.0),
        "fog before the lens": _fog,
        "4 stops darker": _effects(exposure=-4.0),
        "3 stops brighter": _effects(exposure=3.0),
        "camera turned by 10 degrees": _turned(10.0, *size),
        "camera turned by 25 degrees": _turned(25.0, *size),
        "upside down": lambda frames, seed: frames[:, ::-1, ::-1],
        "mirrored": lambda frames, seed: frames[:, :, ::-1],
        "black": lambda frames, seed: np.zeros_like(frames),
        "pure noise": _pure_noise,
    }


def _effects(**amounts: float) -> Disturb:
    def disturb(frames: np.ndarray, seed: int) -> np.ndarray:
        pipeline = CameraPipeline(CameraEffects(**amounts), np.random.default_rng(seed))
        return np.stack([pipeline.apply(np.ascontiguousarray(frame)) for frame in frames])

    return disturb


def _covered(rows: int, columns: int) -> Disturb:
    """A grey thing of a tenth of the picture, anywhere in its lower two thirds."""

    def disturb(frames: np.ndarray, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        height, width = rows // 3, columns * 3 // 10
        top = int(random.integers(rows // 3, rows - height + 1))
        left = int(random.integers(0, columns - width + 1))
        covered = frames.copy()
        covered[:, top : top + height, left : left + width] = 40
        return covered

    return disturb


def _half(frames: np.ndarray) -> np.ndarray:
    covered = frames.copy()
    covered[:, :, frames.shape[2] // 2 :] = 20
    return covered


def _fog(frames: np.ndarray, seed: int) -> np.ndarray:
    """A quarter of the contrast is left, as of a lens that is steamed up."""
    steamed = [cv2.GaussianBlur(np.ascontiguousarray(frame), (0, 0), 1.5) for frame in frames]
    return np.rint(0.25 * np.stack(steamed) + 0.75 * 200).astype(np.uint8)


def _turned(degrees: float, rows: int, columns: int) -> Disturb:
    camera = intrinsics(columns, rows, np.radians(35))
    viewpoint = Viewpoint(camera, pitch=0.1, height=1.35)
    return lambda frames, seed: viewpoint.apply(frames, 0.0, np.radians(degrees))


def _pure_noise(frames: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, frames.shape, np.uint8)
