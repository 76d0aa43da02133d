"""The line that the expert drives on a CarRacing track, and how fast it may be driven."""

from __future__ import annotations

import numpy as np

from liquid_control.envs.car_racing.track import Track

__all__ = ["RacingLine", "elastic_band", "speed_limit"]

# Half the road is 6.67 m and half the car 1.4 m. Up to here every tile is touched by all wheels,
# and an error of 1 m still leaves none on the grass.
MARGIN = 4.2  # [m]
FINER = 4  # points of the line per tile
GRIP = 219.0  # [m/s^2]: four tyres of 400 N and a car of 7.3 kg
# Found by random search over 8 seeds that no measurement uses. More than 1 laterally: the
# controller cuts what grip does not allow. The brakes need a reserve, since they begin late.
LATERAL, BRAKING = 1.17, 0.58  # shares of GRIP
FASTEST = 140.0  # [m/s]


class RacingLine:
    """The expert's line and speeds for a track.

    Args:
        track: the road's centre line.
        pace: share of the fastest speeds to drive at.

    Attributes:
        track: the road's centre line.
        line: the line to drive, four points for each of the track's, the first at the same place.
        speeds: (points of the line,) how fast each may be passed [m/s].
    """

    def __init__(self, track: Track, pace: float = 1.0) -> None:
        self.track = track
        offsets = elastic_band(track, MARGIN)
        self.line = Track(_refined(track.points + offsets[:, None] * _normals(track), FINER))
        grip = pace**2 * GRIP  # what a share of the speeds needs
        self.speeds = speed_limit(self.line, LATERAL * grip, BRAKING * grip, pace * FASTEST)

    def near(self, distance: float) -> float:
        """Distance along the line [m] beside a distance along the track [m]."""
        share = np.interp(
            distance,
            np.append(self.track.distance, self.track.length),
            np.append(self.line.distance[::FINER], self.line.length),
        )
        return float(share)


def elastic_band(track: Track, margin: float, rounds: int = 3) -> np.ndarray:
    """Lateral offsets (points,) [m], left positive, of a stiff elastic band laid round the track.

    Minimises the sum of squared second derivatives of the line's points within +-margin, a
    quadratic programme with bounds. That cuts corners, as minimum curvature does (Heilmeier et
    al., "Minimum curvature trajectory planning and control for an autonomous race car", Vehicle
    System Dynamics 2020), and keeps inside, which is shorter; on straights the engine rather than
    grip limits this car, so short is fast. The spacing by which differences become derivatives is
    that of the line of the round before.
    """
    centre, normals = track.points, _normals(track)
    identity = np.eye(len(centre))
    offsets = np.zeros(len(centre))
    for _ in range(rounds):
        points = centre + offsets[:, None] * normals
        after = np.hypot(*(np.roll(points, -1, 0) - points).T)
        before = np.roll(after, 1)
        forward = (np.roll(identity, -1, 0) - identity) / after[:, None]
        bend = (forward - np.roll(forward, 1, 0)) / np.sqrt((before + after) / 2)[:, None]
        terms = [bend * normals[:, axis] for axis in (0, 1)]
        hessian = sum(term.T @ term for term in terms)
        gradient = sum(term.T @ (bend @ centre[:, axis]) for axis, term in enumerate(terms))
        offsets = _bounded_minimum(hessian, gradient, margin)
    return offsets


def speed_limit(line: Track, lateral: float, braking: float, fastest: float) -> np.ndarray:
    """How fast (points,) [m/s] each point may be passed, so that the next can be passed as well.

    Args:
        lateral: acceleration in bends [m/s^2].
        braking: deceleration on a straight [m/s^2]; in bends what the friction ellipse leaves.
        fastest: upper limit [m/s].
    """
    bends = np.maximum(np.abs(line.curvature), 1e-6)
    speeds = np.minimum(fastest, np.sqrt(lateral / bends))
    count = len(speeds)
    steps = np.diff(np.append(line.distance, line.length))
    # Twice round: the lap is closed.
    for index in range(2 * count - 1, -1, -1):
        here, there = index % count, (index + 1) % count
        used = min(1.0, speeds[there] ** 2 * bends[there] / lateral)
        reachable = speeds[there] ** 2 + 2 * braking * np.sqrt(1 - used**2) * steps[here]
        speeds[here] = min(speeds[here], np.sqrt(reachable))
    return speeds


def _normals(track: Track) -> np.ndarray:
    """Unit vectors (points, 2) to the left."""
    return np.stack([-np.sin(track.heading), np.cos(track.heading)], 1)


def _bounded_minimum(
    hessian: np.ndarray, gradient: np.ndarray, bound: float, steps: int = 300
) -> np.ndarray:
    """x of the smallest x'Hx/2 + g'x with |x| <= bound, by ADMM (Boyd et al. 2011, section 5.2)."""
    count = len(gradient)
    penalty = 0.01 * np.trace(hessian) / count
    inverse = np.linalg.inv(hessian + penalty * np.eye(count))
    inside, dual = np.zeros(count), np.zeros(count)
    for _ in range(steps):
        free = inverse @ (penalty * (inside - dual) - gradient)
        inside = np.clip(free + dual, -bound, bound)
        dual += free - inside
    return inside


def _refined(points: np.ndarray, finer: int) -> np.ndarray:
    """A closed Catmull-Rom spline through points (points, 2): (points * finer, 2)."""
    before, here, there, after = (np.roll(points, shift, 0) for shift in (1, 0, -1, -2))
    pieces = [
        here
        + 0.5 * t * (there - before)
        + 0.5 * t**2 * (2 * before - 5 * here + 4 * there - after)
        + 0.5 * t**3 * (3 * here - before - 3 * there + after)
        for t in np.arange(finer) / finer
    ]
    return np.stack(pieces, 1).reshape(-1, 2)
