"""Who may command on a topic with several publishers."""

from __future__ import annotations

import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node

from liquid_control.ros.one_publisher import OnePublisher
from liquid_control.ros.runtime import COMMAND

pytestmark = pytest.mark.ros


@pytest.fixture
def hear(probe):
    """Publishes on one of two publishers and gives the info that came with the message."""
    infos: list = []
    probe.create_subscription(
        TwistStamped, "cmd_vel", lambda message, info: infos.append(info), COMMAND
    )
    outs = [probe.create_publisher(TwistStamped, "cmd_vel", COMMAND) for _ in range(2)]
    probe.wait(lambda: all(out.get_subscription_count() for out in outs))
    probe.wait(lambda: probe.count_publishers("cmd_vel") == 2)

    def publish(number: int) -> dict:
        count = len(infos)
        outs[number].publish(TwistStamped())
        probe.wait(lambda: len(infos) > count)
        return infos[-1]

    return publish


def test_the_first_is_obeyed_until_it_is_silent(probe, hear):
    gate = OnePublisher(probe, "cmd_vel", 0.25)
    first, second = hear(0), hear(1)
    if not first.get("publisher_gid"):
        pytest.skip("this rclpy does not tell who published a message")
    assert gate.admits(first, 0.0)
    # What is not obeyed (it may be misdated) gives no claim to the topic.
    assert gate.admits(second, 0.1)
    gate.obeyed(second, 0.1)
    assert not gate.admits(first, 0.2)
    assert gate.admits(second, 0.3)
    gate.obeyed(second, 0.3)
    assert "/probe is obeyed, /probe refused" in gate.report()
    assert gate.report() == ""
    assert gate.admits(first, 0.6)


def test_nobody_is_obeyed_where_publishers_cannot_be_told_apart(probe, hear):
    gate = OnePublisher(probe, "cmd_vel", 0.25)
    nameless = {key: value for key, value in hear(0).items() if key != "publisher_gid"}
    assert not gate.admits(nameless, 0.0)
    assert "2 publishers: none is obeyed" in gate.report()


def test_publishers_are_also_counted_where_the_topic_has_another_name(probe):
    renamed = Node("renamed", cli_args=["--ros-args", "-r", "cmd_vel:=asked"])
    gate = OnePublisher(renamed, "cmd_vel", 0.25)
    assert gate.admits({}, 0.0)
    for _ in range(2):
        probe.create_publisher(TwistStamped, "asked", COMMAND)
    probe.wait(lambda: not gate.admits({}, 0.0))
    renamed.destroy_node()
