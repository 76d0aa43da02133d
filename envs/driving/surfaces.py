"""Colours of everything that is drawn: one atlas for a country road, one for the hall."""

from __future__ import annotations

import numpy as np

from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.season import Palette
from liquid_control.envs.scene.textures import Atlas, Surface, ground

__all__ = ["COUNTRY", "HALL", "MEADOW", "country", "hall", "meadow"]

COUNTRY = Atlas(
    (
        *("asphalt", "verge", "line", "centre", "leaf_0", "leaf_1", "leaf_2", "needles"),
        *("twigs", "bark", "post", "dark", "mound", "hill", "cover", "rail"),
        *("wall_0", "wall_1", "roof_0", "roof_1", "kerb", "glass", "lamp", "puddle"),
        *("paint_0", "paint_1", "paint_2", "paint_3"),
    )
)
HALL = Atlas(
    (
        *("asphalt", "line", "centre", "mat", "print", "concrete", "wood", "panel"),
        *("banner", "banner_print", "dark", "glass", "lamp", "paint_0", "paint_1", "paint_2"),
        *("paint_3", "floor"),
    )
)
MEADOW = 32  # [px]
# Paint of other cars: dark ones, white, red.
PAINTS = ((38, 44, 58), (214, 216, 218), (150, 26, 24), (52, 84, 128))


def country(
    rng: np.random.Generator, palette: Palette, light: Light, yellow: bool, worn: bool
) -> np.ndarray:
    """The texture of `COUNTRY` for one road, season and weather."""
    tone = rng.uniform(62, 118) * (0.68 if light.rain else 1.0)
    asphalt = tone + rng.uniform(-6, 6, 3)
    cover = palette.leaves[0] * 0.75
    if palette.snow:
        # Between the tracks of the tyres the road is half white.
        asphalt = asphalt * 0.6 + 0.4 * np.array([206, 210, 216])
        cover = np.array([226.0, 230.0, 236.0])
    paint = np.array([1.0, 1.0, 0.96]) * rng.uniform(205, 245)
    if worn:
        paint = paint * 0.6 + asphalt * 0.4
    centre = np.array([222.0, 178.0, 46.0]) * paint.mean() / 228 if yellow else paint
    walls, roofs = _houses(rng, palette)
    surfaces: dict[str, Surface] = {
        "asphalt": (asphalt, 7, 5 if not palette.snow else 12),
        "verge": (palette.verge, 10, 9),
        "line": (paint, 8, 6),
        "centre": (centre, 8, 6),
        "needles": (palette.needles, 12, 9),
        "twigs": (np.array([108.0, 96.0, 88.0]) + 40 * palette.snow, 16, 9),
        "bark": ((84, 66, 48), 9, 8),
        "post": ((236, 236, 232), 3, 2),
        "dark": ((24, 25, 28), 3, 2),
        "mound": (palette.mound, 8, 10),
        "hill": (palette.hill * 0.7 + light.horizon * 76, 4, 6),
        "cover": (cover, 14, 14),
        "rail": ((164, 168, 172), 6, 4),
        "kerb": ((168, 166, 160), 6, 6),
        "glass": ((34, 42, 52), 3, 3),
        "lamp": ((236, 230, 206), 4, 2),
        "puddle": (light.horizon * 160, 4, 4),
    }
    for index in range(3):
        surfaces[f"leaf_{index}"] = (palette.leaves[index], 14, 9)
    for index in range(2):
        surfaces[f"wall_{index}"] = (walls[index], 4, 3)
        surfaces[f"roof_{index}"] = (roofs[index], 6, 5)
    for index, colour in enumerate(PAINTS):
        surfaces[f"paint_{index}"] = (colour, 2, 2)
    image = COUNTRY.paint(rng, surfaces)
    for index in range(2):
        _windows(COUNTRY.cell(image, f"wall_{index}"), light.headlights)
    return image


def meadow(rng: np.random.Generator, palette: Palette) -> np.ndarray:
    """Grass, or snow with grass in it, as a tile (MEADOW, MEADOW, 3) without seams."""
    share = rng.uniform(0.15, 0.5)
    return ground(rng, MEADOW, palette.grass, palette.grass_other, 5 if palette.snow else 11, share)


def hall(rng: np.random.Generator) -> np.ndarray:
    """The texture of `HALL`, after the colours of the recording of a real car in such a hall."""
    warm = rng.uniform(0.85, 1.1)
    surfaces: dict[str, Surface] = {
        "asphalt": (np.array([88.0, 84.0, 84.0]) * rng.uniform(0.75, 1.15), 5, 5),
        "line": (np.array([232.0, 230.0, 226.0]), 5, 3),
        "centre": (np.array([226.0, 206.0, 62.0]), 6, 4),
        "mat": (np.array([70.0, 164.0, 188.0]) + rng.normal(0, 12, 3), 4, 7),
        "print": (np.array([206.0, 216.0, 214.0]), 4, 4),
        "concrete": (np.array([170.0, 154.0, 134.0]) * warm, 5, 9),
        "wood": (np.array([150.0, 104.0, 58.0]) * warm, 6, 10),
        "panel": (np.array([44.0, 38.0, 36.0]), 3, 4),
        "banner": (np.array([206.0, 200.0, 194.0]) * warm, 4, 4),
        "banner_print": (np.array([150.0, 52.0, 60.0]), 10, 16),
        "dark": ((24, 25, 28), 3, 2),
        "glass": ((34, 42, 52), 3, 3),
        "lamp": ((236, 230, 206), 4, 2),
        "floor": (np.array([158.0, 142.0, 122.0]) * warm, 5, 8),
    }
    for index, colour in enumerate(PAINTS):
        surfaces[f"paint_{index}"] = (colour, 2, 2)
    return HALL.paint(rng, surfaces)


def _houses(rng: np.random.Generator, palette: Palette):
    walls = rng.permutation(
        [(222, 212, 190), (198, 186, 172), (176, 120, 92), (230, 228, 222), (204, 178, 128)]
    )
    roofs = rng.permutation([(142, 66, 46), (92, 82, 80), (112, 74, 58)]).astype(float)
    if palette.snow:
        roofs = roofs * 0.25 + np.array([232, 236, 242]) * 0.75
    return walls, roofs


def _windows(cell: np.ndarray, lit: bool) -> None:
    """Two windows in each of two storeys, in place; some are lit by night."""
    glass = np.array([[52, 60, 72]] * 4)
    if lit:
        glass[[0, 3]] = 236, 196, 112
    size = len(cell)
    for index, colour in enumerate(glass):
        row, column = divmod(index, 2)
        top, left = round((0.24 + 0.34 * row) * size), round((0.22 + 0.32 * column) * size)
        cell[top : top + round(0.16 * size), left : left + round(0.19 * size)] = colour
