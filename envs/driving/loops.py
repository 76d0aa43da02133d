"""Closed roads: the outline of a random tree of grid cells, its corners rounded by clothoids.

Such an outline never crosses itself, goes round hairpins and turns to both sides. Corners become
clothoid, arc, clothoid; between them the road is straight, so that the line closes exactly in
position, heading and curvature, and its length is linear in the size of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.driving.curvature import GENTLE_SHARE, SHARP_SHARE, Profile
from liquid_control.envs.driving.style import RoadStyle

__all__ = ["draw_loop"]

GAUSS = np.polynomial.legendre.leggauss(10)
SIDES = ((1, 0), (0, 1), (-1, 0), (0, -1))
ALMOST_STRAIGHT = 0.03  # [rad]; corners that turn less are left out
SHARPEST_CORNER = 2.4  # [rad]; the tangents of sharper ones grow without limit


@dataclass(frozen=True)
class Fillets:
    """Clothoid, arc and clothoid at each corner of a polygon.

    Attributes:
        turn: (C,) [rad], signed.
        curvature: (C,) of the arc [1/m], magnitude.
        ramp: (C,) length of each clothoid [m].
    """

    turn: np.ndarray
    curvature: np.ndarray
    ramp: np.ndarray

    @property
    def length(self) -> np.ndarray:
        """(C,) from tangent point to tangent point [m]."""
        return np.abs(self.turn) / self.curvature + self.ramp

    @property
    def tangent(self) -> np.ndarray:
        """(C,) from the corner to where its curve begins [m].

        The curve is symmetric: its middle lies on the bisector of the corner.
        """
        half, k = np.abs(self.turn) / 2, self.curvature
        nodes, weights = (GAUSS[0] + 1) / 2, GAUSS[1] / 2
        # Along a clothoid the heading grows with the square of the way.
        ramp_turn = k * self.ramp / 2
        heading = ramp_turn[:, None] * nodes**2
        x = self.ramp * (np.cos(heading) @ weights) + (np.sin(half) - np.sin(ramp_turn)) / k
        y = self.ramp * (np.sin(heading) @ weights) + (np.cos(ramp_turn) - np.cos(half)) / k
        return x + y * np.tan(half)

    def widened(self, factor: np.ndarray) -> Fillets:
        """The same curves, `factor` (C,) times as large."""
        return Fillets(self.turn, self.curvature / factor, self.ramp * factor)


def draw_loop(
    rng: np.random.Generator, style: RoadStyle, cells: int, jitter: float
) -> Profile | None:
    """A closed road of exactly the length asked, or None where the drawn curves do not fit.

    Args:
        cells: of the tree; the outline has 2 * cells + 2 sides.
        jitter: 0 to 1, how much the outline is bent out of shape. At 0 a single cell always fits.
    """
    polygon = outline(grow(rng, cells), rng, keep=0.6 if jitter else 0.0)
    polygon = bend(polygon, rng, jitter)
    edges = np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1)
    turn = corner_turns(polygon)
    if np.abs(turn).max() > SHARPEST_CORNER:
        return None
    fillets = draw_fillets(rng, style, turn, jitter)
    # Cutting its corners makes the road shorter than the polygon.
    size = (style.length + np.sum(2 * fillets.tangent - fillets.length)) / edges.sum()
    slack = size * edges - fillets.tangent - np.roll(fillets.tangent, -1)
    if slack.min() < 0:
        return None
    if jitter:
        fillets = widen(rng, style, fillets, slack)
        size = (style.length + np.sum(2 * fillets.tangent - fillets.length)) / edges.sum()
    straight = size * edges - fillets.tangent - np.roll(fillets.tangent, -1)
    return join(fillets, np.maximum(straight, 0.0))


def grow(rng: np.random.Generator, cells: int) -> set[tuple[int, int]]:
    """A random tree of grid cells: each new one touches exactly one other, also at corners."""
    tree = [(0, 0)]
    follow = rng.uniform(0.2, 0.9)  # from bushes to snakes
    while len(tree) < cells:
        start = tree[-1] if rng.random() < follow else tree[rng.integers(len(tree))]
        side = SIDES[rng.integers(4)]
        new = start[0] + side[0], start[1] + side[1]
        around = {(new[0] + i, new[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & set(tree)
        beside = {(start[0] + side[1] * i, start[1] + side[0] * i) for i in (-1, 1)}
        if new not in tree and around <= beside | {start}:
            tree.append(new)
    return set(tree)


def outline(cells: set[tuple[int, int]], rng: np.random.Generator, keep: float) -> np.ndarray:
    """Corners (C, 2) around `cells`, counter-clockwise; of those amid a side a share `keep`."""
    follower = {}
    for i, j in cells:
        ring = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
        beyond = [(i, j - 1), (i + 1, j), (i, j + 1), (i - 1, j)]
        for number, other in enumerate(beyond):
            if other not in cells:
                follower[ring[number]] = ring[(number + 1) % 4]
    start = min(follower)
    corners = [start]
    while follower[corners[-1]] != start:
        corners.append(follower[corners[-1]])
    polygon = np.array(corners, float)
    straight = np.abs(corner_turns(polygon)) < ALMOST_STRAIGHT
    return polygon[~straight | (rng.random(len(polygon)) < keep)]


def bend(polygon: np.ndarray, rng: np.random.Generator, jitter: float) -> np.ndarray:
    """Stretch, shear and shake a polygon (C, 2), and leave out corners that hardly turn."""
    stretch, shear = np.exp(0.25 * jitter * rng.uniform(-1, 1)), 0.3 * jitter * rng.uniform(-1, 1)
    polygon = polygon @ np.array([[stretch, 0.0], [shear, 1 / stretch]])
    polygon = polygon + 0.28 * jitter * rng.uniform(-1, 1, polygon.shape)
    return polygon[np.abs(corner_turns(polygon)) >= ALMOST_STRAIGHT]


def corner_turns(polygon: np.ndarray) -> np.ndarray:
    """(C,) [rad], by how much a polygon (C, 2) turns at each corner, positive to the left."""
    after = np.roll(polygon, -1, axis=0) - polygon
    before = np.roll(after, 1, axis=0)
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return np.arctan2(cross, np.einsum("ij,ij->i", before, after))


def draw_fillets(
    rng: np.random.Generator, style: RoadStyle, turn: np.ndarray, jitter: float
) -> Fillets:
    """Sharp curves at all corners, as far as a corner turns enough for its clothoids."""
    low = SHARP_SHARE[0] if jitter else 1.0
    curvature = style.max_curvature * rng.uniform(low, SHARP_SHARE[1], len(turn))
    ramp = rng.uniform(*style.ramps, len(turn)) if jitter else np.full(len(turn), style.ramps[0])
    room = rng.uniform(0.55, 0.8, len(turn)) if jitter else np.ones(len(turn))
    curvature = np.minimum(curvature, room * np.abs(turn) / ramp)
    return Fillets(turn, curvature, ramp)


def widen(
    rng: np.random.Generator, style: RoadStyle, fillets: Fillets, slack: np.ndarray
) -> Fillets:
    """Make some curves as gentle as the straights (C,) [m] after each corner leave room for."""
    tangent, slack = fillets.tangent, slack.copy()
    factor = np.ones(len(tangent))
    gentle = rng.random(len(tangent)) > 0.4 + 1.67 * style.sharp_share
    for corner in rng.permutation(len(tangent)):
        share = rng.uniform(0.3, 0.95)
        if not gentle[corner]:
            continue
        room = share * min(slack[corner - 1], slack[corner])
        widest = fillets.curvature[corner] / (GENTLE_SHARE[0] / 2 * style.max_curvature)
        factor[corner] = np.clip(1 + room / tangent[corner], 1.0, max(widest, 1.0))
        used = (factor[corner] - 1) * tangent[corner]
        slack[corner - 1] -= used
        slack[corner] -= used
    return fillets.widened(factor)


def join(fillets: Fillets, straight: np.ndarray) -> Profile:
    """One lap, from the begin of the longest of the straights (C,) [m] after each corner."""
    first = int(np.argmax(straight)) + 1
    order = np.roll(np.arange(len(straight)), -first)
    arc = np.abs(fillets.turn) / fillets.curvature - fillets.ramp
    lengths, curvatures = [], []
    for before, corner in zip(np.roll(order, 1), order, strict=True):
        k = float(np.sign(fillets.turn[corner]) * fillets.curvature[corner])
        lengths += [straight[before], fillets.ramp[corner], arc[corner], fillets.ramp[corner]]
        curvatures += [0.0, k, k, 0.0]
    knots = np.concatenate([[0.0], np.cumsum(lengths)])
    return Profile(knots, np.concatenate([[0.0], curvatures]))
