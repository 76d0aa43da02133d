"""Real nodes in processes of their own, on a ROS domain of their own, and one node that listens.

Nothing waits for a fixed time: `Probe.wait` spins until a condition holds. Its 20 s are for a busy
machine; on a quiet one discovery takes less than one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
import torch
from geometry_msgs.msg import TwistStamped
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState

from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.data.messages import read_named_vector
from liquid_control.policy import Policy
from liquid_control.ros import conversion, processes, transport
from liquid_control.ros.runtime import COMMAND, SENSOR

PATIENCE = 20.0
MARK = "LIQUID_CONTROL_TEST"
MS = 1_000_000
GREY = np.full((78, 200, 3), 128, np.uint8)


class Probe(Node):
    """Listens to any topic, publishes frames and commands, calls services."""

    def __init__(self) -> None:
        super().__init__("probe")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._outs: dict[str, object] = {}

    def listen(self, kind: type, topic: str, qos: QoSProfile | int = 50) -> list:
        """A list that grows with every message."""
        heard: list = []
        self.create_subscription(kind, topic, heard.append, qos)
        return heard

    def wait(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Spin until the condition holds; one on the last of no messages does not hold yet."""

        def holds() -> object:
            try:
                return condition()
            except IndexError:
                return False

        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"not within {seconds} s"
            self._executor.spin_once(timeout_sec=0.02)

    def out(self, kind: type, topic: str, qos: QoSProfile, listeners: int = 1):
        """A publisher that somebody listens to."""
        if topic not in self._outs:
            self._outs[topic] = self.create_publisher(kind, topic, qos)
            self.wait(lambda: self._outs[topic].get_subscription_count() >= listeners)
        return self._outs[topic]

    def send_frame(self, pixels: np.ndarray, stamp_ns: int, topic: str = "image") -> None:
        message = conversion.image(pixels, stamp_ns, "camera")
        self.out(type(message), topic, SENSOR).publish(message)

    def send_command(self, speed: float, yaw_rate: float = 0.0, stamp_ns: int = -1) -> None:
        now = self.get_clock().now().nanoseconds if stamp_ns < 0 else stamp_ns
        message = conversion.twist_stamped(speed, yaw_rate, now)
        self.out(TwistStamped, "cmd_vel", COMMAND).publish(message)

    def call(self, kind: type, service: str, request: object):
        client: Client = self.create_client(kind, service)
        self.wait(client.service_is_ready)
        answer = client.call_async(request)
        self.wait(answer.done)
        return answer.result()


class Camera:
    """Sends frames 33 ms apart and waits for the decision on each."""

    def __init__(self, probe) -> None:
        self.probe, self.stamp = probe, 1_000 * MS
        self.decisions = probe.listen(JointState, "policy/decision")
        probe.wait(lambda: probe.count_publishers("policy/decision"), 40.0)

    def show(self, frame: np.ndarray = GREY, step_ms: float = 33.0) -> dict[str, float]:
        self.stamp += round(step_ms * MS)
        count, sent = len(self.decisions), 0.0

        def answers() -> list:
            """Not one on a frame before that was sent twice."""
            new = self.decisions[count:]
            return [x for x in new if conversion.nanoseconds(x.header.stamp) == self.stamp]

        def answered() -> bool:
            nonlocal sent
            # A best-effort frame may get lost; one that is repeated has elapsed time 0.
            if time.monotonic() - sent > 1.0:
                self.probe.send_frame(frame, self.stamp)
                sent = time.monotonic()
            return bool(answers())

        self.probe.wait(answered, 40.0)
        return read_named_vector(answers()[0])


@pytest.fixture
def camera_of() -> type[Camera]:
    return Camera


@pytest.fixture(scope="session", autouse=True)
def _domain() -> None:
    os.environ["ROS_DOMAIN_ID"] = str(processes.free_domain())
    os.environ[MARK] = uuid.uuid4().hex
    # Tests kill nodes, which must not take this process along.
    transport.choose(shared_memory=False)


@pytest.fixture(scope="session")
def spec() -> CommandSpec:
    return CommandSpec((CURVATURE,))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, spec: CommandSpec) -> Path:
    """An untrained policy; its speed is a parameter, so that it always drives."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "untrained"
    Policy(spec).save(folder)
    return folder


@pytest.fixture(scope="session")
def driver_with_speed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "with_speed"
    Policy(CommandSpec((CURVATURE, SPEED))).save(folder)
    return folder


@pytest.fixture
def probe(_domain: None) -> Iterator[Probe]:
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Probe()
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def starter(folder: Path) -> Iterator[Callable[..., processes.Child]]:
    """Starts nodes by name; ends them when it is closed, whatever happened."""
    children: list[processes.Child] = []

    def start_node(name: str, *arguments: str) -> processes.Child:
        module = f"liquid_control.ros.{name}_node"
        child = processes.start(name, module, ["--ros-args", *arguments], os.environ, folder)
        children.append(child)
        return child

    yield start_node
    # Asked first: what is killed leaves its shared memory behind.
    for child in children:
        child.process.send_signal(signal.SIGCONT)
        child.process.terminate()
    for child in children:
        try:
            child.process.wait(5.0)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., processes.Child]]:
    yield from starter(tmp_path)


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable]:
    """As `start`, for a node that the tests of a file share: loading PyTorch takes seconds."""
    yield from starter(tmp_path_factory.mktemp("log"))


@pytest.fixture
def end() -> Callable[..., int]:
    """Sends signals to a node and returns its exit code."""

    def send(child: processes.Child, *signals: signal.Signals, seconds: float = PATIENCE) -> int:
        for number in signals:
            child.process.send_signal(number)
        return child.process.wait(seconds)

    return send


@pytest.fixture
def survivors() -> Callable[[], list[str]]:
    """Finds the command lines of this test run's processes that are alive."""
    marked = f"{MARK}={os.environ[MARK]}".encode()

    def find() -> list[str]:
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if marked in (entry / "environ").read_bytes():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    # A zombie has no command line left: it is gone but for its exit code.
                    found += [line] if line else []
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found

    return find
