"""The simulated vehicle's pose on `/tf`, where tf2_msgs is installed (PyPI has no wheel of it)."""

from __future__ import annotations

import importlib.util

from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node

from liquid_control.ros.conversion import header
from liquid_control.ros.runtime import LATCHED

__all__ = ["Transforms"]


class Transforms:
    """Publishes odom -> base_link for every odometry message, and map -> odom once (REP-105).

    Without tf2_msgs it publishes nothing. Topics are relative names, so that a namespace keeps
    several cars apart.
    """

    def __init__(self, node: Node) -> None:
        self._publisher = None
        if not importlib.util.find_spec("tf2_msgs"):
            return
        from tf2_msgs.msg import TFMessage

        self._message = TFMessage
        self._publisher = node.create_publisher(TFMessage, "tf", 100)
        self._static = node.create_publisher(TFMessage, "tf_static", LATCHED)
        # Simulated odometry does not drift: the two frames are one.
        identity = TransformStamped(header=header(0, "map"), child_frame_id="odom")
        identity.transform.rotation.w = 1.0
        self._static.publish(TFMessage(transforms=[identity]))

    def publish(self, odometry: Odometry) -> None:
        if self._publisher is None:
            return
        transform = TransformStamped(header=odometry.header, child_frame_id=odometry.child_frame_id)
        position = odometry.pose.pose.position
        transform.transform.translation.x = position.x
        transform.transform.translation.y = position.y
        transform.transform.translation.z = position.z
        transform.transform.rotation = odometry.pose.pose.orientation
        self._publisher.publish(self._message(transforms=[transform]))
