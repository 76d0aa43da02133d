"""What a vehicle may be told: limits, time-outs and stop ramps as pure functions.

Nothing here reads a clock. Times come in as floats: `now` is the steady clock [s], `stamp` the time
of the frame that a command answers [s], `age` how long ago that was on the clock that made the
stamp [s]. The safety node (`ros/safety_node.py`) only wires these functions up.

The path matters more than the turn rate: where the speed has to be limited, the curvature of the
path is kept and the yaw rate follows, so that a slowed car still drives the same bend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum

from liquid_control.errors import InputError

__all__ = ["CREEP", "Limits", "Refusal", "State", "accept", "limit", "tick"]

# Below this speed [m/s] the quotient yaw rate / speed says nothing about the path.
CREEP = 0.1


def _limit(default: float, high: float, text: str) -> float:
    return field(default=default, metadata={"high": high, "text": text})


@dataclass(frozen=True)
class Limits:
    """The limits of a vehicle; each field is a parameter of the safety node.

    Raises:
        InputError: a limit is negative, not finite, or a time limit is 0.
    """

    max_speed: float = _limit(15.0, 60.0, "highest forward speed [m/s]")
    max_reverse_speed: float = _limit(0.0, 60.0, "highest backward speed [m/s]; 0: never backwards")
    max_acceleration: float = _limit(3.0, 20.0, "highest growth of the speed [m/s^2]")
    max_deceleration: float = _limit(6.0, 20.0, "steepest braking, also of the stop ramp [m/s^2]")
    max_curvature: float = _limit(0.1, 100.0, "tightest path [1/m]")
    max_curvature_rate: float = _limit(0.3, 1000.0, "fastest change of the path [1/(m s)]")
    max_yaw_rate: float = _limit(1.0, 20.0, "fastest turn [rad/s]")
    max_yaw_acceleration: float = _limit(
        2.0, 200.0, "fastest change of a turn on the spot [rad/s^2]"
    )
    timeout: float = _limit(0.25, 10.0, "silence after which the vehicle is stopped [s]")
    max_age: float = _limit(0.5, 10.0, "oldest stamp that is still obeyed [s]")

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(
                    f"The limit {item.name} must be a finite number of at least 0, got {value}; "
                    f"it means: {item.metadata['text']}."
                )
        if self.timeout == 0.0 or self.max_age == 0.0:
            raise InputError(
                f"The limits timeout and max_age must be greater than 0 s, got {self.timeout} and "
                f"{self.max_age}; every command would be refused."
            )


class Refusal(StrEnum):
    """Why a command was not obeyed."""

    NOT_FINITE = "not finite"
    TOO_OLD = "stamped too old"
    AHEAD = "stamped in the future"
    OUT_OF_ORDER = "older than the one before"


@dataclass(frozen=True)
class State:
    """What the vehicle was told last, and when.

    Args:
        speed: forward speed [m/s].
        yaw_rate: turn to the left [rad/s].
        curvature: path held while the vehicle is stopped [1/m].
        stamp: stamp of the last command obeyed [s]; None before the first and after a time-out.
        heard: steady time of the last command obeyed [s]; None before the first.
        told: steady time at which speed and yaw rate were put out [s]; None before the first.
        timed_out: commands are missing; the stop ramp runs or has ended.
    """

    speed: float = 0.0
    yaw_rate: float = 0.0
    curvature: float = 0.0
    stamp: float | None = None
    heard: float | None = None
    told: float | None = None
    timed_out: bool = True


def accept(
    limits: Limits,
    state: State,
    speed: float,
    yaw_rate: float,
    *,
    now: float,
    stamp: float | None = None,
    age: float | None = None,
) -> tuple[State, Refusal | None]:
    """Judge one command and put it out within the limits.

    A command to stand still is obeyed whatever its stamp: refusing it is never the safe answer.

    Args:
        speed: asked forward speed [m/s].
        yaw_rate: asked turn to the left [rad/s].
        now: steady clock [s].
        stamp: time of the frame that the command answers [s]; None where commands carry none.
        age: `stamp` subtracted from its own clock [s]; None where that is not known.

    Returns:
        The new state, to be put out, and None; or the state as it was, and why it was refused.
        A refused command does not delay the time-out.
    """
    if not (math.isfinite(speed) and math.isfinite(yaw_rate)):
        return state, Refusal.NOT_FINITE
    if not speed == yaw_rate == 0.0:
        if age is not None and not age <= limits.max_age:
            return state, Refusal.TOO_OLD
        if age is not None and age < -limits.max_age:
            return state, Refusal.AHEAD
        if stamp is not None and state.stamp is not None and stamp < state.stamp:
            return state, Refusal.OUT_OF_ORDER
    # The stamps' own time makes the ramps right in a simulator that runs faster than the clock.
    if stamp is not None and state.stamp is not None:
        elapsed = max(stamp - state.stamp, 0.0)
        stamp = max(stamp, state.stamp)
    else:
        elapsed = 0.0 if state.told is None else now - state.told
    elapsed = min(elapsed, limits.timeout)
    speed, yaw_rate, curvature = limit(limits, state, speed, yaw_rate, elapsed)
    new = State(speed, yaw_rate, curvature, stamp, heard=now, told=now, timed_out=False)
    return new, None


def tick(limits: Limits, state: State, now: float) -> State:
    """The state at the steady time `now` [s]: as it was, or one step further down the stop ramp.

    The ramp brakes with `max_deceleration` along the path driven last. Its end forgets the last
    stamp, so that a clock that was set back (a simulator started again) is obeyed after a stop.
    """
    if state.heard is not None and now - state.heard <= limits.timeout:
        return state
    # A ramp that begins late must still end as if it had begun at the time-out.
    begin = now if state.heard is None else state.heard + limits.timeout
    elapsed = now - max(begin, state.told if state.told is not None else begin)
    speed, yaw_rate, curvature = limit(limits, state, 0.0, 0.0, elapsed)
    return State(speed, yaw_rate, curvature, None, state.heard, told=now, timed_out=True)


def limit(
    limits: Limits, state: State, speed: float, yaw_rate: float, elapsed: float
) -> tuple[float, float, float]:
    """Bring a finite command within the limits, `elapsed` [s] after the one of `state`.

    Returns:
        Speed [m/s], yaw rate [rad/s] and the curvature of the path [1/m].
    """
    target = _clamp(speed, -limits.max_reverse_speed, limits.max_speed)
    allowed = _ramp_speed(limits, state.speed, target, elapsed)
    if abs(speed) < CREEP and abs(allowed) < CREEP:
        target = _clamp(yaw_rate, -limits.max_yaw_rate, limits.max_yaw_rate)
        turn = _approach(state.yaw_rate, target, limits.max_yaw_acceleration * elapsed)
        return allowed, turn, state.curvature
    # A vehicle that brakes to a halt stays on its path: a halt has no curvature of its own.
    wanted = yaw_rate / speed if abs(speed) >= CREEP else state.curvature
    wanted = _clamp(wanted, -limits.max_curvature, limits.max_curvature)
    curvature = _approach(state.curvature, wanted, limits.max_curvature_rate * elapsed)
    turn = _clamp(curvature * allowed, -limits.max_yaw_rate, limits.max_yaw_rate)
    return allowed, turn, curvature


def _ramp_speed(limits: Limits, speed: float, target: float, elapsed: float) -> float:
    """Brake towards 0 first where the direction changes, then accelerate."""
    if speed * target < 0.0:
        target = 0.0
    rate = limits.max_acceleration if abs(target) > abs(speed) else limits.max_deceleration
    return _approach(speed, target, rate * elapsed)


def _approach(value: float, target: float, step: float) -> float:
    return target if abs(target - value) <= step else value + math.copysign(step, target - value)


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
