"""A drone's velocity brought within its limits, and braking to a hover.

The velocity asked for is first brought into the set of those allowed, which is convex: the disc of
the horizontal speed, cut at the highest speed sideways, up and down. From there two things happen
at once. An aim moves towards it in a straight line, no faster than the highest acceleration A; and
the velocity follows the aim with a lag T,

    dv/dt = (aim - v) / T,   T = 2 A / J.

A lag of this kind is a weighted mean of what the aim has been. So the velocity stays in the convex
set; its derivative is the same mean of the aim's derivative, at most A; and the jerk,
(d aim/dt - dv/dt) / T, is at most 2 A / T = J. All three hold as vectors, for steps of any length,
for targets that keep changing, and without overshoot; the step below is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from liquid_control.safety.limits import FlightLimits
from liquid_control.safety.ramps import approach

__all__ = ["FlightSetpoint", "Vector", "allowed", "brake", "limit", "resume"]

Vector = tuple[float, float, float]

STILL = (0.0, 0.0, 0.0)
# An acceleration [m/s^2] that is no more to be seen: the lag has ended.
_ENDED = 1e-6
# A way [m/s] that is none: dividing by a shorter one overflows.
_CLOSE = 1e-9


@dataclass(frozen=True)
class FlightSetpoint:
    """What a drone is told.

    Args:
        velocity: forward, left, up [m/s] in the yaw-aligned frame.
        acceleration: its change [m/s^2]; 0 in a stop, which has a ramp of its own.
        yaw_rate: turn to the left [rad/s].
    """

    velocity: Vector = STILL
    acceleration: Vector = STILL
    yaw_rate: float = 0.0

    @property
    def moving(self) -> bool:
        return any(self.velocity) or self.yaw_rate != 0.0


def allowed(limits: FlightLimits, velocity: Vector) -> Vector:
    """The allowed velocity nearest in meaning: less sideways, up and down, then slower as a whole.

    The horizontal direction is kept where the horizontal speed is too high.
    """
    x, y, z = velocity
    y = min(max(y, -limits.max_lateral_speed), limits.max_lateral_speed)
    z = min(max(z, -limits.max_descent_speed), limits.max_climb_speed)
    speed = math.hypot(x, y)
    if speed > limits.max_speed:
        x, y = x * (limits.max_speed / speed), y * (limits.max_speed / speed)
    return x, y, z


def limit(
    limits: FlightLimits, before: FlightSetpoint, velocity: Vector, yaw_rate: float, elapsed: float
) -> FlightSetpoint:
    """A finite command within the limits, `elapsed` [s] after the setpoint `before`.

    Args:
        velocity: asked, forward, left, up [m/s].
        yaw_rate: asked turn to the left [rad/s].
    """
    target = allowed(limits, velocity)
    lag = 2.0 * limits.max_acceleration / limits.max_jerk
    speed, change = before.velocity, before.acceleration
    aim = allowed(limits, tuple(v + lag * a for v, a in zip(speed, change, strict=True)))
    way = tuple(there - here for there, here in zip(target, aim, strict=True))
    length = math.hypot(*way)
    moving = min(length / limits.max_acceleration, elapsed)
    if length > _CLOSE:
        rate = tuple(part * (limits.max_acceleration / length) for part in way)
        # While the aim moves at a constant rate, the acceleration falls towards that rate.
        rest = math.exp(-moving / lag)
        change = tuple(r + (a - r) * rest for r, a in zip(rate, change, strict=True))
        aim = tuple(here + r * moving for here, r in zip(aim, rate, strict=True))
    if moving < elapsed:
        aim = target
        change = tuple(a * math.exp(-(elapsed - moving) / lag) for a in change)
        if math.hypot(*change) < _ENDED:
            change = STILL
    speed = tuple(here - lag * a for here, a in zip(aim, change, strict=True))
    # Rounding must not carry it over a limit either.
    return FlightSetpoint(allowed(limits, speed), change, _turn(limits, before, yaw_rate, elapsed))


def brake(
    limits: FlightLimits, before: FlightSetpoint, deceleration: float, elapsed: float
) -> FlightSetpoint:
    """One step of a stop ramp to a hover: straight on, at once with the full `deceleration`."""
    speed = math.hypot(*before.velocity)
    share = max(1.0 - deceleration * elapsed / speed, 0.0) if speed else 0.0
    velocity = tuple(part * share for part in before.velocity)
    return FlightSetpoint(velocity, STILL, _turn(limits, before, 0.0, elapsed))


def resume(limits: FlightLimits, before: FlightSetpoint, velocity: Vector) -> FlightSetpoint:
    """`before` at a measured, finite `velocity` [m/s]."""
    return replace(before, velocity=allowed(limits, velocity), acceleration=STILL)


def _turn(limits: FlightLimits, before: FlightSetpoint, yaw_rate: float, elapsed: float) -> float:
    wanted = min(max(yaw_rate, -limits.max_yaw_rate), limits.max_yaw_rate)
    return approach(before.yaw_rate, wanted, limits.max_yaw_acceleration * elapsed)
