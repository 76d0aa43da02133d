"""What differs between a car and a drone, chosen by the type of their limits.

A car is told a speed and a path (`setpoint`), a drone a velocity (`flight`). Who may command either
of them, and when they are stopped, is the same (`arbiter`).
"""

from __future__ import annotations

import math
from dataclasses import replace

from liquid_control.safety import flight, setpoint
from liquid_control.safety.flight import FlightSetpoint, Vector
from liquid_control.safety.limits import FlightLimits, Limits
from liquid_control.safety.setpoint import Setpoint

__all__ = [
    "VEHICLES",
    "AnyLimits",
    "AnySetpoint",
    "figures",
    "follow",
    "measured",
    "obeys",
    "outgoing",
    "rest",
    "slow",
]

VEHICLES: dict[str, type[Limits] | type[FlightLimits]] = {"car": Limits, "drone": FlightLimits}

AnyLimits = Limits | FlightLimits
AnySetpoint = Setpoint | FlightSetpoint


def rest(limits: AnyLimits) -> AnySetpoint:
    """A vehicle that stands, or hovers."""
    return FlightSetpoint() if isinstance(limits, FlightLimits) else Setpoint()


def obeys(limits: AnyLimits, velocity: Vector, tilting: tuple[float, float]) -> bool:
    """Whether a vehicle can mean to do what is asked of it.

    No vehicle here turns about its roll or pitch axis by command, and no car moves sideways or up:
    who asks for that takes it for another one.

    Args:
        velocity: forward, left, up [m/s].
        tilting: roll rate and pitch rate [rad/s].
    """
    return not any(tilting) and (isinstance(limits, FlightLimits) or not any(velocity[1:]))


def follow(
    limits: AnyLimits, before: AnySetpoint, velocity: Vector, yaw_rate: float, elapsed: float
) -> AnySetpoint:
    """A finite command within the limits, `elapsed` [s] after the setpoint `before`."""
    if isinstance(limits, FlightLimits):
        return flight.limit(limits, before, velocity, yaw_rate, elapsed)
    return setpoint.limit(limits, before, velocity[0], yaw_rate, elapsed)


def slow(
    limits: AnyLimits, before: AnySetpoint, deceleration: float, elapsed: float
) -> AnySetpoint:
    """One step of a stop ramp."""
    if isinstance(limits, FlightLimits):
        return flight.brake(limits, before, deceleration, elapsed)
    return setpoint.brake(limits, before, deceleration, elapsed)


def measured(limits: AnyLimits, before: AnySetpoint, velocity: Vector) -> AnySetpoint:
    """`before` at a measured, finite `velocity` [m/s], which is brought within the limits."""
    if isinstance(limits, FlightLimits):
        return flight.resume(limits, before, velocity)
    speed = min(max(velocity[0], -limits.max_reverse_speed), limits.max_speed)
    return replace(before, speed=speed, acceleration=0.0)


def outgoing(limits: AnyLimits, told: AnySetpoint) -> tuple[Vector, float]:
    """Velocity forward, left, up [m/s] and yaw rate [rad/s] to put out."""
    if isinstance(told, FlightSetpoint):
        return told.velocity, told.yaw_rate
    speed, yaw_rate = setpoint.without_dead_band(limits, told)
    return (speed, 0.0, 0.0), yaw_rate


def figures(told: AnySetpoint) -> dict[str, float]:
    """A setpoint in numbers: `speed` [m/s], `yaw_rate` [rad/s] and `acceleration` [m/s^2].

    Of a drone also `vx`, `vy` and `vz` [m/s]; its speed and acceleration have no sign.
    """
    if not isinstance(told, FlightSetpoint):
        return {
            "speed": told.speed,
            "yaw_rate": told.yaw_rate,
            "acceleration": told.acceleration,
        }
    return {
        "speed": math.hypot(*told.velocity),
        "yaw_rate": told.yaw_rate,
        "acceleration": math.hypot(*told.acceleration),
        **dict(zip(("vx", "vy", "vz"), told.velocity, strict=True)),
    }
