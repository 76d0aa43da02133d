"""What each flight controller is sent for a velocity; messages that are not installed have
stand-ins with the same fields."""

from __future__ import annotations

import importlib.machinery
import math
import sys
import types
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")

from liquid_control.errors import InputError
from liquid_control.ros.adapters import crazyflie, mavros, px4
from liquid_control.ros.adapters.setpoint import Pose, SetPoint

EAST, NORTH, SOUTH = 0.0, math.pi / 2, -math.pi / 2
STAMP = 1_795_319_438_180_744_491
FORWARD = SetPoint((2.0, 0.0, 0.0))
LEFT_TURN = SetPoint((0.0, 0.0, 0.0), 0.5)
HOVER = SetPoint()
speeds = st.floats(-20.0, 20.0)
setpoints = st.builds(SetPoint, st.tuples(speeds, speeds, speeds), st.floats(-3.0, 3.0))
yaws = st.floats(-math.pi, math.pi)


@dataclass
class TrajectorySetpoint:
    timestamp: int = 0
    position: list = field(default_factory=lambda: [0.0] * 3)
    velocity: list = field(default_factory=lambda: [0.0] * 3)
    acceleration: list = field(default_factory=lambda: [0.0] * 3)
    jerk: list = field(default_factory=lambda: [0.0] * 3)
    yaw: float = 0.0
    yawspeed: float = 0.0


@dataclass
class OffboardControlMode:
    timestamp: int = 0
    position: bool = True
    velocity: bool = False
    acceleration: bool = True
    attitude: bool = True
    body_rate: bool = True
    thrust_and_torque: bool = False
    direct_actuator: bool = False


@dataclass
class VehicleOdometry:
    q: list = field(default_factory=lambda: [math.nan] * 4)
    position: list = field(default_factory=lambda: [0.0] * 3)


@dataclass
class Hover:
    header: Any = None
    vx: float = 0.0
    vy: float = 0.0
    yaw_rate: float = 0.0
    z_distance: float = 0.0


def linear(message) -> tuple[float, float, float]:
    part = message.twist.linear
    return part.x, part.y, part.z


# MAVROS


def test_mavros_is_told_east_north_and_up():
    assert linear(mavros.velocity_setpoint(FORWARD, NORTH, STAMP)) == pytest.approx((0, 2, 0))
    assert linear(mavros.velocity_setpoint(FORWARD, EAST, STAMP)) == pytest.approx((2, 0, 0))
    to_the_left = SetPoint((0.0, 1.0, 0.5))
    assert linear(mavros.velocity_setpoint(to_the_left, NORTH, STAMP)) == pytest.approx(
        (-1, 0, 0.5)
    )
    assert mavros.velocity_setpoint(LEFT_TURN, SOUTH, STAMP).twist.angular.z == 0.5


@given(setpoints, yaws)
def test_a_rotation_changes_neither_speed_nor_climb(asked, yaw):
    x, y, z = linear(mavros.velocity_setpoint(asked, yaw, STAMP))
    assert math.hypot(x, y) == pytest.approx(math.hypot(*asked.velocity[:2]), abs=1e-9)
    assert z == asked.velocity[2]


# PX4


def test_px4_is_told_north_east_and_down():
    def velocity(asked, yaw):
        return px4.trajectory_setpoint(TrajectorySetpoint, asked, yaw, STAMP).velocity

    assert velocity(FORWARD, NORTH) == pytest.approx([2, 0, 0], abs=1e-12)
    assert velocity(FORWARD, EAST) == pytest.approx([0, 2, 0], abs=1e-12)
    assert velocity(SetPoint((0.0, 1.0, 0.0)), NORTH) == pytest.approx([0, -1, 0], abs=1e-12)
    assert velocity(SetPoint((0.0, 0.0, 0.7)), SOUTH) == pytest.approx([0, 0, -0.7], abs=1e-12)


def test_px4_turns_left_about_the_downward_axis_and_leaves_the_rest_free():
    message = px4.trajectory_setpoint(TrajectorySetpoint, LEFT_TURN, NORTH, STAMP)
    assert message.yawspeed == -0.5
    free = [message.yaw, *message.position, *message.acceleration, *message.jerk]
    assert all(map(math.isnan, free))
    assert message.timestamp == STAMP // 1000


def test_px4_is_told_that_velocities_come():
    mode = px4.control_mode(OffboardControlMode, STAMP)
    assert mode == OffboardControlMode(STAMP // 1000, False, True, False, False, False)


@given(setpoints, yaws)
def test_px4_and_mavros_mean_the_same_flight(asked, yaw):
    north, east, down = px4.trajectory_setpoint(TrajectorySetpoint, asked, yaw, STAMP).velocity
    enu = linear(mavros.velocity_setpoint(asked, yaw, STAMP))
    assert (east, north, -down) == pytest.approx(enu)


def test_the_heading_of_px4_is_read_in_its_own_axes():
    # To the east in NED: 90 degrees to the right of north, about the axis that points down.
    half = math.pi / 4
    east = VehicleOdometry([math.cos(half), 0.0, 0.0, math.sin(half)], [5.0, 7.0, -1.5])
    pose = px4.pose_of(east)
    assert (pose.yaw, pose.height) == pytest.approx((EAST, 1.5))
    assert math.isnan(px4.pose_of(VehicleOdometry()).yaw)


class FakeNode:
    """Keeps what is published, by topic, and the callbacks."""

    def __init__(self) -> None:
        self.sent: dict[str, list] = {}
        self.callbacks: dict[str, Any] = {}

    def create_publisher(self, kind: type, topic: str, quality: Any) -> SimpleNamespace:
        self.sent[topic] = []
        return SimpleNamespace(publish=self.sent[topic].append)

    def create_subscription(self, kind: type, topic: str, callback: Any, quality: Any) -> None:
        self.callbacks[topic] = callback

    def declare_parameter(self, name: str, default: float, descriptor: Any) -> SimpleNamespace:
        return SimpleNamespace(value=default)


@pytest.fixture
def installed(monkeypatch):
    """Pretends that a package of messages is installed."""

    def install(package: str, *kinds: type) -> None:
        module, messages = types.ModuleType(package), types.ModuleType(f"{package}.msg")
        module.__spec__ = importlib.machinery.ModuleSpec(package, None)
        for kind in kinds:
            setattr(messages, kind.__name__, kind)
        module.msg = messages
        monkeypatch.setitem(sys.modules, package, module)
        monkeypatch.setitem(sys.modules, f"{package}.msg", messages)

    return install


def test_px4_gets_mode_and_set_point_together_and_a_hover_needs_no_heading(installed):
    installed("px4_msgs", OffboardControlMode, TrajectorySetpoint, VehicleOdometry)
    node, poses = FakeNode(), []
    adapter = px4.Px4(node, poses.append)
    adapter.send(FORWARD, Pose(NORTH, 1.0), 0.03, STAMP)
    adapter.send(HOVER, Pose(), 0.03, STAMP)
    modes, points = (
        node.sent[f"fmu/in/{name}"] for name in ("offboard_control_mode", "trajectory_setpoint")
    )
    assert len(modes) == len(points) == 2
    assert points[0].velocity == pytest.approx([2, 0, 0], abs=1e-12)
    assert [*points[1].velocity, points[1].yawspeed] == [0.0] * 4
    node.callbacks["fmu/out/vehicle_odometry"](VehicleOdometry([1.0, 0.0, 0.0, 0.0]))
    assert poses == [Pose(pytest.approx(NORTH), 0.0)]


@pytest.mark.parametrize(
    "adapter",
    [lambda node: px4.Px4(node, print), lambda node: crazyflie.Crazyflie(node, 0.3, 1.5)],
)
def test_messages_that_are_not_installed_are_named(adapter):
    with pytest.raises(InputError, match="not installed"):
        adapter(FakeNode())


# Crazyflie


def test_a_crazyflie_is_sent_nothing_until_it_flies_and_nothing_once_it_landed(installed):
    installed("crazyflie_interfaces", Hover)
    node = FakeNode()
    adapter, sent = crazyflie.Crazyflie(node, 0.3, 1.5), node.sent
    climb = SetPoint((0.5, 0.2, 1.0), 0.3)
    for pose in (Pose(), Pose(EAST, 0.0), Pose(EAST, 0.1)):
        assert "take off" in adapter.send(climb, pose, 0.05, STAMP)
    assert sent["cmd_hover"] == []
    assert adapter.send(climb, Pose(EAST, 0.5), 0.05, STAMP) == ""
    first = sent["cmd_hover"][-1]
    assert (first.vx, first.vy, first.yaw_rate) == (0.5, 0.2, 0.3)
    assert first.z_distance == pytest.approx(0.55)
    # The pose is lost: the height stays what it was.
    adapter.send(HOVER, Pose(), 0.05, STAMP)
    assert sent["cmd_hover"][-1].z_distance == pytest.approx(0.55)
    assert "take off" in adapter.send(climb, Pose(EAST, 0.02), 0.05, STAMP)
    assert len(sent["cmd_hover"]) == 2


climbs = st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(0.0, 0.3)), min_size=1, max_size=30)


@given(climbs, st.floats(0.15, 5.0))
def test_a_height_stays_within_its_limits_and_near_the_measured_one(steps, measured):
    height = None
    for climb, elapsed in steps:
        height = crazyflie.next_height(height, climb, elapsed, measured, 0.3, 1.5)
        assert 0.3 <= height <= 1.5
        near = min(max(measured, 0.3), 1.5)
        assert abs(height - near) <= crazyflie.LEAD + 1e-9


def test_a_steady_climb_is_followed_as_it_is_flown():
    height, measured = None, 0.5
    for _ in range(10):
        height = crazyflie.next_height(height, 0.4, 0.1, measured, 0.3, 1.5)
        measured = height
    assert height == pytest.approx(0.9)
