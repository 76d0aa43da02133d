"""Who drives: emergency stop before person before policy, and nobody when all are silent.

Every command is judged on its own (`accept`); what depends on time alone (time-outs, stop ramps,
a person who has let go) happens in `tick`. Both return a new state; its setpoint is within the
limits whatever came in, and never leaps when one driver follows another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from liquid_control.safety import rules
from liquid_control.safety.flight import Vector
from liquid_control.safety.rules import AnyLimits, AnySetpoint
from liquid_control.safety.setpoint import Setpoint

__all__ = [
    "Asked",
    "Driver",
    "Refusal",
    "State",
    "accept",
    "driving",
    "emergency_stop",
    "release",
    "resume",
    "tick",
]


class Driver(StrEnum):
    """Whose commands the vehicle follows; the later ones overrule the earlier ones."""

    NOBODY = "nobody"
    POLICY = "policy"
    PERSON = "person"
    EMERGENCY = "emergency stop"


class Refusal(StrEnum):
    """Why a command was not obeyed."""

    NOT_FINITE = "not finite"
    FOREIGN = "for another vehicle"
    TOO_OLD = "stamped too old"
    AHEAD = "stamped in the future"
    OUT_OF_ORDER = "older than the one before"


@dataclass(frozen=True)
class Asked:
    """The last command of a driver that was not refused.

    Args:
        speed: forward speed [m/s].
        yaw_rate: turn to the left [rad/s].
        stamp: of its last well-dated command [s]; None where commands carry none.
        heard: when it came, on the steady clock [s].
        left, up: speeds to the left and upwards, of a drone [m/s].
    """

    speed: float
    yaw_rate: float
    stamp: float | None
    heard: float
    left: float = 0.0
    up: float = 0.0

    @property
    def velocity(self) -> Vector:
        """Forward, left, up [m/s]."""
        return self.speed, self.left, self.up


@dataclass(frozen=True)
class State:
    """What the vehicle was told last, who drives, and what the drivers want.

    Args:
        told: the setpoint put out last; a drone begins with `FlightSetpoint()`.
        told_at: steady time of it [s]; None before the first.
        stamp: of the command that `told` answers [s]; None without one, as in a stop ramp.
        driver: whose command `told` answers.
        policy, person: their last commands; None before the first.
        emergency: why the emergency stop is set; empty while it is not.
        pressed_at: steady time at which it was last asked for [s].
    """

    told: AnySetpoint = field(default_factory=Setpoint)
    told_at: float | None = None
    stamp: float | None = None
    driver: Driver = Driver.NOBODY
    policy: Asked | None = None
    person: Asked | None = None
    emergency: str = ""
    pressed_at: float = -math.inf

    def asked(self, driver: Driver) -> Asked | None:
        """The last command of the policy or the person."""
        return self.person if driver is Driver.PERSON else self.policy


def driving(limits: AnyLimits, state: State, now: float) -> Driver:
    """Who drives at the steady time `now` [s]."""
    if state.emergency:
        return Driver.EMERGENCY
    for driver in (Driver.PERSON, Driver.POLICY):
        if now <= _deadline(limits, state, driver):
            return driver
    return Driver.NOBODY


def accept(
    limits: AnyLimits,
    state: State,
    source: Driver,
    speed: float,
    yaw_rate: float,
    *,
    now: float,
    stamp: float | None = None,
    age: float | None = None,
    left: float = 0.0,
    up: float = 0.0,
    tilting: tuple[float, float] = (0.0, 0.0),
) -> tuple[State, Refusal | None]:
    """Judge a command of the policy or the person; put it out if it is theirs to drive.

    A command to stand still is obeyed whatever its stamp: refusing it is never the safe answer.

    Args:
        speed: asked forward speed [m/s].
        yaw_rate: asked turn to the left [rad/s].
        now: steady clock [s].
        stamp: time of the frame that the command answers [s]; None where commands carry none.
        age: `stamp` subtracted from its own clock [s]; None where that is not known.
        left, up: asked speeds to the left and upwards [m/s], which only a drone obeys.
        tilting: asked roll rate and pitch rate [rad/s], which no vehicle obeys.

    Returns:
        The new state and None; or the state as it was, and why the command was refused. The
        command was put out if `told_at` is `now`, else somebody else drives. A refused command
        does not delay a time-out.
    """
    velocity = speed, left, up
    if not all(map(math.isfinite, (*velocity, yaw_rate, *tilting))):
        return state, Refusal.NOT_FINITE
    if not rules.obeys(limits, velocity, tilting):
        return state, Refusal.FOREIGN
    # After a silence a clock that was set back (a simulator started again) is obeyed.
    heard = now <= _deadline(limits, state, source)
    latest = state.asked(source).stamp if heard else None
    refusal = _misdated(limits, latest, stamp, age)
    if refusal is not None:
        if any((*velocity, yaw_rate)):
            return state, refusal
        stamp = None
    asked = Asked(speed, yaw_rate, latest if stamp is None else stamp, now, left, up)
    state = replace(state, **{source.value: asked})
    if driving(limits, state, now) is not source:
        return state, None
    return _put_out(limits, state, source, stamp, now), None


def tick(limits: AnyLimits, state: State, now: float) -> State:
    """The state at the steady time `now` [s]: as it was, a step down a stop ramp, or handed over.

    Stop ramps brake along the path driven last, to a halt or a hover. A person who lets go hands
    over to the policy's last command, or to the stop ramp where the policy is silent as well.
    """
    driver = driving(limits, state, now)
    if driver is Driver.EMERGENCY:
        elapsed = now - state.told_at
        told = rules.slow(limits, state.told, limits.emergency_deceleration, elapsed)
    elif driver is Driver.NOBODY:
        # A ramp that begins late must still end as if it had begun at the time-out.
        begin = max(
            _deadline(limits, state, Driver.PERSON), _deadline(limits, state, Driver.POLICY)
        )
        told_at = now if state.told_at is None else state.told_at
        elapsed = now - max(begin, told_at)
        told = rules.slow(limits, state.told, limits.max_deceleration, elapsed)
    elif driver is state.driver:
        return state
    else:
        return _put_out(limits, state, driver, state.asked(driver).stamp, now)
    return replace(state, told=told, told_at=now, stamp=None, driver=driver)


def emergency_stop(state: State, reason: str, now: float) -> State:
    """Set the emergency stop at the steady time `now` [s]; it stays set until `release`."""
    if state.emergency:
        return replace(state, pressed_at=now)
    return replace(
        state, emergency=reason, pressed_at=now, told_at=now, stamp=None, driver=Driver.EMERGENCY
    )


def release(limits: AnyLimits, state: State, now: float) -> tuple[State, str]:
    """Release the emergency stop; the second value says why that was refused, else it is empty."""
    if not state.emergency:
        return state, ""
    if now - state.pressed_at <= limits.timeout:
        return state, "somebody still asks for it"
    if state.told.moving:
        return state, "the vehicle is still being stopped"
    return replace(state, emergency=""), ""


def resume(
    limits: AnyLimits, state: State, speed: float, left: float = 0.0, up: float = 0.0
) -> State:
    """Begin at the measured velocity [m/s]: a vehicle that still moves is not braked to 0 first.

    Only where nobody drives, and only with finite speeds, which are brought within the limits.
    """
    velocity = speed, left, up
    if state.driver is not Driver.NOBODY or not all(map(math.isfinite, velocity)):
        return state
    return replace(state, told=rules.measured(limits, state.told, velocity))


def _deadline(limits: AnyLimits, state: State, driver: Driver) -> float:
    """Until when a driver's last command counts [s]."""
    asked = state.asked(driver)
    silence = limits.intervention_timeout if driver is Driver.PERSON else limits.timeout
    return -math.inf if asked is None else asked.heard + silence


def _misdated(
    limits: AnyLimits, latest: float | None, stamp: float | None, age: float | None
) -> Refusal | None:
    if age is not None and not age <= limits.max_age:
        return Refusal.TOO_OLD
    if age is not None and age < -limits.max_age:
        return Refusal.AHEAD
    if stamp is not None and not math.isfinite(stamp):
        return Refusal.NOT_FINITE
    if stamp is not None and latest is not None and stamp < latest:
        return Refusal.OUT_OF_ORDER
    return None


def _put_out(
    limits: AnyLimits, state: State, driver: Driver, stamp: float | None, now: float
) -> State:
    # The stamps' own time makes the ramps right in a simulator that runs faster than the clock.
    if stamp is not None and state.stamp is not None:
        elapsed = max(stamp - state.stamp, 0.0)
        stamp = max(stamp, state.stamp)
    else:
        elapsed = 0.0 if state.told_at is None else now - state.told_at
    asked = state.asked(driver)
    elapsed = min(elapsed, limits.timeout)
    told = rules.follow(limits, state.told, asked.velocity, asked.yaw_rate, elapsed)
    return replace(state, told=told, told_at=now, stamp=stamp, driver=driver)
