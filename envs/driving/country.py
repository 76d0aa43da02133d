"""A country road: pavement and lines, verges, trees, houses, rails, posts, shadows, as meshes.

A road is cut into `CHUNKS` pieces, each one mesh (and one of decals), because a software renderer
pays for draw calls more than for triangles.
"""

from __future__ import annotations

import numpy as np

from liquid_control.envs.driving.options import Options
from liquid_control.envs.driving.ribbons import Ground, line_pieces
from liquid_control.envs.driving.road import Road
from liquid_control.envs.driving.surfaces import COUNTRY
from liquid_control.envs.driving.terrain import Terrain
from liquid_control.envs.scene import meshes
from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.meshes import Patch, block, boxes, discs, solids, spindles
from liquid_control.envs.scene.season import Palette

__all__ = ["CHUNKS", "Style", "chunks", "lawn", "skyline"]

CHUNKS = 30
ROWS = (
    20  # of a ribbon in a chunk: 2 m in a chunk of 40 m, which is off by 2.4 cm at a radius of 21
)
TREES, MOUNDS, HOUSES, POSTS = 16, 3, 2, 2  # a chunk
# Lengths for a full-size car [m].
VERGE = 6.0  # from the end of the pavement to the end of the cut grass
CLEARANCE = 4.4  # from the end of any pavement to a trunk
SINK = 0.35  # of the lawn below the terrain, so that the road never lies under it
# Heights of the flat layers over the terrain: far enough apart for the depth buffer at 100 m.
VERGE_Z, COVER_Z, PAINT_Z, SHADOW_Z = -0.03, 0.015, 0.03, 0.06


class Style:
    """What is the same along one road."""

    def __init__(self, rng: np.random.Generator, options: Options, palette: Palette) -> None:
        self.edge = options.markings
        self.centre = "worn" if options.markings == "worn" else "dashed"
        if options.markings == "missing" or options.lanes == 1:
            self.centre = "missing"
        self.yellow = rng.random() < 0.3
        self.line_width = rng.uniform(0.12, 0.2)
        self.dash = rng.uniform(0.3, 0.55)
        self.tree_share = rng.uniform(0.2, 1.0)
        self.conifer_share = rng.uniform(0.0, 1.0) ** 1.5
        self.bare = palette.bare
        self.house_share = rng.uniform(0.0, 0.5) * (rng.random() < 0.7)
        self.post_height = 0.9 * (rng.random() < 0.7)
        self.mound_height = rng.uniform(0.5, 4.0)
        self.rails = rng.random() < 0.3
        self.kerb = 0.12 * (rng.random() < 0.25)
        self.cover = rng.uniform(0.2, 0.8) * {"autumn": 0.8, "winter": 1.0}.get(options.season, 0.0)


def chunks(
    road: Road, terrain: Terrain, style: Style, light: Light, rng: np.random.Generator
) -> list[tuple[Patch, Patch]]:
    """Meshes (solid, decals) of every chunk, in the world's frame [m]."""
    ground = Ground(road, terrain)
    trees, tree_shadows = _trees(ground, style, light, rng)
    houses, house_shadows = _houses(ground, style, light, rng)
    solid = meshes.chunks(
        CHUNKS,
        *_pavement(ground, style, rng),
        *_beside(ground, style),
        *trees,
        *houses,
        _mounds(ground, style, rng),
    )
    return list(zip(solid, meshes.chunks(CHUNKS, tree_shadows, house_shadows), strict=True))


def _pavement(ground: Ground, style: Style, rng: np.random.Generator) -> list[Patch]:
    k, road, area = ground.scale, ground.road, COUNTRY.area
    length = road.length / CHUNKS
    start = np.arange(CHUNKS) * length
    s = start[:, None] + np.linspace(0, length, ROWS + 1)
    half, edge = road.half_width, road.style.lanes * road.style.lane_width / 2
    paint = style.line_width / 2 * k
    cover = style.cover * rng.uniform(0.3, 1.0, (2, CHUNKS, ROWS + 1)) * k
    # Where two pieces of road meet, they have the same width of leaves or snow.
    cover[:, 1:, 0] = cover[:, :-1, -1]
    parts = [
        ground.ribbon(s, half + VERGE * k, half, (-SINK * 1.2 * k, VERGE_Z * k), area("verge")),
        ground.ribbon(s, -half, -half - VERGE * k, (VERGE_Z * k, -SINK * 1.2 * k), area("verge")),
        ground.ribbon(s, half, -half, 0.0, area("asphalt")),
        ground.ribbon(s, half, half - cover[0], COVER_Z * k, area("cover")),
        ground.ribbon(s, cover[1] - half, -half, COVER_Z * k, area("cover")),
    ]
    for offset, kind, cell in (
        (edge - paint, style.edge, "line"),
        (paint - edge, style.edge, "line"),
        (0.0, style.centre, "centre"),
    ):
        pieces = line_pieces(rng, start, length, kind, style.dash)
        parts.append(ground.ribbon(pieces, offset + paint, offset - paint, PAINT_Z * k, area(cell)))
    return parts


def _beside(ground: Ground, style: Style) -> list[Patch]:
    """Kerbs, guard rails, posts."""
    k, road, area = ground.scale, ground.road, COUNTRY.area
    half, length = road.half_width, road.length / CHUNKS
    s = np.arange(CHUNKS)[:, None] * length + np.linspace(0, length, ROWS // 2 + 1)
    bend = road.at(s)[2].mean(-1) * k
    parts = []
    for side in (1.0, -1.0):
        kerb, width = style.kerb * k, 0.28 * k * (style.kerb > 0)
        inner, outer = half + 0.02 * k, half + 0.02 * k + width
        left, right = (outer, inner) if side > 0 else (-inner, -outer)
        parts += ground.wall(s, side * inner, 0.0, kerb, area("kerb"))
        parts.append(ground.ribbon(s, left, right, kerb, area("kerb")))
        # Guard rails stand at the outside of curves, where a road has them.
        rail = (style.rails * (bend * side < -0.006))[:, None] * k
        parts += ground.wall(s, side * (half + 0.8 * k), 0.42 * rail, 0.78 * rail, area("rail"))
    beside = (np.arange(CHUNKS * POSTS) / POSTS * length).repeat(2)
    sides = np.tile([1.0, -1.0], CHUNKS * POSTS)
    feet = ground.at(beside, sides * (half + 0.6 * k))
    top = max(style.post_height, 1e-3) * k
    width = 0.06 * k * (style.post_height > 0)
    parts.append(boxes(feet, width, 0.0, top, area("post")))
    parts.append(boxes(feet, width * 1.08, top * 0.72, top * 0.86, area("dark")))
    return parts


def _along(ground: Ground, rng: np.random.Generator, count: int) -> np.ndarray:
    """Arc lengths (CHUNKS * count,) [m], `count` anywhere in each chunk."""
    places = np.arange(CHUNKS)[:, None] + rng.random((CHUNKS, count))
    return places.ravel() * ground.road.length / CHUNKS


def _clear(ground: Ground, points: np.ndarray, clearance: np.ndarray | float) -> np.ndarray:
    road = ground.road
    every = road.centre[:: max(round(2.0 * ground.scale / road.spacing), 1)]
    distance = np.linalg.norm(points[:, None, :2] - every[None], axis=-1).min(1)
    return distance > clearance + road.half_width


def _trees(ground: Ground, style: Style, light: Light, rng: np.random.Generator):
    k, half = ground.scale, ground.road.half_width
    count, s = CHUNKS * TREES, _along(ground, rng, TREES)
    side = rng.choice([-1.0, 1.0], count)
    feet = ground.at(s, side * (half + (CLEARANCE + rng.gamma(1.6, 6.0, count)) * k), -SINK * k)
    stands = (rng.random(count) < style.tree_share) & _clear(ground, feet, CLEARANCE * k)
    height = np.where(stands, rng.uniform(4.0, 11.0, count), 0.0) * k
    conifer = rng.random(count) < style.conifer_share
    bare = ~conifer & (rng.random(count) < style.bare)
    width = rng.uniform(0.2, 0.32, count) * height * np.where(bare, 0.55, 1.0)
    trunk = np.stack([0.05 * k + 0.02 * height] * 2, -1) * stands[:, None]
    trunks = spindles(
        feet, trunk, np.stack([0 * height, height * 0.5], -1), COUNTRY.area("bark"), sides=5
    )
    broad, spire = np.array([0.45, 1.0, 0.75, 0.02]), np.array([0.7, 0.49, 0.245, 0.014])
    radii = np.where(conifer[:, None], spire, broad) * (width * stands)[:, None]
    low = np.where(conifer, 0.15, 0.3) * height
    levels = low[:, None] + (height - low)[:, None] * np.array([0.0, 0.35, 0.72, 1.0])
    leaves = np.array([COUNTRY.area(f"leaf_{kind}") for kind in range(3)])[
        rng.integers(3, size=count)
    ]
    leaves[bare] = COUNTRY.area("twigs")
    leaves[conifer] = COUNTRY.area("needles")
    fall = light.sun[:2] / max(-light.sun[2], 0.3)
    reach = np.linalg.norm(fall) * height * 0.5
    direction = fall / max(np.linalg.norm(fall), 1e-6)
    across = np.array([-direction[1], direction[0]])
    axes = (
        np.stack(
            [
                (reach + 0.6 * width)[:, None] * direction,
                (0.8 * width)[:, None] * across,
            ],
            1,
        )
        * stands[:, None, None]
    )
    shadows = discs(feet[:, :2] + fall * (height * 0.55)[:, None], axes, 0.0, COUNTRY.area("dark"))
    return (trunks, spindles(feet, radii, levels, leaves)), _drape(ground, shadows)


def _houses(ground: Ground, style: Style, light: Light, rng: np.random.Generator):
    k, half = ground.scale, ground.road.half_width
    count, s = CHUNKS * HOUSES, _along(ground, rng, HOUSES)
    side = rng.choice([-1.0, 1.0], count)
    size = rng.uniform([8.0, 6.5, 4.0], [14.0, 9.0, 6.0], (count, 3)) * k
    feet = ground.at(s, side * (half + rng.uniform(12.0, 24.0, count) * k), -SINK * k)
    yaw = ground.road.at(s)[1] + rng.normal(0, 0.15, count)
    stands = (rng.random(count) < style.house_share) & _clear(ground, feet, 9.0 * k)
    size = size * stands[:, None]
    kind = rng.integers(2, size=count)
    walls = np.array([COUNTRY.area("wall_0"), COUNTRY.area("wall_1")])[kind]
    roofs = np.array([COUNTRY.area("roof_0"), COUNTRY.area("roof_1")])[rng.permutation(kind)]
    above = feet + [0.0, 0.0, 1.0] * size[:, 2:]
    roof = size * [1.06, 1.12, 0.7]
    ridge = solids(block(above, yaw, roof, (1.0, 0.02)), roofs, roofs)
    fall = light.sun[:2] / max(-light.sun[2], 0.3) * size[:, 2:] * 0.7
    ahead = np.stack([np.cos(yaw), np.sin(yaw)], -1)
    across = np.stack([-np.sin(yaw), np.cos(yaw)], -1)
    axes = np.stack([ahead * size[:, :1] * 0.6, across * size[:, 1:2] * 0.7], 1)
    shadow = discs(feet[:, :2] + fall, axes, 0.0, COUNTRY.area("dark"))
    return (solids(block(feet, yaw, size), walls, walls), ridge), _drape(ground, shadow)


def _drape(ground: Ground, decals: Patch) -> Patch:
    """Decals as they lie on the terrain."""
    vertices = decals.vertices.copy()
    vertices[:, 2] = ground.terrain.height(vertices[:, 0], vertices[:, 1])
    vertices[:, 2] += SHADOW_Z * ground.scale
    return Patch(vertices, decals.normals, decals.texcoords, decals.faces)


def _mounds(ground: Ground, style: Style, rng: np.random.Generator) -> Patch:
    k, half = ground.scale, ground.road.half_width
    count, s = CHUNKS * MOUNDS, _along(ground, rng, MOUNDS)
    radius = rng.uniform(8.0, 22.0, count) * k
    side = rng.choice([-1.0, 1.0], count)
    offset = side * (half + radius + (VERGE + rng.uniform(2.0, 25.0, count)) * k)
    feet = ground.at(s, offset, -SINK * k)
    radius = radius * _clear(ground, feet, radius + VERGE * k)
    height = style.mound_height * rng.uniform(0.4, 1.0, count) * k * (radius > 0)
    rings = np.array([1.0, 0.8, 0.5, 0.2, 0.01])
    levels = np.array([-0.05, 0.22, 0.65, 0.94, 1.0])
    area = COUNTRY.area("mound")
    return spindles(feet, radius[:, None] * rings, height[:, None] * levels, area, sides=9)


def skyline(
    rng: np.random.Generator, scale: float, radius: float = 170.0, sides: int = 48
) -> Patch:
    """A ring of hills around the origin, to stand at the horizon and go along with the camera."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    phases, gains = rng.uniform(0, 2 * np.pi, 6), rng.uniform(0.2, 1.0, 6) / np.arange(1, 7)
    waves = np.sum(gains * np.sin(angle[:, None] * np.arange(2, 8) + phases), -1)
    height = rng.uniform(3.0, 14.0) * (1.2 + waves / np.abs(waves).max())
    circle = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    u0, v0, u1, v1 = COUNTRY.area("hill")
    vertices = np.empty((sides + 1, 2, 3))
    vertices[..., :2] = circle[:, None]
    vertices[:, 0, 2], vertices[:, 1, 2] = height, -16.0
    normals = np.zeros_like(vertices)
    normals[..., :2] = -circle[:, None] / radius
    texcoords = np.empty((sides + 1, 2, 2))
    texcoords[:, 0, 0], texcoords[:, 1, 0] = u0, u1
    texcoords[..., 1] = np.where(np.arange(sides + 1) % 2, v1, v0)[:, None]
    first = np.arange(sides) * 2
    quads = np.stack([[first, first + 1, first + 3], [first, first + 3, first + 2]])
    faces = quads.transpose(2, 0, 1).reshape(-1, 3)
    # Both faces of the wall, because which one looks inwards depends on the ring's direction.
    faces = np.concatenate([faces, faces[:, ::-1]])
    return Patch(
        vertices.reshape(-1, 3) * scale, normals.reshape(-1, 3), texcoords.reshape(-1, 2), faces
    )


def lawn(terrain: Terrain, centre: np.ndarray, scale: float, tile: float = 16.0) -> Patch:
    """The ground within 192 m of a point (2,) [m], a little below the terrain.

    Args:
        tile: after this many metres its texture repeats.
    """
    line = np.linspace(-192.0, 192.0, 33) * scale
    x, y = np.meshgrid(centre[0] + line, centre[1] + line, indexing="ij")
    z = terrain.height(x, y) - SINK * scale
    vertices = np.stack([x, y, z], -1).reshape(-1, 3)
    slope_x, slope_y = terrain.gradient(x, y)
    normals = np.stack([-slope_x, -slope_y, np.ones_like(x)], -1).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    corner = (np.arange(32)[:, None] * 33 + np.arange(32)).ravel()
    right, up = corner + 33, corner + 1
    faces = np.concatenate(
        [np.stack([corner, right, right + 1], -1), np.stack([corner, right + 1, up], -1)]
    )
    return Patch(vertices, normals, vertices[:, :2] / (tile * scale), faces)
