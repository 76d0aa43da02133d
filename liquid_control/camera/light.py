"""Light: gamma, and shadows that fall across the view."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["gamma", "shadow_band"]


def gamma(images: np.ndarray, exponent: float) -> np.ndarray:
    """Raise `images`, uint8 of any shape, to a power on the scale [0, 1]; above 1 is darker."""
    table = np.rint(255 * np.linspace(0, 1, 256) ** exponent).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(images).reshape(1, -1), table).reshape(images.shape)


def shadow_band(
    images: np.ndarray, share: float, angle: float, centre: float, width: float
) -> np.ndarray:
    """Darken a straight band across `images`, uint8 (..., rows, columns, 3).

    Args:
        share: of the brightness that is taken away, 0 to 1.
        angle: of the band's normal against the image's x axis [rad].
        centre: of the band along its normal, -1 to 1 from edge to edge.
        width: half width, on the same scale.
    """
    rows, columns = images.shape[-3:-1]
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)
    inside = np.abs(x * np.cos(angle) + y * np.sin(angle) - centre) < width
    darker = images.copy()
    darker[..., inside, :] = (images[..., inside, :] * np.float32(1 - share)).astype(np.uint8)
    return darker
