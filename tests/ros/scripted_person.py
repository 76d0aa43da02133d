"""A person who takes the simulated car at set times and follows the road; a process of its own.

They see what the world knows (`simulator/state`) and answer each frame once the policy has decided
on it, so that in lockstep nothing depends on the speed of the machine.
"""

from __future__ import annotations

import sys

from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState

from liquid_control.data.messages import read_named_vector
from liquid_control.ros import conversion
from liquid_control.ros.runtime import COMMAND, Stop, run

SPEED = 6.0  # [m/s], slower than the policy
# Their hands are on the car in these spans of the drive [s].
SPANS = ((2.5, 7.0), (9.5, 10.5))
_AHEAD = 8.0  # [m], pure pursuit


class Person(Node):
    def __init__(self, stop: Stop) -> None:
        super().__init__("person")
        self._begin: int | None = None
        self._seen: dict[int, dict[str, float]] = {}
        self._out = self.create_publisher(TwistStamped, "intervention", COMMAND)
        self.create_subscription(JointState, "simulator/state", self._see, 10)
        self.create_subscription(JointState, "policy/decision", self._act, 10)

    def _see(self, message: JointState) -> None:
        stamp = conversion.nanoseconds(message.header.stamp)
        values = read_named_vector(message)
        if self._begin is None and not values["waiting"]:
            self._begin = stamp
        self._seen = {stamp: values}

    def _act(self, message: JointState) -> None:
        stamp = conversion.nanoseconds(message.header.stamp)
        seen = self._seen.get(stamp)
        if seen is None or self._begin is None:
            return
        elapsed = (stamp - self._begin) * 1e-9
        if not any(begin <= elapsed < end for begin, end in SPANS):
            return
        back = seen["lateral_error"] / _AHEAD + seen["heading_error"]
        curvature = seen["curvature"] - 2.0 / _AHEAD * back
        self._out.publish(conversion.twist_stamped(SPEED, curvature * SPEED, stamp))


if __name__ == "__main__":
    sys.exit(run(Person))
