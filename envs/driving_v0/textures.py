"""Textures made by code: one atlas for everything along the road, the grass, the sky."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["CELLS", "GRASS", "SIZE", "atlas", "grass", "sky", "uv"]

SIZE = 64  # [px]; the atlas is square. Small, because minified textures are slow in software
CELL = SIZE // 4
GRASS = 32  # [px]
# Column and row of each surface in the atlas. A margin keeps mipmaps from bleeding over.
CELLS = {
    "asphalt": (0, 0),
    "verge": (1, 0),
    "white": (2, 0),
    "leaf": (3, 0),
    "bark": (0, 1),
    "post": (1, 1),
    "mound": (2, 1),
    "hill": (3, 1),
    "autumn": (0, 2),
    "dark": (1, 2),
}
MARGIN = 0.12


def uv(cell: str) -> tuple[float, float, float, float]:
    """Texture coordinates (u0, v0, u1, v1) of the usable part of a cell."""
    column, row = CELLS[cell]
    u, v = column / 4, row / 4
    return u + MARGIN / 4, v + MARGIN / 4, u + (1 - MARGIN) / 4, v + (1 - MARGIN) / 4


def speckle(rng: np.random.Generator, size: int, colour, fine: float, coarse: float) -> np.ndarray:
    """A (size, size, 3) uint8 surface: `colour` with fine grain and coarse patches [0..255]."""
    grain = rng.normal(0, fine, (size, size, 1))
    patches = rng.normal(0, 1, (max(size // 4, 2), max(size // 4, 2))).astype(np.float32)
    patches = cv2.resize(patches, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(np.asarray(colour) + grain + coarse * patches, 0, 255).astype(np.uint8)


def atlas(rng: np.random.Generator) -> np.ndarray:
    """The atlas (SIZE, SIZE, 3) uint8, with the colours of one road."""
    tone = rng.uniform(62, 112)
    tint = rng.normal(0, 3, 3)
    green = np.array([rng.uniform(45, 85), rng.uniform(85, 125), rng.uniform(30, 55)])
    paint = rng.uniform(195, 245)
    # Colour, fine grain, coarse patches.
    surfaces = {
        "asphalt": (tone + tint, 7, 5),
        "verge": (green * 0.8 + [38, 22, 14], 10, 9),
        "white": (np.array([paint, paint, paint * 0.96]), 9, 8),
        "leaf": (green * [0.6, 0.75, 0.6], 14, 9),
        "bark": ((84, 66, 48), 9, 8),
        "post": ((236, 236, 232), 3, 2),
        "mound": (green * rng.uniform(0.8, 1.1), 8, 10),
        "hill": (green * 0.55 + [58, 62, 74], 4, 6),
        "autumn": (green * 0.5 + [62, 28, 0], 14, 9),
        "dark": ((28, 28, 30), 3, 2),
    }
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for name, (column, row) in CELLS.items():
        area = slice(row * CELL, (row + 1) * CELL), slice(column * CELL, (column + 1) * CELL)
        image[area] = speckle(rng, CELL, *surfaces[name])
    return image


def grass(rng: np.random.Generator) -> np.ndarray:
    """Grass (GRASS, GRASS, 3) uint8; its colour comes from the material's tint."""
    return speckle(rng, GRASS, (196, 206, 186), 22, 16)


def sky(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Six faces (6 * size, size, 3) uint8 of a sky box, and the colour (3,) of the horizon [0..1].

    Overcast to clear. Faces in MuJoCo's order: right, left, up, down, front, back.
    """
    clear = rng.random()
    zenith = clear * np.array([72, 124, 196]) + (1 - clear) * np.array([158, 166, 176])
    horizon = clear * np.array([178, 204, 226]) + (1 - clear) * np.array([196, 200, 204])
    height = np.linspace(1, -1, size)[:, None, None]
    side = horizon + np.clip(height, 0, 1) ** 0.7 * (zenith - horizon)
    side = np.broadcast_to(side, (size, size, 3))
    faces = [side, side, np.broadcast_to(zenith, side.shape), np.broadcast_to(horizon, side.shape)]
    faces += [side, side]
    return np.concatenate(faces).astype(np.uint8), horizon / 255
