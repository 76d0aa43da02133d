"""The offboard process: set-points for MAVROS from safe velocities, a hover when in doubt."""

from __future__ import annotations

import itertools
import math

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.action import get_action_client_names_and_types_by_node

from liquid_control.ros import conversion
from liquid_control.ros.attitude import quaternion
from liquid_control.ros.runtime import COMMAND, SENSOR

pytestmark = pytest.mark.ros

SETPOINT = "mavros/setpoint_velocity/cmd_vel"
NORTH = quaternion(0.1, -0.2, math.pi / 2)


def linear(message: TwistStamped) -> tuple[float, float, float]:
    part = message.twist.linear
    return part.x, part.y, part.z


class Vehicle:
    """Sends odometry and safe velocities while it waits, and keeps what MAVROS is told."""

    def __init__(self, probe) -> None:
        self.probe = probe
        self.told = probe.listen(TwistStamped, SETPOINT)
        self.health = probe.listen(DiagnosticArray, "/diagnostics")
        self.odometry = probe.out(Odometry, "odom", SENSOR)
        self.command = probe.out(TwistStamped, "cmd_vel_safe", COMMAND)

    def fly(self, condition, velocity=(2.0, 0.0, 0.5), odometry=True, command=True, stamp=None):
        def look() -> bool:
            now = self.probe.get_clock().now().nanoseconds
            if odometry:
                self.odometry.publish(
                    conversion.odometry(
                        (0, 0, 1), NORTH, (0, 0, 0), 0.0, now if stamp is None else stamp, "odom"
                    )
                )
            if command:
                speed, left, up = velocity
                self.command.publish(conversion.twist_stamped(speed, 0.25, now, left=left, up=up))
            return condition()

        self.probe.wait(look)

    def hovers(self) -> bool:
        return self.told[-1].twist == TwistStamped().twist

    def flies(self) -> bool:
        return linear(self.told[-1]) == pytest.approx((0.0, 2.0, 0.5))

    def says(self, text: str) -> bool:
        return any(text in report.status[0].message for report in self.health)


@pytest.fixture(scope="module")
def offboard(start_shared):
    # Patient, as a busy machine may silence the probe for a while.
    settings = ("target:=mavros", "rate:=50.0", "timeout:=1.0")
    return start_shared("offboard", *(part for each in settings for part in ("-p", each)))


def test_a_nose_to_the_north_makes_forward_north_and_silence_of_either_input_a_hover(
    probe, offboard
):
    vehicle = Vehicle(probe)
    probe.wait(lambda: vehicle.told and vehicle.hovers() and vehicle.says("no fresh odom"))
    vehicle.fly(vehicle.flies)
    assert vehicle.told[-1].twist.angular.z == 0.25
    vehicle.fly(vehicle.hovers, odometry=False)
    vehicle.fly(vehicle.flies)
    vehicle.fly(vehicle.hovers, command=False)
    vehicle.fly(lambda: vehicle.says("cmd_vel_safe is silent"), command=False)
    stamps = [conversion.nanoseconds(message.header.stamp) * 1e-9 for message in vehicle.told]
    gaps = sorted(after - before for before, after in itertools.pairwise(stamps))
    # It streams whatever happens: 50 Hz here, at least 20 on the busiest machine.
    assert gaps[len(gaps) // 2] < 0.05


@pytest.mark.slow
def test_an_odometry_that_only_repeats_itself_is_none(probe, offboard):
    vehicle = Vehicle(probe)
    vehicle.fly(lambda: vehicle.told and vehicle.flies())
    vehicle.fly(vehicle.hovers, stamp=5_000_000_000)


def test_a_second_publisher_of_safe_velocities_does_not_take_turns_with_the_first(probe, offboard):
    vehicle = Vehicle(probe)
    vehicle.fly(lambda: vehicle.told and vehicle.flies())
    other = probe.create_publisher(TwistStamped, "cmd_vel_safe", COMMAND)
    probe.wait(lambda: other.get_subscription_count())
    vehicle.fly(lambda: vehicle.told and vehicle.flies())
    begin = len(vehicle.told)

    def refused() -> bool:
        other.publish(conversion.twist_stamped(-9.0, 0.0, 0))
        return vehicle.says("cmd_vel_safe has several publishers: /probe is obeyed")

    vehicle.fly(refused)
    assert all(linear(message)[1] >= 0.0 for message in vehicle.told[begin:])


@pytest.mark.slow
def test_a_velocity_that_is_not_finite_and_a_pose_without_attitude_are_a_hover(probe, offboard):
    vehicle = Vehicle(probe)
    poses = probe.out(PoseStamped, "pose", SENSOR)
    vehicle.fly(lambda: vehicle.told and vehicle.flies())
    vehicle.fly(vehicle.hovers, velocity=(math.nan, 0.0, 0.0))

    def broken() -> bool:
        now = probe.get_clock().now().nanoseconds
        poses.publish(conversion.pose((0, 0, 1), (0, 0, 0, 0), now))
        return vehicle.hovers()

    vehicle.fly(vehicle.flies)
    vehicle.fly(broken, odometry=False)
    assert all(map(math.isfinite, [n for message in vehicle.told for n in linear(message)]))


def test_it_has_no_way_to_arm_take_off_or_change_a_mode(probe, offboard):
    probe.wait(lambda: "offboard" in probe.get_node_names() and probe.count_publishers(SETPOINT))
    published = dict(probe.get_publisher_names_and_types_by_node("offboard", "/"))
    own = {"/parameter_events", "/rosout", "/diagnostics"}
    assert set(published) - own == {f"/{SETPOINT}"}
    assert probe.get_client_names_and_types_by_node("offboard", "/") == []
    assert get_action_client_names_and_types_by_node(probe, "offboard", "/") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ("target:=ardupilot", "ardupilot"),
        ("target:=px4", "px4_msgs"),
        ("target:=crazyflie", "crazyflie_interfaces"),
        ("rate:=5.0", "rate"),
    ],
)
def test_what_cannot_be_served_ends_the_node_with_2(start, wrong, word):
    child = start("offboard", "-p", wrong)
    assert child.process.wait(20) == 2
    assert word in child.last_words()
