"""MAVROS: `setpoint_velocity/cmd_vel`, a velocity in the world (ENU).

MAVROS itself turns it into MAVLink's NED. Its parameter `setpoint_velocity/mav_frame` must be
LOCAL_NED, which is its default.
"""

from __future__ import annotations

from geometry_msgs.msg import TwistStamped
from rclpy.node import Node

from liquid_control.ros import conversion
from liquid_control.ros.adapters.setpoint import Pose, SetPoint
from liquid_control.ros.attitude import turned
from liquid_control.ros.runtime import COMMAND

__all__ = ["Mavros", "velocity_setpoint"]


def velocity_setpoint(asked: SetPoint, yaw: float, stamp_ns: int) -> TwistStamped:
    """A set-point for a vehicle with the heading `yaw` [rad, 0 to the east]."""
    east, north, up = turned(asked.velocity, yaw)
    return conversion.twist_stamped(east, asked.yaw_rate, stamp_ns, "map", left=north, up=up)


class Mavros:
    """Publishes `mavros/setpoint_velocity/cmd_vel`; without a heading a hover, which has none."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(
            TwistStamped, "mavros/setpoint_velocity/cmd_vel", COMMAND
        )

    def send(self, asked: SetPoint, pose: Pose, elapsed: float, stamp_ns: int) -> str:
        still = asked.velocity == (0.0, 0.0, 0.0)
        self._publisher.publish(velocity_setpoint(asked, 0.0 if still else pose.yaw, stamp_ns))
        return ""
