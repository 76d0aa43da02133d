"""Colours of everything that is drawn: one atlas, the ground, the walls of houses."""

from __future__ import annotations

import numpy as np

from liquid_control.envs.drone.options import COLOURS
from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.season import Palette
from liquid_control.envs.scene.textures import Atlas, Surface, ground, speckle

__all__ = [
    "ATLAS",
    "BAYS",
    "FACADES",
    "FLOORS",
    "GROUND",
    "PAINTS",
    "TILE",
    "atlas",
    "facade",
    "floor",
]

# Paint of parked cars: none looks like a target.
PAINTS = ((38, 42, 50), (206, 208, 210), (120, 126, 132), (62, 84, 92))
ATLAS = Atlas(
    (
        *("leaf_0", "leaf_1", "leaf_2", "needles", "bark", "litter", "tuft", "dark"),
        *("hill", "treeline", "asphalt", "pavement", "kerb", "line", "glass", "lamp"),
        *("roof_0", "roof_1", "roof_2", "trim", "metal", "path"),
        *(f"paint_{index}" for index in range(len(PAINTS))),
        *COLOURS,
    ),
    cell=32,
)
GROUND = 64  # [px]
TILE = 8.0  # [m], after which the ground repeats itself
FACADES = 4
# A facade's texture: windows of `BAYS` bays in `FLOORS` floors, of which the lowest has doors.
BAYS, FLOORS, WINDOW = 4, 8, 16
WALLS = ((206, 190, 160), (168, 98, 76), (188, 186, 180), (214, 170, 120), (150, 146, 150),
         (224, 216, 204), (140, 84, 70))  # fmt: skip


def atlas(rng: np.random.Generator, palette: Palette, light: Light) -> np.ndarray:
    """The texture of `ATLAS` for one place, season and weather."""
    snow = palette.snow
    # Rain makes stone dark; snow lies on everything that looks up.
    wet = 0.68 if light.rain else 1.0
    asphalt = np.full(3, rng.uniform(70, 112)) * wet
    pavement = (np.array([158.0, 154.0, 148.0]) + rng.normal(0, 8, 3)) * wet
    roofs = np.array([(150, 70, 50), (96, 90, 92), (122, 84, 66)]) + rng.normal(0, 8, (3, 3))
    if snow:
        asphalt = 0.6 * asphalt + 0.4 * np.array([206, 210, 216])
        pavement = 0.25 * pavement + 0.75 * np.array([226, 230, 236])
        roofs = 0.15 * roofs + 0.85 * np.array([234, 238, 244])
    bark = np.array([92.0, 72.0, 54.0]) + rng.normal(0, 8, 3)
    surfaces: dict[str, Surface] = {
        "needles": (palette.needles, 20, 14),
        "bark": (bark * (1 - 0.25 * snow), 16, 10),
        "litter": (palette.leaves[0] * 0.8 if not snow else (176, 172, 168), 14, 12),
        "tuft": (palette.grass * 0.85, 12, 9),
        "dark": ((24, 25, 28), 3, 2),
        "hill": (palette.hill * 0.7 + light.horizon * 76, 4, 6),
        "treeline": (palette.needles * 0.6 + light.horizon * 60, 9, 8),
        "asphalt": (asphalt, 7, 6 if not snow else 14),
        "pavement": (pavement, 7, 5),
        "kerb": ((178, 176, 170), 6, 5),
        "line": ((226, 226, 220), 6, 5),
        "glass": ((40, 50, 62), 3, 3),
        "lamp": ((255, 240, 190) if light.headlights else (214, 214, 206), 3, 2),
        "trim": ((196, 190, 180), 5, 4),
        "metal": ((74, 78, 84), 5, 4),
        "path": (palette.verge * 0.8, 10, 9),
    }
    for index in range(3):
        surfaces[f"leaf_{index}"] = (palette.leaves[index], 26, 20)
        surfaces[f"roof_{index}"] = (roofs[index], 9, 5)
    for index, colour in enumerate(PAINTS):
        surfaces[f"paint_{index}"] = (colour, 2, 2)
    for name, colour in COLOURS.items():
        surfaces[name] = (colour, 3, 2)
    return ATLAS.paint(rng, surfaces)


def floor(rng: np.random.Generator, palette: Palette, scene: str) -> np.ndarray:
    """Grass, fallen leaves or snow, as a tile (GROUND, GROUND, 3) without seams."""
    share = rng.uniform(0.2, 0.5)
    other = palette.grass_other
    if scene == "forest" and not palette.snow:
        # Earth and old needles under the trees.
        other = 0.45 * palette.grass_other + 0.55 * np.array([112.0, 84.0, 58.0])
    image = ground(rng, GROUND, palette.grass, other, 6 if palette.snow else 13, share)
    fallen = 0.12 * (palette.bare > 0.1) * (not palette.snow) * (scene == "forest")
    leaves = rng.random((GROUND, GROUND)) < fallen
    kinds = palette.leaves[rng.integers(3, size=(GROUND, GROUND))]
    return np.where(leaves[..., None], kinds, image).astype(np.uint8)


def facade(rng: np.random.Generator, light: Light) -> np.ndarray:
    """A wall with windows, (FLOORS * WINDOW, BAYS * WINDOW, 3) uint8; its last rows are the
    ground floor. By night some windows are lit.
    """
    wall = np.array(WALLS[rng.integers(len(WALLS))]) + rng.normal(0, 3, 3)
    # By night walls glow (`World.dress`), as far as their texture is bright.
    wall = wall * (0.4 if light.headlights else 1.0)
    image = speckle(rng, FLOORS * WINDOW, wall, 4, 4)[:, : BAYS * WINDOW].copy()
    trim = np.clip(wall * rng.uniform(1.1, 1.3), 0, 255)
    top, left = rng.integers(3, 5), rng.integers(4, 6)
    lit = rng.random((FLOORS, BAYS)) < (0.45 if light.headlights else 0.0)
    glass = np.array([62.0, 76.0, 92.0]) + 90 * (light.horizon - 0.5) * (not light.headlights)
    for row in range(FLOORS):
        for column in range(BAYS):
            cell = image[row * WINDOW : (row + 1) * WINDOW, column * WINDOW : (column + 1) * WINDOW]
            pane = np.array([250.0, 208.0, 120.0]) if lit[row, column] else glass
            pane = pane * rng.uniform(0.8, 1.1)
            first, last = (1, WINDOW) if row == FLOORS - 1 else (top, WINDOW - 3)
            if row == FLOORS - 1 and column % 2:
                first, last = top, WINDOW - 2
            cell[first - 1 : last + 1, left - 1 : WINDOW - left + 1] = trim
            cell[first:last, left : WINDOW - left] = np.clip(pane, 0, 255)
            cell[first:last, WINDOW // 2] = trim
            if row == FLOORS - 2:
                cell[-2:] = np.clip(wall * 0.75, 0, 255)
    return image
