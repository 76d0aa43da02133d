"""The car: full-size, with tyres, suspension, steering and drive that are MuJoCo's physics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from liquid_control.command import wheel_angle

__all__ = ["BODY_HALF_WIDTH", "HALF_TRACK", "MAX_CURVATURE", "MJCF", "WHEELBASE", "Car", "Pose"]

MJCF = Path(__file__).with_name("car.xml")
WHEELBASE = 2.7  # [m]
HALF_TRACK = 0.76  # [m], from the middle to a wheel
BODY_HALF_WIDTH = 0.88  # [m]
WHEEL_RADIUS = 0.32  # [m]
MAX_CURVATURE = 0.06  # [1/m], a turning radius of 16.7 m
MAX_ACCELERATION = 2.5  # [m/s^2], how fast the speed servo follows a new target


@dataclass(frozen=True)
class Pose:
    """State of the car's base_link in the world frame.

    Attributes:
        x, y: position [m].
        yaw: heading [rad], counter-clockwise from the x axis.
        speed: forward velocity [m/s].
        yaw_rate: [rad/s], positive to the left.
    """

    x: float
    y: float
    yaw: float
    speed: float
    yaw_rate: float


class Car:
    """Drives the `base_link` of a MuJoCo model made from `car.xml`."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self.model, self.data = model, data
        spins = [
            f"{side}_spin" for side in ("rear_left", "rear_right", "front_left", "front_right")
        ]
        self._spin = [model.joint(name).dofadr[0] for name in spins]
        self._target_speed = 0.0

    def place(self, x: float, y: float, yaw: float, speed: float) -> None:
        """Put the car on the road at (x, y) [m] with `yaw` [rad], rolling at `speed` [m/s]."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:7] = [x, y, 0.0, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
        self.data.qvel[:2] = [speed * np.cos(yaw), speed * np.sin(yaw)]
        self.data.qvel[self._spin] = speed / WHEEL_RADIUS
        self._target_speed = speed
        mujoco.mj_forward(self.model, self.data)

    def step(self, curvature: float, speed: float, seconds: float) -> None:
        """Follow a path `curvature` [1/m] at a target `speed` [m/s] for `seconds`."""
        curvature = float(np.clip(curvature, -MAX_CURVATURE, MAX_CURVATURE))
        change = MAX_ACCELERATION * seconds
        self._target_speed += float(np.clip(speed - self._target_speed, -change, change))
        # Ackermann: the inner wheel runs on a smaller circle than the outer one.
        left = curvature / (1 - HALF_TRACK * curvature)
        right = curvature / (1 + HALF_TRACK * curvature)
        spin = self._target_speed / WHEEL_RADIUS
        self.data.ctrl[:] = [
            wheel_angle(left, WHEELBASE),
            wheel_angle(right, WHEELBASE),
            spin * (1 - HALF_TRACK * curvature),
            spin * (1 + HALF_TRACK * curvature),
        ]
        mujoco.mj_step(self.model, self.data, round(seconds / self.model.opt.timestep))

    @property
    def pose(self) -> Pose:
        x, y = self.data.qpos[:2]
        w, i, j, k = self.data.qpos[3:7]
        yaw = np.arctan2(2 * (w * k + i * j), 1 - 2 * (j * j + k * k))
        forward = self.data.qvel[0] * np.cos(yaw) + self.data.qvel[1] * np.sin(yaw)
        return Pose(float(x), float(y), float(yaw), float(forward), float(self.data.qvel[5]))
