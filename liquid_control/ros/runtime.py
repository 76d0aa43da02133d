"""Start and end of a node's process, and what all nodes share: clocks, quality of service.

Signals set a flag instead of shutting the context down, as rclpy's own handlers do: a node can then
still publish its last message, a stop above all. A second SIGINT (terminal and `ros2 launch` both
send one) changes nothing.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from liquid_control.errors import InputError
from liquid_control.ros import memory, parameters, transport

__all__ = [
    "COMMAND",
    "LATCHED",
    "NEWEST",
    "SENSOR",
    "Stop",
    "begin",
    "deliver",
    "every",
    "leave",
    "run",
    "waiting",
]

# Only the newest frame counts: an old one is not worth a late command.
NEWEST = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT
)
SENSOR = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT
)
COMMAND = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE
)
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

# How often a waiting node looks whether a signal came [s]: Fast DDS does not wake up for one.
_LOOK = 0.05
# A node that hangs after SIGINT or SIGTERM is ended by the kernel after this time [s].
_PATIENCE = 15
# The ports of a higher one would lie beyond 65535 (OMG DDSI-RTPS 2.5, 9.6.2.3).
_LAST_DOMAIN = 232
# Where in rcl's sources an error came from.
_PLACE = re.compile(r",\s+at\s+\S+:\d+")


class Stop:
    """Asks a loop to end: by a signal, or by the node itself when it is done.

    Args:
        patience: the kernel ends the process this long after a signal [s]; 0: never.
    """

    def __init__(self, patience: int = _PATIENCE) -> None:
        self.code: int | None = None
        self._patience = patience

    def __call__(self, code: int = 0) -> None:
        if self.code is None:
            self.code = code

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        signal.alarm(self._patience)
        self()

    def listen(self, *more: signal.Signals) -> None:
        """Take SIGINT, SIGTERM and `more` as a wish to end; in the main thread only."""
        for number in (signal.SIGINT, signal.SIGTERM, *more):
            signal.signal(number, self._on_signal)


def run(
    create: Callable[[Stop], Node],
    arguments: list[str] | None = None,
    shared_memory: bool = True,
) -> int:
    """Run one node until it is done or a signal comes; the exit code of its process.

    Args:
        create: makes the node (heavy imports belong in there). The node's method `close`, where it
            has one, is called while it can still publish.
        arguments: of the process, for `--ros-args`; `sys.argv` by default.
        shared_memory: False for a node that others must not be able to take along when they die.

    Returns:
        0 after a clean end, 2 when the node's input did not fit, else what the node gave `Stop`.
    """
    stop = Stop()
    stop.listen()
    memory.keep_freed()
    transport.choose(shared_memory)
    node: Node | None = None
    try:
        begin(sys.argv if arguments is None else arguments)
        node = _created(create, stop)
        memory.settle()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while stop.code is None:
            executor.spin_once(timeout_sec=_LOOK)
    except ExternalShutdownException:
        stop(0)
    except InputError as error:
        name = node.get_name() if node else os.path.basename(sys.argv[0])
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        stop.code = 2
    finally:
        # Python gives signals back their default while it ends; one more would count as a crash.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.alarm(_PATIENCE)
        if node is not None:
            if rclpy.ok() and hasattr(node, "close"):
                node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return stop.code or 0


def _created(create: Callable[[Stop], Node], stop: Stop) -> Node:
    """The node; raises InputError where `use_sim_time`, which is rclpy's own, has another type."""
    try:
        node = create(stop)
    except InvalidParameterTypeException as error:
        raise InputError(f"{str(error).rstrip('.')}; correct that parameter.") from error
    if text := parameters.undeclared(node):
        node.get_logger().warning(text)
    return node


def begin(arguments: list[str]) -> None:
    """`rclpy.init`; signals stay the process's own.

    Args:
        arguments: of the process, for `--ros-args`.

    Raises:
        InputError: ROS 2 cannot read them, a parameter file that they name, or ROS_DOMAIN_ID.
    """
    domain = os.environ.get("ROS_DOMAIN_ID", "").strip()
    # rcl says what is no number, and takes -1 for "not set", which is another vehicle's domain.
    if domain.lstrip("+-").isdecimal() and not 0 <= int(domain) <= _LAST_DOMAIN:
        raise InputError(
            f"ROS_DOMAIN_ID must be a whole number from 0 to {_LAST_DOMAIN}, got {domain}; set "
            "another, or unset it for domain 0."
        )
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        reason = _PLACE.sub("", str(error)).removeprefix("failed to initialize rcl: ")
        raise InputError(
            f"ROS 2 refuses how this program was started: {' '.join(reason.split()).rstrip('.')}; "
            "correct that argument, parameter file or variable."
        ) from error


def leave(code: int) -> NoReturn:
    """End the process at once with an exit code.

    Python's own end takes torch's and rclpy's modules apart for a second of processor time, in
    which a supervisor still waits for a node that has said its last word.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def every(node: Node, seconds: float, callback: Callable[[], None]) -> Timer:
    """A timer on the steady clock: a simulated clock that stands still must not stop it."""
    return node.create_timer(seconds, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))


def waiting(subscription: Subscription) -> list:
    """All messages that wait behind the one whose callback calls this.

    An executor takes one message a turn, at a hundred times the cost: more than a busy node can pay
    for a thousand a second.
    """
    messages = []
    handle = subscription.handle
    with handle:
        while (taken := handle.take_message(subscription.msg_type, False)) is not None:
            messages.append(taken[0])
    return messages


def deliver(publisher: Publisher, message: object, seconds: float = 0.2) -> None:
    """Publish and wait until every reliable subscriber has it, at most `seconds` [s]."""
    publisher.publish(message)
    publisher.wait_for_all_acked(Duration(seconds=seconds))
