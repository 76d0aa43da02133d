"""After each of these faults the vehicle is stopped, stays so, and somebody says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_rig.faults import FAULTS, strike
from fault_rig.rig import Rig

pytestmark = pytest.mark.ros

OWN = "liquid_control.ros.policy_node"
RAW = [name for name, fault in FAULTS.items() if not fault.compressed and fault.policy == OWN]
JPEG = [name for name, fault in FAULTS.items() if fault.compressed]


def test_bad_frames_and_a_killed_policy_stop_the_vehicle(model, tmp_path):
    """One fault of each kind; all of them take minutes."""
    with Rig(tmp_path, model) as rig:
        rig.start_all()
        strike(rig, FAULTS["truncated"])
        strike(rig, FAULTS["policy_killed"], heal=False)


@pytest.fixture(scope="module")
def rig(model, tmp_path_factory) -> Iterator[Rig]:
    """The vehicle of the faults that need nothing special; every fault leaves it driving."""
    with Rig(tmp_path_factory.mktemp("log"), model) as rig:
        yield rig.start_all()


@pytest.mark.slow
@pytest.mark.parametrize("name", RAW)
def test_every_fault_stops_the_vehicle(rig, name):
    strike(rig, FAULTS[name])


@pytest.fixture(scope="module")
def jpeg_rig(model, tmp_path_factory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("log"), model, compressed=True) as rig:
        yield rig.start_all()


@pytest.mark.slow
@pytest.mark.parametrize("name", JPEG)
def test_every_fault_of_compressed_frames_stops_the_vehicle(jpeg_rig, name):
    strike(jpeg_rig, FAULTS[name])


@pytest.mark.slow
def test_weights_that_turn_nan_in_memory_stop_the_vehicle(model, tmp_path):
    fault = FAULTS["nan_in_memory"]
    with Rig(tmp_path, model, policy=fault.policy) as rig:
        strike(rig.start_all(), fault)
