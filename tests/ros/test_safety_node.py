"""The safety process passes good commands, refuses bad ones and stops without any."""

from __future__ import annotations

import math
import signal
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped, TwistWithCovariance
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from liquid_control.ros import conversion
from liquid_control.ros.attitude import in_body, quaternion
from liquid_control.ros.conversion import nanoseconds, twist, twist_stamped
from liquid_control.ros.runtime import COMMAND, LATCHED, SENSOR

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


@pytest.mark.parametrize(
    "wrong",
    [
        *("max_speed:=-1.0", "timeout:=0.0", "max_speed:=fast"),
        pytest.param("vehicle:=boat", marks=pytest.mark.slow),
    ],
)
def test_a_parameter_that_makes_no_sense_ends_the_node_with_2(start, wrong):
    child = start("safety", "-p", wrong)
    assert child.process.wait(20) == 2
    assert wrong.split(":")[0] in child.last_words()


# A person and the emergency stop


def both(probe, heard, condition, policy=3.0, person=1.5):
    """Policy and person command at once until a condition holds."""

    def look() -> bool:
        probe.send_command(policy)
        if person is not None:
            message = twist_stamped(person, 0.0, probe.get_clock().now().nanoseconds)
            probe.out(TwistStamped, "intervention", COMMAND).publish(message)
        return condition(heard[-1].twist.linear.x) if heard else False

    probe.wait(look)


def test_an_emergency_stop_by_service_is_said_and_outlasts_a_release_in_motion(probe, start):
    start("safety", "-p", "emergency_deceleration:=0.5")
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    health = probe.listen(DiagnosticArray, "/diagnostics")
    both(probe, heard, lambda speed: speed == 3.0, person=None)
    assert probe.call(Trigger, "safety/emergency_stop", Trigger.Request()).success
    refused = probe.call(Trigger, "safety/release", Trigger.Request())
    assert not refused.success
    assert refused.message
    probe.wait(lambda: health[-1].status[0].message.startswith("emergency stop by service"))
    assert health[-1].status[0].level == DiagnosticStatus.ERROR


def test_a_button_pressed_before_the_node_started_stops_the_vehicle(probe, start):
    button = probe.create_publisher(Bool, "emergency_stop", LATCHED)
    button.publish(Bool(data=True))
    start("safety")
    beats = probe.listen(JointState, "safety/state")
    probe.wait(lambda: beats and beats[-1].header.frame_id == "emergency stop")


# Below, all share one node: a second one would answer for it.


@pytest.fixture(scope="module")
def safety(start_shared):
    """One node for the tests that leave it as they found it."""
    return start_shared("safety")


def test_a_person_has_the_vehicle_until_they_let_go(probe, safety):
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    beats = probe.listen(JointState, "safety/state")
    both(probe, heard, lambda speed: speed == 3.0, person=None)
    probe.wait(lambda: beats[-1].header.frame_id == "policy")
    both(probe, heard, lambda speed: speed == 1.5 and beats[-1].header.frame_id == "person")
    both(probe, heard, lambda speed: speed == 3.0, person=None)
    probe.wait(lambda: beats[-1].header.frame_id == "policy")
    stamps = [nanoseconds(beat.header.stamp) * 1e-9 for beat in beats]
    # 20 Hz on a quiet machine; at least 10 are promised.
    assert np.median(np.diff(stamps)) < 0.1


@pytest.mark.parametrize("quality", [LATCHED, SENSOR], ids=["latched", "sensor"])
def test_an_emergency_stop_by_topic_holds_until_the_service_releases_it(probe, safety, quality):
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    beats = probe.listen(JointState, "safety/state")
    stopped = probe.listen(Bool, "safety/emergency_stopped", LATCHED)
    both(probe, heard, lambda speed: speed == 3.0, person=None)
    button = probe.out(Bool, "emergency_stop", quality)

    def pressed(speed: float) -> bool:
        # A best-effort press may get lost, so whoever presses holds the button.
        if quality is not LATCHED:
            button.publish(Bool(data=True))
        return speed == 0.0

    button.publish(Bool(data=True))
    both(probe, heard, pressed)
    probe.wait(lambda: stopped and stopped[-1].data)
    probe.wait(lambda: beats[-1].header.frame_id == "emergency stop")
    count = len(heard)
    probe.out(Bool, "emergency_stop", quality).publish(Bool(data=False))
    both(probe, heard, lambda _: len(heard) > count + 25)
    assert all(message.twist.linear.x == 0.0 for message in heard[count:])
    assert beats[-1].header.frame_id == "emergency stop"

    def released() -> bool:
        return probe.call(Trigger, "safety/release", Trigger.Request()).success

    probe.wait(released)
    both(probe, heard, lambda speed: speed == 3.0, person=None)
    probe.wait(lambda: not stopped[-1].data)


def test_a_button_is_heard_among_many_that_are_not_pressed(probe, safety):
    beats = probe.listen(JointState, "safety/state")
    others = probe.create_publisher(Bool, "emergency_stop", COMMAND)
    out = probe.out(Bool, "emergency_stop", COMMAND)
    probe.wait(lambda: others.get_subscription_count() == out.get_subscription_count())
    for _ in range(5):
        out.publish(Bool(data=True))
        for _ in range(100):
            others.publish(Bool(data=False))
        probe.wait(lambda: beats and beats[-1].header.frame_id == "emergency stop")
        probe.wait(lambda: probe.call(Trigger, "safety/release", Trigger.Request()).success)
        probe.wait(lambda: beats[-1].header.frame_id != "emergency stop")


def test_another_publisher_of_safe_commands_is_named(probe, safety):
    reports = probe.listen(DiagnosticArray, "/diagnostics")

    def texts() -> list[str]:
        return [each.message for report in reports for each in report.status]

    probe.wait(texts)
    assert not any("several publishers" in text for text in texts())
    rogue = probe.create_publisher(TwistStamped, "cmd_vel_safe", COMMAND)
    expected = "/cmd_vel_safe has several publishers, /probe, /safety: the vehicle may follow any"
    probe.wait(lambda: any(expected in text for text in texts()))
    probe.destroy_publisher(rogue)


def test_disordered_and_senseless_commands_of_a_person_are_refused(probe, safety):
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    beats = probe.listen(JointState, "safety/state")
    health = probe.listen(DiagnosticArray, "/diagnostics")
    out = probe.out(TwistStamped, "intervention", COMMAND)
    drive_until(probe, lambda: moving(heard))

    def attack() -> bool:
        probe.send_command(3.0)
        now = probe.get_clock().now().nanoseconds
        out.publish(twist_stamped(math.nan, 0.0, now))
        out.publish(twist_stamped(9.0, math.inf, now))
        out.publish(twist_stamped(9.0, 0.0, now - 60_000_000_000))
        values = {item.key: item.value for item in health[-1].status[0].values} if health else {}
        return int(values.get("not finite", 0)) > 0 and int(values.get("stamped too old", 0)) > 0

    probe.wait(attack)
    assert {beat.header.frame_id for beat in beats} <= {"nobody", "policy"}
    assert max(message.twist.linear.x for message in heard) <= 3.0


def test_odometry_that_makes_no_sense_moves_nothing(probe, safety):
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    out = probe.out(Odometry, "odom", SENSOR)
    probe.wait(lambda: heard and heard[-1].twist.linear.x == 0.0)
    heard.clear()

    def command() -> bool:
        for speed in (math.nan, math.inf):
            out.publish(Odometry(twist=TwistWithCovariance(twist=twist(speed, 0.0))))
        probe.send_command(1.0)
        return bool(heard) and heard[-1].twist.linear.x == 1.0

    probe.wait(command)
    assert all(0.0 <= message.twist.linear.x <= 1.0 for message in heard)


# Two vehicles' rules


def flight(probe, heard, condition, velocity=(1.0, -0.5, 0.5), turn=0.3, tilt=0.0):
    """Command a velocity at 50 Hz until a condition holds on what is told: (x, y, z), yaw rate."""
    out = probe.out(TwistStamped, "cmd_vel", COMMAND)

    def look() -> bool:
        speed, left, up = velocity
        now = probe.get_clock().now().nanoseconds
        message = twist_stamped(speed, turn, now, left=left, up=up)
        message.twist.angular.x = tilt
        out.publish(message)
        if not heard:
            return False
        told = heard[-1].twist
        return condition((told.linear.x, told.linear.y, told.linear.z), told.angular.z)

    probe.wait(look)


@pytest.mark.slow
def test_a_drone_flies_within_its_limits_and_stops_in_a_hover(probe, start, end):
    limits = ("vehicle:=drone", "max_speed:=2.0", "max_climb_speed:=0.25")
    child = start("safety", *(part for limit in limits for part in ("-p", limit)))
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    beats = probe.listen(JointState, "safety/state")
    flight(
        probe,
        heard,
        lambda told, turn: told == pytest.approx((1.0, -0.5, 0.25), abs=1e-3) and turn == 0.3,
    )
    flight(
        probe,
        heard,
        lambda told, turn: told[:2] == pytest.approx((1.6, -1.2), abs=1e-3),
        velocity=(4.0, -3.0, 0.0),
    )
    probe.wait(lambda: beats and beats[-1].header.frame_id == "policy")
    assert beats[-1].name[1:] == ["speed", "yaw_rate", "acceleration", "vx", "vy", "vz"]
    # Any number that is not finite, and a tilt that no command means, are silence.
    flight(probe, heard, lambda told, turn: told == (0.0, 0.0, 0.0), velocity=(1.0, 0.0, math.nan))
    flight(probe, heard, lambda told, turn: told != (0.0, 0.0, 0.0))
    flight(probe, heard, lambda told, turn: told == (0.0, 0.0, 0.0), tilt=0.1)
    flight(probe, heard, lambda told, turn: told != (0.0, 0.0, 0.0))
    probe.wait(lambda: heard[-1].twist == TwistStamped().twist)
    numbers = [getattr(m.twist.linear, axis) for m in heard for axis in "xyz"]
    assert np.isfinite(numbers).all()
    assert max(math.hypot(m.twist.linear.x, m.twist.linear.y) for m in heard) <= 2.0 + 1e-9
    assert end(child, signal.SIGINT) == 0


@pytest.mark.slow
def test_a_drone_in_flight_is_taken_up_at_its_measured_level_velocity(probe, start):
    start("safety", "-p", "vehicle:=drone")
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    odometry = probe.out(Odometry, "odom", SENSOR)
    turn = quaternion(0.0, 0.3, 1.0)
    measured = in_body((2.0, 0.0, 0.0), turn)

    def measure() -> None:
        now = probe.get_clock().now().nanoseconds
        odometry.publish(conversion.odometry((0, 0, 1), turn, measured, 0.0, now, "odom"))

    def flies(told, turn_rate) -> bool:
        measure()
        return told != (0.0, 0.0, 0.0)

    # While nobody flies it says at 50 Hz that it hovers; by then it has the odometry.
    probe.wait(lambda: measure() or len(heard) > 25)
    heard.clear()
    flight(probe, heard, flies, velocity=(2.0, 0.0, 0.0), turn=0.0)
    told = next(m.twist.linear for m in heard if m.twist != TwistStamped().twist)
    assert (told.x, told.y, told.z) == pytest.approx((2.0, 0.0, 0.0), abs=1e-9)


@pytest.mark.slow
def test_a_car_is_not_flown(probe, safety):
    heard = probe.listen(TwistStamped, "cmd_vel_safe")
    health = probe.listen(DiagnosticArray, "/diagnostics")
    drive_until(probe, lambda: moving(heard))

    def refused(told, turn) -> bool:
        counts = {i.key: i.value for report in health for i in report.status[0].values}
        return told[0] == 0.0 and int(counts.get("for another vehicle", 0)) > 0

    flight(probe, heard, refused, velocity=(3.0, 0.0, 0.1))
    assert all(m.twist.linear.y == m.twist.linear.z == 0.0 for m in heard)
