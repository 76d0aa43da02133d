"""How alike two saliency maps are."""

from __future__ import annotations

import cv2
import numpy as np

from liquid_control.errors import InputError

__all__ = ["ssim"]

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Mean structural similarity of two maps, 1 where they are equal, -1 at the least.

    Gaussian window of 11 x 11 and sigma 1.5, over the positions where it lies inside the map, on
    the scale 0 to 255 (Wang et al., IEEE Transactions on Image Processing 2004, eq. 13). The NCP
    paper compares saliency maps of clean and noisy frames with it.

    Args:
        first: floats in [0, 1], (rows, columns), at least 11 x 11.
        second: the same.

    Raises:
        InputError: the shapes differ or are smaller than the window.
    """
    if first.shape != second.shape or first.ndim != 2 or min(first.shape) < WINDOW:
        raise InputError(
            f"SSIM compares two maps of one size, at least {WINDOW} x {WINDOW}, got {first.shape} "
            f"and {second.shape}; take both from the same policy."
        )
    a, b = (np.asarray(saliency, np.float64) * 255 for saliency in (first, second))
    mean_a, mean_b = _window(a), _window(b)
    variance_a = _window(a * a) - mean_a**2
    variance_b = _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    denominator = (mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2)
    return float((numerator / denominator).mean())


def _window(values: np.ndarray) -> np.ndarray:
    margin = WINDOW // 2
    blurred = cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA)
    return blurred[margin:-margin, margin:-margin]
