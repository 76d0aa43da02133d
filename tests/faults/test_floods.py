"""A flood of any input leaves the vehicle within its limits and stoppable, and no process grows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_rig.floods import TARGETS, flooded
from fault_rig.rig import Rig

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def rig(model, tmp_path_factory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("log"), model) as rig:
        yield rig.start_all()


@pytest.mark.parametrize("target", TARGETS)
def test_a_flood_leaves_the_vehicle_safe(rig, target):
    flooded(rig, target)
