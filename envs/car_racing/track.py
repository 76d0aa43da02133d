"""The centre line of a CarRacing track: where along it, and how far beside it, a point lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Place", "Track"]

# The track may pass close to itself: a car is first looked for near where it was.
WINDOW = 40.0  # [m]


@dataclass(frozen=True)
class Place:
    """A point in terms of a track.

    Attributes:
        distance: along the line from its first point, in [0, length) [m].
        offset: beside the line, positive to the left [m].
        heading: of the line there [rad].
        curvature: of the line there [1/m], positive to the left.
    """

    distance: float
    offset: float
    heading: float
    curvature: float


class Track:
    """A closed line through `points`, in driving direction.

    Args:
        points: (points, 2) [m]; the last is followed by the first.

    Attributes:
        points: see above.
        distance: (points,) of each point along the line [m].
        heading: (points,) direction of the line at each point [rad], unwrapped.
        curvature: (points,) [1/m], positive to the left.
        length: of a lap [m].
    """

    def __init__(self, points: np.ndarray) -> None:
        self.points = points
        self._chord = np.roll(points, -1, 0) - points
        self._step = np.hypot(*self._chord.T)
        self.length = float(self._step.sum())
        self.distance = np.concatenate([[0.0], np.cumsum(self._step)[:-1]])
        before, after = np.roll(self._step, 1), self._step
        chords = np.unwrap(np.arctan2(self._chord[:, 1], self._chord[:, 0]))
        lap = 2 * np.pi * np.round((chords[-1] - chords[0]) / (2 * np.pi))
        previous = np.roll(chords, 1)
        previous[0] -= lap
        # Each chord's direction belongs to its middle.
        self.curvature = (chords - previous) / ((before + after) / 2)
        self.heading = previous + self.curvature * before / 2
        self._lap = lap

    def locate(self, x: float, y: float, near: float | None = None) -> Place:
        """The nearest place on the line; within 40 m of the distance `near`, where given [m]."""
        point = np.array([x, y])
        if near is None:
            candidates = np.arange(len(self.points))
        else:
            gap = np.abs((self.distance - near + self.length / 2) % self.length - self.length / 2)
            candidates = np.flatnonzero(gap < WINDOW)
        chord, step = self._chord[candidates], self._step[candidates]
        to_point = point - self.points[candidates]
        share = np.clip(np.sum(to_point * chord, 1) / step**2, 0.0, 1.0)
        away = to_point - share[:, None] * chord
        best = int(np.argmin(np.sum(away**2, 1)))
        index, share = int(candidates[best]), float(share[best])
        offset = float(chord[best, 0] * away[best, 1] - chord[best, 1] * away[best, 0])
        following = (index + 1) % len(self.points)
        turn = self.heading[following] - self.heading[index] + (self._lap if not following else 0.0)
        return Place(
            distance=float(self.distance[index] + share * step[best]) % self.length,
            offset=float(np.copysign(np.hypot(*away[best]), offset)),
            heading=float(self.heading[index] + share * turn),
            curvature=float(
                (1 - share) * self.curvature[index] + share * self.curvature[following]
            ),
        )

    def at(self, distance: float, values: np.ndarray) -> float:
        """One of the values given per point, interpolated at a distance of any lap [m]."""
        return float(np.interp(distance % self.length, self.distance, values, period=self.length))
