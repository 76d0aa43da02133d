"""Emergency stop before person before policy; silence stops; a change of driver is smooth."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.safety import (
    CREEP,
    Driver,
    Limits,
    Refusal,
    Setpoint,
    State,
    accept,
    driving,
    emergency_stop,
    release,
    resume,
    tick,
)
from liquid_control.safety.arbiter import Asked

POLICY, PERSON, NOBODY, EMERGENCY = Driver.POLICY, Driver.PERSON, Driver.NOBODY, Driver.EMERGENCY
LIMITS = Limits()
ROLLING = Setpoint(speed=8.0, yaw_rate=0.16, curvature=0.02)
DRIVING = State(
    told=ROLLING,
    told_at=100.0,
    stamp=10.0,
    driver=POLICY,
    policy=Asked(8.0, 0.16, stamp=10.0, heard=100.0),
)
STOPPED = emergency_stop(State(), "a test", 0.0)
any_float = st.floats(allow_nan=True, allow_infinity=True)
sources = pytest.mark.parametrize("source", [POLICY, PERSON])


def drive(limits, state, seconds, policy=None, person=None, begin=100.0, period=0.02):
    """States of a while in which the given drivers command (speed, yaw rate) every period."""
    states = [state]
    for step in range(1, round(seconds / period) + 1):
        now = begin + step * period
        for source, asked in ((POLICY, policy), (PERSON, person)):
            if asked is not None:
                state, why = accept(limits, state, source, *asked, now=now, stamp=now - 90.0)
                assert why is None
        state = tick(limits, state, now)
        states.append(state)
    return states


# One driver


@sources
@pytest.mark.parametrize("speed", [math.nan, math.inf, -math.inf, 5.0])
@pytest.mark.parametrize("turn", [math.nan, math.inf, -math.inf])
def test_a_command_that_is_not_finite_is_refused_and_changes_nothing(source, speed, turn):
    assert accept(LIMITS, DRIVING, source, speed, turn, now=100.1) == (DRIVING, Refusal.NOT_FINITE)
    assert accept(LIMITS, DRIVING, source, turn, speed, now=100.1) == (DRIVING, Refusal.NOT_FINITE)


@sources
def test_stale_early_and_disordered_commands_are_refused_with_their_reason(source):
    state = replace(DRIVING, **{source.value: DRIVING.policy})

    def refusal(**times):
        after, why = accept(LIMITS, state, source, 9.0, 0.0, now=100.1, **times)
        assert after == state
        return why

    assert refusal(stamp=10.1, age=0.6) is Refusal.TOO_OLD
    assert refusal(stamp=10.1, age=math.nan) is Refusal.TOO_OLD
    assert refusal(stamp=10.1, age=-0.6) is Refusal.AHEAD
    assert refusal(stamp=9.9, age=0.1) is Refusal.OUT_OF_ORDER
    assert refusal(stamp=math.nan) is Refusal.NOT_FINITE


@sources
def test_a_stop_is_obeyed_whatever_its_stamp(source):
    state, why = accept(LIMITS, DRIVING, source, 0.0, 0.0, now=100.1, stamp=1.0, age=99.0)
    assert why is None
    assert (state.driver, state.told_at) == (source, 100.1)
    assert state.told.acceleration < 0.0
    later = tick(LIMITS, state, now=105.0).told
    assert later.speed == later.yaw_rate == 0.0


def test_a_stop_of_the_far_future_does_not_make_the_next_commands_disordered():
    state, _ = accept(LIMITS, DRIVING, POLICY, 0.0, 0.0, now=100.1, stamp=1e9, age=-1e9)
    state, why = accept(LIMITS, state, POLICY, 8.0, 0.0, now=100.13, stamp=10.03, age=0.1)
    assert why is None
    assert state.stamp == 10.03


def test_refused_commands_do_not_keep_the_vehicle_moving():
    state = DRIVING
    now = 100.0
    while now < 103.0:
        now += 0.02
        state, why = accept(LIMITS, state, POLICY, math.nan, 0.0, now=now, stamp=11.0)
        assert why is Refusal.NOT_FINITE
        state = tick(LIMITS, state, now)
    assert state.driver is NOBODY
    assert state.told.speed == 0.0


def test_silence_stops_the_vehicle_along_its_path_within_time_out_and_ramp():
    limits = Limits(timeout=0.25, max_deceleration=4.0)
    assert tick(limits, DRIVING, 100.25) == DRIVING
    state, now = DRIVING, 100.0
    while now < 100.0 + 0.25 + 8.0 / 4.0 + 0.02:
        now += 0.02
        before, state = state, tick(limits, state, now)
        assert before.told.speed - state.told.speed <= 4.0 * 0.02 + 1e-9
        if state.told.speed >= CREEP:
            expected = state.told.speed * ROLLING.curvature
            assert state.told.yaw_rate == pytest.approx(expected)
    assert state.told.speed == 0.0
    assert state.told.yaw_rate == 0.0


def test_a_ramp_that_is_looked_at_late_has_ended_in_time():
    state = tick(Limits(timeout=0.25, max_deceleration=4.0), DRIVING, 100.0 + 0.25 + 2.0)
    assert state.told.speed == 0.0


def test_a_clock_set_back_is_obeyed_again_once_the_vehicle_was_stopped():
    refused, why = accept(LIMITS, DRIVING, POLICY, 5.0, 0.0, now=100.1, stamp=0.1, age=0.0)
    assert why is Refusal.OUT_OF_ORDER
    stopped = tick(LIMITS, refused, now=102.0)
    state, why = accept(LIMITS, stopped, POLICY, 5.0, 0.0, now=102.05, stamp=0.2, age=0.0)
    assert why is None
    assert state.stamp == 0.2
    assert 0.0 < state.told.speed <= LIMITS.max_acceleration * 0.05 + 1e-9


def test_ramps_follow_the_stamps_where_a_simulator_outruns_the_clock():
    limits = Limits(max_jerk=1000.0)
    state, _ = accept(limits, DRIVING, POLICY, 15.0, 0.3, now=100.001, stamp=10.1, age=0.0)
    assert state.told.speed == pytest.approx(8.0 + limits.max_acceleration * 0.1, abs=0.01)


def test_a_leap_of_the_stamp_gains_no_more_than_one_time_out_of_ramp():
    limits = Limits(max_jerk=1000.0)
    state, _ = accept(limits, DRIVING, POLICY, 15.0, 0.3, now=100.001, stamp=99.0)
    gained = limits.max_acceleration * limits.timeout
    assert state.told.speed == pytest.approx(8.0 + gained, abs=0.01)


# A measured speed


def test_a_vehicle_that_still_rolls_goes_on_from_its_speed():
    state, _ = accept(LIMITS, resume(LIMITS, State(), 5.0), POLICY, 6.0, 0.0, now=1.0)
    assert state.told.speed == 5.0


@given(any_float)
def test_a_measured_speed_that_makes_no_sense_never_leads_beyond_the_limits(speed):
    limits = Limits(max_speed=4.0)
    for state in (State(), DRIVING, STOPPED):
        assert 0.0 <= resume(limits, state, speed).told.speed <= max(4.0, state.told.speed)
    assert resume(limits, DRIVING, speed) == DRIVING


# A person


def test_a_person_overrules_the_policy_and_the_vehicle_follows_smoothly():
    during = drive(LIMITS, DRIVING, 3.0, policy=(8.0, 0.16), person=(5.0, -0.2))
    assert all(state.driver is PERSON for state in during[1:])
    assert during[-1].told.speed == 5.0
    assert during[-1].told.yaw_rate == pytest.approx(-0.2)
    for before, after in itertools.pairwise(during):
        assert abs(after.told.acceleration - before.told.acceleration) <= 0.02 * 20.0 + 1e-9


def test_a_policy_is_heard_but_not_obeyed_while_a_person_drives():
    state, _ = accept(LIMITS, DRIVING, PERSON, 5.0, 0.0, now=100.05, stamp=10.05)
    after, why = accept(LIMITS, state, POLICY, 15.0, 0.9, now=100.06, stamp=10.06)
    assert why is None
    assert after.told == state.told
    assert after.told_at != 100.06
    assert after.policy == Asked(15.0, 0.9, stamp=10.06, heard=100.06)
    _, why = accept(LIMITS, after, POLICY, 15.0, 0.9, now=100.07, stamp=10.0)
    assert why is Refusal.OUT_OF_ORDER


def test_not_even_a_stop_of_the_policy_overrules_a_person():
    state, _ = accept(LIMITS, DRIVING, PERSON, 5.0, 0.0, now=100.05)
    after, _ = accept(LIMITS, state, POLICY, 0.0, 0.0, now=100.06)
    assert (after.driver, after.told) == (PERSON, state.told)


def test_a_silent_person_hands_over_to_the_last_command_of_the_policy():
    limits = Limits(intervention_timeout=0.4)
    during = drive(limits, DRIVING, 2.0, policy=(8.0, 0.0), person=(5.0, 0.0))[-1]
    assert driving(limits, during, 102.4) is PERSON
    handed = during
    for step in range(40):
        now = 102.0 + step * 0.02
        handed, _ = accept(limits, handed, POLICY, 8.0, 0.0, now=now, stamp=now - 90.0)
        if step == 20:
            assert handed.told == during.told
    assert handed.driver is POLICY
    silent, _ = accept(limits, during, POLICY, 8.0, 0.0, now=102.39, stamp=12.39)
    taken = tick(limits, silent, 102.41)
    assert (taken.driver, taken.stamp) == (POLICY, 12.39)
    assert 5.0 < taken.told.speed < 5.0 + 3.0 * 0.4


def test_a_person_and_a_policy_that_are_both_silent_leave_a_vehicle_that_stops():
    during = drive(LIMITS, DRIVING, 2.0, policy=(8.0, 0.0), person=(5.0, 0.0))[-1]
    stopped = drive(LIMITS, during, 2.0, begin=102.0)
    assert [state.driver for state in stopped].count(POLICY) == 0
    assert stopped[-1].driver is NOBODY
    assert stopped[-1].told.speed == 0.0


# The emergency stop


@pytest.mark.parametrize("person", [None, (9.0, 0.0)])
def test_an_emergency_stop_brakes_at_once_and_holds_until_it_is_released(person):
    state = emergency_stop(DRIVING, "a button", 100.01)
    first = tick(LIMITS, state, 100.02)
    assert first.told.speed == pytest.approx(8.0 - LIMITS.emergency_deceleration * 0.01)
    stopped = drive(LIMITS, state, 3.0, policy=(8.0, 0.0), person=person)
    for before, after in itertools.pairwise(stopped):
        assert after.driver is EMERGENCY
        assert after.told.speed <= before.told.speed
    assert stopped[-1].told == Setpoint(curvature=ROLLING.curvature)
    free, why = release(LIMITS, stopped[-1], 103.0)
    assert why == ""
    assert drive(LIMITS, free, 0.2, policy=(8.0, 0.0), begin=103.0)[-1].told.speed > 0.0


def test_a_release_is_refused_while_the_vehicle_moves_or_the_button_is_pressed():
    state = emergency_stop(DRIVING, "a button", 100.0)
    moving = tick(LIMITS, state, 100.5)
    assert release(LIMITS, moving, 100.5) == (moving, "the vehicle is still being stopped")
    halted = tick(LIMITS, state, 102.0)
    pressed = emergency_stop(halted, "again", 102.0)
    assert pressed.emergency == "a button"
    assert release(LIMITS, pressed, 102.1) == (pressed, "somebody still asks for it")
    assert release(LIMITS, pressed, 102.3)[0].emergency == ""
    assert release(LIMITS, DRIVING, 100.0) == (DRIVING, "")


def test_a_released_vehicle_with_silent_drivers_stays_where_it_is():
    halted = tick(LIMITS, emergency_stop(DRIVING, "a button", 100.0), 103.0)
    free, _ = release(LIMITS, halted, 103.0)
    assert all(state.told.speed == 0.0 for state in drive(LIMITS, free, 1.0, begin=103.0))


# Anything at all

times = st.floats(0.0, 1.0)
commanded = st.tuples(
    st.sampled_from([POLICY, PERSON]), any_float, any_float, st.none() | any_float, st.none()
)
sane = st.tuples(
    st.sampled_from([POLICY, PERSON]),
    st.floats(-20.0, 20.0),
    st.floats(-2.0, 2.0),
    st.none(),
    st.none() | st.floats(-0.6, 0.6),
)
events = st.lists(
    st.tuples(times, commanded | sane | st.sampled_from(["tick", "stop", "release"])), max_size=40
)


def follow(limits: Limits, state: State, now: float, event) -> State:
    if event == "stop":
        return emergency_stop(state, "a test", now)
    if event == "release":
        return release(limits, state, now)[0]
    if event == "tick":
        return tick(limits, state, now)
    source, speed, turn, stamp, age = event
    return accept(limits, state, source, speed, turn, now=now, stamp=stamp, age=age)[0]


@settings(deadline=None)
@given(events)
def test_whatever_comes_in_what_goes_out_is_finite_and_within_the_limits(happenings):
    limits = Limits(max_reverse_speed=1.0)
    state, now = State(), 0.0
    steepest = max(limits.max_deceleration, limits.emergency_deceleration)
    for step, event in happenings:
        now += step
        before, state = state, follow(limits, state, now, event)
        told = state.told
        assert all(map(math.isfinite, (told.speed, told.yaw_rate, told.acceleration)))
        assert -1.0 <= told.speed <= limits.max_speed
        assert abs(told.yaw_rate) <= limits.max_yaw_rate
        assert abs(told.curvature) <= limits.max_curvature
        assert abs(told.speed * told.yaw_rate) <= limits.max_lateral_acceleration * (1 + 1e-12)
        elapsed = now - (now if before.told_at is None else before.told_at)
        # Stamps may run ahead of the clock, by no more than a time-out a command.
        elapsed = max(elapsed, limits.timeout)
        gain = abs(told.speed) - abs(before.told.speed)
        assert -steepest * elapsed - 1e-9 <= gain <= limits.max_acceleration * limits.timeout + 1e-9


@settings(deadline=None)
@given(events)
def test_nothing_moves_from_an_emergency_stop_until_its_release(happenings):
    state, now = STOPPED, 0.0
    for step, event in happenings:
        now += step
        if event != "release":
            state = follow(LIMITS, state, now, event)
        assert state.told.speed == state.told.yaw_rate == 0.0
        assert driving(LIMITS, state, now) is EMERGENCY


@settings(deadline=None)
@given(events)
def test_once_all_are_silent_the_vehicle_stands_within_time_out_and_ramp(happenings):
    state, now = State(), 0.0
    for step, event in happenings:
        now += step
        state = follow(LIMITS, state, now, event)
    longest = max(LIMITS.timeout, LIMITS.intervention_timeout)
    # After the later time-out a policy may be handed its last command once more.
    state = tick(LIMITS, state, now + 0.9 * longest)
    ramp = LIMITS.max_speed / LIMITS.max_deceleration
    assert tick(LIMITS, state, now + longest + ramp + 0.01).told.speed == 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(times, sane), max_size=40))
def test_a_change_of_driver_never_jerks_the_vehicle_more_than_its_limit(happenings):
    # Nobody is silent for so long that a stop ramp, which knows no jerk limit, begins.
    limits = Limits(timeout=10.0, intervention_timeout=0.3)
    state, now = State(), 0.0
    for step, event in happenings:
        now += step / 10
        state = follow(limits, state, now, (POLICY, 5.0, 0.0, None, None))
        for what in (event, "tick"):
            before, state = state, follow(limits, state, now, what)
            elapsed = state.told_at - before.told_at
            change = state.told.acceleration - before.told.acceleration
            assert abs(change) <= limits.max_jerk * elapsed + 1e-6
            assert abs(state.told.speed - before.told.speed) <= 6.0 * elapsed + 1e-9
