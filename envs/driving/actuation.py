"""What lies between a command and the wheels: delay, steering, motors, brakes, and their spread."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from liquid_control.envs.driving.specs import VehicleSpec
from liquid_control.errors import InputError

__all__ = ["GRAVITY", "Command", "DelayLine", "Drive", "Physics", "draw"]

GRAVITY = 9.81  # [m/s^2]
FRONT_BRAKES = 0.62  # share of the brake force
HOLD_SPEED = 0.05  # [m/s] below which a vehicle that is asked to stand is held by its brakes


@dataclass(frozen=True)
class Physics:
    """What differs from one vehicle to the next; the defaults are the nominal vehicle.

    Attributes:
        friction: coefficient of the tyres on the ground; 1 is dry asphalt, 0.3 snow.
        mass: factor on the sprung mass and its inertia.
        delay: from a command to the first motion of an actuator [s]; kept to 1/120 s.
        steering_rate: fastest change of the wheel angle [rad/s]; None is the vehicle's own.
        steering_rate_gain: factor on the vehicle's own rate.
        steering_bias: added to every wheel angle asked for [rad], positive left.
        speed_gain: factor on the target speed (a speedometer that is wrong).
        drive_gain: factor on the force of the drive at a throttle (the charge of a battery).
    """

    friction: float = 1.0
    mass: float = 1.0
    delay: float = 0.0
    steering_rate: float | None = None
    steering_rate_gain: float = 1.0
    steering_bias: float = 0.0
    speed_gain: float = 1.0
    drive_gain: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "steering_rate":
                continue
            if field.name == "steering_bias":
                fits, wanted = -0.2 <= value <= 0.2, "from -0.2 to 0.2 rad"
            elif field.name == "delay":
                fits, wanted = 0.0 <= value <= 2.0, "from 0 to 2 s"
            else:
                fits, wanted = 0.0 < value < np.inf, "more than 0"
            if not fits:
                raise InputError(
                    f"The vehicle's {field.name} must be {wanted}, got {value}; leave it out for "
                    "the nominal vehicle."
                )


def draw(rng: np.random.Generator, amount: float) -> Physics:
    """Draw a vehicle; `amount` from 0 (the nominal one) to 1 (widest range).

    The number of draws is always the same. At 1: friction 0.5 to 1.1, mass +-20 %, delay up to
    0.12 s, steering rate -40 to +20 %, bias +-0.012 rad, speed +-12 %, drive +-20 %.

    Raises:
        InputError: for an amount outside of its range.
    """
    if not 0.0 <= amount <= 1.0:
        raise InputError(f"The amount of randomised physics is a share from 0 to 1, got {amount}.")
    grip, mass, delay, rate, bias, speed, drive = rng.uniform(size=7).tolist()
    return Physics(
        friction=1.0 + amount * (0.6 * grip - 0.5),
        mass=1.0 + amount * 0.4 * (mass - 0.5),
        delay=amount * 0.12 * delay,
        steering_rate_gain=1.0 + amount * (0.6 * rate - 0.4),
        steering_bias=amount * 0.024 * (bias - 0.5),
        speed_gain=1.0 + amount * 0.24 * (speed - 0.5),
        drive_gain=1.0 + amount * 0.4 * (drive - 0.5),
    )


@dataclass(frozen=True)
class Command:
    """What an actuator is asked for.

    Attributes:
        wheel_angle: of the virtual middle front wheel [rad], positive left.
        speed: target speed [m/s], or None where the throttle is given.
        throttle: share of the drive force, or, negative, of the brakes.
    """

    wheel_angle: float
    speed: float | None = None
    throttle: float = 0.0


class DelayLine:
    """A pure delay of a whole number of ticks."""

    def __init__(self, ticks: int, first: Command) -> None:
        self._ticks = ticks
        self._time = 0
        self._line: deque[tuple[int, Command]] = deque()
        self._current = first

    def push(self, command: Command) -> None:
        """Ask for `command` from now on."""
        self._line.append((self._time + self._ticks, command))

    def tick(self) -> Command:
        """What arrives now; then time goes on by one tick."""
        while self._line and self._line[0][0] <= self._time:
            self._current = self._line.popleft()[1]
        self._time += 1
        return self._current


class Drive:
    """Steering, motors and brakes: from a command to what MuJoCo's actuators are set to.

    Args:
        spec: of the vehicle.
        physics: how it differs from the nominal one.
        mass: of all of it [kg].
        nominal_mass: of the nominal vehicle [kg].
        wheel: rolling resistance [N m] and damping [N m s] of one wheel.
        gain: of the speed servo of one wheel [N m s].
        speed: at which it begins [m/s].
    """

    def __init__(
        self,
        spec: VehicleSpec,
        physics: Physics,
        mass: float,
        nominal_mass: float,
        wheel: tuple[float, float],
        gain: float,
        speed: float,
    ) -> None:
        self._spec, self._physics, self._mass, self._gain = spec, physics, mass, gain
        self._rolling, self._damping = wheel
        self._turn = physics.steering_rate or spec.steering_rate * physics.steering_rate_gain
        # With this, full throttle of the nominal vehicle reaches its highest speed, no more.
        self._force = nominal_mass * spec.full_throttle
        self._no_load = spec.max_speed / (1 - self._resistance(spec.max_speed) / self._force)
        # Brakes that do not lock the wheels, as an anti-lock system's.
        self._brakes = mass * min(spec.full_brakes, 0.9 * physics.friction * GRAVITY)
        self._wheel_angle = 0.0
        self._target = speed

    def controls(
        self, command: Command, speed: float, slope: float, seconds: float
    ) -> tuple[tuple[float, ...], float, tuple[float, float]]:
        """What to set for the next `seconds`, at a forward `speed` [m/s].

        Args:
            command: as it arrives at the actuators.
            speed: forward [m/s].
            slope: sine of the angle uphill.
            seconds: until the next call.

        Returns:
            Angles of the left and right front wheel [rad] and asked speeds of the wheels (rear
            left, rear right, front left, front right) [rad/s]; the gain of the motors [N m s];
            torques of a rear and of a front brake [N m].
        """
        spec = self._spec
        limit, turn = spec.max_wheel_angle, self._turn * seconds
        asked = min(max(command.wheel_angle + self._physics.steering_bias, -limit), limit)
        self._wheel_angle = _toward(self._wheel_angle, asked, turn, turn)
        curvature = math.tan(self._wheel_angle) / spec.wheelbase
        # Ackermann: the inner wheel runs on a smaller circle than the outer one.
        left, right = 1 - spec.half_track * curvature, 1 + spec.half_track * curvature
        lead = spec.wheelbase * curvature
        steering = math.atan(lead / left), math.atan(lead / right)
        if command.speed is None:
            self._target = speed
            gain, brakes = self._throttle(command.throttle)
            wheels = (self._no_load / spec.wheel_radius,) * 4
            return (*steering, *wheels), gain, brakes
        torque, brake = self._follow(
            command.speed * self._physics.speed_gain, speed, slope, seconds
        )
        turning, ahead = self._target / spec.wheel_radius, torque / self._gain
        wheels = (
            turning * left + ahead,
            turning * right + ahead,
            turning * math.hypot(left, lead) + ahead,
            turning * math.hypot(right, lead) + ahead,
        )
        return (*steering, *wheels), self._gain, (brake, brake)

    def throttle_for(self, target: float, speed: float, slope: float) -> float:
        """The throttle with which `target` [m/s] is reached from `speed` in about 0.5 s."""
        spec = self._spec
        if target <= 0.0 and speed < HOLD_SPEED:
            return -1.0
        acceleration = (target - speed) / 0.5
        acceleration = min(max(acceleration, -spec.max_deceleration), spec.max_acceleration)
        force = self._mass * (acceleration + GRAVITY * slope) + self._resistance(speed)
        if force < 0.0:
            return max(force / self._brakes, -1.0)
        most = self._force * self._physics.drive_gain * (1 - speed / self._no_load)
        return min(force / most, 1.0) if most > 0.0 else 1.0

    def air(self, speed: float) -> float:
        """Force of the air at a forward `speed` [N]."""
        return -self._spec.drag * speed * abs(speed)

    def _follow(
        self, asked: float, speed: float, slope: float, seconds: float
    ) -> tuple[float, float]:
        """Torques of a motor, fed forward, and of a brake [N m] to follow a target speed."""
        spec, before = self._spec, self._target
        down, up = spec.max_deceleration * seconds, spec.max_acceleration * seconds
        self._target = _toward(before, asked, down, up)
        if self._target == 0.0 and abs(speed) < HOLD_SPEED:
            return 0.0, self._mass * GRAVITY * spec.wheel_radius
        force = self._mass * ((self._target - before) / seconds + GRAVITY * slope)
        if self._target > 0.0:
            force += self._resistance(speed)
        return force * spec.wheel_radius / 4, 0.0

    def _throttle(self, throttle: float) -> tuple[float, tuple[float, float]]:
        """Gain of the motors at a share of their voltage, or torques of the brakes."""
        radius = self._spec.wheel_radius
        share = max(throttle, 0.0) * self._physics.drive_gain
        torque = max(-throttle, 0.0) * self._brakes * radius / 2
        return (
            share * self._force * radius**2 / 4 / self._no_load,
            ((1 - FRONT_BRAKES) * torque, FRONT_BRAKES * torque),
        )

    def _resistance(self, speed: float) -> float:
        """Force of tyres, bearings and air at `speed` on level ground [N]."""
        radius = self._spec.wheel_radius
        wheels = 4 * (self._rolling / radius + self._damping * speed / radius**2)
        return wheels - self.air(speed)


def _toward(value: float, target: float, down: float, up: float) -> float:
    """Move `value` toward `target`, by at most `down` or `up`."""
    return value + min(max(target - value, -down), up)
