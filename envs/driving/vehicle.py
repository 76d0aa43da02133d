"""The vehicles: tyres, suspension, steering and drive are MuJoCo's physics, on hilly ground.

Each wheel touches a ground of its own, a plane that is set to the terrain's tangent at the wheel
before every tick of 1/120 s: exact to second order, and cheaper than a height field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np

from liquid_control.command import curvature_from_wheel_angle, wheel_angle
from liquid_control.envs.driving.actuation import (
    GRAVITY,
    Command,
    DelayLine,
    Drive,
    Physics,
    draw,
)
from liquid_control.envs.driving.specs import SPECS, VEHICLES, VehicleSpec

__all__ = ["SPECS", "VEHICLES", "Flat", "Physics", "Pose", "Surface", "Vehicle", "VehicleSpec"]
__all__ += ["draw"]

TICK = 1 / 120  # [s], in which the controls and the planes below the wheels stay as they are
SETTLE = 0.8  # [s] in which the springs of a vehicle that is placed come to rest
WHEELS = ("rear_left", "rear_right", "front_left", "front_right")


class Surface(Protocol):
    """Ground as a smooth function of the place; `x` and `y` are arrays of one shape [m]."""

    def height(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """z [m], of the same shape."""

    def gradient(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slopes dz/dx and dz/dy, each of the same shape."""


class Flat:
    """Level ground at z = 0."""

    def height(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.zeros_like(x)

    def gradient(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros_like(x), np.zeros_like(x)


@dataclass(frozen=True)
class Pose:
    """State of the vehicle's base_link in the world frame.

    Attributes:
        x, y, z: position [m].
        roll, pitch, yaw: [rad] about x, y, z, turned in the order yaw, pitch, roll (REP-103);
            uphill is negative pitch.
        speed: velocity along the vehicle's own x axis [m/s].
        yaw_rate: about the vehicle's own z axis [rad/s], positive to the left.
        lateral_speed: velocity along the vehicle's own y axis [m/s], positive to the left.
    """

    x: float
    y: float
    z: float
    roll: float
    pitch: float
    yaw: float
    speed: float
    yaw_rate: float
    lateral_speed: float


class Vehicle:
    """Drives the `base_link` of a MuJoCo model made from `spec.mjcf`; call `place` first.

    The model may hold more than the vehicle, as long as it collides with nothing.

    Attributes:
        spec: geometry and limits.
        physics: what `place` was given.
        wheel_angle_asked: by the newest command, before delay, rate limit and bias [rad].
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, spec: VehicleSpec) -> None:
        self.model, self.data, self.spec = model, data, spec
        self.physics = Physics()
        self.wheel_angle_asked = 0.0
        self._base = model.body("base_link").id
        root = model.joint("root")
        place, motion = int(root.qposadr[0]), int(root.dofadr[0])
        # Views into MuJoCo's arrays: to look them up at every tick would cost as much as physics.
        self._at, self._attitude = data.qpos[place : place + 3], data.qpos[place + 3 : place + 7]
        self._velocity, self._rates = data.qvel[motion:][:3], data.qvel[motion + 3 :][:3]
        self._force = data.xfrc_applied[self._base, :3]
        self._spin = np.array([model.joint(f"{wheel}_spin").dofadr[0] for wheel in WHEELS])
        self._steer = [int(model.joint(f"{wheel}_steer").qposadr[0]) for wheel in WHEELS[2:]]
        self._tyres = np.array([model.geom(f"{wheel}_tyre").id for wheel in WHEELS])
        grounds = _span([model.body(f"{wheel}_ground").mocapid[0] for wheel in WHEELS])
        self._ground_pos, self._ground_quat = data.mocap_pos[grounds], data.mocap_quat[grounds]
        servos = [model.actuator(f"{wheel}_steer").id for wheel in WHEELS[2:]]
        motors = [model.actuator(f"{wheel}_drive").id for wheel in WHEELS]
        self._controls = data.ctrl[_span(servos + motors)]
        self._gains = model.actuator_gainprm[_span(motors), 0]
        self._biases = model.actuator_biasprm[_span(motors), 2]
        self._servo_gain = float(self._gains[0])
        spin = self._spin[0]
        self._wheel = float(model.dof_frictionloss[spin]), float(model.dof_damping[spin])
        self._body = float(model.body_mass[self._base]), model.body_inertia[self._base].copy()
        self._wheels_mass = sum(float(model.body(wheel).mass[0]) for wheel in WHEELS)
        self._steps = round(TICK / model.opt.timestep)
        self._ahead = np.array([0.0, 0.0, spec.wheelbase, spec.wheelbase])
        self._left = spec.half_track * np.array([1.0, -1.0, 1.0, -1.0])
        self._terrain: Surface = Flat()
        self._pedals: tuple = ()
        self._drive: Drive | None = None

    def place(
        self,
        x: float,
        y: float,
        yaw: float,
        speed: float,
        terrain: Surface,
        physics: Physics | None = None,
    ) -> None:
        """Put the vehicle on `terrain` at (x, y) [m] with `yaw` [rad], rolling at `speed` [m/s].

        It stands on its springs as it would at rest there. Everything before is forgotten.
        """
        model, data, spec = self.model, self.data, self.spec
        self.physics = physics = physics or Physics()
        self._terrain = terrain
        body, inertia = self._body
        model.body_mass[self._base] = body * physics.mass
        model.body_inertia[self._base] = inertia * physics.mass
        model.geom_friction[self._tyres, 0] = physics.friction
        mass = body * physics.mass + self._wheels_mass
        self._drive = Drive(
            spec, physics, mass, body + self._wheels_mass, self._wheel, self._servo_gain, speed
        )
        self._line = DelayLine(round(physics.delay / TICK), Command(0.0, speed))
        self.wheel_angle_asked = 0.0
        mujoco.mj_resetData(model, data)
        points, turns = self._planes(x, y, yaw, 0.0, 0.0, 0.0, 1)
        self._ground_pos[:], self._ground_quat[:] = points[0], turns[0]
        self._at[:] = x, y, points[0, :2, 2].mean()
        mujoco.mju_mat2Quat(self._attitude, _stand(points[0]).ravel())
        # On its brakes until the springs rest.
        hold = mass * GRAVITY * spec.wheel_radius
        self._set((0.0,) * 6, self._servo_gain, (hold, hold))
        mujoco.mj_step(model, data, round(SETTLE / model.opt.timestep))
        # On a slope it has crept by a hair; take that back, and roll.
        self._at[:2] = x, y
        back = yaw - self.pose.yaw
        about_z = np.array([np.cos(back / 2), 0.0, 0.0, np.sin(back / 2)])
        mujoco.mju_mulQuat(self._attitude, about_z, self._attitude.copy())
        ahead, _ = _axes(self._attitude.tolist())
        data.qvel[:] = 0.0
        self._velocity[:] = speed * np.array(ahead)
        data.qvel[self._spin] = speed / spec.wheel_radius
        data.time = 0.0
        self._set((0.0,) * 6, 0.0, (0.0, 0.0))
        mujoco.mj_forward(model, data)

    def step(self, curvature: float, speed: float, seconds: float) -> None:
        """Follow a path `curvature` [1/m] at a target `speed` [m/s] for `seconds`.

        Both are limited to what the vehicle can do. At speed 0 its brakes hold it.
        """
        limit = self.spec.max_curvature
        curvature = min(max(float(curvature), -limit), limit)
        speed = min(max(float(speed), 0.0), self.spec.max_speed)
        self._run(Command(wheel_angle(curvature, self.spec.wheelbase), speed), seconds)

    def step_steering(self, steering: float, throttle: float, seconds: float) -> None:
        """Drive for `seconds` with `steering` as share of full lock and `throttle`, in [-1, 1].

        Positive steering turns left. Positive throttle drives: force = throttle x full force x
        (1 - wheel speed / no-load speed), as a direct-current motor's. At 0 the vehicle rolls.
        Negative throttle brakes, and holds a vehicle that stands.
        """
        steering = min(max(float(steering), -1.0), 1.0)
        throttle = min(max(float(throttle), -1.0), 1.0)
        self._run(Command(steering * self.spec.max_wheel_angle, None, throttle), seconds)

    def throttle_for(self, speed: float) -> float:
        """The throttle for `step_steering` with which a target `speed` [m/s] is followed."""
        return self._driven().throttle_for(float(speed), *self._motion_ahead()[:2])

    @property
    def pose(self) -> Pose:
        x, y, z = self._at.tolist()
        w, i, j, k = self._attitude.tolist()
        vx, vy, vz = self._velocity.tolist()
        ahead, left = _axes((w, i, j, k))
        return Pose(
            x=x,
            y=y,
            z=z,
            roll=math.atan2(2 * (w * i + j * k), 1 - 2 * (i * i + j * j)),
            pitch=math.asin(min(max(-ahead[2], -1.0), 1.0)),
            yaw=math.atan2(ahead[1], ahead[0]),
            speed=vx * ahead[0] + vy * ahead[1] + vz * ahead[2],
            yaw_rate=float(self._rates[2]),
            lateral_speed=vx * left[0] + vy * left[1] + vz * left[2],
        )

    @property
    def wheel_angle(self) -> float:
        """Angle of the virtual middle front wheel as it is [rad], positive left."""
        # Each wheel's own curvature, moved to the middle as Ackermann's geometry has it.
        half, base = self.spec.half_track, self.spec.wheelbase
        left, right = (
            curvature_from_wheel_angle(self.data.qpos[address], base) for address in self._steer
        )
        return wheel_angle((left / (1 + half * left) + right / (1 - half * right)) / 2, base)

    @property
    def wheels_down(self) -> int:
        """How many wheels touch the ground, 0 to 4."""
        touching = self.data.contact.geom[: self.data.ncon].ravel()
        return int(np.isin(self._tyres, touching).sum())

    def _driven(self) -> Drive:
        if self._drive is None:
            raise ValueError("The vehicle stands nowhere yet: call place() before the first step.")
        return self._drive

    def _run(self, command: Command, seconds: float) -> None:
        drive, model, data = self._driven(), self.model, self.data
        self.wheel_angle_asked = command.wheel_angle
        self._line.push(command)
        pose, (vx, vy, _) = self.pose, self._velocity.tolist()
        ticks = round(seconds / TICK)
        points, turns = self._planes(pose.x, pose.y, pose.yaw, vx, vy, pose.yaw_rate, ticks)
        for tick in range(ticks):
            self._ground_pos[:], self._ground_quat[:] = points[tick], turns[tick]
            speed, slope, ahead = self._motion_ahead()
            self._set(*drive.controls(self._line.tick(), speed, slope, TICK))
            air = drive.air(speed)
            self._force[:] = air * ahead[0], air * ahead[1], air * ahead[2]
            mujoco.mj_step(model, data, self._steps)

    def _planes(
        self, x: float, y: float, yaw: float, vx: float, vy: float, yaw_rate: float, ticks: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tangent planes below the wheels in the middle of the ticks to come.

        Returns:
            Points (ticks, 4, 3) and the quaternions (ticks, 4, 4) that turn z into the normals.
        """
        times = (np.arange(ticks)[:, None] + 0.5) * TICK
        cos, sin = np.cos(yaw + yaw_rate * times), np.sin(yaw + yaw_rate * times)
        points, turns = np.empty((ticks, 4, 3)), np.zeros((ticks, 4, 4))
        points[..., 0] = x + vx * times + cos * self._ahead - sin * self._left
        points[..., 1] = y + vy * times + sin * self._ahead + cos * self._left
        points[..., 2] = self._terrain.height(points[..., 0], points[..., 1])
        slope_x, slope_y = self._terrain.gradient(points[..., 0], points[..., 1])
        length = np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
        turns[..., 0] = 1 + length
        turns[..., 1] = slope_y
        turns[..., 2] = -slope_x
        turns /= np.sqrt(2 * length * (1 + length))[..., None]
        return points, turns

    def _motion_ahead(self) -> tuple[float, float, tuple[float, ...]]:
        """Forward speed [m/s], sine of the slope ahead (uphill positive), axis ahead."""
        ahead, _ = _axes(self._attitude.tolist())
        vx, vy, vz = self._velocity.tolist()
        return vx * ahead[0] + vy * ahead[1] + vz * ahead[2], ahead[2], ahead

    def _set(self, controls: tuple[float, ...], gain: float, brakes: tuple[float, float]) -> None:
        """Set the actuators: angles and wheel speeds, gain of the motors, brakes rear and front."""
        self._controls[:] = controls
        if (gain, brakes) != self._pedals:
            self._pedals = gain, brakes
            self._gains[:], self._biases[:] = gain, -gain
            # The brakes are dry friction: they never push.
            rear, front = brakes[0] + self._wheel[0], brakes[1] + self._wheel[0]
            self.model.dof_frictionloss[self._spin] = rear, rear, front, front


def _axes(quaternion: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The x (ahead) and y (left) axes of a frame in the world."""
    w, i, j, k = quaternion
    return (
        (1 - 2 * (j * j + k * k), 2 * (i * j + w * k), 2 * (i * k - w * j)),
        (2 * (i * j - w * k), 1 - 2 * (i * i + k * k), 2 * (j * k + w * i)),
    )


def _stand(points: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of a body that stands on four points (4, 3), in the order of `WHEELS`."""
    ahead = points[2] + points[3] - points[0] - points[1]
    ahead /= np.linalg.norm(ahead)
    left = points[0] + points[2] - points[1] - points[3]
    up = np.cross(ahead, left)
    up /= np.linalg.norm(up)
    return np.stack((ahead, np.cross(up, ahead), up), axis=1)


def _span(ids: list[int]) -> slice:
    """Ids that follow one another, as a slice: of an array it gives a view, not a copy."""
    first = int(ids[0])
    if [int(index) for index in ids] != list(range(first, first + len(ids))):
        raise ValueError(f"The vehicle's parts must follow one another in its MJCF, got ids {ids}.")
    return slice(first, first + len(ids))
