"""A privileged pilot: it knows where the target and everything in the way are."""

from __future__ import annotations

import math

import numpy as np

from liquid_control.command import CommandSpec
from liquid_control.envs.drone.obstacles import Obstacles
from liquid_control.envs.drone.quadrotor import Pose

__all__ = ["CRUISE", "STANDOFF", "command"]

CRUISE = 2.0  # [m/s]
STANDOFF = 1.65  # [m] from the middle of the target
CLOSING = 0.8  # [1/s], how fast the rest of the way shrinks
LOOK_AHEAD = 4.0  # [m]
MARGIN = 0.45  # [m] between the hull and what it passes
KEEP_OFF = 0.5  # [m], nearer than this it is pushed away
HEIGHT_GAIN, YAW_GAIN = 1.2, 1.8  # [1/s]
HEIGHT = 0.45  # [m] above the middle of the target


def command(
    spec: CommandSpec,
    pose: Pose,
    target: np.ndarray,
    drift: np.ndarray,
    obstacles: Obstacles,
    others: np.ndarray,
    radius: float,
) -> np.ndarray:
    """Fly to `STANDOFF` in front of the target, facing it; float32 vx, vy, vz, yaw rate.

    Args:
        spec: limits of the outputs.
        target: (3,) middle of the target [m].
        drift: (2,) velocity of the target [m/s].
        obstacles: of the scene.
        others: (K, 2) places of other objects, half a metre wide [m].
        radius: of the drone [m].
    """
    here = np.array([pose.x, pose.y])
    way = target[:2] - here
    distance = max(float(np.hypot(*way)), 1e-6)
    along = way / distance
    rest = distance - STANDOFF
    ways = obstacles.away(pose.x, pose.y, pose.z)
    if len(others):
        apart = here - others
        length = np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-9)
        ways = np.concatenate([ways, apart * (1 - 0.75 / length)])
    near = np.linalg.norm(ways, axis=1)
    ways = ways[near < LOOK_AHEAD + 0.5]
    direction = _around(along, ways, radius + MARGIN, min(rest, LOOK_AHEAD))
    speed = float(np.clip(CLOSING * rest, -1.0, CRUISE))
    velocity = speed * direction + drift
    velocity = velocity + _off(along, ways, radius)
    vz = HEIGHT_GAIN * (target[2] + HEIGHT - pose.z)
    cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
    vx, vy = cos * velocity[0] + sin * velocity[1], cos * velocity[1] - sin * velocity[0]
    bearing = math.remainder(math.atan2(way[1], way[0]) - pose.yaw, 2 * math.pi)
    # What the drone's own flight past the target and the target's motion add to the bearing.
    relative = drift - velocity
    sweep = (way[0] * relative[1] - way[1] * relative[0]) / distance**2
    vz = float(np.clip(vz, -1.0, 1.0))
    return spec.clip(np.array([vx, vy, vz, YAW_GAIN * bearing + 0.7 * sweep]))


def _around(along: np.ndarray, ways: np.ndarray, clearance: float, reach: float) -> np.ndarray:
    """Turn a direction so far that it passes what lies ahead within `reach` [m] on its free side.

    Args:
        ways: (K, 2) from the nearest point of each obstacle to the drone [m].
    """
    if len(ways) == 0 or reach <= 0:
        return along
    across = np.array([-along[1], along[0]])
    ahead, left = -ways @ along, -ways @ across
    matters = (ahead > 0.05) & (ahead < reach + clearance) & (np.abs(left) < clearance)
    if not matters.any():
        return along
    ahead, left = ahead[matters], left[matters]
    # Away from each, to the side on which more room is, more so the nearer it is.
    need = clearance - np.abs(left)
    angle = np.arctan2(need, np.maximum(ahead, 0.3)) * -np.sign(np.where(left == 0, 1.0, left))
    turn = np.clip(angle.max(initial=0.0) + angle.min(initial=0.0), -1.2, 1.2)
    return math.cos(turn) * along + math.sin(turn) * across


def _off(along: np.ndarray, ways: np.ndarray, radius: float) -> np.ndarray:
    """A push (2,) [m/s] away from what is too near.

    It pushes back only where there is hardly room left: two things beside the way would hold the
    drone up between them for ever.
    """
    gap = np.linalg.norm(ways, axis=1)
    close = gap < radius + KEEP_OFF
    if not close.any():
        return np.zeros(2)
    gap, ways = np.maximum(gap[close], 1e-6), ways[close]
    strength = np.clip((radius + KEEP_OFF - gap) / KEEP_OFF, 0.0, 1.2)
    push = np.sum(1.5 * strength[:, None] * ways / gap[:, None], axis=0)
    room = np.clip((gap.min() - radius - 0.1) / 0.2, 0.0, 1.0)
    return push - room * min(float(push @ along), 0.0) * along
