"""A command brought within the limits of a vehicle, and braking without a command.

The path matters more than the turn rate: where the speed has to be limited, the curvature of the
path is kept and the yaw rate follows, so that a slowed car still drives the same bend. Where a bend
is too tight for the speed (lateral acceleration, yaw rate), the car is slowed down for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from liquid_control.safety.limits import Limits
from liquid_control.safety.ramps import approach, jerk_limited

__all__ = ["CREEP", "Setpoint", "brake", "driven_curvature", "limit", "without_dead_band"]

# Below this speed [m/s] the quotient yaw rate / speed says nothing about the path.
CREEP = 0.1


@dataclass(frozen=True)
class Setpoint:
    """What a vehicle is told.

    Args:
        speed: forward speed [m/s].
        acceleration: its change [m/s^2].
        yaw_rate: turn to the left [rad/s].
        curvature: path [1/m], left positive; held while the vehicle stands.
    """

    speed: float = 0.0
    acceleration: float = 0.0
    yaw_rate: float = 0.0
    curvature: float = 0.0

    @property
    def moving(self) -> bool:
        return self.speed != 0.0 or self.yaw_rate != 0.0


def limit(
    limits: Limits, before: Setpoint, speed: float, yaw_rate: float, elapsed: float
) -> Setpoint:
    """A finite command within the limits, `elapsed` [s] after the setpoint `before`.

    Args:
        speed: asked forward speed [m/s].
        yaw_rate: asked turn to the left [rad/s].
    """
    # A vehicle that brakes to a halt stays on its path: a halt has no curvature of its own.
    wanted = yaw_rate / speed if abs(speed) >= CREEP else before.curvature
    wanted = _clamp(wanted, limits.max_curvature)
    top = _top_speed(limits, max(abs(wanted), abs(before.curvature)))
    if before.yaw_rate:
        # After a turn on the spot, no faster than what is left of the turn allows.
        top = min(top, limits.max_lateral_acceleration / abs(before.yaw_rate))
    target = min(max(speed, -min(limits.max_reverse_speed, top)), min(limits.max_speed, top))
    allowed, acceleration = jerk_limited(
        before.speed,
        before.acceleration,
        target,
        elapsed,
        growth=limits.max_acceleration,
        braking=limits.max_deceleration,
        jerk=limits.max_jerk,
    )
    # Rounding must not carry it over the limit either.
    allowed = min(max(allowed, -limits.max_reverse_speed), limits.max_speed)
    turn = yaw_rate if abs(speed) < CREEP else None
    return _steer(limits, before, allowed, acceleration, wanted, turn, elapsed)


def brake(limits: Limits, before: Setpoint, deceleration: float, elapsed: float) -> Setpoint:
    """One step of a stop ramp: along the path driven last, at once with the full `deceleration`."""
    speed = approach(before.speed, 0.0, deceleration * elapsed)
    acceleration = -math.copysign(deceleration, speed) if speed else 0.0
    return _steer(limits, before, speed, acceleration, before.curvature, 0.0, elapsed)


def without_dead_band(limits: Limits, told: Setpoint) -> tuple[float, float]:
    """Speed [m/s] and yaw rate [rad/s] to put out: 0 where motors would only hum."""
    speed = told.speed if abs(told.speed) >= limits.speed_dead_band else 0.0
    yaw_rate = told.yaw_rate if abs(told.yaw_rate) >= limits.yaw_rate_dead_band else 0.0
    return speed, yaw_rate


def driven_curvature(limits: Limits, told: Setpoint) -> float:
    """Path [1/m] to turn the wheels for: that of `told`, as tight as its speed allows by now.

    A car that still slows down for a bend is told to turn less until then; a wheel angle has to
    say so as well as a yaw rate does.
    """
    speed = abs(told.speed)
    if speed < CREEP:
        return told.curvature
    return _clamp(told.curvature, _fastest_turn(limits, speed) / speed)


def _fastest_turn(limits: Limits, speed: float) -> float:
    """Highest yaw rate [rad/s] at a speed [m/s] of either sign."""
    if not speed:
        return limits.max_yaw_rate
    return min(limits.max_yaw_rate, limits.max_lateral_acceleration / abs(speed))


def _top_speed(limits: Limits, curvature: float) -> float:
    """Highest speed [m/s] at which a path of `curvature` >= 0 keeps the other limits."""
    if curvature == 0.0:
        return math.inf
    sideways = math.sqrt(limits.max_lateral_acceleration / curvature)
    return min(sideways, limits.max_yaw_rate / curvature)


def _steer(
    limits: Limits,
    before: Setpoint,
    speed: float,
    acceleration: float,
    wanted: float,
    turn: float | None,
    elapsed: float,
) -> Setpoint:
    """Turn at an allowed speed: on the spot by `turn` [rad/s], where it is given; else by path."""
    fastest = _fastest_turn(limits, speed)
    step = limits.max_yaw_acceleration * elapsed
    curvature = before.curvature
    if turn is None or abs(speed) >= CREEP:
        curvature = approach(curvature, wanted, limits.max_curvature_rate * elapsed)
        turn = curvature * speed
        # The path's own change; more is only to be made up for after a turn on the spot.
        step += abs(turn - before.curvature * before.speed)
    turn = approach(before.yaw_rate, _clamp(turn, fastest), step)
    return Setpoint(speed, acceleration, _clamp(turn, fastest), curvature)


def _clamp(value: float, bound: float) -> float:
    return min(max(value, -bound), bound)
