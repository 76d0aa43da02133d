"""What lies on the ground along a road: pavement, verges, lines, kerbs, rails, as meshes.

Every count depends on the numbers asked for alone, so that one road fits into the meshes of
another; what a road does not have is there without area.
"""

from __future__ import annotations

import numpy as np

from liquid_control.envs.driving.road import Road
from liquid_control.envs.driving.terrain import Terrain
from liquid_control.envs.scene.meshes import Area, Patch, strip

__all__ = ["Ground", "line_pieces"]


class Ground:
    """Draws ribbons along a road on a terrain; lengths are scaled by the road's scale.

    Args:
        road: what to draw along.
        terrain: what it lies on.
    """

    def __init__(self, road: Road, terrain: Terrain) -> None:
        self.road, self.terrain = road, terrain
        self.scale = road.style.scale

    def at(self, s: np.ndarray, offset: float | np.ndarray, lift: float = 0.0) -> np.ndarray:
        """Points (..., 3) [m] at arc lengths `s`, `offset` to the left, `lift` above the ground."""
        points = self.road.line(s, offset)
        height = self.terrain.height(points[..., 0], points[..., 1]) + lift
        return np.concatenate([points, height[..., None]], -1)

    def ribbon(
        self,
        s: np.ndarray,
        left: float | np.ndarray,
        right: float | np.ndarray,
        lift: float | tuple[float, float],
        area: Area,
    ) -> Patch:
        """A ribbon between two offsets [m]; `lift` [m] of both sides, or of the left and right."""
        low, high = (lift, lift) if isinstance(lift, int | float) else lift
        one, other = self.at(s, left, low), self.at(s, right, high)
        height = np.stack([one[..., 2], other[..., 2]], -1)
        return strip(one[..., :2], other[..., :2], height, area)

    def wall(
        self,
        s: np.ndarray,
        offset: float | np.ndarray,
        low: float | np.ndarray,
        high: float | np.ndarray,
        area: Area,
    ) -> tuple[Patch, Patch]:
        """An upright ribbon from `low` to `high` above the ground [m]: one face, and the other."""
        foot = self.at(s, offset)
        below, above = foot[..., 2] + low, foot[..., 2] + high
        line = foot[..., :2]
        return (
            strip(line, line, np.stack([below, above], -1), area),
            strip(line, line, np.stack([above, below], -1), area),
        )


def line_pieces(
    rng: np.random.Generator,
    start: np.ndarray,
    length: float,
    kind: str,
    dash: float,
    count: int = 10,
    points: int = 3,
) -> np.ndarray:
    """Arc lengths (..., count, points) [m] of the pieces of lines of `length` metres.

    Args:
        start: (...) where the lines begin [m].
        kind: "solid", "dashed", "worn" (pieces of any length remain) or "missing" (all empty).
        dash: share of a period that a dash fills.
    """
    period = length / count
    begin = np.asarray(start)[..., None] + np.arange(count) * period
    shares, where = rng.uniform(0.15, 1.0, begin.shape), rng.uniform(size=begin.shape)
    if kind == "solid":
        share, shift = np.ones(begin.shape), 0.0
    elif kind == "dashed":
        share, shift = np.full(begin.shape, dash), (1 - dash) / 2
    elif kind == "worn":
        share, shift = shares, (1 - shares) * where
    else:
        share, shift = np.zeros(begin.shape), 0.0
    begin = begin + shift * period
    return begin[..., None] + (share * period)[..., None] * np.linspace(0, 1, points)
