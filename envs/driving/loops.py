"""Closed roads: the outline of a random tree of cells, its corners rounded by clothoids.

Such an outline never crosses itself, goes round hairpins and turns to both sides. Corners become
clothoid, arc, clothoid; between them the road is straight, so that the line closes exactly in
position, heading and curvature, and its length is linear in the size of the cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.driving.curvature import GENTLE_SHARE, SHARP_SHARE, Profile
from liquid_control.envs.driving.style import RoadStyle

__all__ = ["draw_loop"]

GAUSS = np.polynomial.legendre.leggauss(10)
ALMOST_STRAIGHT = 0.03  # [rad]; corners that turn less are left out
SWING_RAMP = 0.08  # share of a swing's length, of its first clothoid
SWING_ARC = 0.25 - SWING_RAMP  # turn of a swing per curvature and length
SMALLEST_SWING, LARGEST_SWING = 0.05, 0.7  # [rad]
HALVES = np.linspace(0.0, 1.0, 33)
TINY = 1e-9  # [m]; knots of a profile increase
SHARPEST_CORNER = 2.4  # [rad]; the tangents of sharper ones grow without limit


@dataclass(frozen=True)
class Lattice:
    """A tiling of the plane with regular cells at integer places.

    Attributes:
        sides: places of the neighbours of cell (0, 0), counter-clockwise.
        corners: of cell (0, 0), each the begin of the side of the same number.
        pitch: corners of cell (i, j) lie around pitch * (i, j).
        basis: (2, 2) from these integers to the plane, where a side measures 1.
    """

    sides: tuple[tuple[int, int], ...]
    corners: tuple[tuple[int, int], ...]
    pitch: int
    basis: np.ndarray

    def around(self, cell: tuple[int, int]) -> list[tuple[int, int]]:
        """The corners of a cell, counter-clockwise."""
        i, j = self.pitch * cell[0], self.pitch * cell[1]
        return [(i + right, j + up) for right, up in self.corners]


SQUARES = Lattice(
    ((1, 0), (0, 1), (-1, 0), (0, -1)),
    ((1, -1), (1, 1), (-1, 1), (-1, -1)),
    2,
    np.eye(2) / 2,
)
HEXAGONS = Lattice(
    ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)),
    ((2, -1), (1, 1), (-1, 2), (-2, 1), (-1, -1), (1, -2)),
    3,
    np.array([[1.0, 0.0], [0.5, 0.75**0.5]]) / 3**0.5,
)


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
    rng: np.random.Generator, style: RoadStyle, sides: float, jitter: float
) -> Profile | None:
    """A closed road of exactly the length asked, or None where the drawn curves do not fit.

    Args:
        sides: about how many the outline has.
        jitter: 0 to 1, how much it is bent out of shape. At 0 four sides always fit.
    """
    lattice = SQUARES if rng.random() < 0.4 or not jitter else HEXAGONS
    cells = round(max(1.0, (sides - 2) / (len(lattice.sides) - 2)))
    polygon = bend(outline(lattice, grow(rng, lattice, cells)), rng, jitter)
    if len(polygon) < 3:
        return None
    edges = np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1)
    turn = corner_turns(polygon)
    if np.abs(turn).max() > SHARPEST_CORNER:
        return None
    fillets = draw_fillets(rng, style, turn, jitter)
    straight = straights(style, edges, fillets, np.ones(len(edges)))
    if straight.min() < 0:
        return None
    swing = np.zeros(len(edges))
    if jitter:
        fillets = widen(rng, style, fillets, straight)
        swing = draw_swings(rng, style, straights(style, edges, fillets, np.ones(len(edges))))
    reach = np.array([swing_profile(1.0, angle).points(HALVES)[-1, 0] for angle in swing])
    straight = straights(style, edges, fillets, reach)
    return join(fillets, straight / reach, swing) if straight.min() >= 0 else None


def straights(
    style: RoadStyle, edges: np.ndarray, fillets: Fillets, reach: np.ndarray
) -> np.ndarray:
    """What curves leave of each edge (C,) [m], once the polygon has the size for the length asked.

    Args:
        edges: (C,) of the polygon at any size, each after the corner of the same number.
        reach: (C,) how far one metre of road gets along each edge, 1 where it is straight.
    """
    taken = fillets.tangent + np.roll(fillets.tangent, -1)
    size = (style.length - np.sum(fillets.length - taken / reach)) / np.sum(edges / reach)
    return size * edges - taken


def grow(rng: np.random.Generator, lattice: Lattice, cells: int) -> list[tuple[int, int]]:
    """A random tree of cells: each new one shares one side with another and touches no more."""
    tree = [(0, 0)]
    used = set(lattice.around((0, 0)))
    follow = rng.uniform(0.2, 0.9)  # from bushes to snakes
    while len(tree) < cells:
        i, j = tree[-1] if rng.random() < follow else tree[rng.integers(len(tree))]
        side = lattice.sides[rng.integers(len(lattice.sides))]
        new = i + side[0], j + side[1]
        corners = set(lattice.around(new))
        if new not in tree and len(corners & used) == 2:
            tree.append(new)
            used |= corners
    return tree


def outline(lattice: Lattice, cells: list[tuple[int, int]]) -> np.ndarray:
    """Corners (C, 2) around a tree of cells, counter-clockwise, one side apart."""
    follower = {}
    for i, j in cells:
        corners = lattice.around((i, j))
        for number, (right, up) in enumerate(lattice.sides):
            if (i + right, j + up) not in cells:
                follower[corners[number]] = corners[(number + 1) % len(corners)]
    ring = [min(follower)]
    while follower[ring[-1]] != ring[0]:
        ring.append(follower[ring[-1]])
    return np.array(ring, float) @ lattice.basis


def bend(polygon: np.ndarray, rng: np.random.Generator, jitter: float) -> np.ndarray:
    """Stretch, shear and shake a polygon (C, 2), and leave out some corners."""
    stretch, shear = np.exp(0.25 * jitter * rng.uniform(-1, 1)), 0.3 * jitter * rng.uniform(-1, 1)
    polygon = polygon @ np.array([[stretch, 0.0], [shear, 1 / stretch]])
    polygon = polygon[rng.random(len(polygon)) >= jitter * rng.uniform(0.0, 0.5)]
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


def draw_swings(rng: np.random.Generator, style: RoadStyle, straight: np.ndarray) -> np.ndarray:
    """By how much each straight (C,) [m] swings to one side and back [rad], 0 for not at all."""
    bound = SWING_ARC * style.max_curvature * straight
    # No clothoid is steeper than at a sharp corner.
    steep = SWING_ARC * SWING_RAMP * style.max_curvature / style.ramps[0] * straight**2
    angle = np.minimum(np.minimum(bound, steep), LARGEST_SWING)
    angle *= rng.uniform(0.3, 0.9, len(straight)) * rng.choice([-1.0, 1.0], len(straight))
    angle[(np.abs(angle) < SMALLEST_SWING) | (rng.random(len(straight)) < 0.3)] = 0.0
    angle[np.argmax(straight)] = 0.0  # a lap begins straight
    return angle


def swing_profile(length: float, angle: float) -> Profile:
    """A road of `length` [m] that turns by `angle` [rad], by twice as much back, and again.

    It ends in the direction and on the line on which it began.
    """
    arc, ramp = 0.25, SWING_RAMP
    knots = [0, ramp, arc - ramp, arc, arc + 2 * ramp]
    k = angle / (SWING_ARC * length)
    return Profile(
        length * np.array(knots + [1 - knot for knot in knots[::-1]]),
        np.array([0, k, k, 0, -k, -k, 0, k, k, 0]),
    )


def join(fillets: Fillets, straight: np.ndarray, swing: np.ndarray) -> Profile:
    """One lap, from the begin of the longest straight on.

    Args:
        straight: (C,) length of the road after each corner, up to the next curve [m].
        swing: (C,) how far it swings to a side [rad].
    """
    first = int(np.argmax(np.where(swing == 0, straight, 0.0)))
    arc = np.abs(fillets.turn) / fillets.curvature - fillets.ramp
    distance, curvature = [np.zeros(1)], [np.zeros(1)]
    for number in range(len(straight)):
        edge = (first + number) % len(straight)
        corner = (edge + 1) % len(straight)
        k = float(np.sign(fillets.turn[corner]) * fillets.curvature[corner])
        way = swing_profile(max(straight[edge], TINY), swing[edge])
        ramp = fillets.ramp[corner]
        distance += [
            distance[-1][-1] + way.knots[1:],
            distance[-1][-1] + way.length + np.cumsum([ramp, arc[corner], ramp]),
        ]
        curvature += [way.curvature[1:], np.array([k, k, 0.0])]
    return Profile(np.concatenate(distance), np.concatenate(curvature))
