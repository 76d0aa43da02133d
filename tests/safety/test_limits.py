"""Limits that make no sense are refused; a setpoint keeps every limit, whatever is asked."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liquid_control.errors import InputError
from liquid_control.safety import (
    CREEP,
    Limits,
    Setpoint,
    brake,
    driven_curvature,
    limit,
    without_dead_band,
)
from liquid_control.safety.ramps import jerk_limited

LIMITS = Limits()
any_speed = st.floats(-1e6, 1e6)
steps = st.floats(0.0, 1.0)
quick = settings(deadline=None, max_examples=50)
commands = st.lists(st.tuples(any_speed, any_speed, steps), min_size=1, max_size=30)


def positive(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, exclude_min=True)


any_limits = st.builds(
    Limits,
    max_speed=st.floats(0.0, 60.0),
    max_reverse_speed=st.floats(0.0, 60.0),
    max_acceleration=st.floats(0.0, 20.0),
    max_deceleration=positive(0.01, 20.0),
    max_jerk=positive(0.1, 1000.0),
    max_curvature=st.floats(0.0, 100.0),
    max_curvature_rate=st.floats(0.0, 1000.0),
    max_lateral_acceleration=st.floats(0.0, 50.0),
    max_yaw_rate=st.floats(0.0, 20.0),
    max_yaw_acceleration=st.floats(0.0, 200.0),
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_speed": -1.0},
        {"max_yaw_rate": math.nan},
        {"max_lateral_acceleration": math.inf},
        {"max_jerk": 0.0},
        {"max_deceleration": 0.0},
        {"timeout": 0.0},
        {"intervention_timeout": 0.0},
        {"max_age": 0.0},
    ],
)
def test_limits_that_make_no_sense_are_refused_in_one_sentence(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Limits(**wrong)


def test_a_speed_that_is_limited_keeps_the_path():
    slow = Limits(max_speed=5.0)
    told = limit(slow, Setpoint(speed=5.0, yaw_rate=0.1, curvature=0.02), 10.0, 0.2, 0.1)
    assert told.speed == 5.0
    assert told.yaw_rate / told.speed == pytest.approx(0.2 / 10.0)


def test_a_bend_is_driven_as_slowly_as_its_lateral_acceleration_asks_for():
    limits = Limits(max_lateral_acceleration=2.0)
    told = Setpoint()
    for _ in range(200):
        told = limit(limits, told, 15.0, 15.0 * 0.05, 0.05)
    assert told.curvature == 0.05
    assert told.speed == pytest.approx(math.sqrt(2.0 / 0.05))
    assert told.yaw_rate == pytest.approx(told.speed * 0.05)


def test_wheels_turn_no_further_than_a_speed_allows_that_still_falls_for_a_bend():
    told = Setpoint(speed=15.0)
    for _ in range(100):
        told = limit(LIMITS, told, 15.0, 15.0 * 0.1, 0.02)
        curvature = driven_curvature(LIMITS, told)
        assert told.speed**2 * curvature <= LIMITS.max_lateral_acceleration + 1e-9
        assert told.speed * curvature == pytest.approx(told.yaw_rate)
    assert curvature == pytest.approx(0.1)


def test_wheels_that_stand_keep_their_angle():
    assert driven_curvature(LIMITS, Setpoint(curvature=0.05)) == 0.05


def test_a_car_on_a_straight_is_as_fast_as_asked():
    told = Setpoint()
    for _ in range(200):
        told = limit(LIMITS, told, 12.0, 0.0, 0.05)
    assert told == Setpoint(speed=12.0)


def test_a_ramp_takes_the_time_that_speed_acceleration_and_jerk_allow():
    # 0 to 6 m/s at 3 m/s^2, and 3 / 10 s for each change of the acceleration.
    ramp = {"growth": 3.0, "braking": 6.0, "jerk": 10.0}
    assert jerk_limited(0.0, 0.0, 6.0, 2.0 + 0.3, **ramp) == pytest.approx((6.0, 0.0))
    assert jerk_limited(0.0, 0.0, 6.0, 2.0 + 0.4, **ramp) == (6.0, 0.0)
    speed, acceleration = jerk_limited(0.0, 0.0, 6.0, 2.0 + 0.3 - 0.1, **ramp)
    assert speed == pytest.approx(6.0 - 10.0 * 0.1**2 / 2.0)
    assert acceleration == pytest.approx(1.0)


@quick
@given(any_limits, commands)
@example(Limits(max_lateral_acceleration=0.0, max_yaw_acceleration=1.0), [(0, 1, 1), (1, 0, 0.5)])
def test_no_sequence_of_commands_leads_beyond_a_limit(limits, asked):
    told = Setpoint()
    for speed, yaw_rate, step in asked:
        before, told = told, limit(limits, told, speed, yaw_rate, step)
        assert -limits.max_reverse_speed <= told.speed <= limits.max_speed
        assert abs(told.yaw_rate) <= limits.max_yaw_rate
        assert abs(told.curvature) <= limits.max_curvature
        assert abs(told.speed * told.yaw_rate) <= limits.max_lateral_acceleration * (1 + 1e-12)
        gain = abs(told.speed) - abs(before.speed)
        assert gain <= limits.max_acceleration * step + 1e-9
        assert gain >= -limits.max_deceleration * step - 1e-9
        change = told.acceleration - before.acceleration
        assert abs(change) <= limits.max_jerk * step + 1e-6
        assert told.speed * before.speed >= 0.0
        path = told.curvature - before.curvature
        assert abs(path) <= limits.max_curvature_rate * step + 1e-9
        natural = told.curvature * told.speed - before.curvature * before.speed
        turn = abs(told.yaw_rate - before.yaw_rate)
        # The yaw rate also follows the speed where lateral acceleration bounds it.
        bound = limits.max_curvature * abs(told.speed - before.speed)
        assert turn <= abs(natural) + limits.max_yaw_acceleration * step + bound + 1e-6


@quick
@given(any_limits, commands, st.integers(2, 5))
def test_a_ramp_does_not_depend_on_how_often_it_is_looked_at(limits, asked, parts):
    speed, _, step = asked[0]
    whole = limit(limits, Setpoint(), speed, 0.0, step)
    told = Setpoint()
    for _ in range(parts):
        told = limit(limits, told, speed, 0.0, step / parts)
    assert told.speed == pytest.approx(whole.speed, abs=1e-6)
    assert told.acceleration == pytest.approx(whole.acceleration, abs=1e-4)


@quick
@given(any_limits, commands, positive(1.0, 100.0))
def test_braking_never_speeds_up_and_ends_in_time(limits, asked, deceleration):
    told = Setpoint()
    for speed, yaw_rate, step in asked:
        told = limit(limits, told, speed, yaw_rate, step)
    begin = told
    for _ in range(math.ceil(abs(begin.speed) / deceleration / 0.5) + 1):
        before, told = told, brake(limits, told, deceleration, 0.5)
        assert abs(told.speed) <= abs(before.speed)
        assert abs(told.yaw_rate) <= limits.max_yaw_rate
        assert told.curvature == begin.curvature
    assert told.speed == 0.0


def test_a_halt_after_a_stop_ramp_never_turns_into_driving_backwards():
    limits = Limits(max_reverse_speed=5.0, max_jerk=1.0)
    told = brake(limits, Setpoint(speed=1.0), limits.max_deceleration, 0.1)
    for _ in range(20):
        told = limit(limits, told, 1.0, 0.0, 0.02)
        assert told.speed >= 0.0


def test_a_change_of_direction_comes_to_a_halt_first():
    limits = Limits(max_reverse_speed=2.0)
    told, halted = Setpoint(speed=8.0), False
    for _ in range(200):
        told = limit(limits, told, -2.0, 0.0, 0.02)
        halted |= told.speed == 0.0
    assert halted
    assert told == Setpoint(speed=-2.0)


def test_a_turn_on_the_spot_fades_when_the_car_drives_off():
    told = Setpoint(yaw_rate=1.0)
    turns = [told.yaw_rate]
    for _ in range(100):
        told = limit(LIMITS, told, 8.0, 0.0, 0.02)
        turns.append(told.yaw_rate)
    assert turns[-1] == 0.0
    assert all(
        0.0 <= a - b <= LIMITS.max_yaw_acceleration * 0.02 + 1e-9
        for a, b in itertools.pairwise(turns)
    )


@given(st.floats(-20.0, 20.0), st.floats(-2.0, 2.0))
def test_what_lies_in_the_dead_band_is_put_out_as_nothing(speed, yaw_rate):
    limits = Limits(speed_dead_band=0.2, yaw_rate_dead_band=0.05)
    out, turn = without_dead_band(limits, Setpoint(speed=speed, yaw_rate=yaw_rate))
    assert out == (speed if abs(speed) >= 0.2 else 0.0)
    assert turn == (yaw_rate if abs(yaw_rate) >= 0.05 else 0.0)


def test_without_a_dead_band_everything_passes():
    told = Setpoint(speed=CREEP / 10, yaw_rate=1e-6)
    assert without_dead_band(LIMITS, told) == (told.speed, told.yaw_rate)
