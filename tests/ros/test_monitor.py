"""What the supervisor takes from the messages of a run."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from liquid_control.ros.monitor import Monitor


def test_dropped_frames_are_those_of_its_own_policy():
    rclpy.init()
    monitor = Monitor()
    try:
        for name, value in (("policy", "3"), ("car2/policy", "40"), ("camera", "5.0 %")):
            values = [KeyValue(key="dropped_frames", value=value)]
            status = DiagnosticStatus(name=name, values=values)
            monitor._on_diagnostics(DiagnosticArray(status=[status]))
        assert monitor.dropped == 3
    finally:
        monitor.destroy_node()
        rclpy.try_shutdown()
