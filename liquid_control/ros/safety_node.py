"""Safety node: passes `cmd_vel` on as `cmd_vel_safe` within limits, and stops without it.

It is a process of its own, so that it outlives the policy, and its time-outs run on the steady
clock, so that a simulator that dies does not freeze them. Every rule is in `liquid_control.safety`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node

from liquid_control import safety
from liquid_control.ros import conversion, parameters
from liquid_control.ros.diagnostics import ERROR, OK, WARN, Diagnostics
from liquid_control.ros.runtime import COMMAND, NEWEST, Stop, deliver, every, run

__all__ = ["SafetyNode", "main"]

# Speed of a measurement that is still used when a drive is taken up again [s].
_FRESH = 0.2


class SafetyNode(Node):
    """Subscribes `cmd_vel` and, optionally, `odom`; publishes `cmd_vel_safe` and `/diagnostics`.

    Parameters: every field of `safety.Limits`, and `rate`, `stamped`.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__("safety")
        self._limits = parameters.declare_limits(self)
        rate = parameters.declare(
            self, "rate", 50.0, "how often time-outs are looked at [Hz]", 10.0, 500.0
        )
        self._stamped = parameters.declare(
            self, "stamped", True, "TwistStamped on cmd_vel and cmd_vel_safe; else Twist"
        )
        kind = TwistStamped if self._stamped else Twist
        self._state = safety.State()
        self._measured: tuple[float, float] | None = None
        self._counts: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._last_refusal = ""
        self._publisher = self.create_publisher(kind, "cmd_vel_safe", COMMAND)
        self.create_subscription(kind, "cmd_vel", self._on_command, COMMAND)
        self.create_subscription(Odometry, "odom", self._on_odometry, NEWEST)
        every(self, 1.0 / rate, self._on_timer)
        Diagnostics(self)
        self.get_logger().info(
            f"Commands pass up to {self._limits.max_speed} m/s; silence of "
            f"{self._limits.timeout} s stops the vehicle."
        )

    def _on_odometry(self, message: Odometry) -> None:
        self._measured = (time.monotonic(), message.twist.twist.linear.x)

    def _on_command(self, message: TwistStamped | Twist) -> None:
        now = time.monotonic()
        stamp = age = None
        asked = message
        if self._stamped:
            asked = message.twist
            stamp_ns = conversion.nanoseconds(message.header.stamp)
            stamp = stamp_ns * 1e-9
            age = (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        before = self._resumed(now)
        state, refusal = safety.accept(
            self._limits, before, asked.linear.x, asked.angular.z, now=now, stamp=stamp, age=age
        )
        if refusal is not None:
            self._counts[refusal.value] += 1
            self._last_refusal = refusal.value
            self.get_logger().warning(
                f"Refused a command that is {refusal.value} (speed {asked.linear.x}, yaw rate "
                f"{asked.angular.z}, age {age} s).",
                throttle_duration_sec=1.0,
            )
            return
        if self._state.timed_out:
            self.get_logger().info("Commands come in; the vehicle may move.")
        self._counts["passed"] += 1
        same = state.speed == asked.linear.x and abs(state.yaw_rate - asked.angular.z) < 1e-9
        self._counts["limited"] += not same
        self._state = state
        self._publish(conversion.nanoseconds(message.header.stamp) if self._stamped else 0)

    def _resumed(self, now: float) -> safety.State:
        """The state to go on from: a vehicle that rolls is not braked to 0 first."""
        if self._state.timed_out and self._measured and now - self._measured[0] < _FRESH:
            return replace(self._state, speed=self._measured[1])
        return self._state

    def _on_timer(self) -> None:
        state = safety.tick(self._limits, self._state, time.monotonic())
        if state.timed_out and not self._state.timed_out:
            self._counts["timeouts"] += 1
            self.get_logger().warning(
                f"No command for {self._limits.timeout} s; the vehicle is being stopped."
            )
        self._state = state
        if state.timed_out:
            self._publish(self.get_clock().now().nanoseconds)

    def _publish(self, stamp_ns: int) -> None:
        self._publisher.publish(self._message(self._state.speed, self._state.yaw_rate, stamp_ns))

    def _message(self, speed: float, yaw_rate: float, stamp_ns: int) -> TwistStamped | Twist:
        if self._stamped:
            return conversion.twist_stamped(speed, yaw_rate, stamp_ns)
        return conversion.twist(speed, yaw_rate)

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        recent = self._counts - self._reported
        self._reported = self._counts.copy()
        values = {
            "speed": self._state.speed,
            "yaw_rate": self._state.yaw_rate,
            **{key: self._counts[key] for key in ("passed", "limited", "timeouts")},
            **{refusal.value: self._counts[refusal.value] for refusal in safety.Refusal},
        }
        if self._state.timed_out:
            return ERROR, "no commands: stopped", values
        if any(recent[refusal.value] for refusal in safety.Refusal):
            return WARN, f"refused commands: {self._last_refusal}", values
        return OK, "passing commands", values

    def close(self) -> None:
        deliver(self._publisher, self._message(0.0, 0.0, self.get_clock().now().nanoseconds))


def main(arguments: list[str] | None = None) -> int:
    return run(SafetyNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
