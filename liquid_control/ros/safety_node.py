"""Safety node: the only one that talks to the vehicle, through `cmd_vel_safe`.

It is a process of its own, so that it outlives the policy, and its time-outs run on the steady
clock, so that a simulator that dies does not freeze them. Every rule is in `liquid_control.safety`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial

from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from liquid_control import safety
from liquid_control.command import wheel_angle
from liquid_control.errors import InputError
from liquid_control.ros import ackermann, conversion, parameters
from liquid_control.ros.attitude import level
from liquid_control.ros.diagnostics import ERROR, OK, WARN, Diagnostics
from liquid_control.ros.one_publisher import OnePublisher
from liquid_control.ros.runtime import (
    COMMAND,
    LATCHED,
    NEWEST,
    SENSOR,
    Stop,
    deliver,
    every,
    leave,
    run,
    waiting,
)
from liquid_control.safety import Driver

__all__ = ["SafetyNode", "main"]

# Speed of a measurement that is still used when a drive is taken up again [s].
_FRESH = 0.2
# A button that is pressed must not be lost behind others that are not, which say so more often:
# with the newest message alone, a thousand of them a second hid it from a busy node.
_BUTTONS = 1000
_CHANGES = {
    Driver.POLICY: "The policy drives.",
    Driver.PERSON: "A person drives.",
}


class SafetyNode(Node):
    """Subscribes `cmd_vel` of the policy, `intervention` of a person, `emergency_stop` (true sets
    it, false does nothing) and, optionally, `odom`; publishes `cmd_vel_safe`, `/diagnostics`,
    `~/emergency_stopped` (latched), and its heartbeat `~/state`: who drives (`frame_id`) and what
    the vehicle is told.

    A car's commands also go out as `ackermann_cmd_safe` where ackermann_msgs is installed.

    Services: `~/emergency_stop`, `~/release`.
    Parameters: `vehicle`, every field of its limits (`safety.Limits`, `safety.FlightLimits`), and
    `rate`, `heartbeat_rate`, `stamped`, `wheelbase`.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__("safety")
        vehicle = parameters.declare(self, "vehicle", "car", "whose rules apply: car or drone")
        if vehicle not in safety.VEHICLES:
            raise InputError(f"Parameter vehicle must be car or drone, got {vehicle!r}.")
        self._limits = parameters.declare_limits(self, safety.VEHICLES[vehicle])
        self._wheelbase = parameters.declare(
            self, "wheelbase", 2.7, "of the car, for ackermann_cmd_safe [m]", 0.01, 20.0
        )
        rate = parameters.declare(
            self, "rate", 50.0, "how often time-outs are looked at [Hz]", 10.0, 500.0
        )
        heartbeat = parameters.declare(
            self, "heartbeat_rate", 20.0, "how often ~/state is published [Hz]", 10.0, 100.0
        )
        self._stamped = parameters.declare(
            self, "stamped", True, "TwistStamped on cmd_vel and cmd_vel_safe; else Twist"
        )
        self._flies = vehicle == "drone"
        self._state = safety.State(told=safety.rest(self._limits))
        self._stamps_ns: Counter[Driver] = Counter()
        self._measured_at, self._measured = -math.inf, (0.0, 0.0, 0.0)
        self._counts: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._last_refusal = ""
        self._senders = {
            Driver.POLICY: OnePublisher(self, "cmd_vel", self._limits.timeout),
            Driver.PERSON: OnePublisher(self, "intervention", self._limits.intervention_timeout),
        }
        kind = TwistStamped if self._stamped else Twist
        self._publisher = self.create_publisher(kind, "cmd_vel_safe", COMMAND)
        self._ackermann_type = None if self._flies else ackermann.message_type()
        if self._ackermann_type is not None:
            self._ackermann = self.create_publisher(
                self._ackermann_type, "ackermann_cmd_safe", COMMAND
            )
        self._state_out = self.create_publisher(JointState, "~/state", 10)
        self._stopped_out = self.create_publisher(Bool, "~/emergency_stopped", LATCHED)
        self.create_subscription(kind, "cmd_vel", partial(self._on_command, Driver.POLICY), COMMAND)
        self.create_subscription(
            TwistStamped, "intervention", partial(self._on_command, Driver.PERSON), COMMAND
        )
        # A button that offers less than is asked for would not be heard at all, and one that was
        # pressed before this node started is to be heard as well.
        self._buttons: list[Subscription] = []
        quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
        for quality in (SENSOR, COMMAND, LATCHED):
            every_one = QoSProfile(
                depth=_BUTTONS, reliability=quality.reliability, durability=quality.durability
            )
            self._buttons += [
                self.create_subscription(
                    Bool, "emergency_stop", self._on_emergency, every_one, event_callbacks=quiet
                )
            ]
        self.create_subscription(Odometry, "odom", self._on_odometry, NEWEST)
        self.create_service(Trigger, "~/emergency_stop", self._on_emergency_service)
        self.create_service(Trigger, "~/release", self._on_release)
        every(self, 1.0 / rate, self._on_timer)
        every(self, 1.0 / heartbeat, self._beat)
        Diagnostics(self)
        self._stopped_out.publish(Bool(data=False))
        self.get_logger().info(
            f"Commands pass up to {self._limits.max_speed} m/s; silence of "
            f"{self._limits.timeout} s stops the vehicle."
        )

    # Commands

    def _on_odometry(self, message: Odometry) -> None:
        speed, turn = message.twist.twist.linear, message.pose.pose.orientation
        velocity = speed.x, speed.y, speed.z
        if self._flies:
            velocity = level(velocity, (turn.x, turn.y, turn.z, turn.w))
        self._measured_at, self._measured = time.monotonic(), velocity

    def _on_command(
        self, source: Driver, message: TwistStamped | Twist, info: Mapping[str, object]
    ) -> None:
        now = time.monotonic()
        if not self._senders[source].admits(info, now):
            self._counts["other_publisher"] += 1
            return
        stamp = age = None
        stamp_ns, asked = 0, message
        if isinstance(message, TwistStamped):
            asked = message.twist
            stamp_ns = conversion.nanoseconds(message.header.stamp)
            stamp = stamp_ns * 1e-9
            age = (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        before = self._state
        if now - self._measured_at < _FRESH:
            before = safety.resume(self._limits, before, *self._measured)
        state, refusal = safety.accept(
            self._limits,
            before,
            source,
            asked.linear.x,
            asked.angular.z,
            now=now,
            stamp=stamp,
            age=age,
            left=asked.linear.y,
            up=asked.linear.z,
            tilting=(asked.angular.x, asked.angular.y),
        )
        if refusal is not None:
            self._counts[refusal.value] += 1
            self._last_refusal = f"{source}: {refusal}"
            self.get_logger().warning(
                f"Refused a command of the {source} that is {refusal} (velocity {asked.linear.x}, "
                f"{asked.linear.y}, {asked.linear.z}, yaw rate {asked.angular.z}, age {age} s).",
                throttle_duration_sec=1.0,
            )
            return
        self._senders[source].obeyed(info, now)
        self._stamps_ns[source] = stamp_ns
        self._become(state)
        if state.driver is not source or state.told_at != now:
            self._counts["overruled"] += 1
            return
        self._counts["passed"] += 1
        told = (*safety.outgoing(self._limits, state.told)[0], state.told.yaw_rate)
        wanted = asked.linear.x, asked.linear.y, asked.linear.z, asked.angular.z
        self._counts["limited"] += math.dist(told, wanted) > 1e-9
        self._publish(stamp_ns)

    def _on_timer(self) -> None:
        before = self._state
        self._become(safety.tick(self._limits, before, time.monotonic()))
        if self._state is not before:
            now_ns = self.get_clock().now().nanoseconds
            self._publish(self._stamps_ns.get(self._state.driver, now_ns))

    def _become(self, state: safety.State) -> None:
        before, self._state = self._state.driver, state
        if state.driver is before:
            return
        self._counts["timeouts"] += state.driver is Driver.NOBODY
        if before is Driver.NOBODY:
            self.get_logger().info("Commands come in; the vehicle may move.")
        if state.driver in _CHANGES:
            self.get_logger().info(_CHANGES[state.driver])
        elif state.driver is Driver.NOBODY:
            self.get_logger().warning("No commands; the vehicle is being stopped.")
        self._beat()

    # Emergency stop

    def _on_emergency(self, message: Bool) -> None:
        more = [each.data for button in self._buttons for each in waiting(button)]
        if message.data or any(more):
            self._stop_now("topic emergency_stop")

    def _on_emergency_service(
        self, request: Trigger.Request, reply: Trigger.Response
    ) -> Trigger.Response:
        self._stop_now("service emergency_stop")
        reply.success, reply.message = True, "the emergency stop is set; call ~/release to drive on"
        return reply

    def _stop_now(self, reason: str) -> None:
        new = not self._state.emergency
        self._become(safety.emergency_stop(self._state, reason, time.monotonic()))
        if new:
            self._counts["emergency_stops"] += 1
            self.get_logger().error(f"Emergency stop by {reason}.")
            self._stopped_out.publish(Bool(data=True))
            self._on_timer()

    def _on_release(self, request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        was = self._state.emergency
        state, refused = safety.release(self._limits, self._state, time.monotonic())
        reply.success = not refused
        reply.message = refused or ("released" if was else "the emergency stop was not set")
        if was and not refused:
            self._state = state
            self.get_logger().warning("The emergency stop is released.")
            self._stopped_out.publish(Bool(data=False))
        return reply

    # Messages

    def _publish(self, stamp_ns: int) -> None:
        told = self._state.told
        self._publisher.publish(self._message(told, stamp_ns))
        if self._ackermann_type is not None:
            self._ackermann.publish(self._ackermann_message(told, stamp_ns))

    def _message(self, told: safety.AnySetpoint, stamp_ns: int) -> TwistStamped | Twist:
        (speed, left, up), yaw_rate = safety.outgoing(self._limits, told)
        if self._stamped:
            return conversion.twist_stamped(speed, yaw_rate, stamp_ns, left=left, up=up)
        return conversion.twist(speed, yaw_rate, left, up)

    def _ackermann_message(self, told: safety.Setpoint, stamp_ns: int) -> object:
        (speed, _, _), _ = safety.outgoing(self._limits, told)
        angle = wheel_angle(safety.driven_curvature(self._limits, told), self._wheelbase)
        return ackermann.fill(self._ackermann_type, speed, angle, stamp_ns)

    def _beat(self) -> None:
        state = self._state
        values = {
            "driver": list(Driver).index(state.driver),
            **safety.figures(state.told),
        }
        stamp = self.get_clock().now().nanoseconds
        self._state_out.publish(
            conversion.named_vector(list(values), list(values.values()), stamp, state.driver.value)
        )

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        recent = self._counts - self._reported
        self._reported = self._counts.copy()
        driver = self._state.driver
        counted = (
            "passed",
            "limited",
            "overruled",
            "timeouts",
            "emergency_stops",
            "other_publisher",
        )
        values = {
            "driver": driver.value,
            **safety.figures(self._state.told),
            **{key: self._counts[key] for key in counted},
            **{refusal.value: self._counts[refusal.value] for refusal in safety.Refusal},
        }
        if self._state.emergency:
            text = f"emergency stop by {self._state.emergency}; release it with ~/release"
            return ERROR, text, values
        crowds = [self._rivals(), *(each.report() for each in self._senders.values())]
        if text := "; ".join(filter(None, crowds)):
            return ERROR, text, values
        if driver is Driver.NOBODY:
            return ERROR, "no commands: stopped", values
        if any(recent[refusal.value] for refusal in safety.Refusal):
            return WARN, f"refused commands of the {self._last_refusal}", values
        return OK, f"the {driver} drives", values

    def _rivals(self) -> str:
        """Who else commands the vehicle, past this node, in one sentence; else ""."""
        publishers = self.get_publishers_info_by_topic(self._publisher.topic_name)
        if len(publishers) < 2:
            return ""
        names = sorted(f"{each.node_namespace.rstrip('/')}/{each.node_name}" for each in publishers)
        return (
            f"{self._publisher.topic_name} has several publishers, {', '.join(names)}: the vehicle "
            "may follow any of them; let only this node publish"
        )

    def close(self) -> None:
        stamp_ns, still = self.get_clock().now().nanoseconds, safety.rest(self._limits)
        if self._ackermann_type is not None:
            self._ackermann.publish(self._ackermann_message(still, stamp_ns))
        deliver(self._publisher, self._message(still, stamp_ns))


def main(arguments: list[str] | None = None) -> int:
    return run(SafetyNode, arguments, shared_memory=False)


if __name__ == "__main__":
    leave(main())
