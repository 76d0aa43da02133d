"""Sensor noise."""

from __future__ import annotations

import numpy as np

__all__ = ["gaussian"]


def gaussian(image: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise to `image`, uint8 of any shape, as in the NCP paper's active test.

    Noise of `variance` is added on the scale [0, 1], clipped to it, and rounded to 8 bits
    (Lechner et al., Nature Machine Intelligence 2020). Variance 0 returns the image itself.
    """
    if variance == 0:
        return image
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(255 * np.sqrt(variance))
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
