"""What the outputs of a policy mean: names, units, limits, and conversions between them.

Signs follow REP-103: x forward, y left, z up; positive curvature and yaw rate turn left.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from liquid_control.errors import InputError

__all__ = [
    "CURVATURE",
    "SPEED",
    "STEERING",
    "THROTTLE",
    "VX",
    "VY",
    "VZ",
    "YAW_RATE",
    "CommandSpec",
    "Output",
    "curvature_from_wheel_angle",
    "curvature_from_yaw_rate",
    "wheel_angle",
    "yaw_rate",
]


@dataclass(frozen=True)
class Output:
    """One number of a command: its name, its SI unit ("1" for a ratio) and its closed range."""

    name: str
    unit: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InputError(
                f"Output {self.name!r} needs low < high, got [{self.low}, {self.high}]; swap them."
            )


# 0.06 1/m is a radius of 16.7 m: 4.2 m/s^2 of lateral acceleration at 30 km/h.
CURVATURE = Output("curvature", "1/m", -0.06, 0.06)
SPEED = Output("speed", "m/s", 0.0, 15.0)
# A recording without metric geometry (a Donkeycar tub): the share of full lock, left positive.
STEERING = Output("steering", "1", -1.0, 1.0)
THROTTLE = Output("throttle", "1", -1.0, 1.0)
# A drone: velocity in its yaw-aligned frame (forward, left, up) and yaw rate.
VX = Output("vx", "m/s", -4.0, 4.0)
VY = Output("vy", "m/s", -3.0, 3.0)
VZ = Output("vz", "m/s", -2.0, 2.0)
YAW_RATE = Output("yaw_rate", "rad/s", -1.5, 1.5)


@dataclass(frozen=True)
class CommandSpec:
    """The ordered outputs of a policy, or the ordered inputs of a vehicle."""

    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        names = [output.name for output in self.outputs]
        if not names or len(set(names)) != len(names):
            raise InputError(
                f"A command needs one or more outputs with different names, got {names}; "
                "rename or remove the doubles."
            )

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(output.name for output in self.outputs)

    @property
    def low(self) -> np.ndarray:
        """Lower limits, float32 (outputs,)."""
        return np.array([output.low for output in self.outputs], np.float32)

    @property
    def high(self) -> np.ndarray:
        """Upper limits, float32 (outputs,)."""
        return np.array([output.high for output in self.outputs], np.float32)

    def clip(self, command: np.ndarray) -> np.ndarray:
        """Limit commands (..., outputs) to their ranges; NaN stays NaN for safety to refuse."""
        return np.clip(np.asarray(command, np.float32), self.low, self.high)

    def to_dict(self) -> dict:
        return {"outputs": [asdict(output) for output in self.outputs]}

    @classmethod
    def from_dict(cls, fields: dict) -> CommandSpec:
        try:
            return cls(tuple(Output(**output) for output in fields["outputs"]))
        except (KeyError, TypeError) as error:
            raise InputError(
                "A command specification needs a list 'outputs' of name, unit, low and high, "
                f"got {fields!r}; compare with a shipped models/*/config.json."
            ) from error


def yaw_rate(curvature: float, speed: float) -> float:
    """Yaw rate [rad/s] of a vehicle that follows `curvature` [1/m] at `speed` [m/s]."""
    return curvature * speed


def curvature_from_yaw_rate(rate: float, speed: float, min_speed: float = 0.1) -> float:
    """Path curvature [1/m] of `rate` [rad/s] at `speed` [m/s]; 0 below `min_speed` (undefined)."""
    return rate / speed if abs(speed) >= min_speed else 0.0


def wheel_angle(curvature: float, wheelbase: float) -> float:
    """Virtual front wheel angle [rad] of a bicycle model with `wheelbase` [m]."""
    return float(np.arctan(wheelbase * curvature))


def curvature_from_wheel_angle(angle: float, wheelbase: float) -> float:
    """Inverse of `wheel_angle`; `angle` in (-pi/2, pi/2) [rad]."""
    return float(np.tan(angle) / wheelbase)
