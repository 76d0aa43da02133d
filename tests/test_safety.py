"""The vehicle stays within its limits and stops when commands are missing or make no sense."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.errors import InputError
from liquid_control.safety import CREEP, Limits, Refusal, State, accept, limit, tick

LIMITS = Limits()
DRIVING = State(
    speed=8.0, yaw_rate=0.16, curvature=0.02, stamp=10.0, heard=100.0, told=100.0, timed_out=False
)
any_float = st.floats(allow_nan=True, allow_infinity=True)
speeds = st.floats(-100.0, 100.0)
steps = st.floats(0.0, 1.0)


@pytest.mark.parametrize("speed", [math.nan, math.inf, -math.inf, 5.0])
@pytest.mark.parametrize("turn", [math.nan, math.inf, -math.inf])
def test_a_command_that_is_not_finite_is_refused_and_changes_nothing(speed, turn):
    assert accept(LIMITS, DRIVING, speed, turn, now=100.1) == (DRIVING, Refusal.NOT_FINITE)
    assert accept(LIMITS, DRIVING, turn, speed, now=100.1) == (DRIVING, Refusal.NOT_FINITE)


def test_stale_early_and_disordered_commands_are_refused_with_their_reason():
    def refusal(**times):
        state, why = accept(LIMITS, DRIVING, 9.0, 0.0, now=100.1, **times)
        assert state == DRIVING
        return why

    assert refusal(stamp=10.1, age=0.6) is Refusal.TOO_OLD
    assert refusal(stamp=10.1, age=math.nan) is Refusal.TOO_OLD
    assert refusal(stamp=10.1, age=-0.6) is Refusal.AHEAD
    assert refusal(stamp=9.9, age=0.1) is Refusal.OUT_OF_ORDER


def test_a_stop_is_obeyed_whatever_its_stamp():
    state, why = accept(LIMITS, DRIVING, 0.0, 0.0, now=100.1, stamp=1.0, age=99.0)
    assert why is None
    assert state.speed <= DRIVING.speed
    later = tick(LIMITS, state, now=105.0)
    assert later.speed == later.yaw_rate == 0.0


def test_refused_commands_do_not_keep_the_vehicle_moving():
    state = DRIVING
    now = 100.0
    while now < 103.0:
        now += 0.02
        state, why = accept(LIMITS, state, math.nan, 0.0, now=now, stamp=11.0)
        assert why is Refusal.NOT_FINITE
        state = tick(LIMITS, state, now)
    assert state.timed_out
    assert state.speed == 0.0


def test_silence_stops_the_vehicle_along_its_path_within_time_out_and_ramp():
    limits = Limits(timeout=0.25, max_deceleration=4.0)
    assert tick(limits, DRIVING, 100.25) == DRIVING
    state, now = DRIVING, 100.0
    while now < 100.0 + 0.25 + 8.0 / 4.0 + 0.02:
        now += 0.02
        before, state = state, tick(limits, state, now)
        assert before.speed - state.speed <= 4.0 * 0.02 + 1e-9
        if state.speed >= CREEP:
            assert state.yaw_rate == pytest.approx(state.speed * DRIVING.curvature)
    assert state.speed == 0.0
    assert state.yaw_rate == 0.0


def test_a_ramp_that_is_looked_at_late_has_ended_in_time():
    state = tick(Limits(timeout=0.25, max_deceleration=4.0), DRIVING, 100.0 + 0.25 + 2.0)
    assert state.speed == 0.0


def test_a_clock_set_back_is_obeyed_again_once_the_vehicle_was_stopped():
    refused, why = accept(LIMITS, DRIVING, 5.0, 0.0, now=100.1, stamp=0.1, age=0.0)
    assert why is Refusal.OUT_OF_ORDER
    stopped = tick(LIMITS, refused, now=102.0)
    state, why = accept(LIMITS, stopped, 5.0, 0.0, now=102.05, stamp=0.2, age=0.0)
    assert why is None
    assert state.stamp == 0.2
    assert 0.0 < state.speed <= LIMITS.max_acceleration * 0.05 + 1e-9


def test_ramps_follow_the_stamps_where_a_simulator_outruns_the_clock():
    state, _ = accept(LIMITS, DRIVING, 15.0, 0.3, now=100.001, stamp=10.1, age=0.0)
    assert state.speed == pytest.approx(8.0 + LIMITS.max_acceleration * 0.1)


def test_a_leap_of_the_stamp_gains_no_more_than_one_time_out_of_ramp():
    state, _ = accept(LIMITS, DRIVING, 15.0, 0.3, now=100.001, stamp=99.0)
    assert state.speed == pytest.approx(8.0 + LIMITS.max_acceleration * LIMITS.timeout)


def test_a_speed_that_is_limited_keeps_the_path():
    slow = Limits(max_speed=5.0)
    speed, yaw_rate, _ = limit(slow, State(curvature=0.02, speed=5.0), 10.0, 0.2, 0.1)
    assert speed == 5.0
    assert yaw_rate / speed == pytest.approx(0.2 / 10.0)


def test_a_change_of_direction_brakes_to_a_halt_first():
    limits = Limits(max_reverse_speed=2.0)
    state, passed_zero = DRIVING, False
    for step in range(200):
        state, _ = accept(limits, state, -2.0, 0.0, now=100.0 + step * 0.02)
        passed_zero |= state.speed == 0.0
    assert passed_zero
    assert state.speed == -2.0


@given(any_float, any_float, any_float, any_float, st.lists(st.tuples(speeds, speeds, steps)))
def test_whatever_comes_in_what_goes_out_is_finite_and_within_the_limits(
    speed, yaw_rate, stamp, age, more
):
    limits = Limits(max_reverse_speed=1.0)
    state, now = State(), 0.0
    for asked, turn, step in [(speed, yaw_rate, 0.1), *more]:
        now += step
        before = tick(limits, state, now)
        state, _ = accept(limits, before, asked, turn, now=now, stamp=stamp, age=age)
        assert math.isfinite(state.speed)
        assert math.isfinite(state.yaw_rate)
        assert -1.0 <= state.speed <= limits.max_speed
        assert abs(state.yaw_rate) <= limits.max_yaw_rate
        assert abs(state.speed) <= abs(before.speed) + limits.max_acceleration * limits.timeout


@given(st.lists(st.tuples(speeds, speeds, steps), min_size=1))
def test_speed_and_path_never_change_faster_than_allowed(commands):
    state = State()
    for asked, turn, step in commands:
        speed, yaw_rate, curvature = limit(LIMITS, state, asked, turn, step)
        assert speed - state.speed <= LIMITS.max_acceleration * step + 1e-9
        assert state.speed - speed <= LIMITS.max_deceleration * step + 1e-9
        assert abs(curvature - state.curvature) <= LIMITS.max_curvature_rate * step + 1e-9
        assert abs(curvature) <= LIMITS.max_curvature
        state = State(speed=speed, yaw_rate=yaw_rate, curvature=curvature)


@pytest.mark.parametrize(
    "wrong", [{"max_speed": -1.0}, {"max_yaw_rate": math.nan}, {"timeout": 0.0}, {"max_age": 0.0}]
)
def test_limits_that_make_no_sense_are_refused_in_one_sentence(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Limits(**wrong)
