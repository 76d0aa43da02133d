"""Other cars as meshes: painted body, glass cabin, wheels, lamps."""

from __future__ import annotations

import numpy as np

from liquid_control.envs.driving.traffic import SIZE
from liquid_control.envs.scene.meshes import Patch, block, join, solids
from liquid_control.envs.scene.textures import Atlas

__all__ = ["car"]

HEIGHT = 1.45  # [m]


def car(atlas: Atlas, paint: int, scale: float) -> Patch:
    """A car around the origin, on the ground, x forward [m].

    Args:
        paint: which of the atlas's paints.
        scale: 1 for a full-size car.
    """
    (length, width), height = SIZE, HEIGHT
    colour, glass = atlas.area(f"paint_{paint}"), atlas.area("glass")
    dark, lamp = atlas.area("dark"), atlas.area("lamp")

    def one(x: float, y: float, z: float, size, side, top, taper=(1.0, 1.0)) -> Patch:
        corners = block(np.array([[x, y, z]]), np.zeros(1), np.array([size]), taper)
        return solids(corners * scale, side, top)

    parts = [
        one(0, 0, 0.25, (length, width, 0.55), colour, colour, (0.97, 0.95)),
        one(-0.15, 0, 0.8, (2.5, width * 0.94, height - 0.8), glass, colour, (0.62, 0.84)),
    ]
    for x in (-length * 0.31, length * 0.31):
        parts.append(one(x, 0, 0.0, (0.62, width * 1.01, 0.5), dark, dark, (0.7, 1.0)))
    for x in (-1, 1):
        for y in (-1, 1):
            parts.append(
                one(x * length / 2, y * width * 0.36, 0.52, (0.08, 0.32, 0.14), lamp, lamp)
            )
    return join(*parts)
