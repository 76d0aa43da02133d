"""What a person's keys and sticks ask of a vehicle; no terminal, no ROS, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from liquid_control.errors import InputError
from liquid_control.ros.vehicle import Flight, Motion

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
        curvature: of a car's path, to both sides [1/m].
        lateral: of a drone, to both sides and backwards [m/s].
        climb: of a drone, up and down [m/s].
        turn: of a drone, to both sides [rad/s].
    """

    speed: float = 8.0
    reverse: float = 0.0
    curvature: float = 0.06
    lateral: float = 1.0
    climb: float = 1.0
    turn: float = 1.0

    def clip(self, motion: Motion | Flight) -> Motion | Flight:
        if isinstance(motion, Motion):
            speed = min(max(motion.speed, -self.reverse), self.speed)
            return Motion(speed, _within(motion.curvature, self.curvature))
        ahead, left, up = motion.velocity
        ahead = min(max(ahead, -self.lateral), self.speed)
        velocity = ahead, _within(left, self.lateral), _within(up, self.climb)
        return Flight(velocity, _within(motion.yaw_rate, self.turn))


# A tenth of the reach a press, (ahead, turn to the left) in steps.
_STEPS = {
    **dict.fromkeys(("w", "up"), (1, 0)),
    **dict.fromkeys(("s", "down"), (-1, 0)),
    **dict.fromkeys(("a", "left"), (0, 1)),
    **dict.fromkeys(("d", "right"), (0, -1)),
}
# What a drone alone can do, (left, up) in steps.
_FLIGHT_STEPS = {"j": (1, 0), "l": (-1, 0), "i": (0, 1), "k": (0, -1)}
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
  i k, j l          a drone: up, down; left, right
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
    _motion: Motion | Flight = field(default_factory=Motion)
    _pressed: float = -math.inf

    def press(self, key: str, now: float, told: Motion | Flight) -> Wish | None:
        """Take a key at the steady time `now` [s]; `told` is how the vehicle moves now.

        A drone is one whose `told` is a `Flight`.
        """
        if (wish := _WISHES.get(key)) is not None:
            self._pressed = -math.inf
            return wish
        if key in ("g", "enter"):
            self._pressed = -math.inf
            return None
        held = self.motion(now)
        after = self._after(key, held if type(held) is type(told) else told)
        if after is not None:
            self._motion, self._pressed = self.reach.clip(after), now
        return None

    def _after(self, key: str, before: Motion | Flight) -> Motion | Flight | None:
        """What a key makes of a motion; None for one that means nothing to the vehicle."""
        reach, (ahead, turn) = self.reach, _STEPS.get(key, (0, 0))
        if isinstance(before, Motion):
            if key == "c":
                return Motion(before.speed, 0.0)
            if key == "x":
                return Motion(0.0, before.curvature)
            if key not in _STEPS:
                return None
            return Motion(
                before.speed + ahead * _STEP * reach.speed,
                before.curvature + turn * _STEP * reach.curvature,
            )
        if key == "c":
            return Flight(before.velocity, 0.0)
        if key == "x":
            return Flight()
        if key not in _STEPS and key not in _FLIGHT_STEPS:
            return None
        left, up = _FLIGHT_STEPS.get(key, (0, 0))
        steps = ahead * reach.speed, left * reach.lateral, up * reach.climb
        velocity = tuple(
            part + _STEP * step for part, step in zip(before.velocity, steps, strict=True)
        )
        return Flight(velocity, before.yaw_rate + turn * _STEP * reach.turn)

    def motion(self, now: float) -> Motion | Flight | None:
        """What the person wants at the steady time `now` [s]; None: they have no hand on it."""
        return self._motion if now - self._pressed <= self.hold else None


@dataclass(frozen=True)
class Sticks:
    """A joystick's position: what it asks for while its dead-man button is held, and buttons."""

    motion: Motion | Flight | None
    emergency: bool
    release: bool


@dataclass(frozen=True)
class Joystick:
    """Which axes and buttons of a `sensor_msgs/Joy` mean what; defaults: an Xbox pad's in `joy`.

    Args:
        speed_axis: forward is positive.
        steering_axis: left is positive.
        lateral_axis: of a drone; left is positive.
        climb_axis: of a drone; up is positive.
        enable_button: held as long as the person drives (dead man's button).
        dead_band: share of an axis around its middle that means 0.
    """

    speed_axis: int = 1
    steering_axis: int = 3
    lateral_axis: int = 0
    climb_axis: int = 4
    enable_button: int = 4
    emergency_button: int = 1
    release_button: int = 7
    dead_band: float = 0.05

    def read(
        self, axes: Sequence[float], buttons: Sequence[int], reach: Reach, flies: bool = False
    ) -> Sticks:
        """What a joystick's position asks for.

        Args:
            flies: of a drone, which can do more.

        Raises:
            InputError: it lacks an axis or a button, or an axis is not within [-1, 1].
        """
        named = [self.speed_axis, self.steering_axis]
        named += [self.lateral_axis, self.climb_axis] if flies else []
        if len(axes) <= max(named) or len(buttons) <= max(
            self.enable_button, self.emergency_button, self.release_button
        ):
            raise InputError(
                f"The joystick has {len(axes)} axes and {len(buttons)} buttons, fewer than the "
                "parameters *_axis and *_button name; set them for this joystick."
            )
        ahead, turn, *more = (self._axis(axes[index]) for index in named)
        if flies:
            left, up = more
            fastest = reach.speed if ahead > 0.0 else reach.lateral
            velocity = ahead * fastest, left * reach.lateral, up * reach.climb
            motion: Motion | Flight = Flight(velocity, turn * reach.turn)
        else:
            speed = ahead * (reach.speed if ahead > 0.0 else reach.reverse)
            motion = Motion(speed, turn * reach.curvature)
        return Sticks(
            motion=motion if buttons[self.enable_button] else None,
            emergency=bool(buttons[self.emergency_button]),
            release=bool(buttons[self.release_button]),
        )

    def _axis(self, value: float) -> float:
        if not -1.0 <= value <= 1.0:
            raise InputError(f"An axis of the joystick must lie within [-1, 1], got {value}.")
        beyond = max(abs(value) - self.dead_band, 0.0) / (1.0 - self.dead_band)
        return math.copysign(beyond, value)


def _within(value: float, bound: float) -> float:
    return min(max(value, -bound), bound)
