"""Where the drone starts and where the targets stand; obstacles keep clear of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.drone.obstacles import segment_distance
from liquid_control.envs.drone.options import COLOURS, SHAPES, Options

__all__ = ["Object", "Route", "draw_route"]

TURN = np.deg2rad(25)  # most that a hike turns at a target: the next one must come into view
STREET = 3.2  # [m] from the middle of the street to a target, at most
CIRCLE = 2.5  # [m] radius of a moving target's way
SIGHT_GAP, START_GAP, TARGET_GAP = 0.5, 1.6, 2.6  # [m] kept clear beside them
ASIDE = np.deg2rad((9, 21))  # of the target, where distractors stand


@dataclass(frozen=True)
class Object:
    """A coloured thing on the ground at `place` (2,) [m], turned by `yaw` [rad]."""

    shape: str
    colour: str
    place: np.ndarray
    yaw: float


@dataclass(frozen=True)
class Route:
    """What an episode is about. Its first leg goes along x, give or take.

    Attributes:
        start: x, y, z [m].
        yaw: of the drone at the start [rad].
        targets: (K, 2) places of the target, one after another [m].
        target_yaw: [rad].
        circle: (2,) middle of the circle on which a moving target goes [m].
        others: distractors.
    """

    start: np.ndarray
    yaw: float
    targets: np.ndarray
    target_yaw: float
    circle: np.ndarray
    others: tuple[Object, ...]

    @property
    def line(self) -> np.ndarray:
        """Start and targets (1 + K, 2) [m]."""
        return np.concatenate([self.start[None, :2], self.targets])

    def moved(self, speed: float, time: float) -> np.ndarray:
        """Place (2,) of a target that goes round at `speed` [m/s], after `time` [s]."""
        arm = self.targets[0] - self.circle
        angle = speed * time / CIRCLE
        cos, sin = np.cos(angle), np.sin(angle)
        return self.circle + np.array([cos * arm[0] - sin * arm[1], sin * arm[0] + cos * arm[1]])

    def clear(self, points: np.ndarray, radii: np.ndarray | float, moving: bool) -> np.ndarray:
        """Which things (N,) at points (N, 2) with radii [m] leave the way and the view free."""
        line = self.line
        free = segment_distance(points, line) > radii + SIGHT_GAP
        free &= np.linalg.norm(points - line[0], axis=-1) > radii + START_GAP
        targets = np.array([*self.targets, *(other.place for other in self.others)])
        near = np.linalg.norm(points[:, None] - targets, axis=-1).min(1)
        free &= near > radii + TARGET_GAP
        if moving:
            around = np.linalg.norm(points - self.circle, axis=-1)
            free &= around > radii + CIRCLE + TARGET_GAP
        return free


def draw_route(rng: np.random.Generator, options: Options) -> Route:
    """Draw start, targets and distractors of decided `options`."""
    count = options.targets if options.task == "hike" else 1
    lengths = rng.uniform(*options.distance, count)
    turns = rng.uniform(-TURN, TURN, count)
    city = options.scene == "city"
    first = 0.4 * rng.uniform(-TURN, TURN)
    start = np.array([-lengths.sum() / 2, rng.uniform(-2.0, 2.0), rng.uniform(1.0, 2.0)])
    places, heading, here = [], first, start[:2]
    for length, turn in zip(lengths, turns, strict=True):
        if places:
            # Left and right by turns of chance, but never back.
            heading = np.clip(heading + turn, -2 * TURN, 2 * TURN)
        aside = length * np.sin(heading)
        if city:
            aside = np.clip(here[1] + aside, -STREET, STREET) - here[1]
        ahead = np.sqrt(max(length**2 - aside**2, 1.0))
        heading = np.arctan2(aside, ahead)
        here = here + np.array([ahead, aside])
        places.append(here)
    targets = np.array(places)
    towards = np.arctan2(*(targets[0] - start[:2])[::-1])
    yaw = towards + rng.uniform(-1, 1) * np.deg2rad(15)
    around = rng.uniform(0, 2 * np.pi)
    if city:
        # To the middle of the street.
        around = -np.copysign(np.pi / 2, targets[0, 1])
    circle = targets[0] + CIRCLE * np.array([np.cos(around), np.sin(around)])
    others = _others(rng, options, start[:2], targets, circle)
    # It shows its front, or half a side, to who comes.
    target_yaw = towards + np.pi + rng.uniform(-0.7, 0.7)
    return Route(start, float(yaw), targets, float(target_yaw), circle, others)


def _others(rng, options: Options, start, targets, circle) -> tuple[Object, ...]:
    """Distractors beside the way to the first target, apart from each other."""
    kinds = [
        (shape, colour)
        for shape in SHAPES
        for colour in COLOURS
        # As like the target as can be without being one.
        if (shape == options.target) != (colour == options.colour)
    ]
    kinds = [kinds[index] for index in rng.permutation(len(kinds))]
    way = targets[0] - start
    distance, towards = np.linalg.norm(way), np.arctan2(way[1], way[0])
    taken, found, room = list(targets), [], 2.4
    while len(found) < options.distractors:
        side = rng.choice([-1.0, 1.0]) * rng.uniform(*ASIDE)
        reach = distance * rng.uniform(0.65, 1.25)
        place = start + reach * np.array([np.cos(towards + side), np.sin(towards + side)])
        yaw = rng.uniform(0, 2 * np.pi)
        beside = segment_distance(place[None], np.concatenate([start[None], targets]))[0]
        apart = min(np.linalg.norm(place - other) for other in taken)
        # Clear of the way of a target that moves.
        ring = abs(np.linalg.norm(place - circle) - CIRCLE) if options.task == "moving" else room
        if apart > room and beside > 0.6 * room and ring > 0.6 * room:
            found.append(Object(*kinds[len(found)], place, float(yaw)))
            taken.append(place)
        # Less and less room is asked for, so that crowded drawings end as well.
        room *= 0.98
    return tuple(found)
