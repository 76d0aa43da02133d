"""Simulator node: one of our worlds behind the topics of a real car or drone.

The vehicle waits, engine running, until the first command that moves it: a policy that still loads
costs no distance. An episode that ends (a crash, a target reached, the time over) is counted, and
the next seed's begins after one second of simulated time, a gap that tells every consumer to start
afresh.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry, Path
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_srvs.srv import Trigger

from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Window
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import COMMAND, LATCHED, SENSOR, Stop, every, leave, run
from liquid_control.ros.transforms import Transforms
from liquid_control.ros.world import World

__all__ = ["SimulatorNode", "draw_once", "main"]

# Longer than any policy's `max_gap` should be [ns].
_PAUSE = 1_000_000_000
# The first command is not obeyed at once: recorders still look for the topics of its node [s].
_HOLD = 0.5
# A first stamp of 0 would read as "no time yet" [ns].
_START = 1_000_000_000
_PATH_STEP = 4  # of the road's samples, 0.5 m apart
_FRAME = "camera_optical_frame"


class SimulatorNode(Node):
    """Subscribes `cmd_vel_safe`; publishes `camera/image_raw`, `camera/camera_info`, `odom`,
    `/clock` and `~/state`; where the world has a road, latched, `~/road`, `~/road/left` and
    `~/road/right`; where it has a target, `~/target`; to whoever listens, what its privileged
    expert would do, as `~/expert`.

    Modes: "realtime" steps with the wall clock; "lockstep" steps when the command that carries the
    stamp of the last frame has come, so that nothing depends on how fast the machine is.
    Service `~/reset` starts the next seed's episode.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__("simulator")
        name = declare(self, "world", "liquid_control/Driving-v1", "Gymnasium id of the world")
        options = declare(self, "options", [""], "of the world, each NAME=VALUE")
        self._seed = declare(self, "seed", 7, "of the first episode", 0, 2**31 - 1)
        mode = declare(self, "mode", "realtime", "realtime or lockstep")
        self._patience = declare(
            self, "lockstep_timeout", 1.0, "longest wait for a frame's command [s]", 0.05, 60.0
        )
        self._timeout = declare(
            self, "command_timeout", 0.25, "silence after which the vehicle brakes [s]", 0.05, 60.0
        )
        if mode not in ("realtime", "lockstep"):
            raise InputError(f"Parameter mode must be realtime or lockstep, got {mode!r}.")
        self._lockstep = mode == "lockstep"
        self._world = World(name, options)
        rate = self._world.rate
        self._period_ns = round(1e9 / rate)
        self._stamp = _START
        self._episode = self._crashes = self._successes = self._overruns = self._unanswered = 0
        self._action = np.zeros(len(self._world.outputs), np.float32)
        # What a vehicle keeps that brakes: its path, but no speed.
        self._path = np.array([name == "curvature" for name in self._world.outputs], np.float32)
        self._heard_at = -math.inf
        self._waiting = True
        self._called_at: float | None = None
        self._pending = False
        self._published_at = time.monotonic()
        self._answers, self._steps = Window(), Window()

        self._clock_out = self.create_publisher(Clock, "/clock", 10)
        self._odometry_out = self.create_publisher(Odometry, "odom", 10)
        self._image_out = self.create_publisher(Image, "camera/image_raw", SENSOR)
        self._info_out = self.create_publisher(CameraInfo, "camera/camera_info", SENSOR)
        self._state_out = self.create_publisher(JointState, "~/state", 10)
        self._expert_out = self.create_publisher(JointState, "~/expert", 10)
        lines = {"lane": "~/road", "left_edge": "~/road/left", "right_edge": "~/road/right"}
        self._roads_out = {
            line: self.create_publisher(Path, topic, LATCHED)
            for line, topic in lines.items()
            if self._world.road
        }
        self._target_out = None
        self._transforms = Transforms(self)
        self.create_subscription(TwistStamped, "cmd_vel_safe", self._on_command, COMMAND)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self._reset()
        if self._world.target is not None:
            self._target_out = self.create_publisher(PoseStamped, "~/target", 10)
        if self._lockstep:
            every(self, 0.02, self._on_wait)
        else:
            every(self, 1.0 / rate, self._on_period)
        Diagnostics(self, name)
        self.get_logger().info(f"{name} with seed {self._seed} runs in {mode} at {rate} Hz.")

    def _reset(self) -> None:
        self._moment = self._world.reset(self._seed)
        self._action[:] = 0.0
        self._waiting = True
        self._waits_since = self._stamp
        for name, publisher in self._roads_out.items():
            publisher.publish(conversion.path(self._world.line(name)[::_PATH_STEP], self._stamp))

    def _next_episode(self) -> None:
        self._seed += 1
        self._episode += 1
        self._stamp += _PAUSE
        self._reset()

    def _on_reset(self, request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        self._next_episode()
        self._publish()
        reply.success, reply.message = True, f"a new episode with seed {self._seed}"
        return reply

    # Time

    def _on_period(self) -> None:
        if time.monotonic() - self._published_at > 1.5e-9 * self._period_ns:
            self._overruns += not self._waiting
        self._advance()

    def _on_wait(self) -> None:
        waited = time.monotonic() - self._published_at
        if self._waiting:
            if waited > 0.1:
                self._advance()
        elif waited > self._patience:
            self._unanswered += 1
            self.get_logger().warning(
                f"No command for a frame within {self._patience} s; the world goes on without.",
                throttle_duration_sec=5.0,
            )
            self._advance()

    @property
    def _silent(self) -> bool:
        """Nobody commands any more: the one fault that the safety node cannot answer, its end."""
        return time.monotonic() - self._heard_at > self._timeout

    def _on_command(self, message: TwistStamped) -> None:
        linear, rate = message.twist.linear, message.twist.angular.z
        velocity = linear.x, linear.y, linear.z
        if not all(map(math.isfinite, (*velocity, rate))):
            return
        stamp = conversion.nanoseconds(message.header.stamp)
        action = self._world.action(velocity, rate)
        self._heard_at = time.monotonic()
        if self._waiting:
            if not action.any() or stamp < self._waits_since:
                return
            now = time.monotonic()
            self._called_at = now if self._called_at is None else self._called_at
            if now - self._called_at < _HOLD:
                return
        self._waiting = False
        if stamp == self._stamp and self._pending:
            self._answers.add(time.monotonic() - self._published_at)
            self._pending = False
        self._action = action
        if self._lockstep and stamp == self._stamp:
            self._advance()

    def _advance(self) -> None:
        """One period of simulated time; before its first command the vehicle only waits."""
        self._stamp += self._period_ns
        if not self._waiting:
            if self._silent:
                self._action = self._action * self._path
            began = time.perf_counter()
            moment = self._moment = self._world.step(self._action)
            self._steps.add(time.perf_counter() - began)
            if moment.ended:
                self._count()
                self._publish()
                self._next_episode()
        self._publish()

    def _count(self) -> None:
        moment, log = self._moment, self.get_logger()
        self._crashes += moment.crashed
        self._successes += moment.success
        text = f"seed {self._seed} after {moment.info['distance']:.0f} m"
        if moment.crashed:
            log.warning(f"Crash: {text}.")
        else:
            log.info(f"{'Success' if moment.success else 'Neither success nor crash'}: {text}.")

    # Messages

    def _publish(self) -> None:
        stamp, moment = self._stamp, self._moment
        self._published_at, self._pending = time.monotonic(), True
        self._clock_out.publish(conversion.clock(stamp))
        turn, rate = moment.attitude, moment.info["yaw_rate"]
        odometry = conversion.odometry(moment.place, turn, moment.velocity, rate, stamp, "odom")
        self._odometry_out.publish(odometry)
        self._image_out.publish(conversion.image(moment.frame, stamp, _FRAME))
        self._info_out.publish(conversion.camera_info(self._world.intrinsics, stamp, _FRAME))
        if self._expert_out.get_subscription_count():
            wanted = self._world.expert_action()
            self._expert_out.publish(conversion.named_vector(self._world.outputs, wanted, stamp))
        asked = zip(self._world.outputs, self._action, strict=True)
        values = {
            **moment.info,
            "episode": self._episode,
            "seed": self._seed,
            "crashes": self._crashes,
            "successes": self._successes,
            "waiting": self._waiting,
            **{f"asked_{name}": value for name, value in asked},
        }
        if self._target_out is not None:
            target = self._world.target
            values |= zip(("target_x", "target_y", "target_z"), target, strict=True)
            self._target_out.publish(conversion.pose(target, (0.0, 0.0, 0.0, 1.0), stamp))
        self._state_out.publish(
            conversion.named_vector(list(values), [float(v) for v in values.values()], stamp)
        )
        self._transforms.publish(odometry)

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        _, answer, late_answer = self._answers.report()
        rate, step, late_step = self._steps.report()
        values = {
            "rate_hz": rate,
            "seed": self._seed,
            "crashes": self._crashes,
            "successes": self._successes,
            "distance": self._moment.info["distance"],
            "image_to_command_p50_ms": answer,
            "image_to_command_p99_ms": late_answer,
            "step_p50_ms": step,
            "step_p99_ms": late_step,
            "overruns": self._overruns,
            "unanswered": self._unanswered,
        }
        if self._silent and not self._waiting:
            return ERROR, "nobody commands on cmd_vel_safe: the vehicle brakes by itself", values
        if self._waiting:
            return WARN, "waiting for a command", values
        return OK, "under way", values

    def close(self) -> None:
        self._world.close()


def draw_once(world: str, options: list[str]) -> int:
    """Draw a world's first frame and print what the world takes; exit code 0, or 2 with the
    reason on stderr.
    """
    try:
        drawn = World(world, options)
        drawn.reset(seed=0)
        drawn.close()
        print(*drawn.outputs)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def main(arguments: list[str] | None = None) -> int:
    return run(SimulatorNode, arguments)


if __name__ == "__main__":
    leave(main())
