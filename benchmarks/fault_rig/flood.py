"""Publishes harmless messages on one topic, or calls one service, a thousand times a second.

python -m fault_rig.flood --ros-args -p target:=odom
"""

from __future__ import annotations

import time
from collections.abc import Callable

from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool

from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import COMMAND, SENSOR, Stop, every, leave, run

TARGETS = ("cmd_vel", "intervention", "emergency_stop", "odom", "joy", "parameters")
# Timers of 1 ms come late; what is due then is made up for.
_PERIOD = 0.002


class Flood(Node):
    """Begins when somebody listens; says every second how many messages it sent."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("flood")
        target = declare(self, "target", "odom", f"one of {', '.join(TARGETS)}")
        self._rate = declare(self, "rate", 1000.0, "messages per second", 1.0, 10_000.0)
        if target not in TARGETS:
            raise InputError(f"Parameter target must be one of {TARGETS}, got {target!r}.")
        self._sent, self._began = 0, time.monotonic()
        self._send = self._sender(target)
        every(self, _PERIOD, self._tick)
        every(
            self, 1.0, lambda: self.get_logger().info(f"{self._sent} sent in {self._age():.1f} s")
        )

    def _sender(self, target: str) -> Callable[[int], None]:
        if target == "parameters":
            client = self.create_client(SetParameters, "policy/set_parameters")
            while not client.wait_for_service(1.0):
                pass
            value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True)
            request = SetParameters.Request(
                parameters=[Parameter(name="black_frames", value=value)]
            )
            # An answer that is not waited for must not pile up here.
            return lambda now: client.call_async(request).add_done_callback(
                lambda done: client.remove_pending_request(done)
            )
        kind, quality = {
            "cmd_vel": (TwistStamped, COMMAND),
            "intervention": (TwistStamped, COMMAND),
            "emergency_stop": (Bool, COMMAND),
            "odom": (Odometry, SENSOR),
            "joy": (Joy, SENSOR),
        }[target]
        out = self.create_publisher(kind, target, quality)

        def message(now: int) -> object:
            if target in ("cmd_vel", "intervention"):
                return conversion.twist_stamped(3.0, 0.0, now)
            if target == "emergency_stop":
                return Bool(data=False)
            if target == "joy":
                return Joy(header=conversion.header(now), axes=[0.0] * 8, buttons=[0] * 12)
            moving = Odometry(header=conversion.header(now, "odom"))
            moving.twist.twist = conversion.twist(3.0, 0.0)
            return moving

        return lambda now: out.publish(message(now))

    def _age(self) -> float:
        return time.monotonic() - self._began

    def _tick(self) -> None:
        due = self._age() * self._rate
        while self._sent < due:
            self._send(time.time_ns())
            self._sent += 1


def main(arguments: list[str] | None = None) -> int:
    return run(Flood, arguments)


if __name__ == "__main__":
    leave(main())
