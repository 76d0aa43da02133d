"""Curvature that changes linearly along a line, and the lines that follow from it.

A piece over which the curvature changes linearly is a clothoid; constant ones are straights and
arcs. Headings are exact, points are integrated by Gauss-Legendre quadrature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.driving.style import RoadStyle

__all__ = ["Profile", "draw_open", "is_clear"]

GAUSS = np.polynomial.legendre.leggauss(4)
STRAIGHT = 30.0  # [m] at scale 1, at the begin: episodes start alike for any policy
GENTLE_SHARE = 0.125, 0.52  # of max_curvature
SHARP_SHARE = 0.69, 1.0  # of max_curvature
LONGEST_ARC = 70.0  # [m] at scale 1


@dataclass(frozen=True)
class Profile:
    """Curvature (K,) [1/m] at the arc lengths `knots` (K,) [m], linear in between."""

    knots: np.ndarray
    curvature: np.ndarray

    @property
    def length(self) -> float:
        return float(self.knots[-1])

    def at(self, distance: np.ndarray) -> np.ndarray:
        """Curvature [1/m] at arc lengths [m]."""
        return np.interp(distance, self.knots, self.curvature)

    def heading(self, distance: np.ndarray) -> np.ndarray:
        """Heading [rad] at arc lengths [m], 0 at the first."""
        steps = np.diff(self.knots)
        turns = (self.curvature[1:] + self.curvature[:-1]) / 2 * steps
        before = np.concatenate([[0.0], np.cumsum(turns)])
        piece = np.clip(np.searchsorted(self.knots, distance, "right") - 1, 0, len(steps) - 1)
        along = distance - self.knots[piece]
        return before[piece] + (self.curvature[piece] + self.at(distance)) / 2 * along

    def points(self, distance: np.ndarray) -> np.ndarray:
        """Points (N, 2) [m] at increasing arc lengths (N,) [m], the first in the origin."""
        nodes, weights = GAUSS
        half = np.diff(distance) / 2
        heading = self.heading((distance[:-1] + half)[:, None] + half[:, None] * nodes)
        steps = np.stack([np.cos(heading) @ weights, np.sin(heading) @ weights], -1)
        return np.concatenate([np.zeros((1, 2)), np.cumsum(half[:, None] * steps, axis=0)])

    def sharp_share(self, threshold: float) -> float:
        """Share of the length above a curvature of `threshold` [1/m] to either side."""
        samples = np.linspace(0.0, self.length, 2001)
        return float(np.mean(np.abs(self.at(samples)) > threshold))


def is_clear(centre: np.ndarray, spacing: float, clearance: float, closed: bool) -> bool:
    """Whether a line (N, 2) keeps `clearance` [m] from itself.

    Neighbours are compared from pi/2 * clearance along the line on: by Schur's theorem a line with
    curves no tighter than half the clearance cannot come nearer than that within one curve.
    """
    stride = max(1, int(clearance / 4 / spacing))
    # At worst two samples lie a stride apart side by side: 1 % more distance makes up for it.
    points = centre[::stride]
    apart = np.abs(np.subtract.outer(np.arange(len(points)), np.arange(len(points)))) * stride
    if closed:
        apart = np.minimum(apart, len(centre) - apart)
    x, y = points.T
    square = np.subtract.outer(x, x) ** 2 + np.subtract.outer(y, y) ** 2
    far = apart * spacing >= np.pi / 2 * clearance
    return bool(np.all(square[far] >= (1.01 * clearance) ** 2))


def draw_open(
    rng: np.random.Generator, style: RoadStyle, limit: float, eagerness: float
) -> Profile:
    """A road of straights, gentle and sharp curves, joined by clothoids.

    Args:
        limit: largest heading [rad] to either side; at least pi / 4.
        eagerness: 0 to 1; at 1 all curves are sharp and nothing is straight but the begin.
    """
    scale, sharpest = style.scale, style.max_curvature
    sharp = 0.25 + 1.67 * style.sharp_share
    sharp += (1.0 - min(sharp, 1.0)) * eagerness
    straight = (0.55 - style.sharp_share) * (1 - eagerness)
    start = min(STRAIGHT * scale, style.length / 4)
    knots, heading = [(0.0, 0.0), (start, 0.0)], 0.0
    while knots[-1][0] < style.length:
        if rng.random() < straight:
            knots.append((knots[-1][0] + rng.uniform(5.0, 45.0) * scale, 0.0))
        low, high = SHARP_SHARE if rng.random() < sharp else GENTLE_SHARE
        magnitude = sharpest * rng.uniform(low, high)
        sign = 1.0 if rng.random() < 0.5 - 0.49 * heading / limit else -1.0
        if limit - sign * heading < limit / 2:
            sign = -sign
        turn = rng.uniform(0.4, 1.0) * (limit - sign * heading)
        ramp = min(rng.uniform(*style.ramps), 0.8 * turn / magnitude)
        # Both clothoids together turn by magnitude * ramp; what is left turns on the arc.
        arc = min(turn / magnitude - ramp, LONGEST_ARC * scale)
        begin = knots[-1][0]
        knots += [
            (begin + ramp, sign * magnitude),
            (begin + ramp + arc, sign * magnitude),
            (begin + 2 * ramp + arc, 0.0),
        ]
        heading += sign * magnitude * (ramp + arc)
    distance, curvature = np.array(knots).T
    end = np.searchsorted(distance, style.length)
    last = np.interp(style.length, distance, curvature)
    return Profile(np.append(distance[:end], style.length), np.append(curvature[:end], last))
