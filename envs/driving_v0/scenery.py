"""What stands along a road: markings, verges, trees, posts, mounds, shadows, hills, as meshes.

A road is cut into chunks of `CHUNK` metres, each one mesh (and one of shadow decals), because a
software renderer pays for draw calls more than for triangles.
"""

from __future__ import annotations

import numpy as np

from liquid_control.envs.driving_v0.road import LANE_WIDTH, PAVED_HALF_WIDTH, SPACING, Road
from liquid_control.envs.driving_v0.textures import uv
from liquid_control.envs.scene.meshes import Area, Patch, boxes, discs, join, spindles, strip

__all__ = ["CHUNK", "chunks", "hills", "lawn"]

CHUNK = 40.0  # [m]
ROW = 2.0  # [m] between the rows of a ribbon; a radius of 21 m deviates by 2.4 cm
VERGE = 7.0  # [m] from the centre line to the end of the cut grass
TREES = 16  # a chunk
MOUNDS = 4
CLEARANCE = 8.5  # [m] from a trunk to any centre line
# Heights of the flat layers [m]: far enough apart for the depth buffer at 100 m.
VERGE_Z, ASPHALT_Z, PAINT_Z, SHADOW_Z = 0.02, 0.05, 0.08, 0.11


def chunks(road: Road, rng: np.random.Generator, sun: np.ndarray) -> list[tuple[Patch, Patch]]:
    """Meshes (solid, shadows) of every chunk.

    Args:
        road: the road.
        rng: draws trees, posts and mounds.
        sun: (3,) unit vector in which sunlight travels (z down).
    """
    style = Style(rng)
    starts = np.arange(int(road.length / CHUNK)) * CHUNK
    return [_chunk(road, start, style, rng, sun) for start in starts]


class Style:
    """What is the same along one road: density of trees, share of conifers, posts, line width."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.tree_share = rng.uniform(0.25, 1.0)
        self.conifer_share = rng.uniform(0.0, 1.0)
        self.autumn_share = rng.choice([0.0, 0.3])
        self.post_height = rng.choice([0.0, 0.9], p=[0.25, 0.75])
        self.line_width = rng.uniform(0.12, 0.2)
        self.dash = rng.uniform(2.5, 4.5)
        self.mound_height = rng.uniform(0.5, 5.0)
        self.shadows = rng.random() < 0.7


def _line(road: Road, s: np.ndarray, offset: float | np.ndarray) -> np.ndarray:
    centre, heading, _ = road.at(s)
    normal = np.stack([-np.sin(heading), np.cos(heading)], -1)
    return centre + np.asarray(offset)[..., None] * normal


def _ribbon(road: Road, s: np.ndarray, left: float, right: float, z: float, area: Area) -> Patch:
    return strip(_line(road, s, left), _line(road, s, right), z, area)


def _chunk(road: Road, start: float, style: Style, rng, sun) -> tuple[Patch, Patch]:
    s = start + np.arange(round(CHUNK / ROW) + 1) * ROW
    half, paint = PAVED_HALF_WIDTH, style.line_width / 2
    dashes = start + np.arange(5)[:, None] * (CHUNK / 5) + np.linspace(0, style.dash, 3)
    parts = [
        _ribbon(road, s, VERGE, half, VERGE_Z, uv("verge")),
        _ribbon(road, s, -half, -VERGE, VERGE_Z, uv("verge")),
        _ribbon(road, s, half, -half, ASPHALT_Z, uv("asphalt")),
        _ribbon(road, s, LANE_WIDTH + paint, LANE_WIDTH - paint, PAINT_Z, uv("white")),
        _ribbon(road, s, -LANE_WIDTH + paint, -LANE_WIDTH - paint, PAINT_Z, uv("white")),
        _ribbon(road, dashes, paint, -paint, PAINT_Z, uv("white")),
    ]
    beside = start + np.repeat([0.0, 20.0], 2)
    sides = np.tile([1.0, -1.0], 2) * (half + 0.6)
    feet = _line(road, beside, sides)
    top = style.post_height
    parts.append(boxes(feet, 0.06, 0.0, max(top, 1e-3), uv("post")))
    parts.append(boxes(feet, 0.065, max(top, 1e-3) * 0.72, max(top, 2e-3) * 0.86, uv("dark")))

    trees, height, width, conifer, autumn = _trees(road, start, style, rng)
    trunk = np.stack([0.05 + 0.02 * height] * 2, -1) * (height > 0)[:, None]
    parts.append(
        spindles(trees, trunk, np.stack([0 * height, height * 0.5], -1), uv("bark"), sides=5)
    )
    low = np.where(conifer, 0.15, 0.3) * height
    broad = np.array([0.45, 1.0, 0.75, 0.02])
    spire = np.array([1.0, 0.7, 0.35, 0.02])
    radii = np.where(conifer[:, None], 0.7 * spire, broad) * (width * (height > 0))[:, None]
    levels = low[:, None] + (height - low)[:, None] * np.array([0.0, 0.35, 0.72, 1.0])
    for chosen, cell in ((~autumn, "leaf"), (autumn, "autumn")):
        # Both crowns exist for every tree, so that counts never change; one of them is a point.
        parts.append(spindles(trees, radii * chosen[:, None], levels, uv(cell)))
    parts.append(_mounds(road, start, style, rng))

    fall = sun[:2] / max(-sun[2], 0.2)
    length = np.linalg.norm(fall) * height * 0.5
    direction = fall / max(np.linalg.norm(fall), 1e-6)
    across = np.array([-direction[1], direction[0]])
    scale = style.shadows * (height > 0)
    axes = np.stack(
        [
            (length + 0.6 * width)[:, None] * direction * scale[:, None],
            (0.8 * width)[:, None] * across * scale[:, None],
        ],
        1,
    )
    centre = trees + fall * (height * 0.55)[:, None]
    return join(*parts), discs(centre, axes, SHADOW_Z, uv("dark"))


def _far_from_road(road: Road, points: np.ndarray, clearance: float) -> np.ndarray:
    every = road.centre[:: round(2.0 / SPACING)]
    distance = np.linalg.norm(points[:, None] - every[None], axis=-1).min(1)
    return distance > clearance


def _trees(road: Road, start: float, style: Style, rng: np.random.Generator):
    s = start + rng.uniform(0, CHUNK, TREES)
    side = rng.choice([-1.0, 1.0], TREES)
    points = _line(road, s, side * (CLEARANCE + rng.gamma(1.6, 6.0, TREES)))
    stands = (rng.random(TREES) < style.tree_share) & _far_from_road(road, points, CLEARANCE)
    height = np.where(stands, rng.uniform(4.0, 11.0, TREES), 0.0)
    width = rng.uniform(0.2, 0.32, TREES) * height
    conifer = rng.random(TREES) < style.conifer_share
    return points, height, width, conifer, rng.random(TREES) < style.autumn_share


def _mounds(road: Road, start: float, style: Style, rng: np.random.Generator) -> Patch:
    s = start + rng.uniform(0, CHUNK, MOUNDS)
    radius = rng.uniform(8.0, 22.0, MOUNDS)
    side = rng.choice([-1.0, 1.0], MOUNDS)
    points = _line(road, s, side * (radius + VERGE + rng.uniform(2.0, 25.0, MOUNDS)))
    radius = radius * np.array(
        [_far_from_road(road, p[None], r + VERGE)[0] for p, r in zip(points, radius, strict=True)]
    )
    height = style.mound_height * rng.uniform(0.4, 1.0, MOUNDS) * (radius > 0)
    rings = np.array([1.0, 0.8, 0.5, 0.2, 0.01])
    levels = np.array([-0.05, 0.22, 0.65, 0.94, 1.0])
    return spindles(points, radius[:, None] * rings, height[:, None] * levels, uv("mound"), sides=9)


def hills(rng: np.random.Generator, radius: float = 170.0, sides: int = 48) -> Patch:
    """A ring of hills around the origin, to stand at the horizon and go along with the camera."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    phases, gains = rng.uniform(0, 2 * np.pi, 6), rng.uniform(0.2, 1.0, 6) / np.arange(1, 7)
    waves = np.sum(gains * np.sin(angle[:, None] * np.arange(2, 8) + phases), -1)
    height = rng.uniform(3.0, 14.0) * (1.2 + waves / np.abs(waves).max())
    circle = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    wall = strip(circle, circle, 0.0, uv("hill"))
    vertices = wall.vertices.reshape(sides + 1, 2, 3).copy()
    vertices[:, 0, 2], vertices[:, 1, 2] = height, -1.0
    normals = np.zeros_like(vertices)
    normals[..., :2] = -circle[:, None] / radius
    # Both faces of the wall, because which one looks inwards depends on the ring's direction.
    faces = np.concatenate([wall.faces, wall.faces[:, ::-1]])
    return Patch(vertices.reshape(-1, 3), normals.reshape(-1, 3), wall.texcoords, faces)


def lawn(tile: float, half: float = 192.0, cells: int = 12) -> Patch:
    """Flat grass around the origin; its texture repeats every `tile` metres."""
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
