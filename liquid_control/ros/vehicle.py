"""From a policy's outputs to a vehicle's motion: a car's speed and path, or a drone's velocity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.command import CommandSpec, curvature_from_wheel_angle, wheel_angle, yaw_rate
from liquid_control.errors import InputError

__all__ = ["Flight", "Motion", "Vehicle"]


@dataclass(frozen=True)
class Motion:
    """Forward speed [m/s] and path curvature [1/m, left positive]."""

    speed: float = 0.0
    curvature: float = 0.0

    @property
    def yaw_rate(self) -> float:
        """[rad/s], left positive."""
        return yaw_rate(self.curvature, self.speed)

    @property
    def velocity(self) -> tuple[float, float, float]:
        """Forward, left, up [m/s]."""
        return self.speed, 0.0, 0.0

    def slowed(self, share: float) -> Motion:
        """The same path at a share of the speed."""
        return Motion(self.speed * share, self.curvature)


@dataclass(frozen=True)
class Flight:
    """Velocity forward, left, up [m/s] and yaw rate [rad/s, left positive].

    The frame turns with the vehicle's heading but stays level however it tilts (yaw-aligned).
    """

    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw_rate: float = 0.0

    def slowed(self, share: float) -> Flight:
        """The same path at a share of the speed."""
        forward, left, up = self.velocity
        return Flight((forward * share, left * share, up * share), self.yaw_rate * share)


@dataclass(frozen=True)
class Vehicle:
    """What a policy does not know of the vehicle that it drives.

    Args:
        speed: driven where the policy has no output "speed", and where it is `fixed` [m/s].
        wheelbase: of the bicycle model [m].
        max_wheel_angle: front wheel angle at full lock [rad], for policies with "steering".
        fixed: whatever speed the policy gives is left out of account.
    """

    speed: float
    wheelbase: float
    max_wheel_angle: float
    fixed: bool = False

    def check(self, spec: CommandSpec) -> None:
        """Raises InputError where a specification does not steer a vehicle."""
        if not ({"curvature", "steering"} & set(spec.names) or self.flies(spec)):
            raise InputError(
                "A policy that drives needs an output 'curvature' or 'steering', one that flies "
                f"'vx' and 'yaw_rate', got {', '.join(spec.names)}; choose another model."
            )

    @staticmethod
    def flies(spec: CommandSpec) -> bool:
        """Whether the outputs of a policy are a velocity instead of a path."""
        return {"vx", "yaw_rate"} <= set(spec.names)

    def motion(self, spec: CommandSpec, command: np.ndarray) -> Motion | Flight:
        """The motion that a command (outputs,) asks for."""
        values = dict(zip(spec.names, map(float, command), strict=True))
        if self.flies(spec):
            velocity = values["vx"], values.get("vy", 0.0), values.get("vz", 0.0)
            return Flight(velocity, values["yaw_rate"])
        if "curvature" in values:
            curvature = values["curvature"]
        else:
            angle = values["steering"] * self.max_wheel_angle
            curvature = curvature_from_wheel_angle(angle, self.wheelbase)
        speed = self.speed if self.fixed else values.get("speed", self.speed)
        return Motion(speed, curvature)

    def wheel_angle(self, motion: Motion) -> float:
        """Virtual front wheel angle [rad, left positive] of a motion."""
        return wheel_angle(motion.curvature, self.wheelbase)
