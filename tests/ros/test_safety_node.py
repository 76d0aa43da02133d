"""The safety process passes good commands, refuses bad ones and stops without any."""

from __future__ import annotations

import math
import signal
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped

from liquid_control.ros.runtime import COMMAND

pytestmark = pytest.mark.ros


def moving(heard: list[TwistStamped]) -> bool:
    return bool(heard) and heard[-1].twist.linear.x > 0.0


def drive_until(probe, condition, speed=3.0, turn=0.3):
    """Command at 50 Hz, as a policy would, until a condition holds."""

    def look() -> bool:
        probe.send_command(speed, turn)
        return condition()

    probe.wait(look)


def test_commands_pass_within_limits_and_their_end_stops_the_vehicle(probe, start, end):
    child = start("safety", "-p", "max_speed:=2.0", "-p", "max_deceleration:=4.0")
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    drive_until(probe, lambda: heard and heard[-1].twist.linear.x == 2.0)
    assert heard[-1].twist.angular.z == pytest.approx(0.1 * 2.0)
    silent = time.monotonic()
    probe.wait(lambda: heard[-1].twist.linear.x == 0.0)
    # 0.25 s of time-out and 0.5 s of ramp; the rest is a busy machine.
    assert time.monotonic() - silent < 0.75 + 1.0
    speeds = [message.twist.linear.x for message in heard]
    assert max(speeds) == 2.0
    assert end(child, signal.SIGINT) == 0


def test_commands_that_are_not_finite_or_too_old_are_refused_and_said(probe, start):
    start("safety")
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    health = probe.listen(DiagnosticArray, "/diagnostics")
    drive_until(probe, lambda: moving(heard))

    def attack() -> bool:
        probe.send_command(math.nan, 0.0)
        probe.send_command(5.0, math.inf)
        old = probe.get_clock().now().nanoseconds - 60_000_000_000
        probe.send_command(5.0, 0.0, old)
        return heard[-1].twist.linear.x == 0.0

    probe.wait(attack)
    for message in heard:
        assert np.isfinite([message.twist.linear.x, message.twist.angular.z]).all()
    counts = {}

    def counted() -> bool:
        attack()
        for report in health:
            counts.update({item.key: item.value for item in report.status[0].values})
        return int(counts.get("not finite", 0)) > 0 and int(counts.get("stamped too old", 0)) > 0

    probe.wait(counted)


def test_a_simulated_clock_that_stands_still_does_not_freeze_the_time_out(probe, start):
    start("safety", "-p", "use_sim_time:=true")
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    stamp = 0

    def command() -> bool:
        nonlocal stamp
        stamp += 1_000_000
        probe.send_command(3.0, 0.0, stamp)
        return moving(heard)

    probe.wait(command)
    probe.wait(lambda: heard[-1].twist.linear.x == 0.0)


def test_a_killed_policy_leaves_a_vehicle_that_is_stopped(probe, start, model):
    start("safety")
    policy = start("policy", "-p", f"model:={model}", "-p", "speed:=3.0")
    heard = probe.listen(TwistStamped, "cmd_vel_safe", COMMAND)
    frame = np.zeros((78, 200, 3), np.uint8)

    def see() -> bool:
        probe.send_frame(frame, probe.get_clock().now().nanoseconds)
        return moving(heard)

    probe.wait(see, 40.0)
    policy.process.send_signal(signal.SIGKILL)
    assert policy.process.wait(5) == -signal.SIGKILL
    probe.wait(lambda: heard[-1].twist.linear.x == 0.0)


@pytest.mark.parametrize("wrong", ["max_speed:=-1.0", "timeout:=0.0", "max_speed:=fast"])
def test_a_parameter_that_makes_no_sense_ends_the_node_with_2(start, wrong):
    child = start("safety", "-p", wrong)
    assert child.process.wait(20) == 2
    assert wrong.split(":")[0] in child.last_words()
