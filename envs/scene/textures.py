"""Textures made by code: atlases of small surfaces, tiling ground, the sky."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.meshes import Area

__all__ = ["Atlas", "Surface", "ground", "sky", "speckle"]

# Colour (3,) [0..255], fine grain and coarse patches [standard deviation, 0..255].
Surface = tuple[tuple[float, float, float] | np.ndarray, float, float]

# Of a cell on each side, so that mipmaps of one surface do not bleed into its neighbour.
MARGIN = 0.12


class Atlas:
    """Where each surface lies in one square texture.

    Small cells: what is drawn small is cheap in software only when its texture is small, too.

    Args:
        names: of the surfaces.
        cell: rows and columns of a surface [px].
    """

    def __init__(self, names: tuple[str, ...], cell: int = 16) -> None:
        side = int(np.ceil(np.sqrt(len(names))))
        # OpenGL's mipmaps want a power of two.
        self._side = 1 << (side - 1).bit_length()
        self._cell = cell
        self._places = {name: divmod(index, self._side) for index, name in enumerate(names)}
        self.size = self._side * cell

    def area(self, name: str) -> Area:
        """Texture coordinates (u0, v0, u1, v1) of the usable part of a surface."""
        row, column = self._places[name]
        low, high = MARGIN / self._side, (1 - MARGIN) / self._side
        u, v = column / self._side, row / self._side
        return u + low, v + low, u + high, v + high

    def paint(self, rng: np.random.Generator, surfaces: Mapping[str, Surface]) -> np.ndarray:
        """The texture (size, size, 3) uint8; every name of the atlas needs a surface."""
        image = np.zeros((self.size, self.size, 3), np.uint8)
        for name in self._places:
            self.cell(image, name)[:] = speckle(rng, self._cell, *surfaces[name])
        return image

    def cell(self, image: np.ndarray, name: str) -> np.ndarray:
        """The part (cell, cell, 3) of a painted texture that holds a surface, to draw on."""
        row, column = (place * self._cell for place in self._places[name])
        return image[row : row + self._cell, column : column + self._cell]


def speckle(rng: np.random.Generator, size: int, colour, fine: float, coarse: float) -> np.ndarray:
    """A (size, size, 3) uint8 surface: `colour` with fine grain and coarse patches [0..255]."""
    grain = rng.normal(0, fine, (size, size, 1))
    patches = rng.normal(0, 1, (max(size // 4, 2), max(size // 4, 2))).astype(np.float32)
    patches = cv2.resize(patches, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(np.asarray(colour) + grain + coarse * patches, 0, 255).astype(np.uint8)


def ground(
    rng: np.random.Generator, size: int, colour, other, fine: float, share: float = 0.5
) -> np.ndarray:
    """A tile (size, size, 3) uint8 without seams: patches of two colours, with grain.

    Args:
        share: of the tile that has the second colour.
    """
    # Waves with whole periods meet themselves at the edges.
    phase = rng.uniform(0, 2 * np.pi, (6, 1, 1))
    waves = rng.integers(1, 4, (2, 6, 1, 1)) * rng.choice([-1, 1], (2, 6, 1, 1))
    grid = np.arange(size) * 2 * np.pi / size
    x, y = np.meshgrid(grid, grid)
    pattern = np.sum(np.sin(waves[0] * x + waves[1] * y + phase), 0)
    level = np.quantile(pattern, 1 - np.clip(share, 0, 1))
    mix = np.clip((pattern - level) * 0.8 + 0.5, 0, 1)[..., None] * (share > 0)
    base = (1 - mix) * np.asarray(colour, float) + mix * np.asarray(other, float)
    return np.clip(base + rng.normal(0, fine, (size, size, 1)), 0, 255).astype(np.uint8)


def sky(rng: np.random.Generator, size: int, light: Light) -> np.ndarray:
    """Six faces (6 * size, size, 3) uint8 of a sky box, in MuJoCo's order: right, left, up, down,
    front, back; the horizon has the colour of the haze, clouds and stars come from `rng`.
    """
    height = np.linspace(1, -1, size)[:, None, None]
    zenith, horizon = np.asarray(light.zenith) * 255, np.asarray(light.horizon) * 255
    faces = []
    for _ in range(6):
        side = horizon + np.clip(height, 0, 1) ** 0.6 * (zenith - horizon)
        side = np.broadcast_to(side, (size, size, 3)).copy()
        if light.clouds > 0:
            coarse = rng.normal(0, 1, (max(size // 8, 2), max(size // 6, 2))).astype(np.float32)
            cloud = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
            cover = np.clip(cloud - 1.2 + 1.6 * light.clouds, 0, 1) * np.clip(height * 3, 0, 1)
            side += cover * (np.asarray(light.cloud) * 255 - side) * 0.8
        if light.stars:
            stars = (rng.random((size, size, 1)) < 0.01) * np.clip(height * 4, 0, 1)
            side += stars * 150
        faces.append(side)
    faces[2][:] = zenith
    faces[3][:] = horizon
    return np.clip(np.concatenate(faces), 0, 255).astype(np.uint8)
