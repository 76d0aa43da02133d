"""Saliency drawn over the camera image."""

from __future__ import annotations

import cv2
import numpy as np

from liquid_control.errors import InputError

__all__ = ["overlay"]

STRENGTH = 0.75
# OpenCV makes BGR; reversed once to RGB. Row v is the colour of saliency v / 255.
COLOURS = np.ascontiguousarray(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1]
)


def overlay(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Colour the salient parts of an image and leave the rest as it is.

    Args:
        image: uint8 RGB (rows, columns, 3).
        saliency: floats in [0, 1], (rows, columns) of the same size.

    Returns:
        uint8 RGB (rows, columns, 3), a new array.

    Raises:
        InputError: the two do not fit.
    """
    if image.dtype != np.uint8 or image.shape != (*saliency.shape, 3) or saliency.ndim != 2:
        raise InputError(
            "An overlay needs a uint8 RGB image and a saliency map of its rows and columns, got "
            f"{image.dtype} {image.shape} and {saliency.shape}; prepare the image with "
            "CameraSetup.apply."
        )
    level = np.clip(saliency, 0.0, 1.0).astype(np.float32)
    heat = COLOURS[np.rint(level * 255).astype(np.uint8)]
    share = STRENGTH * level[..., None]
    return np.rint(image * (1 - share) + heat * share).astype(np.uint8)
