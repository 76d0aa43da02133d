"""Whatever is asked of a vehicle and whenever, it is told nothing beyond its limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import strategies as st

from liquid_control.command import CURVATURE, SPEED, STEERING, VX, VY, VZ, YAW_RATE, CommandSpec
from liquid_control.safety import (
    AnyLimits,
    Driver,
    FlightLimits,
    FlightSetpoint,
    Limits,
    State,
    accept,
    emergency_stop,
    outgoing,
    release,
    rest,
    resume,
    tick,
)
from liquid_control.safety.limits import LEAST

TINY = 5e-324  # the smallest positive float
# Rounding: a share of a speed, and what is left of one that was divided by 1e308 [m/s].
ROUNDING, TRIFLE = 1 + 1e-9, 1e-12

odd = st.sampled_from([math.nan, math.inf, -math.inf, TINY, -TINY, -0.0, 1e308, -1e308, 1e-308])
floats = st.floats() | odd | st.floats(-20.0, 20.0)
times = st.none() | floats
# The steady clock never goes back, but may stand still or leap.
steps = st.floats(0.0, 1.0) | st.sampled_from([0.0, TINY, 1e-9, 1e9])
velocities = st.tuples(floats, floats, floats)
sources = st.sampled_from([Driver.POLICY, Driver.PERSON])
commands = st.tuples(
    st.just("command"),
    *(sources, floats, floats, times, times),
    st.just((0.0, 0.0)) | st.tuples(floats, floats),
    st.just((0.0, 0.0)) | st.tuples(floats, floats),
)
events = st.lists(
    st.tuples(
        steps,
        commands
        | st.just(("tick",))
        | st.tuples(st.just("resume"), velocities)
        | st.sampled_from([("stop",), ("release",)]),
    ),
    min_size=1,
    max_size=12,
)


def any_limits(kind: type[AnyLimits]) -> st.SearchStrategy[AnyLimits]:
    """Limits of a kind, each in its range; those that must be positive may be tiny."""
    return st.just(kind()) | st.builds(
        kind,
        **{
            item.name: st.floats(LEAST * (item.name in kind.positive), item.metadata["high"])
            for item in fields(kind)
        },
    )


def check_car(limits: Limits, state: State) -> None:
    told = state.told
    assert all(map(math.isfinite, (told.speed, told.acceleration, told.yaw_rate, told.curvature)))
    assert -limits.max_reverse_speed <= told.speed <= limits.max_speed
    assert abs(told.yaw_rate) <= limits.max_yaw_rate
    assert abs(told.curvature) <= limits.max_curvature
    (speed, left, up), yaw_rate = outgoing(limits, told)
    assert abs(speed) <= abs(told.speed)
    assert abs(yaw_rate) <= abs(told.yaw_rate)
    assert left == up == 0.0


def check_drone(limits: FlightLimits, state: State) -> None:
    told = state.told
    assert isinstance(told, FlightSetpoint)
    (forward, left, up), yaw_rate = outgoing(limits, told)
    assert all(map(math.isfinite, (forward, left, up, yaw_rate, *told.acceleration)))
    assert math.hypot(forward, left) <= limits.max_speed * ROUNDING + TRIFLE
    assert abs(left) <= limits.max_lateral_speed
    assert -limits.max_descent_speed <= up <= limits.max_climb_speed
    assert abs(yaw_rate) <= limits.max_yaw_rate


def after(limits: AnyLimits, state: State, event: tuple, now: float) -> State:
    kind, *values = event
    if kind == "command":
        source, speed, yaw_rate, stamp, age, (left, up), tilting = values
        more = {"stamp": stamp, "age": age, "left": left, "up": up, "tilting": tilting}
        new, refusal = accept(limits, state, source, speed, yaw_rate, now=now, **more)
        assert refusal is None or new == state
        return new
    if kind == "resume":
        return resume(limits, state, *values[0])
    if kind == "stop":
        return emergency_stop(state, "a person", now)
    if kind == "release":
        new, refused = release(limits, state, now)
        assert not refused or new == state
        return new
    return tick(limits, state, now)


@pytest.mark.cases(40, 15_000)
@pytest.mark.parametrize(("kind", "check"), [(Limits, check_car), (FlightLimits, check_drone)])
def test_no_sequence_of_commands_leads_beyond_the_limits(holds: Callable, kind, check):
    def within(limits, events):
        state, now = State(told=rest(limits)), 100.0
        for step, event in events:
            now += step
            before = state
            state = after(limits, state, event, now)
            check(limits, state)
            if before.emergency and state.emergency and event[0] != "resume":
                # Nothing that is asked makes a vehicle faster that is being stopped.
                fast = [math.hypot(*outgoing(limits, each.told)[0]) for each in (before, state)]
                assert fast[1] <= fast[0] * ROUNDING + TRIFLE

    holds(within, any_limits(kind), events)


SPECS = [CommandSpec((CURVATURE, SPEED)), CommandSpec((STEERING,))]
SPECS += [CommandSpec((VX, VY, VZ, YAW_RATE))]


@pytest.mark.cases(30, 15_000)
def test_a_policy_never_asks_for_more_than_its_specification(holds: Callable):
    def within(spec, values):
        command = spec.clip(np.array(values[: len(spec)], np.float64).astype(np.float32))
        unknown = np.isnan(values[: len(spec)])
        assert (np.isnan(command) == unknown).all()
        assert (command[~unknown] >= spec.low[~unknown]).all()
        assert (command[~unknown] <= spec.high[~unknown]).all()

    values = st.lists(st.floats(width=32), min_size=4, max_size=4)
    holds(within, st.sampled_from(SPECS), values)
