"""Where the rig lies that these tests share with `benchmarks/faults.py`."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from fault_rig.rig import untrained


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("models") / "untrained")
