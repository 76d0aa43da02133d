"""How the limits of an attention monitor are found, and how alarms are counted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import attention_monitor
import attention_rates


@pytest.mark.parametrize("chance", [0.3, 0.05, 0.002])
def test_a_limit_is_passed_as_often_as_it_should_be_though_few_drives_were_seen(chance):
    random = np.random.default_rng(0)
    limits = [attention_monitor._exceeded(random.exponential(size=80), chance) for _ in range(400)]
    # On average over what was seen; a single calibration may be off by more.
    assert np.exp(-np.median(limits)) == pytest.approx(chance, rel=0.3)


def test_an_alarm_that_goes_on_is_one_and_one_that_comes_again_is_two():
    alarm = [0, 0, 1, 1, 0, 1, 1, 1]
    assert attention_rates.alarms(np.array([[1.0, 5.0, each] for each in alarm])) == 2
    assert attention_rates.alarms(np.array([[1.0, 5.0, each] for each in [1, 1, 0]])) == 1


def test_no_alarm_in_an_hour_still_leaves_room_for_some():
    rate, low, high = attention_rates.rate_interval(0, 3600.0)
    assert (rate, low) == (0.0, 0.0)
    assert high == pytest.approx(3.689 / 6, rel=1e-3)


def test_what_was_said_before_a_disturbance_is_not_counted_as_noticing_it():
    step, at = 0.2, 20
    quiet = np.column_stack([np.ones(60), np.full(60, 5.0), np.zeros(60)])
    noticed, before = quiet.copy(), quiet.copy()
    noticed[at + 10 :, 2] = 1
    before[at - 3 :, 2] = 1
    runs = [(each, at, step) for each in (quiet, noticed, before)]
    found = attention_rates.noticed(runs, quiet)
    assert (found["drives"], found["noticed_in_5_s"]) == (2, 1)
    assert found["median_seconds"] == pytest.approx(2.0)
    assert found["area_under_roc"] == 0.5
