"""Roads from a seed: open ones and loops, straights, gentle and sharp curves, never crossing.

Pure geometry in the plane; `terrain` says how high the ground is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from liquid_control.envs.driving.curvature import Profile, draw_open, is_clear
from liquid_control.envs.driving.loops import draw_loop
from liquid_control.envs.driving.style import RC_TRACK, SHAPES, SHARP, RoadStyle
from liquid_control.errors import InputError

__all__ = ["RC_TRACK", "SHAPES", "Projection", "Road", "RoadStyle", "generate"]

SPACING = 0.5  # [m] at scale 1, between the samples of a centre line
WINDOW = 20.0  # [m] at scale 1, how far from `near` a projection looks
TURN_LIMIT = 0.06  # [1/m], what the full-size car can turn
HEADINGS = np.deg2rad([150, 150, 130, 130, 110, 110, 90, 90])  # tried in turn
SAFE_HEADING = np.deg2rad(75)  # an open road within it always goes forward: it cannot cross itself
ATTEMPTS = 32


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
    """A centre line sampled at even distances; it begins in the origin along the x axis.

    Attributes:
        centre: (N, 2) points [m]. A closed road does not repeat its first point.
        heading: (N,) [rad], unwrapped.
        curvature: (N,) [1/m], positive to the left.
        spacing: between two samples [m].
        closed: whether the first sample follows the last one.
        style: what was asked for.
    """

    centre: np.ndarray
    heading: np.ndarray
    curvature: np.ndarray
    spacing: float
    closed: bool
    style: RoadStyle

    @property
    def length(self) -> float:
        """Arc length [m], of one lap for a loop."""
        return (len(self.centre) - (not self.closed)) * self.spacing

    @property
    def half_width(self) -> float:
        """From the centre line to the end of the pavement [m]."""
        return self.style.half_width

    @property
    def lane_offset(self) -> float:
        """Middle of the lane to drive in, left of the centre line [m]: negative for two lanes."""
        return self.style.lane_offset

    def offset_line(self, offset: float) -> np.ndarray:
        """The line (N, 2) that runs `offset` metres to the left of the centre line."""
        normal = np.stack([-np.sin(self.heading), np.cos(self.heading)], -1)
        return self.centre + offset * normal

    @property
    def lane(self) -> np.ndarray:
        """Middle (N, 2) of the lane to drive in [m]."""
        return self.offset_line(self.lane_offset)

    @property
    def left_edge(self) -> np.ndarray:
        """Left end (N, 2) of the paved road [m]."""
        return self.offset_line(self.half_width)

    @property
    def right_edge(self) -> np.ndarray:
        """Right end (N, 2) of the paved road [m]."""
        return self.offset_line(-self.half_width)

    def at(self, distance: float | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre (..., 2) [m], heading [rad] and curvature [1/m] at arc lengths [m].

        Distances wrap around a closed road, and are clipped to an open one.
        """
        samples = self._samples
        s = np.asarray(distance, float) / self.spacing
        last = len(samples) - 1
        s = np.mod(s, last) if self.closed else np.clip(s, 0.0, last)
        index = np.minimum(s.astype(int), last - 1)
        share = (s - index)[..., None]
        found = (1 - share) * samples[index] + share * samples[index + 1]
        return found[..., :2], found[..., 2], found[..., 3]

    def line(self, distance: float | np.ndarray, offset: float | np.ndarray) -> np.ndarray:
        """Points (..., 2) [m] at arc lengths, `offset` metres to the left of the centre line."""
        centre, heading, _ = self.at(distance)
        offset = np.asarray(offset, float)
        return centre + np.stack([-offset * np.sin(heading), offset * np.cos(heading)], -1)

    def lane_curvature(self, distance: float | np.ndarray) -> np.ndarray:
        """Curvature [1/m] of the middle of the lane at arc lengths [m] of the centre line."""
        _, _, curvature = self.at(distance)
        return curvature / (1 - curvature * self.lane_offset)

    def ahead(self, distance: float, other: float | np.ndarray) -> np.ndarray:
        """How far [m] `other` lies ahead; on a loop the shorter way round, in [-L/2, L/2)."""
        gap = np.asarray(other, float) - distance
        return np.mod(gap + self.length / 2, self.length) - self.length / 2 if self.closed else gap

    def project(self, x: float, y: float, near: float | None = None) -> Projection:
        """Project a point [m] onto the centre line.

        Args:
            near: arc length [m] around which to look (20 m each way, times the scale); everywhere
                when None.
        """
        count = len(self.centre)
        if near is None:
            centre, first = self.centre, 0
        else:
            reach = round(WINDOW * self.style.scale / self.spacing)
            first = round(near / self.spacing) - reach
            if self.closed:
                centre = self.centre.take(range(first, first + 2 * reach + 1), 0, mode="wrap")
            else:
                first = min(max(first, 0), count - 2)
                centre = self.centre[first : first + 2 * reach + 1]
        delta = np.array([x, y]) - centre
        index = (first + int(np.argmin(np.einsum("ij,ij->i", delta, delta)))) % count
        dx, dy = x - self.centre[index, 0], y - self.centre[index, 1]
        cos, sin = np.cos(self.heading[index]), np.sin(self.heading[index])
        along, offset = float(dx * cos + dy * sin), float(dy * cos - dx * sin)
        curvature = float(self.curvature[index])
        # Second order: the centre line bends away from its tangent by curvature * along^2 / 2, and
        # a point beside a curve moves by 1 - curvature * offset as fast as its foot.
        offset -= curvature * along**2 / 2
        along /= max(1 - curvature * offset, 0.1)
        along = float(np.clip(along, -self.spacing, self.spacing))
        distance = index * self.spacing + along
        distance = distance % self.length if self.closed else np.clip(distance, 0.0, self.length)
        _, _, here = self.at(distance)
        heading = float(self.heading[index]) + (curvature + float(here)) / 2 * along
        return Projection(float(distance), offset, heading, float(here))

    @cached_property
    def _samples(self) -> np.ndarray:
        """(N or N + 1, 4): x, y, heading, curvature; a closed road repeats its first point."""
        samples = np.column_stack([self.centre, self.heading, self.curvature])
        if self.closed:
            turn = 2 * np.pi * round(float(self.heading[-1] - self.heading[0]) / (2 * np.pi))
            again = samples[0] + np.array([0.0, 0.0, turn, 0.0])
            samples = np.vstack([samples, again])
        return samples


def generate(
    rng: np.random.Generator, style: RoadStyle | None = None, turn_limit: float = TURN_LIMIT
) -> Road:
    """Draw a road.

    Args:
        style: what it should be like; `RoadStyle()` when None.
        turn_limit: largest curvature that the vehicle can drive [1/m].

    Raises:
        InputError: where the lane to drive in may be tighter than the vehicle can turn.
    """
    style = style or RoadStyle()
    tightest = style.max_curvature / (1 + style.max_curvature * style.lane_offset)
    if tightest > turn_limit:
        most = turn_limit / (1 - turn_limit * style.lane_offset)
        raise InputError(
            f"A road with max_curvature {style.max_curvature:.4g} 1/m has a lane of up to "
            f"{tightest:.4g} 1/m, tighter than the {turn_limit:.4g} 1/m that the vehicle can turn; "
            f"ask for at most {int(most * 1e5) / 1e5} 1/m."
        )
    draw = draw_closed_profile if style.shape == "loop" else draw_open_profile
    best, best_share = None, -1.0
    for attempt in range(ATTEMPTS):
        profile = draw(rng, style, attempt)
        if profile is None:
            continue
        share = profile.sharp_share(SHARP * style.max_curvature)
        if share <= best_share:
            continue
        road = sample(profile, style)
        if is_clear(road.centre, road.spacing, style.clearance, road.closed):
            best, best_share = road, share
            if share >= style.sharp_share:
                break
    if best is None:
        raise InputError(
            f"No road of {style.length:.4g} m was found that keeps {style.clearance:.4g} m from "
            "itself; make it narrower, or its curves wider, or give it less verge."
        )
    return best


def draw_open_profile(rng: np.random.Generator, style: RoadStyle, attempt: int) -> Profile:
    """An open road that turns less to the side, and has more sharp curves, with each attempt."""
    limit = HEADINGS[attempt] if attempt < len(HEADINGS) else SAFE_HEADING
    return draw_open(rng, style, limit, eagerness=attempt / (ATTEMPTS - 1))


def draw_closed_profile(rng: np.random.Generator, style: RoadStyle, attempt: int) -> Profile | None:
    """A loop that is less bent out of shape with each attempt; the last is a rounded square."""
    last = attempt == ATTEMPTS - 1
    shortest = max(2 / style.max_curvature + style.ramps[1], style.clearance)
    sides = 4.0 if last else style.length / shortest * rng.uniform(0.5, 1.2)
    profile = draw_loop(rng, style, sides, jitter=0.0 if last else 1 - attempt / ATTEMPTS)
    clockwise = rng.random() < 0.5
    if profile is None or not clockwise:
        return profile
    return Profile(profile.knots, -profile.curvature)


def sample(profile: Profile, style: RoadStyle) -> Road:
    """The road along a profile of curvature."""
    closed = style.shape == "loop"
    pieces = round(profile.length / (SPACING * style.scale))
    distance = np.linspace(0.0, profile.length, pieces + 1)
    points = profile.points(distance)
    if closed:
        distance, points = distance[:-1], points[:-1]
    return Road(
        points,
        profile.heading(distance),
        profile.at(distance),
        profile.length / pieces,
        closed,
        style,
    )
