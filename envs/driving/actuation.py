"""What lies between a command and the wheels: randomised physics, delay, steering rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from liquid_control.errors import InputError

__all__ = ["Command", "DelayLine", "Physics", "toward"]


@dataclass(frozen=True)
class Physics:
    """What differs from one vehicle to the next; the defaults are the nominal vehicle.

    Attributes:
        friction: coefficient of the tyres on the ground; 1 is dry asphalt, 0.3 snow.
        mass: factor on the sprung mass and its inertia.
        delay: from a command to the first motion of an actuator [s]; kept to 1/240 s.
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

    @classmethod
    def draw(cls, rng: np.random.Generator, amount: float) -> Physics:
        """Draw a vehicle; `amount` from 0 (the nominal one) to 1 (widest range).

        The number of draws is always the same. At 1: friction 0.5 to 1.1, mass +-20 %, delay up to
        0.12 s, steering rate -40 to +20 %, bias +-0.012 rad, speed and drive +-12 and +-20 %.
        """
        if not 0.0 <= amount <= 1.0:
            raise InputError(
                f"The amount of randomised physics is a share from 0 to 1, got {amount}."
            )
        grip, mass, delay, rate, bias, speed, drive = rng.uniform(size=7)
        return cls(
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


def toward(value: float, target: float, down: float, up: float) -> float:
    """Move `value` toward `target`, by at most `down` or `up`."""
    return value + min(max(target - value, -down), up)
