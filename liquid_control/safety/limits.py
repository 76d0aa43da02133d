"""The limits of a car and of a drone; each is a parameter of the safety node."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import ClassVar

from liquid_control.errors import InputError

__all__ = ["LEAST", "FlightLimits", "Limits"]

# Of those limits that may not be 0; quotients of smaller ones overflow.
LEAST = 1e-3


def _limit(default: float, high: float, text: str) -> float:
    return field(default=default, metadata={"high": high, "text": text})


@dataclass(frozen=True)
class _Limits:
    """What both have: time-outs, and a check of all fields.

    Raises:
        InputError: a limit is negative or not finite, or 0 where that makes no sense.
    """

    # Near 0 these would refuse every command, or never let the vehicle stop.
    positive: ClassVar[tuple[str, ...]] = (
        *("max_deceleration", "emergency_deceleration", "max_jerk"),
        *("timeout", "intervention_timeout", "max_age"),
    )

    timeout: float = _limit(0.25, 10.0, "silence after which the vehicle is stopped [s]")
    intervention_timeout: float = _limit(
        0.25, 10.0, "silence after which a person has let go of the vehicle [s]"
    )
    max_age: float = _limit(0.5, 10.0, "oldest stamp that is still obeyed [s]")

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(
                    f"The limit {item.name} must be a finite number of at least 0, got {value}; "
                    f"it means: {item.metadata['text']}."
                )
            if value < LEAST and item.name in self.positive:
                raise InputError(
                    f"The limit {item.name} must be at least {LEAST}, got {value}; "
                    f"it means: {item.metadata['text']}."
                )


@dataclass(frozen=True)
class Limits(_Limits):
    """The limits of a car, or of another vehicle with a speed and a path."""

    max_speed: float = _limit(15.0, 60.0, "highest forward speed [m/s]")
    max_reverse_speed: float = _limit(0.0, 60.0, "highest backward speed [m/s]; 0: never backwards")
    max_acceleration: float = _limit(3.0, 20.0, "highest growth of the speed [m/s^2]")
    max_deceleration: float = _limit(6.0, 20.0, "steepest braking, also of the stop ramp [m/s^2]")
    emergency_deceleration: float = _limit(9.0, 100.0, "braking of an emergency stop [m/s^2]")
    max_jerk: float = _limit(
        20.0, 1000.0, "fastest change of the acceleration, but for stops [m/s^3]"
    )
    max_curvature: float = _limit(0.1, 100.0, "tightest path [1/m]")
    max_curvature_rate: float = _limit(0.3, 1000.0, "fastest change of the path [1/(m s)]")
    max_lateral_acceleration: float = _limit(
        5.0, 50.0, "highest speed^2 x curvature; bends are driven slower [m/s^2]"
    )
    max_yaw_rate: float = _limit(1.0, 20.0, "fastest turn [rad/s]")
    max_yaw_acceleration: float = _limit(
        2.0, 200.0, "fastest change of a turn on the spot [rad/s^2]"
    )
    speed_dead_band: float = _limit(0.0, 5.0, "slower speeds are put out as 0 [m/s]")
    yaw_rate_dead_band: float = _limit(0.0, 1.0, "slower turns are put out as 0 [rad/s]")


@dataclass(frozen=True)
class FlightLimits(_Limits):
    """The limits of a drone, which is told a velocity; see `liquid_control.safety.flight`."""

    positive: ClassVar[tuple[str, ...]] = (*_Limits.positive, "max_acceleration")

    max_speed: float = _limit(4.0, 30.0, "highest horizontal speed, in any direction [m/s]")
    max_lateral_speed: float = _limit(3.0, 30.0, "highest speed to either side [m/s]")
    max_climb_speed: float = _limit(2.0, 20.0, "highest speed upwards [m/s]")
    max_descent_speed: float = _limit(1.5, 20.0, "highest speed downwards [m/s]")
    max_acceleration: float = _limit(4.0, 30.0, "highest change of the velocity [m/s^2]")
    max_deceleration: float = _limit(4.0, 30.0, "braking of the stop ramp to a hover [m/s^2]")
    emergency_deceleration: float = _limit(6.0, 30.0, "braking of an emergency stop [m/s^2]")
    max_jerk: float = _limit(
        80.0, 1000.0, "fastest change of the acceleration, but for stops [m/s^3]"
    )
    max_yaw_rate: float = _limit(1.5, 20.0, "fastest turn [rad/s]")
    max_yaw_acceleration: float = _limit(6.0, 200.0, "fastest change of a turn [rad/s^2]")
