"""Frames as from farther away."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["from_afar"]


def from_afar(frames: np.ndarray, factor: float, horizon: float = 0.5) -> np.ndarray:
    """Frames in which everything is `factor` times as small, drawn together about the horizon.

    So looks a goal that is so many times as far away. What lies beyond the frame is not known: the
    frame's own margin is mirrored there.

    Args:
        frames: uint8 RGB (time, rows, columns, 3).
        factor: from 1 to 3.
        horizon: its row, as a share of the frame's height, 0 to 1.
    """
    rows, columns = frames.shape[1:3]
    high, wide = round(rows / factor), round(columns / factor)
    if (high, wide) == (rows, columns):
        return frames
    top, left = round((rows - high) * horizon), (columns - wide) // 2
    margins = (top, rows - high - top, left, columns - wide - left)
    found = np.empty_like(frames)
    for index, frame in enumerate(frames):
        small = cv2.resize(frame, (wide, high), interpolation=cv2.INTER_AREA)
        found[index] = cv2.copyMakeBorder(small, *margins, cv2.BORDER_REFLECT)
    return found
