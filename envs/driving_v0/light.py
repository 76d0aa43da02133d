"""Daylight of one road: sun, ambient light, haze."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Daylight", "draw"]


@dataclass(frozen=True)
class Daylight:
    """Light of one episode.

    Attributes:
        sun: (3,) unit vector in which sunlight travels, z down.
        diffuse: (3,) colour of the sun [0..1].
        ambient: (3,) colour of the light from everywhere [0..1].
        haze: distance [m] at which everything has the colour of the horizon.
    """

    sun: np.ndarray
    diffuse: np.ndarray
    ambient: np.ndarray
    haze: float


def draw(rng: np.random.Generator) -> Daylight:
    """Any hour of a day without rain: low and warm to high and white, hazy to clear."""
    elevation = np.deg2rad(rng.uniform(18, 80))
    azimuth = rng.uniform(0, 2 * np.pi)
    sun = -np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    warmth = np.clip(1 - elevation / np.deg2rad(50), 0, 1)
    colour = np.array([1.0, 1.0 - 0.12 * warmth, 1.0 - 0.3 * warmth])
    ambient = rng.uniform(0.25, 0.5)
    total = rng.uniform(0.7, 1.05)
    # A surface that looks up receives sin(elevation) of the sun: keep its brightness in range.
    diffuse = np.clip((total - ambient) / np.sin(elevation), 0.1, 0.95)
    return Daylight(sun, diffuse * colour, np.full(3, ambient), float(rng.uniform(140, 400)))
