"""Real nodes on a ROS domain of their own, a listener at the vehicle's end, and a stop's times.

Times are wall times [ns]: those of a fault come from the process that causes it, those of
`cmd_vel_safe` are the middleware's at reception, so a listener that is late changes nothing.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from liquid_control.ros import conversion, processes, transport
from liquid_control.ros.runtime import COMMAND, LATCHED

__all__ = ["Rig", "Told", "untrained"]

CRUISE = 3.0
# Long enough for discovery on a busy machine [s].
PATIENCE = 40.0
# So long the vehicle must have driven evenly before a fault, and stand still after it [s].
STEADY = 0.4
_SOURCES = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Told:
    """One message on `cmd_vel_safe`: when it came [ns], its stamp [ns], speed [m/s], yaw rate."""

    at: int
    stamp: int
    speed: float
    yaw_rate: float


def untrained(folder: Path) -> Path:
    """Save a policy that was never trained; its speed is the node's parameter, so it drives."""
    import torch

    from liquid_control.command import CURVATURE, CommandSpec
    from liquid_control.policy import Policy

    torch.manual_seed(0)
    Policy(CommandSpec((CURVATURE,))).save(folder)
    return folder


class Rig:
    """Starts nodes, listens, and ends every process when it is left.

    Args:
        folder: for the processes' logs.
        model: folder of the policy's model.
        compressed: frames are sent as JPEG.
        policy: module of the policy's process.
    """

    def __init__(
        self,
        folder: Path,
        model: Path,
        compressed: bool = False,
        policy: str = "liquid_control.ros.policy_node",
    ) -> None:
        self.folder, self.model, self._compressed, self._policy = folder, model, compressed, policy
        folder.mkdir(parents=True, exist_ok=True)
        self.children: dict[str, processes.Child] = {}
        self._all: list[processes.Child] = []
        os.environ["ROS_DOMAIN_ID"] = str(processes.free_domain())
        self._environment = processes.environment(folder)
        paths = [str(_SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment["PYTHONPATH"] = os.pathsep.join(paths)

    def __enter__(self) -> Rig:
        # Who watches nodes being killed shares no memory with them.
        transport.choose(shared_memory=False)
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("listener", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.told: list[Told] = []
        self.said: list[tuple[int, DiagnosticStatus]] = []
        self.began: list[str] = []
        self.node.create_subscription(TwistStamped, "cmd_vel_safe", self._on_told, 100)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_said, 50)
        self.node.create_subscription(
            String, "fault/began", lambda message: self.began.append(message.data), LATCHED
        )
        self.faults_out = self.node.create_publisher(String, "fault", COMMAND)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for child in self._all:
            child.process.send_signal(signal.SIGCONT)
            processes.stop(child)
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _on_told(self, message: TwistStamped, info: Mapping[str, int]) -> None:
        at = info["received_timestamp"] or time.time_ns()
        twist = message.twist
        stamp = conversion.nanoseconds(message.header.stamp)
        self.told.append(Told(at, stamp, twist.linear.x, twist.angular.z))

    def _on_said(self, message: DiagnosticArray) -> None:
        self.said += [(time.time_ns(), status) for status in message.status]

    # Processes

    def start(self, name: str, *arguments: str, module: str = "") -> processes.Child:
        """Start a node by name, or any module; one of the same name is started anew."""
        module = module or f"liquid_control.ros.{name}_node"
        child = processes.start(
            name, module, ["--ros-args", *arguments], self._environment, self.folder
        )
        self.children[name] = child
        self._all.append(child)
        return child

    def start_source(self) -> processes.Child:
        compressed = f"compressed:={str(self._compressed).lower()}"
        return self.start("source", "-p", compressed, module="fault_rig.source")

    def start_policy(self, *more: str, name: str = "policy") -> processes.Child:
        transport = "compressed" if self._compressed else "raw"
        arguments = ["-p", f"model:={self.model}", "-p", f"speed:={CRUISE}"]
        arguments += ["-p", f"image_transport:={transport}", *more]
        return self.start(name, *arguments, module=self._policy)

    def start_safety(self) -> processes.Child:
        # Quick to be at speed again; stops are as everywhere.
        return self.start("safety", "-p", "max_acceleration:=10.0")

    def start_all(self) -> Rig:
        self.start_policy()
        self.start_safety()
        self.start_source()
        return self

    def send(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a node; the wall time right before [ns]."""
        now = time.time_ns()
        self.children[name].process.send_signal(number)
        return now

    def kill(self, name: str) -> int:
        now = self.send(name, signal.SIGKILL)
        self.children[name].process.wait(PATIENCE)
        return now

    # Waiting

    def wait(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Spin until a condition holds.

        Raises:
            AssertionError: it does not within `seconds`; the processes' last words follow.
        """
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                words = {name: child.last_words() for name, child in self.children.items()}
                last = [(t.speed, t.at % 10**11 // 10**6) for t in self.told[-3:]]
                raise AssertionError(f"{what}: not within {seconds} s; {last}; {words}")
            self._executor.spin_once(timeout_sec=0.02)

    def spin(self, seconds: float) -> None:
        """Listen for a while, for what must not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, kind: type, service: str, request: object) -> object:
        """The answer of a service."""
        client = self.node.create_client(kind, service)
        self.wait(client.service_is_ready, f"the service {service} is there")
        answer = client.call_async(request)
        self.wait(answer.done, f"the service {service} answers")
        self.node.destroy_client(client)
        return answer.result()

    def steady(self, *speeds: float) -> float:
        """Wait until the vehicle has been told one of `speeds` for a while, and tell which [m/s].

        By default its cruising speed. Two messages will do: a busy machine's camera is slow.
        """
        speeds = speeds or (CRUISE,)
        begin = time.time_ns()

        def is_steady() -> bool:
            since = max(begin, time.time_ns() - round(STEADY * 1e9))
            lately = [told for told in self.told if told.at > since]
            enough = time.time_ns() - begin > STEADY * 1e9 and len(lately) >= 2
            same = {told.speed for told in lately}
            return enough and len(same) == 1 and same <= set(speeds)

        self.wait(is_steady, "the vehicle drives evenly")
        return self.told[-1].speed

    def inflict(self, fault: str) -> int:
        """Have the source misbehave, or behave again with ""; when it began to [ns]."""
        self.wait(lambda: self.faults_out.get_subscription_count(), "the source listens")
        self.began.clear()
        self.faults_out.publish(String(data=fault or "none"))
        self.wait(lambda: self.began, f"the source has begun with {fault!r}")
        return int(self.began[-1].split()[1])

    def stop_times(self, began: int) -> tuple[float, float]:
        """From a fault at `began` [ns] to the first message of the stop, and to standing [s]."""

        def first(condition: Callable[[Told], bool]) -> Told | None:
            return next((t for t in self.told if t.at > began and condition(t)), None)

        self.wait(lambda: first(lambda t: t.speed == 0.0), "the vehicle is told to stand")
        slower, standing = first(lambda t: t.speed < CRUISE), first(lambda t: t.speed == 0.0)
        return (slower.at - began) * 1e-9, (standing.at - began) * 1e-9

    def stays(self, seconds: float = STEADY) -> None:
        """Check that the vehicle goes on standing.

        Raises:
            AssertionError: it was told to move.
        """
        since = time.time_ns()
        self.spin(seconds)
        moved = [t for t in self.told if t.at > since and t.speed != 0.0]
        assert not moved, f"told to move again: {moved[:3]}"

    def reports(self, node: str, pattern: str, since: int) -> str:
        """Who says what in /diagnostics after `since` [ns], once name and sentence match."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [
                f"{status.name}: {status.message}"
                for at, status in self.said
                if at > since
                and re.fullmatch(node, status.name)
                and status.level != DiagnosticStatus.OK
                and re.search(pattern, status.message)
            ]
            return bool(found)

        try:
            self.wait(look, f"{node} says {pattern!r}")
        except AssertionError as error:
            heard = {(s.name, s.message) for at, s in self.said if at > since}
            raise AssertionError(f"{error}; heard {heard}") from error
        return found[-1]
