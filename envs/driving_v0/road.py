"""Two-lane roads from a seed: straights, gentle curves and sharp ones, joined by clothoids.

The heading never turns more than `MAX_HEADING` from the x axis, so that a road always goes on
forward and cannot cross itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LANE_WIDTH", "PAVED_HALF_WIDTH", "Projection", "Road", "generate"]

LANE_WIDTH = 3.5  # [m]
PAVED_HALF_WIDTH = 4.1  # [m], two lanes and 0.6 m of shoulder on each side
SPACING = 0.5  # [m] between the samples of a centre line
MAX_HEADING = np.deg2rad(75)
SHARP = (0.033, 0.048)  # [1/m], radii of 30 to 21 m: above half of what the vehicle can turn
GENTLE = (0.006, 0.025)  # [1/m]
SHARP_SHARE = 0.3  # of the length lies above half of the vehicle's limit of 0.06 1/m
CLOTHOID = (9.0, 15.0)  # [m], length over which the curvature changes linearly


@dataclass(frozen=True)
class Projection:
    """Where a point lies along a road.

    Attributes:
        distance: arc length of the nearest point of the centre line [m].
        offset: signed distance from the centre line [m], positive to the left.
        heading: direction of the centre line there [rad], world frame.
        curvature: of the centre line there [1/m], positive to the left.
    """

    distance: float
    offset: float
    heading: float
    curvature: float


@dataclass(frozen=True)
class Road:
    """A centre line sampled every `SPACING` metres.

    Attributes:
        centre: (N, 2) points [m].
        heading: (N,) [rad].
        curvature: (N,) [1/m], positive to the left.
    """

    centre: np.ndarray
    heading: np.ndarray
    curvature: np.ndarray

    @property
    def length(self) -> float:
        """Arc length [m]."""
        return (len(self.centre) - 1) * SPACING

    def offset_line(self, offset: float) -> np.ndarray:
        """The line (N, 2) that runs `offset` metres to the left of the centre line."""
        normal = np.stack([-np.sin(self.heading), np.cos(self.heading)], -1)
        return self.centre + offset * normal

    @property
    def lane(self) -> np.ndarray:
        """Middle (N, 2) of the right-hand lane, the one to drive in [m]."""
        return self.offset_line(-LANE_WIDTH / 2)

    @property
    def left_edge(self) -> np.ndarray:
        """Left end (N, 2) of the paved road [m]."""
        return self.offset_line(PAVED_HALF_WIDTH)

    @property
    def right_edge(self) -> np.ndarray:
        """Right end (N, 2) of the paved road [m]."""
        return self.offset_line(-PAVED_HALF_WIDTH)

    def at(self, distance: float | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre (..., 2) [m], heading [rad] and curvature [1/m] at arc lengths [m], clipped."""
        s = np.asarray(distance) / SPACING
        samples = np.arange(len(self.centre))
        x = np.interp(s, samples, self.centre[:, 0])
        y = np.interp(s, samples, self.centre[:, 1])
        heading = np.interp(s, samples, self.heading)
        return np.stack([x, y], -1), heading, np.interp(s, samples, self.curvature)

    def project(self, x: float, y: float, near: float | None = None) -> Projection:
        """Project a point [m] onto the centre line.

        Args:
            near: arc length [m] around which to look (20 m each way); everywhere when None.
        """
        low, high = 0, len(self.centre)
        if near is not None:
            middle = int(near / SPACING)
            low = max(0, min(middle - int(20 / SPACING), high - 2))
            high = min(high, middle + int(20 / SPACING))
        delta = np.array([x, y]) - self.centre[low:high]
        index = low + int(np.argmin(np.einsum("ij,ij->i", delta, delta)))
        dx, dy = x - self.centre[index, 0], y - self.centre[index, 1]
        cos, sin = np.cos(self.heading[index]), np.sin(self.heading[index])
        along = dx * cos + dy * sin
        distance = float(np.clip(index * SPACING + along, 0.0, self.length))
        curvature = float(
            np.interp(distance / SPACING, np.arange(low, high), self.curvature[low:high])
        )
        heading = float(self.heading[index] + self.curvature[index] * along)
        offset = float(dy * cos - dx * sin)
        # Second order: the centre line bends away from its tangent by curvature * along^2 / 2.
        return Projection(
            distance, offset - self.curvature[index] * along**2 / 2, heading, curvature
        )


def generate(rng: np.random.Generator, length: float = 1200.0) -> Road:
    """Draw a road of `length` metres with at least `SHARP_SHARE` of it in sharp curves."""
    while True:
        curvature = draw_curvature(rng, length)
        if np.mean(np.abs(curvature) > 0.03) >= SHARP_SHARE:
            break
    heading = np.concatenate([[0.0], np.cumsum((curvature[1:] + curvature[:-1]) / 2 * SPACING)])
    middle = (heading[1:] + heading[:-1]) / 2
    steps = SPACING * np.stack([np.cos(middle), np.sin(middle)], -1)
    centre = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    return Road(centre, heading, curvature)


def draw_curvature(rng: np.random.Generator, length: float) -> np.ndarray:
    """Curvature (N,) [1/m] along a road: pieces of constant curvature, joined linearly."""
    # The first 30 m are straight, so that every episode starts alike for any policy.
    knots, heading = [(0.0, 0.0), (30.0, 0.0)], 0.0
    while knots[-1][0] < length:
        if rng.random() < 0.25:
            gap = rng.uniform(5.0, 35.0)
            knots.append((knots[-1][0] + gap, 0.0))
        low, high = SHARP if rng.random() < 0.75 else GENTLE
        magnitude = rng.uniform(low, high)
        turn_left = rng.random() < 0.5 - heading / (2 * MAX_HEADING) * 0.98
        room = MAX_HEADING - heading if turn_left else MAX_HEADING + heading
        ramp = rng.uniform(*CLOTHOID)
        # Both clothoids together turn by magnitude * ramp; what is left turns on the arc.
        turn = rng.uniform(0.45, 1.0) * room
        if turn < magnitude * ramp * 1.1:
            continue
        arc = min(turn / magnitude - ramp, 70.0)
        sign = 1.0 if turn_left else -1.0
        start = knots[-1][0]
        knots += [
            (start + ramp, sign * magnitude),
            (start + ramp + arc, sign * magnitude),
            (start + 2 * ramp + arc, 0.0),
        ]
        heading += sign * magnitude * (ramp + arc)
    s, kappa = np.array(knots).T
    return np.interp(np.arange(round(length / SPACING) + 1) * SPACING, s, kappa)
