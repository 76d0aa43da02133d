"""Offboard node: what the safety node lets pass, as set-points of a real flight controller.

It streams at a fixed rate whatever happens, because flight controllers leave offboard control when
set-points stop. Silence of the safety node, a command that makes no sense or a heading that is not
known any more become a hover. It never arms, takes off, lands or changes a mode.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node

from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.adapters.crazyflie import Crazyflie, heights
from liquid_control.ros.adapters.mavros import Mavros
from liquid_control.ros.adapters.px4 import Px4
from liquid_control.ros.adapters.setpoint import Pose, SetPoint
from liquid_control.ros.attitude import heading
from liquid_control.ros.diagnostics import ERROR, OK, Diagnostics, Window
from liquid_control.ros.one_publisher import OnePublisher
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import NEWEST, Stop, every, leave, run

__all__ = ["OffboardNode", "main"]

HOVER = SetPoint()
# With the newest command alone, one of a second publisher would hide that of the first.
_COMMANDS = 10


class OffboardNode(Node):
    """Subscribes `cmd_vel_safe` and, for heading and height, `odom` or `pose` (ENU); publishes the
    set-points of its `target` and `/diagnostics`.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__("offboard")
        target = declare(self, "target", "mavros", "flight controller: mavros, px4 or crazyflie")
        rate = declare(self, "rate", 30.0, "of the set-points [Hz]", 20.0, 200.0)
        self._timeout = declare(
            self, "timeout", 0.25, "silence of cmd_vel_safe after which it hovers [s]", 0.05, 2.0
        )
        self._pose_timeout = declare(
            self, "pose_timeout", 0.5, "age of the heading after which it hovers [s]", 0.05, 5.0
        )
        # Whatever the target, as one file of parameters may serve several vehicles.
        low, high = heights(self)
        if target == "mavros":
            self._adapter = Mavros(self)
        elif target == "px4":
            self._adapter = Px4(self, self._heard_pose)
        elif target == "crazyflie":
            self._adapter = Crazyflie(self, low, high)
        else:
            raise InputError(f"Parameter target must be mavros, px4 or crazyflie, got {target!r}.")
        self._asked, self._asked_at = HOVER, -math.inf
        self._pose, self._pose_at, self._pose_stamp = Pose(), -math.inf, -1
        self._trouble, self._refused, self._sent = "", 0, Window()
        self._ticked_at = time.monotonic()
        self._sender = OnePublisher(self, "cmd_vel_safe", self._timeout)
        self.create_subscription(TwistStamped, "cmd_vel_safe", self._on_command, _COMMANDS)
        self.create_subscription(Odometry, "odom", self._on_odometry, NEWEST)
        self.create_subscription(PoseStamped, "pose", self._on_pose, NEWEST)
        every(self, 1.0 / rate, self._tick)
        Diagnostics(self, target)
        self.get_logger().info(
            f"Streaming set-points to {target} at {rate:g} Hz; a pilot arms and takes off."
        )

    # In

    def _on_command(self, message: TwistStamped, info: Mapping[str, object]) -> None:
        now = time.monotonic()
        if not self._sender.admits(info, now):
            self._refused += 1
            return
        linear, angular = message.twist.linear, message.twist.angular
        velocity = linear.x, linear.y, linear.z
        if not all(map(math.isfinite, (*velocity, angular.x, angular.y, angular.z))):
            self._refused += 1
            self._asked = HOVER
            return
        self._sender.obeyed(info, now)
        self._asked, self._asked_at = SetPoint(velocity, angular.z), now

    def _on_odometry(self, message: Odometry) -> None:
        self._on_pose(PoseStamped(header=message.header, pose=message.pose.pose))

    def _on_pose(self, message: PoseStamped) -> None:
        stamp = conversion.nanoseconds(message.header.stamp)
        # Who repeats an old pose knows no more of the vehicle; 0 is no stamp at all.
        if stamp and stamp == self._pose_stamp:
            return
        self._pose_stamp = stamp
        turn, place = message.pose.orientation, message.pose.position
        self._heard_pose(Pose(heading((turn.x, turn.y, turn.z, turn.w)), place.z))

    def _heard_pose(self, pose: Pose) -> None:
        if math.isfinite(pose.yaw) and math.isfinite(pose.height):
            self._pose, self._pose_at = pose, time.monotonic()

    # Out

    def _tick(self) -> None:
        now = time.monotonic()
        elapsed, self._ticked_at = min(now - self._ticked_at, self._timeout), now
        asked, pose, trouble = self._asked, self._pose, ""
        if now - self._pose_at > self._pose_timeout:
            asked, pose, trouble = HOVER, Pose(), "no fresh odom or pose: hovering"
        if now - self._asked_at > self._timeout:
            asked, trouble = HOVER, trouble or "cmd_vel_safe is silent: hovering"
        stamp_ns = self.get_clock().now().nanoseconds
        silent = self._adapter.send(asked, pose, elapsed, stamp_ns)
        if not silent:
            self._sent.add(elapsed)
        self._say(silent or trouble)

    def _say(self, trouble: str) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble:
            self.get_logger().warning(f"Set-points: {trouble}.")
        else:
            self.get_logger().info("Set-points follow cmd_vel_safe.")

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        rate, _, _ = self._sent.report()
        values = {
            "rate_hz": rate,
            "refused": self._refused,
            "yaw_rad": self._pose.yaw,
            "height_m": self._pose.height,
        }
        if text := self._sender.report() or self._trouble:
            return ERROR, text, values
        return OK, "following", values

    def close(self) -> None:
        """The last set-point is a hover; the flight controller's own failsafe does the rest."""
        fresh = time.monotonic() - self._pose_at <= self._pose_timeout
        pose = self._pose if fresh else Pose()
        self._adapter.send(HOVER, pose, 0.0, self.get_clock().now().nanoseconds)


def main(arguments: list[str] | None = None) -> int:
    return run(OffboardNode, arguments)


if __name__ == "__main__":
    leave(main())
