"""Commands: limits, signs, conversions and the way to JSON and back."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.command import (
    CURVATURE,
    SPEED,
    STEERING,
    CommandSpec,
    Output,
    curvature_from_wheel_angle,
    curvature_from_yaw_rate,
    wheel_angle,
    yaw_rate,
)
from liquid_control.errors import InputError

SPEC = CommandSpec((CURVATURE, SPEED))
finite = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(finite, finite), min_size=1))
def test_clipped_commands_lie_within_their_limits_and_others_are_untouched(rows):
    command = np.array(rows, np.float32)
    clipped = SPEC.clip(command)
    assert clipped.dtype == np.float32
    assert (clipped >= SPEC.low).all()
    assert (clipped <= SPEC.high).all()
    inside = (command >= SPEC.low) & (command <= SPEC.high)
    assert np.array_equal(clipped[inside], command[inside])


def test_nan_is_not_hidden_by_clipping():
    assert np.isnan(SPEC.clip([np.nan, 3.0])[0])


def test_a_specification_survives_json():
    assert CommandSpec.from_dict(json.loads(json.dumps(SPEC.to_dict()))) == SPEC
    assert SPEC.names == ("curvature", "speed")
    assert len(CommandSpec((STEERING,))) == 1


@pytest.mark.parametrize(
    "fields", [{}, {"outputs": 3}, {"outputs": [{"name": "x"}]}, {"outputs": [{"colour": 1}]}, []]
)
def test_a_spoilt_specification_is_refused_with_a_sentence(fields):
    with pytest.raises(InputError, match="list 'outputs'"):
        CommandSpec.from_dict(fields)


@pytest.mark.parametrize("outputs", [(), (SPEED, SPEED)])
def test_outputs_need_different_names(outputs):
    with pytest.raises(InputError, match="different names"):
        CommandSpec(outputs)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (math.nan, 1)])
def test_limits_must_be_ordered(low, high):
    with pytest.raises(InputError, match="low < high"):
        Output("x", "1", low, high)


@given(st.floats(-0.5, 0.5), st.floats(0.1, 50))
def test_curvature_survives_the_way_over_the_yaw_rate(curvature, speed):
    assert curvature_from_yaw_rate(yaw_rate(curvature, speed), speed) == pytest.approx(curvature)


@given(st.floats(-0.5, 0.5), st.floats(0.1, 5))
def test_curvature_survives_the_way_over_the_wheel_angle(curvature, wheelbase):
    angle = wheel_angle(curvature, wheelbase)
    assert curvature_from_wheel_angle(angle, wheelbase) == pytest.approx(curvature, abs=1e-12)
    assert math.copysign(1, angle) == math.copysign(1, curvature)


def test_left_is_positive_and_standing_still_has_no_curvature():
    assert yaw_rate(0.05, 10) == pytest.approx(0.5)
    assert curvature_from_yaw_rate(0.5, 10) == pytest.approx(0.05)
    assert curvature_from_yaw_rate(0.5, 0.01) == 0.0
