"""Hills: the height of the ground as a smooth function of the place, on which the road lies.

A sum of cosine waves, so that loops close by themselves and slopes are known everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.errors import InputError

__all__ = ["MAX_SLOPE", "MIN_RADIUS", "Terrain", "draw", "flat"]

WAVES = 4
WAVELENGTHS = 120.0, 500.0  # [m] at scale 1
MAX_SLOPE = 0.10  # bound of the gradient's length at hills = 1
# The ground bends no more than this [m of vertical radius, at scale 1], since slope times wave
# number, summed over the waves, stays below MAX_SLOPE * 2 pi / 120 m.
MIN_RADIUS = WAVELENGTHS[0] / (2 * np.pi * MAX_SLOPE)


@dataclass(frozen=True)
class Terrain:
    """Height over the plane, z = sum of amplitude * cos(wave . (x, y) + phase).

    Attributes:
        amplitude: (W,) [m].
        wave: (W, 2) wave vectors [rad/m].
        phase: (W,) [rad].
    """

    amplitude: np.ndarray
    wave: np.ndarray
    phase: np.ndarray

    def height(self, x: float | np.ndarray, y: float | np.ndarray) -> np.ndarray:
        """z [m] at points (x, y) [m] of any common shape."""
        return np.cos(self._angle(x, y)) @ self.amplitude

    def gradient(
        self, x: float | np.ndarray, y: float | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slopes dz/dx and dz/dy, in the shape of x and y."""
        slope = -np.sin(self._angle(x, y)) * self.amplitude
        return slope @ self.wave[:, 0], slope @ self.wave[:, 1]

    def _angle(self, x: float | np.ndarray, y: float | np.ndarray) -> np.ndarray:
        x, y = np.asarray(x, float)[..., None], np.asarray(y, float)[..., None]
        return x * self.wave[:, 0] + y * self.wave[:, 1] + self.phase


def flat() -> Terrain:
    """A plane at height 0."""
    return Terrain(np.zeros(1), np.zeros((1, 2)), np.zeros(1))


def draw(rng: np.random.Generator, hills: float, scale: float = 1.0) -> Terrain:
    """Draw hills; every draw takes the same numbers from `rng`, whatever `hills` is.

    Args:
        hills: 0 (flat) to 1: slopes up to `MAX_SLOPE`, vertical radii of `MIN_RADIUS` and more.
        scale: of all lengths; slopes stay.

    Raises:
        InputError: for `hills` outside 0 to 1.
    """
    if not 0.0 <= hills <= 1.0:
        raise InputError(f"Hills go from 0 (flat) to 1 (slopes up to 10 %), got {hills}.")
    low, high = np.log(WAVELENGTHS)
    length = scale * np.exp(rng.uniform(low, high, WAVES))
    # One direction in each sector: the slopes of all waves seldom add up the same way everywhere.
    direction = (np.arange(WAVES) + rng.uniform(0, 1, WAVES)) * np.pi / WAVES
    phase = rng.uniform(-np.pi, np.pi, WAVES)
    share = rng.uniform(0.2, 1.0, WAVES)
    number = 2 * np.pi / length
    slope = hills * MAX_SLOPE * share / share.sum()
    wave = number[:, None] * np.stack([np.cos(direction), np.sin(direction)], -1)
    return Terrain(slope / number, wave, phase)
