"""A race track for 1:10 cars on blue mats in a hall, as meshes.

The look follows the recording of a real car: dark lane, white edges, dashed yellow centre, blue
mats with white print, walls of concrete, wood and dark panels, banners.
"""

from __future__ import annotations

import numpy as np

from liquid_control.envs.driving.ribbons import Ground, line_pieces
from liquid_control.envs.driving.road import Road
from liquid_control.envs.driving.surfaces import HALL
from liquid_control.envs.driving.terrain import Terrain
from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.meshes import Patch, block, join, solids

__all__ = ["hall", "light"]

ROWS = 400  # of the whole lane
PRINTS, PANELS, BANNERS = 14, 8, 12  # panels of each wall
# Lengths for a full-size car [m], like everywhere; the hall is a tenth of that.
MAT_MARGIN, HALL_MARGIN, WALL_HEIGHT = 9.0, 22.0, 32.0
PRINT_Z, LANE_Z, PAINT_Z = 0.02, 0.04, 0.06
LINE_WIDTH = 0.4


def hall(road: Road, terrain: Terrain, rng: np.random.Generator, markings: str) -> Patch:
    """Everything there is to see, as one mesh in the world's frame [m]."""
    return join(_lane(road, terrain, rng, markings), _floor(road, rng), _walls(road, rng))


def light(rng: np.random.Generator) -> Light:
    """Lamps at a ceiling: even light without a sun."""
    level, warmth = rng.uniform(0.85, 1.2), rng.uniform(0.0, 0.12)
    colour = level * np.array([1.0, 1.0 - 0.5 * warmth, 1.0 - warmth])
    ceiling = np.clip(np.array([0.6, 0.56, 0.5]) * level, 0, 1)
    return Light(
        sun=np.array([0.2, 0.3, -0.93]),
        diffuse=0.25 * colour,
        ambient=0.8 * colour,
        zenith=ceiling,
        horizon=ceiling,
        cloud=ceiling,
        clouds=0.0,
        stars=False,
        clear=400.0,
        sight=800.0,
        shadow=0.0,
        headlights=False,
        rain=0.0,
        snow=0.0,
    )


def _lane(road: Road, terrain: Terrain, rng: np.random.Generator, markings: str) -> Patch:
    ground = Ground(road, terrain)
    k, half = ground.scale, road.half_width
    s = np.linspace(0, road.length, ROWS + 1)
    edge, paint = road.style.lanes * road.style.lane_width / 2, LINE_WIDTH / 2 * k
    parts = [ground.ribbon(s, half, -half, LANE_Z * k, HALL.area("asphalt"))]
    for side in (1, -1):
        pieces = line_pieces(rng, 0.0, road.length, markings, 0.5, count=100, points=5)
        middle = side * (edge - paint)
        parts.append(
            ground.ribbon(pieces, middle + paint, middle - paint, PAINT_Z * k, HALL.area("line"))
        )
    kind = "worn" if markings == "worn" else "missing" if markings == "missing" else "dashed"
    pieces = line_pieces(rng, 0.0, road.length, kind, 0.5, count=50)
    parts.append(ground.ribbon(pieces, paint, -paint, PAINT_Z * k, HALL.area("centre")))
    return join(*parts)


def _bounds(road: Road, margin: float) -> tuple[np.ndarray, np.ndarray]:
    k = road.style.scale
    return road.centre.min(0) - margin * k, road.centre.max(0) + margin * k


def _flat(low: np.ndarray, high: np.ndarray, z: float, cell: str) -> Patch:
    """A level rectangle, cut into 24 x 24 so that its light and haze vary."""
    count = 24
    x = np.linspace(low[0], high[0], count + 1)
    y = np.linspace(low[1], high[1], count + 1)
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    corner = (np.arange(count)[:, None] * (count + 1) + np.arange(count)).ravel()
    right, up = corner + count + 1, corner + 1
    faces = np.concatenate(
        [np.stack([corner, right, right + 1], -1), np.stack([corner, right + 1, up], -1)]
    )
    u0, v0, u1, v1 = HALL.area(cell)
    odd = np.stack(np.divmod(np.arange(len(grid)), count + 1), -1) % 2
    texcoords = np.where(odd, [u1, v1], [u0, v0])
    vertices = np.concatenate([grid, np.full((len(grid), 1), z)], -1)
    return Patch(vertices, np.broadcast_to([0.0, 0.0, 1.0], vertices.shape), texcoords, faces)


def _floor(road: Road, rng: np.random.Generator) -> Patch:
    k = road.style.scale
    low, high = _bounds(road, MAT_MARGIN)
    position = np.concatenate(
        [rng.uniform(low, high, (PRINTS, 2)), np.full((PRINTS, 1), PRINT_Z * k)], -1
    )
    size = rng.uniform([2.0, 1.0, 0.0], [9.0, 5.0, 0.0], (PRINTS, 3)) * k
    yaw = rng.choice([0.0, np.pi / 2], PRINTS) + rng.normal(0, 0.05, PRINTS)
    frame = solids(block(position, yaw, size), HALL.area("print"), HALL.area("print"))
    # Half of the prints are frames around mat, like letters.
    inner = size * [0.6, 0.5, 0.0] * (np.arange(PRINTS) % 2)[:, None]
    hole = block(position + np.array([0, 0, 0.01 * k]), yaw, inner)
    return join(
        _flat(*_bounds(road, HALL_MARGIN * 1.05), -0.02 * k, "floor"),
        _flat(low, high, 0.0, "mat"),
        frame,
        solids(hole, HALL.area("mat"), HALL.area("mat")),
    )


def _walls(road: Road, rng: np.random.Generator) -> Patch:
    k = road.style.scale
    low, high = _bounds(road, HALL_MARGIN)
    middle, extent = (low + high) / 2, high - low
    kinds = np.array([HALL.area(name) for name in ("concrete", "wood", "panel")])
    prints = np.array([HALL.area(name) for name in ("banner", "banner_print")])
    parts = []
    for turn in range(4):
        along, across = extent[turn % 2], extent[(turn + 1) % 2]
        yaw = turn * np.pi / 2
        ahead = np.array([np.cos(yaw), np.sin(yaw)])
        side = np.array([-np.sin(yaw), np.cos(yaw)])
        cuts = np.sort(np.concatenate([[0.0, 1.0], rng.uniform(0, 1, PANELS - 1)])) - 0.5
        centre, width = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
        areas = kinds[rng.choice(3, PANELS, p=[0.55, 0.25, 0.2])]

        def place(share, height, depth, ahead=ahead, side=side, along=along, across=across):
            points = middle + share[:, None] * along * ahead + (across / 2 - depth) * side
            return np.concatenate([points, height], -1)

        low_edge = np.zeros((PANELS, 1))
        size = np.stack(
            [width * along, np.full(PANELS, 0.2 * k), np.full(PANELS, WALL_HEIGHT * k)], -1
        )
        corners = block(place(centre, low_edge, 0.0), np.full(PANELS, yaw), size)
        parts.append(solids(corners, areas, areas))
        count = BANNERS // 4
        where = rng.uniform(-0.45, 0.45, count)
        size = np.stack([rng.uniform(8, 16, count), np.full(count, 0.1), rng.uniform(5, 8, count)])
        height = rng.uniform(0.5, 3.0, (count, 1)) * k
        for inset, (share, cell) in enumerate(((1.0, 0), (0.75, 1))):
            lifted = height + (1 - share) / 2 * size[2][:, None] * k
            corners = block(
                place(where, lifted, (0.3 + 0.3 * inset) * k),
                np.full(count, yaw),
                (size * [[share], [1.0], [share]]).T * k,
            )
            parts.append(solids(corners, prints[cell], prints[cell]))
    return join(*parts)
