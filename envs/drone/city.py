"""A city: a street with houses, cars, lamps and trees along a route, and their meshes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.drone.obstacles import Obstacles
from liquid_control.envs.drone.options import Options
from liquid_control.envs.drone.plants import Plants, crowns, limbs, shadows
from liquid_control.envs.drone.route import Route
from liquid_control.envs.drone.surfaces import ATLAS, BAYS, FACADES, FLOORS, PAINTS
from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.meshes import Patch, block, boxes, discs, join, solids, strip
from liquid_control.envs.scene.season import Palette

__all__ = ["CHUNKS", "LENGTH", "City", "build", "chunks", "houses", "obstacles"]

CHUNKS = 6
LENGTH = 192.0  # [m] of the street
ROAD, PAVEMENT, FRONT = 6.2, 9.4, 10.0  # [m] from the middle of the street
LOT = 12.0  # [m] along the street
LOTS = int(LENGTH / LOT)
CROSSING = 4  # every so many lots a street crosses
STOREY, BAY = 3.0, 3.0  # [m]
CARS, LAMPS, TREES = 48, 24, 36
CAR = 4.3, 1.8, 1.45  # [m] length, width, height
ROAD_Z, LINE_Z, WALK_Z, SHADOW_Z = 0.02, 0.05, 0.12, 0.16


@dataclass(frozen=True)
class City:
    """What stands in a city; rows that do not stand have no size.

    Attributes:
        houses: (N, 6) x, y, length, width, height, 1 for a pitched roof [m].
        cars: (CARS, 4) x, y, yaw, 1 if it is there.
        lamps: (LAMPS, 3) x, y, height.
        trees: along the pavement.
    """

    houses: np.ndarray
    cars: np.ndarray
    lamps: np.ndarray
    trees: Plants


def build(rng: np.random.Generator, route: Route, options: Options, colours: Palette) -> City:
    """Build a city along a route."""
    moving, density = options.task == "moving", options.density
    lots = -LENGTH / 2 + LOT * (np.arange(LOTS) + 0.5)
    crossing = np.arange(LOTS) % CROSSING == rng.integers(CROSSING)
    rows = []
    for side in (1.0, -1.0):
        width = rng.uniform(8.0, 11.0, LOTS)
        # Whole bays and storeys, as the windows on the walls have it.
        length = BAY * rng.integers(3, 5, LOTS)
        storeys = rng.integers(2, FLOORS - 1, LOTS)
        setback = rng.uniform(0.0, 1.2, LOTS)
        size = np.column_stack([length, width, STOREY * storeys]) * ~crossing[:, None]
        y = side * (FRONT + setback + width / 2)
        pitched = storeys < 5
        rows.append(np.column_stack([lots, y, size, pitched]))
    houses_ = np.concatenate(rows)

    x = np.tile(-LENGTH / 2 + LENGTH / CARS * 2 * (np.arange(CARS // 2) + 0.5), 2)
    side = np.repeat([1.0, -1.0], CARS // 2)
    x = x + rng.uniform(-1.2, 1.2, CARS)
    y = side * rng.uniform(4.9, 5.2, CARS)
    yaw = np.where(side > 0, np.pi, 0.0) + rng.normal(0, 0.03, CARS)
    there = rng.random(CARS) < 0.75 * density
    ends = x[:, None] + [-1.4, 0.0, 1.4]
    points = np.stack([ends, np.broadcast_to(y[:, None], ends.shape)], -1)
    there &= route.clear(points.reshape(-1, 2), 0.95, moving).reshape(CARS, 3).all(1)
    across = np.abs((x + LENGTH / 2) // LOT % CROSSING - np.argmax(crossing)) < 0.5
    cars = np.column_stack([x, y, yaw, there & ~across])

    x = np.tile(-LENGTH / 2 + 16.0 * (np.arange(LAMPS // 2) + 0.5), 2)
    side = np.repeat([1.0, -1.0], LAMPS // 2)
    lamps = np.column_stack([x, side * (ROAD + 0.5), np.full(LAMPS, 6.0)])
    lamps[:, 2] *= route.clear(lamps[:, :2], 0.1, moving)

    x = np.tile(-LENGTH / 2 + LENGTH / TREES * 2 * (np.arange(TREES // 2) + 0.2), 2)
    side = np.repeat([1.0, -1.0], TREES // 2)
    places = np.column_stack([x + rng.uniform(-1, 1, TREES), side * (ROAD + 1.0)])
    height = rng.uniform(4.5, 7.5, TREES)
    stands = (rng.random(TREES) < density) & route.clear(places, 0.2, moving)
    stands &= np.abs(places[:, None, 0] - lamps[:, 0]).min(1) > 1.2
    trees = Plants(
        places=places,
        height=height * stands,
        width=rng.uniform(0.2, 0.28, TREES) * height * stands,
        bottom=np.maximum(0.38 * height, 2.5) * stands,
        trunk=(0.05 + 0.014 * height) * stands,
        kind=np.full(TREES, rng.integers(3)),
        bare=rng.random(TREES) < colours.bare,
    )
    return City(houses_, cars, lamps, trees)


def obstacles(city: City) -> Obstacles:
    """What the drone can hit: houses, cars, lamps, trees."""
    x, y, length, width, height, pitched = city.houses[city.houses[:, 4] > 0].T
    top = height * (1 + 0.05 * pitched)
    walls = np.column_stack([x, y, 0 * x, length / 2, width / 2, 0 * x - 1.0, top])
    x, y, yaw = city.cars[city.cars[:, 3] > 0, :3].T
    ones = np.ones_like(x)
    cars = np.column_stack([x, y, yaw, CAR[0] / 2 * ones, CAR[1] / 2 * ones, 0 * x, CAR[2] * ones])
    x, y, height = city.lamps[city.lamps[:, 2] > 0].T
    lamps = np.column_stack([x, y, 0 * x + 0.08, 0 * x - 0.1, height])
    trees = city.trees
    x, y = trees.places.T
    trunks = np.column_stack([x, y, trees.trunk, 0 * x - trees.trunk, trees.bottom + 0.5])
    top = trees.height - 0.2 * trees.width
    tops = np.column_stack([x, y, 0.75 * trees.width, trees.bottom, top])
    pillars = np.concatenate([lamps, trunks, tops])
    return Obstacles(pillars[pillars[:, 2] > 0], np.concatenate([walls, cars]))


def houses(city: City) -> list[Patch]:
    """Walls with windows, one mesh of each facade."""
    patches = []
    for index in range(FACADES):
        x, y, length, width, height, _ = city.houses[index::FACADES].T
        corners = block(
            np.column_stack([x, y, 0 * x]), 0 * x, np.column_stack([length, width, height])
        )
        area = np.column_stack(
            [0 * x, 1 - height / STOREY / FLOORS, length / BAY / BAYS, 0 * x + 1]
        )
        # The texture's last row is the ground floor: from there the windows go up.
        area = area[:, [0, 3, 2, 1]]
        patches.append(solids(corners, area, np.array([0.01, 0.01, 0.02, 0.02])))
    return patches


def chunks(city: City, light: Light, rng: np.random.Generator) -> list[tuple[Patch, Patch]]:
    """Meshes (solid, shadows) along the street, from the smallest x to the largest."""
    edges = np.linspace(-LENGTH / 2, LENGTH / 2, CHUNKS + 1)
    pieces = []
    for index in range(CHUNKS):
        take = [_share(table, index) for table in (city.houses, city.cars, city.lamps)]
        trees = _trees(city.trees, index)
        solid = join(
            _ground(edges[index], edges[index + 1]),
            _roofs(take[0], rng),
            _cars(take[1], rng),
            _lamps(take[2]),
            *limbs(trees, rng),
            *crowns(trees, rng),
        )
        decals = join(
            _house_shadows(take[0], light), _car_shadows(take[1]), *shadows(trees, light, SHADOW_Z)
        )
        pieces.append((solid, decals))
    return pieces


def _share(table: np.ndarray, index: int) -> np.ndarray:
    """Rows of one chunk: of a table that has both sides of the street one after another."""
    half = len(table) // 2
    low, high = index * half // CHUNKS, (index + 1) * half // CHUNKS
    return np.concatenate([table[low:high], table[half + low : half + high]])


def _trees(trees: Plants, index: int) -> Plants:
    rows = _share(np.arange(len(trees.places)), index)
    columns = {name: column[rows] for name, column in vars(trees).items()}
    return Plants(**columns)


def _ground(start: float, end: float) -> Patch:
    x = np.linspace(start, end, 9)

    def ribbon(left: float, right: float, z: float, area: str) -> Patch:
        lines = [np.column_stack([x, np.full_like(x, y)]) for y in (left, right)]
        return strip(*lines, z, ATLAS.area(area))

    # It goes on below the pavement, which has no side.
    parts = [ribbon(ROAD + 2.0, -ROAD - 2.0, ROAD_Z, "asphalt")]
    for side in (1.0, -1.0):
        left, right = sorted((side * ROAD, side * (FRONT + 2.5)), reverse=True)
        parts.append(ribbon(left, right, WALK_Z, "pavement"))
        middle = side * (ROAD + 0.06)
        parts.append(ribbon(middle + 0.12, middle - 0.12, WALK_Z + 0.02, "kerb"))
        edge = side * 3.9
        parts.append(ribbon(edge + 0.05, edge - 0.05, LINE_Z, "line"))
    dashes = np.arange(start + 1.0, end, 4.0)[: int((end - start) / 4)]
    ends = np.stack([dashes, dashes + 2.0], -1)
    lines = [np.stack([ends, np.full_like(ends, y)], -1) for y in (0.08, -0.08)]
    parts.append(strip(*lines, LINE_Z, ATLAS.area("line")))
    return join(*parts)


def _roofs(table: np.ndarray, rng: np.random.Generator) -> Patch:
    x, y, length, width, height, pitched = table.T
    base = np.column_stack([x, y, height])
    roofs = np.array([ATLAS.area(f"roof_{kind}") for kind in range(3)])
    area = roofs[rng.integers(3, size=len(table))]
    stands = height > 0
    gable = np.column_stack([length * 1.05, width * 1.08, 2.6 * pitched]) * stands[:, None]
    ridge = solids(block(base, 0 * x, gable, (1.0, 0.02)), area, area)
    flat = np.column_stack([length * 1.03, width * 1.03, 0.5 * (1 - pitched)]) * stands[:, None]
    return join(ridge, solids(block(base, 0 * x, flat), ATLAS.area("trim"), area))


def _cars(table: np.ndarray, rng: np.random.Generator) -> Patch:
    x, y, yaw, there = table.T
    length, width, height = CAR
    paints = np.array([ATLAS.area(f"paint_{index}") for index in range(len(PAINTS))])
    paint = paints[rng.integers(len(PAINTS), size=len(table))]
    cos, sin = np.cos(yaw), np.sin(yaw)

    def part(ahead, left, z, size, side, top, taper=(1.0, 1.0)) -> Patch:
        place = np.column_stack(
            [x + cos * ahead - sin * left, y + sin * ahead + cos * left, np.full_like(x, z)]
        )
        return solids(block(place, yaw, np.asarray(size) * there[:, None], taper), side, top)

    glass, dark, lamp = ATLAS.area("glass"), ATLAS.area("dark"), ATLAS.area("lamp")
    parts = [
        part(0, 0, 0.28, (length, width, 0.55), paint, paint, (0.97, 0.94)),
        part(-0.15, 0, 0.83, (2.5, width * 0.93, height - 0.83), glass, paint, (0.62, 0.84)),
    ]
    for ahead in (-length * 0.31, length * 0.31):
        parts.append(part(ahead, 0, 0.03, (0.62, width * 1.01, 0.55), dark, dark, (0.7, 1.0)))
    for left in (-0.62, 0.62):
        parts.append(part(length / 2, left, 0.55, (0.06, 0.34, 0.15), lamp, lamp))
    return join(*parts)


def _lamps(table: np.ndarray) -> Patch:
    x, y, height = table.T
    stands = height > 0
    foot = np.column_stack([x, y, 0 * x])
    pole = boxes(foot, 0.07, 0.0, 6.0, ATLAS.area("metal"))
    arm = np.column_stack([1.4 + 0 * x, 0.12 + 0 * x, 0.12 + 0 * x]) * stands[:, None]
    yaw = np.where(y > 0, -np.pi / 2, np.pi / 2)
    out = np.column_stack([x, y - np.sign(y) * 0.65, 5.9 + 0 * x])
    head = np.column_stack([x, y - np.sign(y) * 1.2, 5.78 + 0 * x])
    bulb = np.column_stack([0.6 + 0 * x, 0.3 + 0 * x, 0.14 + 0 * x]) * stands[:, None]
    metal, lamp = ATLAS.area("metal"), ATLAS.area("lamp")
    vertices = pole.vertices.copy()
    # A lamp that is not there lies in the ground.
    vertices[np.repeat(~stands, len(vertices) // len(table)), 2] = -1.0
    pole = Patch(vertices, pole.normals, pole.texcoords, pole.faces)
    return join(
        pole,
        solids(block(out, yaw, arm), metal, metal),
        solids(block(head, yaw, bulb), lamp, metal),
    )


def _house_shadows(table: np.ndarray, light: Light) -> Patch:
    x, y, length, width, height, _ = table.T
    fall = light.sun[:2] / max(-light.sun[2], 0.3)
    # As far as the other side of the street: walls there would have to bear the rest.
    shift = fall * np.minimum(height, 12.0)[:, None]
    axes = np.zeros((len(table), 2, 2))
    axes[:, 0, 0], axes[:, 1, 1] = length * 0.62, width * 0.62
    near = discs(
        np.column_stack([x, y]) + 0.35 * shift, axes, SHADOW_Z + 0.01, ATLAS.area("dark"), 8
    )
    far = discs(
        np.column_stack([x, y]) + 0.75 * shift, axes, SHADOW_Z + 0.02, ATLAS.area("dark"), 8
    )
    return join(near, far)


def _car_shadows(table: np.ndarray) -> Patch:
    x, y, yaw, there = table.T
    axes = np.stack(
        [
            np.column_stack([np.cos(yaw), np.sin(yaw)]) * (2.4 * there)[:, None],
            np.column_stack([-np.sin(yaw), np.cos(yaw)]) * (1.15 * there)[:, None],
        ],
        1,
    )
    return discs(np.column_stack([x, y]), axes, 0.07, ATLAS.area("dark"), sides=10)
