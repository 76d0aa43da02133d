"""What the zero-shot variants of CarRacing change in the picture.

Tang, Nguyen and Ha, "Neuroevolution of Self-Interpretable Agents" (GECCO 2020, arXiv 2003.08165)
trained on plain CarRacing and drove, without further training, where colours, frame or background
were changed: its section on generalization has the colours, the bars and the blob, its discussion
the noise. Sizes and intervals are those of the environments that the authors released with it
(`CarRacingColor-v0` and so on, for CarRacing-v0), because the published scores belong to these.
Each changes pixels alone, never the physics, the track or the reward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pygame

__all__ = ["VARIANTS", "bars", "blob", "colour_shift", "noise"]

VARIANTS = {
    "plain": "as Gymnasium draws it",
    "color": "road and field each a shade lighter or darker, drawn anew for each episode",
    "color3": "road and field each of another tint, drawn anew for each episode",
    "bar": "black bars over the left and the right edge",
    "blob": "a red square ahead of the car to the right, moving with it",
    "noise": "white noise in place of the field, new in each frame",
}

SHIFT = 0.2 * 255  # largest change of a channel, of 255
BAR = 75  # [px] of the window's 1000
# [m] right of and ahead of the car's middle: the lap runs counter-clockwise, so most bends turn
# left, and to the right the square hides least of the road.
BLOB = ((21.0, 7.6), (29.0, 7.6), (29.0, 15.6), (21.0, 15.6))
BLOB_COLOUR = (204, 0, 0)  # the car's own


def colour_shift(variant: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What "color" and "color3" add to the colours of the road and of the field, (3,) each.

    Uniform in [-0.2, 0.2] of full scale: in "color" one number for the road's three channels and
    one for the field's, in "color3" three each. The lighter patches of the field and the kerbs
    keep their colours, as in the released code.
    """
    channels = 3 if variant == "color3" else 1
    road, field = rng.uniform(-SHIFT, SHIFT, (2, channels))
    return road * np.ones(3), field * np.ones(3)


def bars(surface: pygame.Surface, bottom: float) -> None:
    """Black bars of 75 px on both sides, from the top of the window down to the indicators."""
    width = surface.get_width()
    surface.fill((0, 0, 0), (0, 0, BAR, bottom))
    surface.fill((0, 0, 0), (width - BAR, 0, BAR, bottom))


def blob(hull) -> list[tuple[float, float]]:
    """Corners [m, world] of the red square of 8 m x 8 m, 21 m to the right and 7.6 m ahead."""
    return [tuple(hull.GetWorldPoint(corner)) for corner in BLOB]


def noise(
    picture: np.ndarray, colours: tuple[np.ndarray, ...], rng: np.random.Generator
) -> np.ndarray:
    """The picture with every pixel of the field replaced by a uniformly random colour.

    Args:
        picture: (rows, columns, 3) uint8.
        colours: of the field and its patches, (3,) each, of 255. What lies between them in all
            channels counts as field too: that is how the edges of patches are smoothed.
        rng: of this frame.
    """
    # Scaling the window to the frame makes colours darker by up to 2 of 255.
    low, high = np.min(colours, 0) - 3, np.max(colours, 0) + 1
    field = np.all((picture >= low) & (picture <= high), axis=-1)
    return np.where(field[..., None], rng.integers(0, 256, picture.shape, np.uint8), picture)
