"""A drone's setpoint keeps every limit at once; a stop ends in a hover; a car refuses to fly."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.errors import InputError
from liquid_control.safety import (
    Driver,
    FlightLimits,
    FlightSetpoint,
    Limits,
    Refusal,
    State,
    accept,
    emergency_stop,
    outgoing,
    release,
    rest,
    resume,
    tick,
)
from liquid_control.safety.flight import allowed, brake, limit

POLICY, PERSON, NOBODY, EMERGENCY = Driver.POLICY, Driver.PERSON, Driver.NOBODY, Driver.EMERGENCY
LIMITS = FlightLimits()
HOVER = FlightSetpoint()
quick = settings(deadline=None, max_examples=30)
any_speed = st.floats(-1e6, 1e6)
vectors = st.tuples(any_speed, any_speed, any_speed)
near = st.floats(-6.0, 6.0)
commands = st.lists(
    st.tuples(vectors | st.tuples(near, near, near), any_speed | near, st.floats(0.0, 1.0)),
    min_size=1,
    max_size=30,
)
any_limits = st.builds(
    FlightLimits,
    max_speed=st.floats(0.0, 30.0),
    max_lateral_speed=st.floats(0.0, 30.0),
    max_climb_speed=st.floats(0.0, 20.0),
    max_descent_speed=st.floats(0.0, 20.0),
    max_acceleration=st.floats(0.1, 30.0),
    max_jerk=st.floats(1.0, 1000.0),
    max_yaw_rate=st.floats(0.0, 20.0),
    max_yaw_acceleration=st.floats(0.0, 200.0),
)


def size(vector) -> float:
    return math.hypot(*vector)


def difference(after, before) -> float:
    return math.dist(after, before)


def within(limits: FlightLimits, velocity) -> bool:
    x, y, z = velocity
    return (
        math.hypot(x, y) <= limits.max_speed * (1 + 1e-12)
        and abs(y) <= limits.max_lateral_speed
        and -limits.max_descent_speed <= z <= limits.max_climb_speed
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_climb_speed": -1.0},
        {"max_lateral_speed": math.nan},
        {"max_acceleration": 0.0},
        {"max_jerk": 0.0},
        {"timeout": 0.0},
    ],
)
def test_limits_that_make_no_sense_are_refused_in_one_sentence(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        FlightLimits(**wrong)


def test_a_flight_that_is_too_fast_keeps_its_horizontal_direction():
    limits = FlightLimits(max_speed=2.0, max_lateral_speed=9.0, max_climb_speed=1.0)
    assert allowed(limits, (3.0, 4.0, 5.0)) == pytest.approx((1.2, 1.6, 1.0))
    assert allowed(limits, (0.5, -0.5, -0.5)) == (0.5, -0.5, -0.5)


@quick
@given(any_limits, commands)
def test_no_sequence_of_commands_leads_beyond_a_limit(limits, asked):
    told = HOVER
    for velocity, yaw_rate, step in asked:
        before, told = told, limit(limits, told, velocity, yaw_rate, step)
        assert all(map(math.isfinite, (*told.velocity, *told.acceleration, told.yaw_rate)))
        assert within(limits, told.velocity)
        assert size(told.acceleration) <= limits.max_acceleration + 1e-9
        gained = difference(told.velocity, before.velocity)
        assert gained <= limits.max_acceleration * step + 1e-6
        change = difference(told.acceleration, before.acceleration)
        assert change <= limits.max_jerk * step + 1e-5
        assert abs(told.yaw_rate) <= limits.max_yaw_rate
        turned = abs(told.yaw_rate - before.yaw_rate)
        assert turned <= limits.max_yaw_acceleration * step + 1e-9


@quick
@given(any_limits, commands, st.integers(2, 5))
def test_a_ramp_does_not_depend_on_how_often_it_is_looked_at(limits, asked, parts):
    told = HOVER
    for velocity, yaw_rate, step in asked[:3]:
        whole = limit(limits, told, velocity, yaw_rate, step)
        for _ in range(parts):
            told = limit(limits, told, velocity, yaw_rate, step / parts)
        assert told.velocity == pytest.approx(whole.velocity, abs=1e-5)
        assert told.acceleration == pytest.approx(whole.acceleration, abs=1e-3)
        told = whole


@quick
@given(any_limits, vectors)
def test_a_command_that_lasts_is_reached_without_going_past_it(limits, velocity):
    told, target = HOVER, allowed(limits, velocity)
    lag = 2 * limits.max_acceleration / limits.max_jerk
    distances = [size(target)]
    for _ in range(40):
        step = (size(target) / limits.max_acceleration + 20 * lag) / 40
        told = limit(limits, told, velocity, 0.0, step)
        distances.append(difference(told.velocity, target))
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(distances))
    assert distances[-1] <= 1e-4 * (1 + size(target))


def test_a_flight_within_the_limits_is_told_what_was_asked():
    told = HOVER
    for _ in range(300):
        told = limit(LIMITS, told, (2.0, -0.5, 0.5), 0.4, 0.02)
    assert told == FlightSetpoint((2.0, -0.5, 0.5), (0.0, 0.0, 0.0), 0.4)


@quick
@given(any_limits, commands, st.floats(0.5, 30.0))
def test_braking_goes_straight_on_to_a_hover_and_ends_in_time(limits, asked, deceleration):
    told = HOVER
    for velocity, yaw_rate, step in asked:
        told = limit(limits, told, velocity, yaw_rate, step)
    begin = told
    for _ in range(math.ceil(size(begin.velocity) / deceleration / 0.1) + 1):
        before, told = told, brake(limits, told, deceleration, 0.1)
        assert size(told.velocity) <= size(before.velocity)
        assert difference(told.velocity, before.velocity) <= 0.1 * deceleration + 1e-9
        cosine = sum(a * b for a, b in zip(told.velocity, begin.velocity, strict=True))
        assert cosine >= 0.0
        assert abs(told.yaw_rate) <= abs(before.yaw_rate)
    assert told.velocity == (0.0, 0.0, 0.0)


# Who flies: the same arbiter as a car's

FLYING = State(told=FlightSetpoint((2.0, 0.5, 0.5), yaw_rate=0.3), told_at=100.0, driver=POLICY)
any_float = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("limits", [LIMITS, Limits()], ids=["drone", "car"])
def test_a_command_with_any_number_that_is_not_finite_is_refused(limits, place, wrong):
    numbers = [0.0] * 6
    numbers[place] = wrong
    speed, yaw_rate, left, up, *tilting = numbers
    begin = State(told=rest(limits))
    after, why = accept(
        limits, begin, POLICY, speed, yaw_rate, now=1.0, left=left, up=up, tilting=tuple(tilting)
    )
    assert (after, why) == (begin, Refusal.NOT_FINITE)


def test_a_car_refuses_to_fly_and_nobody_tilts_by_command():
    for asked in ({"left": 0.1}, {"up": -0.1}, {"tilting": (0.1, 0.0)}, {"tilting": (0.0, 0.1)}):
        _, why = accept(Limits(), State(), PERSON, 1.0, 0.0, now=1.0, **asked)
        assert why is Refusal.FOREIGN
        _, why = accept(LIMITS, State(told=HOVER), PERSON, 1.0, 0.0, now=1.0, **asked)
        assert (why is None) == ("tilting" not in asked)


def test_a_drone_that_still_flies_goes_on_from_its_velocity():
    state = resume(LIMITS, State(told=HOVER), 1.0, -0.5, 9.0)
    assert state.told.velocity == (1.0, -0.5, LIMITS.max_climb_speed)
    assert resume(LIMITS, State(told=HOVER), 1.0, math.nan, 0.0).told == HOVER


def test_a_person_overrules_the_policy_and_an_emergency_stop_both_until_it_is_released():
    state, now = FLYING, 100.0

    def fly(seconds: float) -> list[State]:
        nonlocal state, now
        states = []
        for _ in range(round(seconds / 0.02)):
            now += 0.02
            state, _ = accept(LIMITS, state, POLICY, 2.0, 0.0, now=now, up=1.0)
            state, _ = accept(LIMITS, state, PERSON, 0.0, 0.5, now=now, left=-1.0)
            state = tick(LIMITS, state, now)
            states.append(state)
        return states

    by_hand = fly(3.0)
    assert {each.driver for each in by_hand} == {PERSON}
    assert by_hand[-1].told.velocity == pytest.approx((0.0, -1.0, 0.0), abs=1e-5)
    state = emergency_stop(state, "a button", now)
    stopped = fly(2.0)
    assert {each.driver for each in stopped} == {EMERGENCY}
    assert stopped[-1].told == HOVER
    state, why = release(LIMITS, state, now)
    assert why == ""
    assert fly(0.2)[-1].told.velocity[1] < 0.0


events = st.lists(
    st.tuples(
        st.floats(0.0, 1.0),
        st.sampled_from(["tick", "stop", "release", "measured"])
        | st.tuples(st.sampled_from([POLICY, PERSON]), *[any_float | near] * 4),
    ),
    max_size=40,
)


def happen(limits, state: State, now: float, event) -> State:
    if event == "stop":
        return emergency_stop(state, "a test", now)
    if event == "release":
        return release(limits, state, now)[0]
    if event == "tick":
        return tick(limits, state, now)
    if event == "measured":
        return resume(limits, state, 3.0, math.inf, -1.0)
    source, speed, turn, left, up = event
    return accept(limits, state, source, speed, turn, now=now, left=left, up=up)[0]


@quick
@given(events)
def test_whatever_comes_in_what_goes_out_is_finite_and_within_the_limits(happenings):
    state, now = State(told=HOVER), 0.0
    for step, event in happenings:
        now += step
        before, state = state, happen(LIMITS, state, now, event)
        velocity, yaw_rate = outgoing(LIMITS, state.told)
        assert within(LIMITS, velocity)
        assert abs(yaw_rate) <= LIMITS.max_yaw_rate
        if state.emergency and before.emergency:
            assert size(velocity) <= size(before.told.velocity)


@quick
@given(events)
def test_once_all_are_silent_the_drone_hovers_within_time_out_and_ramp(happenings):
    state, now = State(told=HOVER), 0.0
    for step, event in happenings:
        now += step
        state = happen(LIMITS, state, now, event)
    longest = max(LIMITS.timeout, LIMITS.intervention_timeout)
    # After the later time-out a policy may be handed its last command once more.
    state = tick(LIMITS, state, now + 0.9 * longest)
    fastest = math.hypot(LIMITS.max_speed, max(LIMITS.max_climb_speed, LIMITS.max_descent_speed))
    ramp = max(fastest / LIMITS.max_deceleration, LIMITS.max_yaw_rate / LIMITS.max_yaw_acceleration)
    assert tick(LIMITS, state, now + longest + ramp + 0.01).told == HOVER
