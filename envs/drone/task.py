"""What is to be done in an episode, and whether it was."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from liquid_control.envs.drone.objects import CENTRE
from liquid_control.envs.drone.options import Options
from liquid_control.envs.drone.quadrotor import Pose
from liquid_control.envs.drone.route import CIRCLE, Route

__all__ = ["REACH", "Sight", "Task", "look"]

REACH = 2.0  # [m] from the middle of a target: it is reached
FACING = math.radians(15)  # off the middle of the picture, at most
SAFE = 1.2  # [m]: nearer is too near to hold
HOLD_FAR = 2.6  # [m]: farther is too far to hold
HOLD_SPEED = 0.6  # [m/s], relative to the target


@dataclass(frozen=True)
class Sight:
    """Where the target is, seen from the drone.

    Attributes:
        distance: to its middle [m].
        bearing: [rad], positive left of the nose.
        visible: whether its middle is in the picture, with nothing in between.
        relative_speed: of the drone, relative to the target [m/s].
    """

    distance: float
    bearing: float
    visible: bool
    relative_speed: float

    @property
    def faced(self) -> bool:
        return self.visible and abs(self.bearing) < FACING


class Task:
    """The task of one episode.

    Attributes:
        reached: how many targets were reached, or 1 when hovering or following was held.
        done: whether the episode is a success.
    """

    def __init__(self, options: Options, route: Route) -> None:
        self._options, self._route = options, route
        self._speed = options.target_speed if options.task == "moving" else 0.0
        self._height = CENTRE[options.target]
        self._held = 0.0
        self.reached, self.done = 0, False

    def target(self, time: float) -> np.ndarray:
        """Middle of the target (3,) [m] after `time` [s]."""
        if self._options.task == "moving":
            place = self._route.moved(self._speed, time)
        else:
            place = self._route.targets[min(self.reached, len(self._route.targets) - 1)]
        return np.array([place[0], place[1], self._height])

    def drift(self, time: float) -> np.ndarray:
        """Velocity of the target (2,) [m/s]."""
        if not self._speed:
            return np.zeros(2)
        arm = self._route.moved(self._speed, time) - self._route.circle
        return self._speed / CIRCLE * np.array([-arm[1], arm[0]])

    def update(self, sight: Sight, seconds: float) -> bool:
        """Take in what was achieved in a step of `seconds`; True when a target was reached."""
        if self.done:
            return False
        if self._options.task in ("target", "hike"):
            if sight.distance > REACH or not sight.faced:
                return False
            self.reached += 1
            self.done = self.reached == len(self._route.targets)
            return True
        holds = SAFE < sight.distance < HOLD_FAR and sight.faced
        self._held = self._held + seconds if holds and sight.relative_speed < HOLD_SPEED else 0.0
        if self._held < self._options.hold:
            return False
        self.reached, self.done = 1, True
        return True


def look(
    pose: Pose,
    eye: tuple[float, ...],
    target: np.ndarray,
    drift: np.ndarray,
    hidden: bool,
    tangents: tuple[float, float],
    gimbal: bool,
) -> Sight:
    """What the drone has of a target (3,) [m] that moves at `drift` (2,) [m/s].

    Args:
        eye: x, y, z of the camera [m].
        hidden: whether something stands between.
        tangents: of half the horizontal and half the vertical field of view.
        gimbal: whether the camera stays level.
    """
    tx, ty, tz = target.tolist()
    way, cos, sin = (tx - eye[0], ty - eye[1], tz - eye[2]), math.cos(pose.yaw), math.sin(pose.yaw)
    ahead, left = cos * way[0] + sin * way[1], cos * way[1] - sin * way[0]
    bearing, up = math.atan2(left, ahead), way[2]
    if not gimbal:
        # Into the frame of the body: undo the pitch, then the roll.
        cp, sp, cr, sr = (f(a) for a in (pose.pitch, pose.roll) for f in (math.cos, math.sin))
        ahead, up = cp * ahead - sp * up, sp * ahead + cp * up
        left, up = cr * left + sr * up, cr * up - sr * left
    inside = abs(left) < ahead * tangents[0] and abs(up) < ahead * tangents[1]
    vx = cos * pose.vx - sin * pose.vy - float(drift[0])
    vy = sin * pose.vx + cos * pose.vy - float(drift[1])
    return Sight(
        distance=math.dist((tx, ty, tz), (pose.x, pose.y, pose.z)),
        bearing=bearing,
        visible=bool(inside and not hidden),
        relative_speed=math.sqrt(vx * vx + vy * vy + pose.vz**2),
    )
