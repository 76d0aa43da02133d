"""Other cars: parked at the right edge of the road, and oncoming in the opposite lane.

Where they are depends on the seed and on time alone, never on the driver under test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.driving.road import Road
from liquid_control.errors import InputError, nearest_first

__all__ = ["KINDS", "MAX_CARS", "SIZE", "Traffic", "draw"]

KINDS = ("none", "parked", "oncoming", "both")
MAX_CARS = 8
SIZE = 4.4, 1.8  # [m] at scale 1, length and width of a body
INTRUSION = 0.2  # share of the lane's width that a parked car takes up at most
FREE = 2.3  # [m] at scale 1, of the lane that it leaves free
PARKING_CURVATURE = 0.25  # share of max_curvature up to which cars like to park
FIRST_PARKED = 60.0  # [m] at scale 1, along the road
SPEED = 6.0, 9.0  # [m/s] at scale 1, of oncoming cars


@dataclass(frozen=True)
class Traffic:
    """Cars on a road, `MAX_CARS` of them, active or not.

    Parked cars stand on the shoulder of the lane to drive in and take up at most a fifth of its
    width from the right: a car of half the lane's width gets past in the middle, but close; better
    it evades by up to a tenth of the lane's width, still within the lane. Oncoming cars follow the
    middle of the opposite lane at constant speed; one that reaches the begin of an open road starts
    again at its end.

    Attributes:
        road: where they are.
        active: (MAX_CARS,) bool; the others are nowhere.
        distance: (MAX_CARS,) arc length at time 0 [m].
        offset: (MAX_CARS,) of the middle of the body, left of the centre line [m].
        speed: (MAX_CARS,) along the road [m/s], negative for oncoming cars.
        sizes: (MAX_CARS, 2) length and width of the bodies [m].
    """

    road: Road
    active: np.ndarray
    distance: np.ndarray
    offset: np.ndarray
    speed: np.ndarray
    sizes: np.ndarray

    @property
    def parked(self) -> np.ndarray:
        """(MAX_CARS,) bool: cars that are there and stand."""
        return self.active & (self.speed == 0)

    @property
    def intrusion(self) -> np.ndarray:
        """(MAX_CARS,) [m] that each parked car takes up of the lane from the right."""
        edge = self.road.lane_offset - self.road.style.lane_width / 2
        return np.where(self.parked, self.offset + self.sizes[:, 1] / 2 - edge, 0.0).clip(0.0)

    def poses(self, time: float) -> np.ndarray:
        """x, y [m] and yaw [rad], (MAX_CARS, 3), of the middles at `time` [s]."""
        distance = np.mod(self.distance + self.speed * time, self.road.length)
        centre, heading, _ = self.road.at(distance)
        x = centre[:, 0] - self.offset * np.sin(heading)
        y = centre[:, 1] + self.offset * np.cos(heading)
        return np.stack([x, y, heading + np.pi * (self.speed < 0)], -1)

    def hits(
        self, x: float, y: float, yaw: float, length: float, width: float, time: float
    ) -> bool:
        """Whether a rectangle around (x, y) [m], turned by `yaw` [rad], touches an active car."""
        if not self.active.any():
            return False
        poses = self.poses(time)
        reach = np.hypot(length, width) / 2 + np.hypot(*self.sizes.T) / 2
        near = self.active & (np.hypot(poses[:, 0] - x, poses[:, 1] - y) < reach)
        if not near.any():
            return False
        own = np.array([x, y, yaw]), np.array([length, width])
        return bool(overlap(*own, poses[near], self.sizes[near]).any())


def overlap(pose: np.ndarray, size: np.ndarray, poses: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Whether a rectangle touches each of N others, by the separating axis theorem.

    Args:
        pose: (3,) x, y [m] of its middle and yaw [rad].
        size: (2,) length and width [m].
        poses: (N, 3) of the others.
        sizes: (N, 2) of the others.

    Returns:
        (N,) bool.
    """
    delta = poses[:, :2] - pose[:2]
    apart = np.zeros(len(poses), bool)
    turn = poses[:, 2] - pose[2]
    cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    swap = np.stack([np.stack([cos, sin], -1), np.stack([sin, cos], -1)], -2)  # (N, 2, 2)
    for yaw, own, other in ((pose[2], size, sizes), (poses[:, 2], sizes, size)):
        along = delta[:, 0] * np.cos(yaw) + delta[:, 1] * np.sin(yaw)
        across = delta[:, 1] * np.cos(yaw) - delta[:, 0] * np.sin(yaw)
        reach = (own + np.einsum("nij,nj->ni", swap, np.broadcast_to(other, sizes.shape))) / 2
        apart |= (np.abs(along) > reach[:, 0]) | (np.abs(across) > reach[:, 1])
    return ~apart


def draw(rng: np.random.Generator, road: Road, kind: str = "none", density: float = 0.5) -> Traffic:
    """Draw the cars of an episode; takes the same numbers from `rng` for every kind and density.

    Args:
        kind: "none", "parked", "oncoming" or "both".
        density: share of the `MAX_CARS` cars that are there, 0 to 1; of "both", half of each.

    Raises:
        InputError: for an unknown kind, a density outside 0 to 1, or oncoming cars on one lane.
    """
    if kind not in KINDS:
        raise InputError(
            f"Other cars are one of {nearest_first(kind, KINDS)}, got {kind!r}; choose one."
        )
    if not 0.0 <= density <= 1.0:
        raise InputError(f"The density of other cars is a share from 0 to 1, got {density}.")
    if kind in ("oncoming", "both") and road.style.lanes == 1:
        raise InputError(
            f"Other cars {kind!r} need a road of 2 lanes, got 1 lane; ask for 2 or for 'parked'."
        )
    scale = road.style.scale
    share, place, jitter = rng.random((3, MAX_CARS))
    length = SIZE[0] * (1 + 0.1 * (rng.random(MAX_CARS) - 0.5)) * scale
    width = np.full(MAX_CARS, SIZE[1] * scale)
    pace = rng.uniform(*SPEED) * scale

    count = round(density * MAX_CARS)
    oncoming = {"none": 0, "parked": 0, "oncoming": count, "both": count // 2}[kind]
    standing = {"none": 0, "parked": count, "oncoming": 0, "both": count - count // 2}[kind]
    speed, distance = np.zeros(MAX_CARS), np.zeros(MAX_CARS)
    active = np.zeros(MAX_CARS, bool)

    edge = road.lane_offset - road.style.lane_width / 2
    lane = road.style.lane_width
    most = max(min(INTRUSION * lane, lane - FREE * scale), 0.0)
    offset = edge + share * most - width / 2
    spots = parking_spots(road, standing, place[:standing])
    distance[: len(spots)] = spots
    active[: len(spots)] = True

    moving = slice(MAX_CARS - oncoming, MAX_CARS)
    gaps = np.arange(oncoming) + 0.25 + 0.5 * jitter[moving]
    distance[moving] = gaps * road.length / max(oncoming, 1)
    offset[moving] = -road.lane_offset
    speed[moving] = -pace
    active[moving] = True
    return Traffic(road, active, distance, offset, speed, np.column_stack([length, width]))


def parking_spots(road: Road, count: int, place: np.ndarray) -> np.ndarray:
    """`count` arc lengths [m] on straight stretches, one in each equal part of the road.

    A part without any has its car in its gentlest curve.

    Args:
        place: (count,) from 0 to 1, which of the spots in each part.
    """
    scale = road.style.scale
    reach = round(SIZE[0] * scale / road.spacing)
    padded = np.pad(np.abs(road.curvature), reach, mode="wrap" if road.closed else "edge")
    bend = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    samples = np.arange(len(road.centre)) * road.spacing
    first = min(FIRST_PARKED * scale, road.length / 4)
    bounds = np.linspace(first, road.length - first / 2, count + 1)
    spots = []
    for low, high, share in zip(bounds[:-1], bounds[1:], place, strict=True):
        # A third of each part stays free, so that two cars are never close together.
        part = (samples >= low) & (samples < low + (high - low) * 2 / 3)
        limit = max(PARKING_CURVATURE * road.style.max_curvature, 1.1 * bend[part].min())
        free = samples[part & (bend <= limit)]
        spots.append(free[int(share * len(free))])
    return np.array(spots)
