"""The vehicles: tyres, suspension, steering and drive are MuJoCo's physics, on hilly ground.

Each wheel touches a ground of its own, a plane that is set to the terrain's tangent at the wheel
before every tick of 1/240 s: exact to second order, and cheaper than a height field.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import mujoco
import numpy as np

from liquid_control.command import curvature_from_wheel_angle, wheel_angle
from liquid_control.envs.driving.actuation import Command, DelayLine, Physics, toward

__all__ = ["SPECS", "VEHICLES", "Flat", "Physics", "Pose", "Surface", "Vehicle", "VehicleSpec"]

TICK = 1 / 240  # [s], in which the controls and the planes below the wheels stay as they are
WHEELS = ("rear_left", "rear_right", "front_left", "front_right")
GRAVITY = 9.81  # [m/s^2]
FRONT_BRAKES = 0.62  # share of the brake force
HOLD_SPEED = 0.05  # [m/s] below which a vehicle that is asked to stand is held by its brakes


@dataclass(frozen=True)
class VehicleSpec:
    """Geometry and limits of a vehicle, in SI units; frames as in REP-105.

    Attributes:
        name: of the vehicle.
        mjcf: its MuJoCo model.
        wheelbase, half_track, body_length, body_half_width, wheel_radius: [m].
        max_curvature: of the path of the rear axle [1/m].
        max_speed: [m/s], also what full throttle reaches on flat ground.
        max_wheel_angle: of the virtual middle front wheel at full lock [rad].
        cruise: a usual speed [m/s].
        max_acceleration, max_deceleration: with which a target speed is followed [m/s^2].
        full_throttle: acceleration at full throttle from standstill [m/s^2].
        full_brakes: deceleration at throttle -1 on a dry road [m/s^2].
        drag: air resistance / speed^2 [N s^2/m^2].
        steering_rate: fastest change of the wheel angle [rad/s].
        camera_position: default mount in base_link [m].
        camera_pitch: its tilt, positive down [rad].
        camera_fovy: its vertical field of view [deg].
        scale: size of the vehicle's world; 1 is full size.
    """

    name: str
    mjcf: Path
    wheelbase: float
    half_track: float
    body_length: float
    body_half_width: float
    wheel_radius: float
    max_curvature: float
    max_speed: float
    cruise: float
    max_acceleration: float
    max_deceleration: float
    full_throttle: float
    full_brakes: float
    drag: float
    steering_rate: float
    camera_position: tuple[float, float, float]
    camera_pitch: float
    camera_fovy: float
    scale: float

    @property
    def max_wheel_angle(self) -> float:
        return wheel_angle(self.max_curvature, self.wheelbase)


SPECS: dict[str, VehicleSpec] = {
    "car": VehicleSpec(
        name="car",
        mjcf=Path(__file__).with_name("car.xml"),
        wheelbase=2.7,
        half_track=0.76,
        body_length=4.3,
        body_half_width=0.88,
        wheel_radius=0.32,
        max_curvature=0.16,
        max_speed=15.0,
        cruise=30 / 3.6,
        max_acceleration=2.5,
        max_deceleration=5.0,
        full_throttle=3.5,
        full_brakes=8.0,
        drag=0.42,
        steering_rate=0.8,
        # Where a windscreen camera sits; 81 degrees wide at 200 x 78.
        camera_position=(1.6, 0.0, 1.35),
        camera_pitch=float(np.deg2rad(9.0)),
        camera_fovy=37.0,
        scale=1.0,
    ),
    "rc": VehicleSpec(
        name="rc",
        mjcf=Path(__file__).with_name("rc_car.xml"),
        wheelbase=0.26,
        half_track=0.08,
        body_length=0.39,
        body_half_width=0.093,
        wheel_radius=0.033,
        max_curvature=1.4,
        max_speed=4.0,
        cruise=1.2,
        max_acceleration=2.5,
        max_deceleration=5.0,
        full_throttle=4.0,
        full_brakes=7.0,
        drag=0.012,
        steering_rate=6.0,
        # On the roll cage; 100 degrees wide at 160 x 120 as a Donkeycar's.
        camera_position=(0.18, 0.0, 0.167),
        camera_pitch=float(np.deg2rad(18.0)),
        camera_fovy=83.6,
        scale=0.1,
    ),
}
VEHICLES = tuple(SPECS)


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
        self._root = int(model.joint("root").qposadr[0]), int(model.joint("root").dofadr[0])
        self._spin = np.array([model.joint(f"{wheel}_spin").dofadr[0] for wheel in WHEELS])
        self._steer = [int(model.joint(f"{wheel}_steer").qposadr[0]) for wheel in WHEELS[2:]]
        self._tyres = np.array([model.geom(f"{wheel}_tyre").id for wheel in WHEELS])
        self._grounds = np.array([model.body(f"{wheel}_ground").mocapid[0] for wheel in WHEELS])
        servos = [model.actuator(f"{wheel}_steer").id for wheel in WHEELS[2:]]
        drives = [model.actuator(f"{wheel}_drive").id for wheel in WHEELS]
        self._drives = np.array(drives)
        self._controls = np.array(servos + drives)
        self._servo_gain = float(model.actuator_gainprm[drives[0], 0])
        self._rolling = float(model.dof_frictionloss[self._spin[0]])  # [N m] of one wheel
        self._damping = float(model.dof_damping[self._spin[0]])
        self._mass = float(model.body_mass[self._base]), model.body_inertia[self._base].copy()
        self._wheels_mass = sum(float(model.body(wheel).mass[0]) for wheel in WHEELS)
        self._steps = round(TICK / model.opt.timestep)
        lengthwise = np.array([0.0, 0.0, spec.wheelbase, spec.wheelbase])
        self._offsets = lengthwise, spec.half_track * np.array([1.0, -1.0, 1.0, -1.0])
        self._terrain: Surface = Flat()
        self._placed = False

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
        self.physics = physics = physics or Physics()
        self._terrain = terrain
        model, data, spec = self.model, self.data, self.spec
        mass, inertia = self._mass
        model.body_mass[self._base] = mass * physics.mass
        model.body_inertia[self._base] = inertia * physics.mass
        model.geom_friction[self._tyres, 0] = physics.friction
        self._total_mass = mass * physics.mass + self._wheels_mass
        rate = physics.steering_rate or spec.steering_rate * physics.steering_rate_gain
        self._turn = rate * TICK
        mujoco.mj_resetData(model, data)
        position, velocity = self._root
        points, turns = self._planes(x, y, yaw, 0.0, 0.0, 0.0, 1)
        rotation = _stand(points[0])
        data.qpos[position : position + 2] = x, y
        data.qpos[position + 2] = points[0, :2, 2].mean()
        mujoco.mju_mat2Quat(data.qpos[position + 3 : position + 7], rotation.ravel())
        data.mocap_pos[self._grounds] = points[0]
        data.mocap_quat[self._grounds] = turns[0]
        # On its brakes until the springs rest.
        self._brake(np.full(4, self._total_mass * GRAVITY * spec.wheel_radius))
        model.actuator_gainprm[self._drives, 0] = self._servo_gain
        model.actuator_biasprm[self._drives, 2] = -self._servo_gain
        data.ctrl[self._controls] = 0.0
        mujoco.mj_step(model, data, round(0.8 / model.opt.timestep))
        self._brake(np.zeros(4))
        # Standing on a slope it has crept by a hair; take that back, and roll.
        data.qpos[position : position + 2] = x, y
        turn = yaw - self.pose.yaw
        quaternion = np.array([np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2)])
        before = data.qpos[position + 3 : position + 7].copy()
        mujoco.mju_mulQuat(data.qpos[position + 3 : position + 7], quaternion, before)
        data.qvel[:] = 0.0
        forward = np.array(_axes(data.qpos[position + 3 : position + 7])[0])
        data.qvel[velocity : velocity + 3] = speed * forward
        data.qvel[self._spin] = speed / spec.wheel_radius
        data.time = 0.0
        self._target_speed = speed
        self._wheel_angle = 0.0
        self.wheel_angle_asked = 0.0
        self._line = DelayLine(round(physics.delay / TICK), Command(0.0, speed))
        self._placed = True
        mujoco.mj_forward(model, data)

    def step(self, curvature: float, speed: float, seconds: float) -> None:
        """Follow a path `curvature` [1/m] at a target `speed` [m/s] for `seconds`.

        Both are limited to what the vehicle can do.
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

    @property
    def pose(self) -> Pose:
        position, velocity = self._root
        x, y, z, w, i, j, k = self.data.qpos[position : position + 7].tolist()
        vx, vy, vz, _, _, yaw_rate = self.data.qvel[velocity : velocity + 6].tolist()
        ahead, left = _axes((w, i, j, k))
        return Pose(
            x=x,
            y=y,
            z=z,
            roll=float(np.arctan2(2 * (w * i + j * k), 1 - 2 * (i * i + j * j))),
            pitch=float(np.arcsin(min(max(-ahead[2], -1.0), 1.0))),
            yaw=float(np.arctan2(ahead[1], ahead[0])),
            speed=vx * ahead[0] + vy * ahead[1] + vz * ahead[2],
            yaw_rate=yaw_rate,
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

    def _run(self, command: Command, seconds: float) -> None:
        if not self._placed:
            raise ValueError("The vehicle stands nowhere yet: call place() before the first step.")
        self.wheel_angle_asked = command.wheel_angle
        self._line.push(command)
        ticks = round(seconds / TICK)
        position, velocity = self._root
        x, y, _, *quaternion = self.data.qpos[position : position + 7].tolist()
        ahead, _ = _axes(quaternion)
        vx, vy = self.data.qvel[velocity : velocity + 2].tolist()
        yaw = float(np.arctan2(ahead[1], ahead[0]))
        yaw_rate = float(self.data.qvel[velocity + 5])
        points, turns = self._planes(x, y, yaw, vx, vy, yaw_rate, ticks)
        for point, turn in zip(points, turns, strict=True):
            self.data.mocap_pos[self._grounds] = point
            self.data.mocap_quat[self._grounds] = turn
            self._actuate(self._line.tick())
            mujoco.mj_step(self.model, self.data, self._steps)

    def _planes(
        self, x: float, y: float, yaw: float, vx: float, vy: float, yaw_rate: float, ticks: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tangent planes below the wheels in the middle of the ticks to come.

        Returns:
            Points (ticks, 4, 3) and the quaternions (ticks, 4, 4) that turn z into the normals.
        """
        times = (np.arange(ticks)[:, None] + 0.5) * TICK
        cos, sin = np.cos(yaw + yaw_rate * times), np.sin(yaw + yaw_rate * times)
        ahead, left = self._offsets
        points, turns = np.empty((ticks, 4, 3)), np.zeros((ticks, 4, 4))
        points[..., 0] = x + vx * times + cos * ahead - sin * left
        points[..., 1] = y + vy * times + sin * ahead + cos * left
        flat_x, flat_y = points[..., 0].ravel(), points[..., 1].ravel()
        points[..., 2] = np.reshape(self._terrain.height(flat_x, flat_y), (ticks, 4))
        slope_x, slope_y = self._terrain.gradient(flat_x, flat_y)
        slope_x, slope_y = np.reshape(slope_x, (ticks, 4)), np.reshape(slope_y, (ticks, 4))
        length = np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
        turns[..., 0] = 1 + length
        turns[..., 1] = slope_y
        turns[..., 2] = -slope_x
        turns /= np.sqrt(2 * length * (1 + length))[..., None]
        return points, turns

    def _actuate(self, command: Command) -> None:
        """Set the controls for a tick."""
        spec = self.spec
        limit = spec.max_wheel_angle
        target = min(max(command.wheel_angle + self.physics.steering_bias, -limit), limit)
        self._wheel_angle = toward(self._wheel_angle, target, self._turn, self._turn)
        curvature = curvature_from_wheel_angle(self._wheel_angle, spec.wheelbase)
        # Ackermann: the inner wheel runs on a smaller circle than the outer one.
        left, right = 1 - spec.half_track * curvature, 1 + spec.half_track * curvature
        front = (spec.wheelbase * curvature) ** 2
        steering = (
            wheel_angle(curvature / left, spec.wheelbase),
            wheel_angle(curvature / right, spec.wheelbase),
        )
        if command.speed is None:
            self._target_speed = self._speed()[0]
            self._throttle(command.throttle, steering)
        else:
            ratios = left, right, (left * left + front) ** 0.5, (right * right + front) ** 0.5
            self._follow(command.speed * self.physics.speed_gain, steering, ratios)

    def _follow(
        self, speed: float, steering: tuple[float, float], ratios: tuple[float, ...]
    ) -> None:
        """Servo to a target speed, with what slope and resistances take fed forward."""
        spec = self.spec
        up, down = spec.max_acceleration * TICK, spec.max_deceleration * TICK
        before, (now, slope) = self._target_speed, self._speed()
        self._target_speed = target = toward(before, speed, down, up)
        stands = target == 0.0 and abs(now) < HOLD_SPEED
        self._brake(np.full(4, stands * self._total_mass * GRAVITY * spec.wheel_radius))
        force = self._total_mass * ((target - before) / TICK + GRAVITY * slope)
        force += self._resistance(now) if target > 0.0 else 0.0
        lead = force * spec.wheel_radius / 4 / self._servo_gain
        self._set_gain(self._servo_gain)
        wheel_speed = target / spec.wheel_radius
        self.data.ctrl[self._controls] = (
            *steering,
            *(ratio * wheel_speed + (not stands) * lead for ratio in ratios),
        )
        self._air(now)

    def _throttle(self, throttle: float, steering: tuple[float, float]) -> None:
        """Drive as a motor at a share of its voltage, or brake."""
        spec = self.spec
        now, _ = self._speed()
        mass, _ = self._mass
        full = (mass + self._wheels_mass) * spec.full_throttle
        no_load = spec.max_speed / (1 - self._resistance(spec.max_speed) / full)
        share = max(throttle, 0.0) * self.physics.drive_gain
        self._set_gain(share * full * spec.wheel_radius**2 / 4 / no_load)
        # Brakes that do not lock the wheels, as an anti-lock system's.
        grip = 0.9 * self.physics.friction * GRAVITY
        brakes = max(-throttle, 0.0) * min(spec.full_brakes, grip) * self._total_mass
        shares = np.array([1 - FRONT_BRAKES, 1 - FRONT_BRAKES, FRONT_BRAKES, FRONT_BRAKES]) / 2
        self._brake(brakes * spec.wheel_radius * shares)
        self.data.ctrl[self._controls] = (*steering, *[no_load / spec.wheel_radius] * 4)
        self._air(now)

    def _set_gain(self, gain: float) -> None:
        self.model.actuator_gainprm[self._drives, 0] = gain
        self.model.actuator_biasprm[self._drives, 2] = -gain

    def _brake(self, torques: np.ndarray) -> None:
        """Let the brakes of the wheels (4,) take up to `torques` [N m]; they never push."""
        self.model.dof_frictionloss[self._spin] = self._rolling + torques

    def _resistance(self, speed: float) -> float:
        """Force of tyres, bearings and air at `speed` on level ground [N]."""
        spec = self.spec
        radius = spec.wheel_radius
        rolling = 4 * (self._rolling / radius + self._damping * speed / radius**2)
        return rolling + spec.drag * speed * abs(speed)

    def _air(self, speed: float) -> None:
        position = self._root[0]
        ahead, _ = _axes(self.data.qpos[position + 3 : position + 7].tolist())
        force = -self.spec.drag * speed * abs(speed)
        self.data.xfrc_applied[self._base, :3] = [force * component for component in ahead]

    def _speed(self) -> tuple[float, float]:
        """Forward speed [m/s] and the sine of the slope ahead (uphill positive)."""
        position, velocity = self._root
        ahead, _ = _axes(self.data.qpos[position + 3 : position + 7].tolist())
        vx, vy, vz = self.data.qvel[velocity : velocity + 3].tolist()
        return vx * ahead[0] + vy * ahead[1] + vz * ahead[2], ahead[2]


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
