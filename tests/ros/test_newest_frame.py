"""A policy that is slower than its camera decides on the newest frame, and counts the others."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState

from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.policy import Policy
from liquid_control.ros import conversion

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(180)]

MS = 1_000_000
FRAME = np.random.default_rng(2).integers(0, 256, (78, 200, 3), np.uint8)


@pytest.fixture
def slow_model(tmp_path):
    """Its solver takes so many steps that a decision takes many frames."""
    torch.manual_seed(0)
    policy = Policy(CommandSpec((CURVATURE,)))
    policy.circuit.unfolds = 100_000
    policy.save(tmp_path / "slow")
    return tmp_path / "slow"


def test_a_slow_policy_skips_frames_and_never_falls_behind(probe, start, slow_model):
    child = start("policy", "-p", f"model:={slow_model}", "-p", "max_gap:=5.0")
    probe.wait(lambda: probe.count_publishers("policy/decision"), 90.0)
    decisions = probe.listen(JointState, "policy/decision")
    reports = probe.listen(DiagnosticArray, "/diagnostics")
    sent, behind, due, heard = 0, [], 0.0, 0

    def drive() -> bool:
        nonlocal sent, due, heard
        if time.monotonic() >= due:
            due = time.monotonic() + 0.005
            sent += 1
            probe.send_frame(FRAME, sent * 5 * MS)
        if len(decisions) > heard:
            heard = len(decisions)
            behind.append(sent - conversion.nanoseconds(decisions[-1].header.stamp) // (5 * MS))
        return heard >= 25

    probe.wait(drive, 90.0)
    numbers = [conversion.nanoseconds(each.header.stamp) // (5 * MS) for each in decisions]
    steps = np.diff(numbers[3:])
    # A decision takes several frames; when it is out, as many have come as it took, not more.
    assert np.median(steps) >= 3
    late, early = np.median(behind[-8:]), np.median(behind[3:11])
    assert late <= 2 * early + 3, behind
    assert np.median(behind[3:]) <= 2 * np.median(steps) + 3, (behind, steps)

    def counted() -> bool:
        values = [{pair.key: pair.value for pair in each.status[0].values} for each in reports]
        return any(int(value.get("dropped_frames", 0)) >= 0.5 * numbers[-1] for value in values)

    probe.wait(counted)
    assert child.code is None
