"""A forest: where trees and bushes stand around a route, and their meshes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from liquid_control.envs.drone.obstacles import Obstacles
from liquid_control.envs.drone.options import Options
from liquid_control.envs.drone.plants import Plants, crowns, cut, limbs, shadows
from liquid_control.envs.drone.route import Route
from liquid_control.envs.drone.surfaces import ATLAS, TILE
from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.meshes import Patch, join, spindles
from liquid_control.envs.scene.season import Palette

__all__ = ["CHUNKS", "Forest", "chunks", "grow", "obstacles"]

CHUNKS = 8
TREES, BUSHES, TUFTS = 160, 48, 240
MARGIN = 20.0  # [m] around the route in which trees stand
SPACING = 1.7  # [m] between the surfaces of what stands at the height of the drone
EYE = 2.5  # [m]: crowns that hang lower are in the way
CANDIDATES = 1600


@dataclass(frozen=True)
class Forest:
    """Trees and bushes; rows that do not stand have no size."""

    trees: Plants
    bushes: Plants
    tufts: np.ndarray


def grow(rng: np.random.Generator, route: Route, options: Options, colours: Palette) -> Forest:
    """Let a forest grow around a route."""
    line = route.line
    low, high = line.min(0) - MARGIN, line.max(0) + MARGIN
    conifers = rng.uniform(0.1, 0.9)
    places = rng.uniform(low, high, (CANDIDATES, 2))
    conifer = rng.random(CANDIDATES) < conifers
    # About every fifth is young: a small conifer or a bush, with its leaves down to the ground.
    young = rng.random(CANDIDATES) < 0.22
    height = np.where(young, rng.uniform(0.8, 2.6, CANDIDATES), rng.uniform(6.0, 13.0, CANDIDATES))
    slender = np.where(conifer, rng.uniform(0.13, 0.19, CANDIDATES), 0)
    width = height * np.where(conifer, slender, rng.uniform(0.17, 0.27, CANDIDATES))
    width = np.where(young, np.clip(height * rng.uniform(0.25, 0.4, CANDIDATES), 0.3, 0.7), width)
    bottom = np.where(young, 0.0, np.maximum(height * rng.uniform(0.24, 0.4, CANDIDATES), EYE))
    trunk = np.where(young, 0.05, 0.05 + 0.014 * height)
    solid = np.where(young, width, trunk)
    clear = route.clear(places, solid, options.task == "moving")
    share = (0.15 + 0.85 * options.density) if options.density > 0 else 0.0
    limit = np.where(young, round(BUSHES * share), round(TREES * share))
    chosen: list[int] = []
    count = np.zeros(2, int)
    for index in np.flatnonzero(clear):
        kind = int(young[index])
        if count[kind] >= limit[index]:
            continue
        gap = np.linalg.norm(places[chosen] - places[index], axis=1) - solid[chosen]
        if len(chosen) == 0 or gap.min() > solid[index] + SPACING:
            chosen.append(int(index))
            count[kind] += 1
    kinds = np.where(conifer, 3, rng.integers(3, size=CANDIDATES))
    bare = ~conifer & (rng.random(CANDIDATES) < colours.bare)
    rows = np.array(chosen, int)

    def plants(which: np.ndarray, total: int) -> Plants:
        taken = which[np.argsort(places[which, 0], kind="stable")]
        table = Plants(
            places[taken], height[taken], width[taken], bottom[taken], trunk[taken],
            kinds[taken], bare[taken],
        )  # fmt: skip
        return table.padded(total, line[0])

    tufts = rng.uniform(low, high, (TUFTS, 2))
    tufts = tufts[np.argsort(tufts[:, 0], kind="stable")]
    return Forest(plants(rows[~young[rows]], TREES), plants(rows[young[rows]], BUSHES), tufts)


def obstacles(forest: Forest) -> Obstacles:
    """What the drone can hit: trunks, crowns, bushes."""
    trees, bushes = forest.trees, forest.bushes
    x, y = trees.places.T
    trunks = np.column_stack([x, y, trees.trunk, 0 * x - trees.trunk, trees.bottom + 0.5])
    top = trees.height - 0.2 * trees.width
    tops = np.column_stack([x, y, 0.7 * trees.width, trees.bottom, top])
    x, y = bushes.places.T
    low = np.column_stack([x, y, 0.85 * bushes.width, -bushes.width, bushes.height])
    pillars = np.concatenate([trunks, tops, low])
    return Obstacles(pillars[pillars[:, 2] > 0], np.zeros((0, 7)))


def chunks(forest: Forest, light: Light, rng: np.random.Generator) -> list[tuple[Patch, Patch]]:
    """Meshes (solid, shadows), from the smallest x to the largest."""
    trees, bushes = forest.trees, forest.bushes
    solid = *limbs(trees, rng), *crowns(trees, rng), *crowns(bushes, rng), _tufts(forest.tufts, rng)
    dark = *shadows(trees, light), *shadows(bushes, light)
    cuts = ([cut(patch, CHUNKS) for patch in patches] for patches in (solid, dark))
    return [
        (join(*solids), _on_ground(join(*decals)))
        for solids, decals in zip(*(zip(*parts, strict=True) for parts in cuts), strict=True)
    ]


def _on_ground(decals: Patch) -> Patch:
    """With the texture of the ground below: drawn darker, that is cheaper than to let it through,
    and where two shadows lie on one another it is no darker than in one.
    """
    return replace(decals, texcoords=decals.vertices[:, :2] / TILE)


def _tufts(places: np.ndarray, rng: np.random.Generator) -> Patch:
    """Tufts of grass, small cones."""
    size = rng.uniform(0.1, 0.35, (len(places), 1))
    area = np.where(
        rng.random((len(places), 1)) < 0.6, [ATLAS.area("tuft")], [ATLAS.area("litter")]
    )
    return spindles(places, size * [0.5, 0.05], size * [0.0, 1.0], area, sides=4)
