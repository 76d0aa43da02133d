"""What is far away: the ground out to the haze, a line of trees and hills at the horizon."""

from __future__ import annotations

import numpy as np

from liquid_control.envs.drone.surfaces import ATLAS
from liquid_control.envs.scene.meshes import Patch, join

__all__ = ["lawn", "skyline"]


def skyline(rng: np.random.Generator, scene: str) -> Patch:
    """Rings around the origin, to go along with the camera: tree tops, and hills behind them."""
    waves = rng.uniform(0.2, 1.0, 6) / np.arange(1, 7)
    phases = rng.uniform(0, 2 * np.pi, 6)

    def hills(angle: np.ndarray) -> np.ndarray:
        wave = np.sum(waves * np.sin(angle[:, None] * np.arange(2, 8) + phases), -1)
        return 14.0 * (1.0 + 0.6 * wave / np.abs(wave).max())

    high = 9.0 if scene == "forest" else 4.0
    teeth = rng.uniform(0.62, 1.0, 181) * np.where(np.arange(181) % 2, 0.8, 1.0)
    teeth[-1] = teeth[0]
    return join(
        _wall(70.0, 180, lambda angle: high * teeth, "treeline"), _wall(170.0, 48, hills, "hill")
    )


def _wall(radius: float, sides: int, height, area: str) -> Patch:
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    circle = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    vertices = np.empty((sides + 1, 2, 3))
    vertices[..., :2] = circle[:, None]
    vertices[:, 0, 2], vertices[:, 1, 2] = height(angle), -4.0
    normals = np.zeros_like(vertices)
    normals[..., :2] = -circle[:, None] / radius
    u0, v0, u1, v1 = ATLAS.area(area)
    texcoords = np.empty((sides + 1, 2, 2))
    texcoords[:, 0, 0], texcoords[:, 1, 0] = u0, u1
    texcoords[..., 1] = np.where(np.arange(sides + 1) % 2, v1, v0)[:, None]
    first = np.arange(sides) * 2
    quads = np.stack([[first, first + 1, first + 3], [first, first + 3, first + 2]])
    faces = quads.transpose(2, 0, 1).reshape(-1, 3)
    # Both faces, because which one looks inwards depends on the ring's direction.
    faces = np.concatenate([faces, faces[:, ::-1]])
    return Patch(vertices.reshape(-1, 3), normals.reshape(-1, 3), texcoords.reshape(-1, 2), faces)


def lawn(tile: float, half: float = 192.0, cells: int = 24) -> Patch:
    """Flat ground around the origin; its texture repeats every `tile` metres."""
    line = np.linspace(-half, half, cells + 1)
    x, y = np.meshgrid(line, line, indexing="ij")
    vertices = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    right, up = corner + cells + 1, corner + 1
    faces = np.concatenate(
        [np.stack([corner, right, right + 1], -1), np.stack([corner, right + 1, up], -1)]
    )
    normals = np.broadcast_to([0.0, 0.0, 1.0], vertices.shape)
    return Patch(vertices, normals, vertices[:, :2] / tile, faces)
