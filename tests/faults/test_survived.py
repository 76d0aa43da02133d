"""Faults that end no drive, and models that begin none; each is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_rig import survived
from fault_rig.rig import Rig

from liquid_control import models

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def rig(model, tmp_path_factory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("log"), model) as rig:
        yield rig.start_all()


def test_the_first_of_two_policies_is_obeyed(rig):
    survived.two_policies(rig)


def test_a_full_disk_ends_the_recording_alone(rig, tmp_path):
    with survived.small_disk(tmp_path / "disk") as disk:
        survived.disk_full(rig, disk)


def test_parameters_change_while_driving_where_they_fit(rig):
    survived.parameters_changed(rig)


def test_a_policy_that_was_stopped_is_not_obeyed_on_old_frames(rig):
    survived.continued(rig)


@pytest.fixture
def empty_rig(model, tmp_path) -> Iterator[Rig]:
    with Rig(tmp_path / "log", model) as rig:
        yield rig


def test_a_truncated_model_leaves_the_policy_unconfigured(empty_rig, model, tmp_path):
    broken = survived.truncate(model, tmp_path / "broken")
    survived.refused_model(empty_rig, broken, "truncated")


def test_a_model_of_nan_leaves_the_policy_unconfigured(empty_rig, model, tmp_path):
    broken = survived.poison(model, tmp_path / "broken")
    survived.refused_model(empty_rig, broken, "not finite")


def test_a_vehicle_whose_safety_node_is_killed_brakes_by_itself(tmp_path):
    with Rig(tmp_path, models.find("driving_v0_ncp").resolve()) as rig:
        survived.safety_killed(rig)


def test_a_policy_that_is_too_slow_makes_the_vehicle_crawl_at_most(rig):
    survived.policy_slowed(rig)
