"""What a person's keys and sticks ask of a vehicle; no terminal, no ROS, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from liquid_control.errors import InputError
from liquid_control.ros.vehicle import Motion

__all__ = ["KEYS", "Joystick", "Keyboard", "Reach", "Sticks", "Wish"]


class Wish(Enum):
    """What a key asks for besides motion."""

    EMERGENCY = auto()
    RELEASE = auto()
    QUIT = auto()


@dataclass(frozen=True)
class Reach:
    """The fastest and tightest that a person may ask for; the safety node has its own limits.

    Args:
        speed: forwards [m/s].
        reverse: backwards [m/s].
        curvature: to both sides [1/m].
    """

    speed: float = 8.0
    reverse: float = 0.0
    curvature: float = 0.06

    def clip(self, motion: Motion) -> Motion:
        speed = min(max(motion.speed, -self.reverse), self.speed)
        return Motion(speed, min(max(motion.curvature, -self.curvature), self.curvature))


# A tenth of the reach a press, (speed, curvature) in steps.
_STEPS = {
    **dict.fromkeys(("w", "up"), (1, 0)),
    **dict.fromkeys(("s", "down"), (-1, 0)),
    **dict.fromkeys(("a", "left"), (0, 1)),
    **dict.fromkeys(("d", "right"), (0, -1)),
}
_STEP = 0.1
_WISHES = {
    " ": Wish.EMERGENCY,
    "r": Wish.RELEASE,
    **dict.fromkeys(("q", "end"), Wish.QUIT),
}
KEYS = """\
  w s, up down      faster, slower       enter, g   give the vehicle back
  a d, left right   steer left, right    space      EMERGENCY STOP
  c                 straight             r          release the emergency stop
  x                 halt                 q          quit"""


@dataclass
class Keyboard:
    """A vehicle in the hand of a person with a keyboard.

    Terminals say when a key is pressed but not when it is let go, so a press changes speed or path
    by a step. The first one takes the vehicle as it moves; `hold` [s] after the last one, or with
    the key for it, the vehicle is given back.
    """

    reach: Reach = field(default_factory=Reach)
    hold: float = 5.0
    _motion: Motion = field(default_factory=Motion)
    _pressed: float = -math.inf

    def press(self, key: str, now: float, told: Motion) -> Wish | None:
        """Take a key at the steady time `now` [s]; `told` is how the vehicle moves now."""
        if (wish := _WISHES.get(key)) is not None:
            self._pressed = -math.inf
            return wish
        if key in ("g", "enter"):
            self._pressed = -math.inf
            return None
        held = self.motion(now)
        before = told if held is None else held
        if key in _STEPS:
            faster, tighter = _STEPS[key]
            after = Motion(
                before.speed + faster * _STEP * self.reach.speed,
                before.curvature + tighter * _STEP * self.reach.curvature,
            )
        elif key == "c":
            after = Motion(before.speed, 0.0)
        elif key == "x":
            after = Motion(0.0, before.curvature)
        else:
            return None
        self._motion, self._pressed = self.reach.clip(after), now
        return None

    def motion(self, now: float) -> Motion | None:
        """What the person wants at the steady time `now` [s]; None: they have no hand on it."""
        return self._motion if now - self._pressed <= self.hold else None


@dataclass(frozen=True)
class Sticks:
    """A joystick's position: what it asks for while its dead-man button is held, and buttons."""

    motion: Motion | None
    emergency: bool
    release: bool


@dataclass(frozen=True)
class Joystick:
    """Which axes and buttons of a `sensor_msgs/Joy` mean what; defaults: an Xbox pad's in `joy`.

    Args:
        speed_axis: forward is positive.
        steering_axis: left is positive.
        enable_button: held as long as the person drives (dead man's button).
        dead_band: share of an axis around its middle that means 0.
    """

    speed_axis: int = 1
    steering_axis: int = 3
    enable_button: int = 4
    emergency_button: int = 1
    release_button: int = 7
    dead_band: float = 0.05

    def read(self, axes: Sequence[float], buttons: Sequence[int], reach: Reach) -> Sticks:
        """What a joystick's position asks for.

        Raises:
            InputError: it lacks an axis or a button, or an axis is not within [-1, 1].
        """
        if len(axes) <= max(self.speed_axis, self.steering_axis) or len(buttons) <= max(
            self.enable_button, self.emergency_button, self.release_button
        ):
            raise InputError(
                f"The joystick has {len(axes)} axes and {len(buttons)} buttons, fewer than the "
                "parameters *_axis and *_button name; set them for this joystick."
            )
        ahead, left = self._axis(axes[self.speed_axis]), self._axis(axes[self.steering_axis])
        speed = ahead * (reach.speed if ahead > 0.0 else reach.reverse)
        return Sticks(
            motion=Motion(speed, left * reach.curvature) if buttons[self.enable_button] else None,
            emergency=bool(buttons[self.emergency_button]),
            release=bool(buttons[self.release_button]),
        )

    def _axis(self, value: float) -> float:
        if not -1.0 <= value <= 1.0:
            raise InputError(f"An axis of the joystick must lie within [-1, 1], got {value}.")
        beyond = max(abs(value) - self.dead_band, 0.0) / (1.0 - self.dead_band)
        return math.copysign(beyond, value)
