"""A camera that is not mounted quite as it was, or shakes: rolled, nearer, looking up or down."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["shaken"]


def shaken(frames: np.ndarray, roll: float, zoom: float, down: float) -> np.ndarray:
    """Frames as a camera would take them that is turned about its axis, zoomed and tilted a little.

    What comes in from beyond the frame repeats its border.

    Args:
        frames: (time, rows, columns, 3) uint8.
        roll: turns the picture clockwise [rad].
        zoom: factor on its size, about its middle.
        down: moves it down by this share of its height.
    """
    rows, columns = frames.shape[1:3]
    middle = ((columns - 1) / 2, (rows - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, -np.degrees(roll), zoom)
    matrix[1, 2] += down * rows
    moved = np.empty_like(frames)
    for frame, target in zip(frames, moved, strict=True):
        cv2.warpAffine(frame, matrix, (columns, rows), dst=target, borderMode=cv2.BORDER_REPLICATE)
    return moved
