"""What the benchmarks of the nodes say follows from what they measured."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def measured(node: str, p99: float, lost: int = 0) -> dict:
    return {
        "node": node,
        "rate_hz": 60.0,
        "frames": 100,
        "lost": lost,
        "frame_to_command_ms": {"p50": 1.0, "p95": 2.0, "p99": p99},
        "inference_ms": {"p50": 3.0},
        "cores": {node: 0.5},
        "memory_mb": {node: 100.0},
    }


@pytest.mark.parametrize(("p99", "verdict"), [(10.0, "reached"), (10.1, "missed")])
def test_the_aim_is_the_echo_and_two_inferences(p99: float, verdict: str):
    for needed in ("rclpy", "psutil"):
        pytest.importorskip(needed)
    import latency

    (said,) = latency.aims([measured("echo", 4.0), measured("policy", p99, lost=7)])
    assert verdict in said
    assert "7 of 100 frames lost" in said


@pytest.mark.parametrize("slope", [0.0, 3.0, -2.0])
def test_the_growth_of_memory_is_found_with_its_interval(slope: float):
    for needed in ("rclpy", "psutil", "scipy"):
        pytest.importorskip(needed)
    import soak

    seconds = np.arange(0, 3600, 5.0)
    noise = np.random.default_rng(0).normal(0, 0.1, len(seconds))
    # What a process takes at its start is no growth.
    memory = 200 + slope * seconds / 3600 - 50 * np.exp(-seconds / 20) + noise
    found, low, high = soak.growth(seconds, memory)
    assert low < slope < high
    assert high - low < 0.2
    assert found == pytest.approx(slope, abs=0.1)
