"""Teleop node: a person takes the vehicle into their hands, and stops it in an emergency.

It publishes only while they have it; its silence gives the vehicle back to the policy. The safety
node does the rest: priority, limits, the latch of the emergency stop.
"""

from __future__ import annotations

import math
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import fields

from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from liquid_control.command import curvature_from_yaw_rate
from liquid_control.data.messages import read_named_vector
from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.diagnostics import OK, WARN, Diagnostics
from liquid_control.ros.hands import KEYS, Joystick, Keyboard, Reach, Sticks, Wish
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import COMMAND, LATCHED, NEWEST, Stop, deliver, every, leave, run
from liquid_control.ros.terminal import Keys
from liquid_control.ros.vehicle import Flight, Motion
from liquid_control.safety import Driver

__all__ = ["TeleopNode", "main"]

# Without a heartbeat for so long nobody listens to this node [s].
_ALONE = 1.0
_REDRAW = 0.2


class TeleopNode(Node):
    """Publishes `intervention` while a person has the vehicle, and `emergency_stop` (latched);
    subscribes `safety/state` and, with a joystick, `joy`; calls `safety/release`.

    Where somebody publishes `clock` or `/clock` the stamps follow it, whatever `use_sim_time` says.
    (`use_sim_time` knows `/clock` alone; a simulated vehicle in a namespace has its own.)

    Args:
        stack: what it enters (the terminal) is left when the process ends.
    """

    def __init__(self, stop: Stop, stack: ExitStack) -> None:
        super().__init__("teleop")
        stop.listen(signal.SIGHUP)
        self._stop = stop
        device = declare(self, "input", "keyboard", "keyboard or joystick")
        self._reach = Reach(
            speed=declare(
                self, "max_speed", Reach.speed, "fastest that one can ask for [m/s]", 0.0, 60.0
            ),
            reverse=declare(
                self, "max_reverse_speed", Reach.reverse, "the same backwards [m/s]", 0.0, 60.0
            ),
            curvature=declare(
                self, "max_curvature", Reach.curvature, "tightest path [1/m]", 0.0, 100.0
            ),
            lateral=declare(
                self,
                "max_lateral_speed",
                Reach.lateral,
                "of a drone, sideways and backwards [m/s]",
                0.0,
                30.0,
            ),
            climb=declare(
                self, "max_climb_speed", Reach.climb, "of a drone, up and down [m/s]", 0.0, 20.0
            ),
            turn=declare(self, "max_yaw_rate", Reach.turn, "of a drone [rad/s]", 0.0, 20.0),
        )
        rate = declare(self, "rate", 30.0, "how often a held command is repeated [Hz]", 10.0, 200.0)
        hold = declare(
            self,
            "hold",
            Keyboard.hold,
            "a keyboard untouched for so long gives back [s]",
            0.1,
            3600.0,
        )
        self._patience = declare(
            self, "joy_timeout", 0.25, "a joystick silent for so long is let go of [s]", 0.05, 5.0
        )
        self._joystick = Joystick(
            **{
                item.name: declare(
                    self,
                    item.name,
                    item.default,
                    f"{item.name.replace('_', ' ')} of the joystick",
                    *((0.0, 0.9) if item.name == "dead_band" else (0, 99)),
                )
                for item in fields(Joystick)
            }
        )
        if device not in ("keyboard", "joystick"):
            raise InputError(f"Parameter input must be keyboard or joystick, got {device!r}.")
        self._keyboard = Keyboard(self._reach, hold)
        self._sticks: tuple[float, Sticks] | None = None
        self._told: Motion | Flight = Motion()
        self._driver, self._heard = "", -math.inf
        self._said, self._drawn, self._trouble = "", -math.inf, ""
        self._interventions = 0
        self._holding = False
        # Of a simulated clock [ns], once there is one; 0 until it has been heard.
        self._simulated_ns: int | None = None
        self._out = self.create_publisher(TwistStamped, "intervention", COMMAND)
        self._emergency_out = self.create_publisher(Bool, "emergency_stop", LATCHED)
        self._release = self.create_client(Trigger, "safety/release")
        self.create_subscription(JointState, "safety/state", self._on_state, 10)
        self._keys: Keys | None = None
        if device == "joystick":
            self.create_subscription(Joy, "joy", self._on_joy, 10)
            self.get_logger().info(f"Hold button {self._joystick.enable_button} to drive.")
        else:
            self._keys = stack.enter_context(Keys())
            print(KEYS, flush=True)
        every(self, 1.0 / rate, self._on_timer)
        Diagnostics(self, device)

    # What comes in

    def _on_state(self, message: JointState) -> None:
        values = read_named_vector(message)
        speed, turn = values["speed"], values["yaw_rate"]
        if "vx" in values:
            self._told = Flight((values["vx"], values["vy"], values["vz"]), turn)
        else:
            self._told = Motion(speed, curvature_from_yaw_rate(turn, speed))
        self._driver, self._heard = message.header.frame_id, time.monotonic()

    def _on_joy(self, message: Joy) -> None:
        before = self._sticks
        try:
            flies = isinstance(self._told, Flight)
            sticks = self._joystick.read(message.axes, message.buttons, self._reach, flies)
        except InputError as error:
            self._sticks = None
            if str(error) != self._trouble:
                self._trouble = str(error)
                self.get_logger().error(self._trouble)
            return
        self._trouble = ""
        self._sticks = (time.monotonic(), sticks)
        if sticks.emergency:
            self._stop_now()
        elif sticks.release and not (before and before[1].release):
            self._ask_for_release()

    def _on_key(self, key: str, now: float) -> None:
        self._said = ""
        wish = self._keyboard.press(key, now, self._told)
        if wish is Wish.EMERGENCY:
            self._stop_now()
        elif wish is Wish.RELEASE:
            self._ask_for_release()
        elif wish is Wish.QUIT:
            self._stop(0)

    # What goes out

    def _on_timer(self) -> None:
        now = time.monotonic()
        self._follow_simulated_clock()
        for key in self._keys.read() if self._keys else ():
            self._on_key(key, now)
        motion = self._wanted(now)
        stamp_ns = self._simulated_ns
        if stamp_ns is None:
            stamp_ns = self.get_clock().now().nanoseconds
        # A simulated clock that has not been heard yet says 0.
        if motion is not None and stamp_ns:
            self._interventions += not self._holding
            ahead, left, up = motion.velocity
            self._out.publish(
                conversion.twist_stamped(ahead, motion.yaw_rate, stamp_ns, left=left, up=up)
            )
        self._holding = motion is not None
        if self._keys and sys.stdout.isatty() and now - self._drawn > _REDRAW:
            self._drawn = now
            # A line that wraps could not be written over.
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r\x1b[K{self._line(now, motion)[:width]}")
            sys.stdout.flush()

    def _wanted(self, now: float) -> Motion | Flight | None:
        if self._keys:
            return self._keyboard.motion(now)
        if self._sticks is None or now - self._sticks[0] > self._patience:
            return None
        return self._sticks[1].motion

    def _stop_now(self) -> None:
        if self._keys:
            # A key is pressed once, so it is seen to that it arrives; a button is held.
            deliver(self._emergency_out, Bool(data=True))
        else:
            self._emergency_out.publish(Bool(data=True))

    def _ask_for_release(self) -> None:
        if not self._release.service_is_ready():
            self._said = "no safety node to release"
            return
        self._release.call_async(Trigger.Request()).add_done_callback(self._on_released)

    def _on_released(self, answer: Future) -> None:
        self._said = answer.result().message
        if answer.result().success:
            # A latched "true" would stop a safety node that starts later.
            self._emergency_out.publish(Bool(data=False))

    def _follow_simulated_clock(self) -> None:
        if self._simulated_ns is not None or self.get_parameter("use_sim_time").value:
            return
        for topic in ("clock", "/clock"):
            if self.count_publishers(self.resolve_topic_name(topic)):
                self._simulated_ns = 0
                self.create_subscription(Clock, topic, self._on_clock, NEWEST)
                return

    def _on_clock(self, message: Clock) -> None:
        self._simulated_ns = conversion.nanoseconds(message.clock)

    # What is said

    def _line(self, now: float, motion: Motion | Flight | None) -> str:
        if now - self._heard > _ALONE:
            return "No safety node is heard; is ROS_DOMAIN_ID the one of the vehicle?"
        stopped = self._driver == Driver.EMERGENCY
        who = "EMERGENCY STOP, r releases it" if stopped else f"{self._driver} drives"
        parts = [who, f"told {_text(self._told)}"]
        if motion is not None:
            parts.append(f"you ask for {_text(motion)}")
        return " | ".join([*parts, *filter(None, [self._said])])

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        values = {"in_hand": self._holding, "interventions": self._interventions}
        if self._trouble:
            return WARN, self._trouble, values
        if time.monotonic() - self._heard > _ALONE:
            return WARN, "no safety node is heard", values
        return OK, "a person drives" if self._holding else "ready", values

    def close(self) -> None:
        if self._keys and sys.stdout.isatty():
            print()


def _text(motion: Motion | Flight) -> str:
    if isinstance(motion, Flight):
        ahead, left, up = motion.velocity
        return f"{ahead:.1f} ahead, {left:.1f} left, {up:.1f} up m/s, {motion.yaw_rate:+.2f} rad/s"
    return f"{motion.speed:4.1f} m/s, {motion.curvature:+.3f} 1/m"


def main(arguments: list[str] | None = None) -> int:
    with ExitStack() as stack:
        return run(lambda stop: TeleopNode(stop, stack), arguments)


if __name__ == "__main__":
    leave(main())
