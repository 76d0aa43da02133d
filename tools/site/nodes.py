"""The reference page of the ROS 2 nodes, asked from the running nodes themselves.

Every node is started as a robot starts it; what it says of its parameters, and what the graph says
of its topics and services, becomes a page. So the page cannot differ from the code.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from rcl_interfaces.msg import ParameterDescriptor, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.signals import SignalHandlerOptions

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.ros import processes, transport

PATIENCE_S = 60.0
# What every node of rclpy has, and what says nothing of ours.
COMMON_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides.")
COMMON_SERVICES = "rcl_interfaces/", "type_description_interfaces/"
COMMON_TOPICS = "/rosout", "/parameter_events"
LIFECYCLE = "lifecycle_msgs/"
TYPES = {
    ParameterType.PARAMETER_BOOL: "bool",
    ParameterType.PARAMETER_INTEGER: "int",
    ParameterType.PARAMETER_DOUBLE: "float",
    ParameterType.PARAMETER_STRING: "str",
    ParameterType.PARAMETER_STRING_ARRAY: "list of str",
}


@dataclass(frozen=True)
class Kind:
    """A node and how to start it here.

    Args:
        name: of node and executable.
        text: what it is for.
        parameters: without which it does not start.
        page: of the documentation that explains it.
    """

    name: str
    text: str
    page: str
    parameters: tuple[str, ...] = ()


NODES = (
    Kind("policy", "Camera frames in, commands out; a managed (lifecycle) node.", "policy_node"),
    Kind(
        *("safety", "Passes commands on within limits, and stops the vehicle.", "safety"),
    ),
    Kind("simulator", "A world of this project as a robot.", "worlds/driving"),
    Kind("recorder", "Topics into an MCAP bag.", "data", ("bag:={folder}/recorded",)),
    Kind("replay", "A bag as a camera.", "ros2", ("bag:={folder}/bag",)),
    Kind("offboard", "Set-points for a flight controller.", "drone_node"),
    Kind("view", "A live page for a browser.", "view", ("port:=0",)),
)


class Asker(Node):
    """Asks other nodes."""

    def __init__(self) -> None:
        super().__init__("reference")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {PATIENCE_S:.0f} s")
            self._executor.spin_once(timeout_sec=0.05)

    def call(self, kind: type, service: str, **request: object):
        client = self.create_client(kind, service)
        self.wait(client.service_is_ready, service)
        answer = client.call_async(kind.Request(**request))
        self.wait(answer.done, service)
        return answer.result()

    def parameters(self, node: str) -> list[tuple[ParameterDescriptor, ParameterValue]]:
        listed = self.call(ListParameters, f"/{node}/list_parameters")
        names = sorted(x for x in listed.result.names if not x.startswith(COMMON_PARAMETERS))
        described = self.call(DescribeParameters, f"/{node}/describe_parameters", names=names)
        values = self.call(GetParameters, f"/{node}/get_parameters", names=names)
        return list(zip(described.descriptors, values.values, strict=True))

    def endpoints(self, node: str, settled: int = 8) -> dict[str, list[tuple[str, str]]]:
        """Topics and services of a node once the graph has stopped to change."""
        self.wait(lambda: node in self.get_node_names(), f"{node} in the graph")
        before, same = None, 0
        end = time.monotonic() + PATIENCE_S
        while same < settled and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.25)
            found = {
                "publishes": self.get_publisher_names_and_types_by_node(node, "/"),
                "subscribes": self.get_subscriber_names_and_types_by_node(node, "/"),
                "serves": self.get_service_names_and_types_by_node(node, "/"),
            }
            same = same + 1 if found == before else 0
            before = found
        return {
            what: [(name, kinds[0]) for name, kinds in sorted(entries) if ours(name, kinds[0])]
            for what, entries in (before or {}).items()
        }


def ours(name: str, kind: str) -> bool:
    return name not in COMMON_TOPICS and not kind.startswith((*COMMON_SERVICES, LIFECYCLE))


@contextmanager
def running(kind: Kind, folder: Path) -> Iterator[None]:
    arguments = [part for each in kind.parameters for part in ("-p", each.format(folder=folder))]
    child = processes.start(
        *(kind.name, f"liquid_control.ros.{kind.name}_node"),
        *(["--ros-args", *arguments], os.environ, folder),
    )
    try:
        yield
    except TimeoutError as error:
        raise RuntimeError(f"{kind.name}: {error}; it said: {child.last_words()}") from error
    finally:
        processes.stop(child)


def page() -> str:
    """The page, in Markdown."""
    os.environ["ROS_DOMAIN_ID"] = str(processes.free_domain())
    transport.choose(shared_memory=False)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            a_bag(folder / "bag")
            asker = Asker()
            parts = [section(asker, kind, folder) for kind in NODES]
            asker.destroy_node()
    finally:
        rclpy.try_shutdown()
    head = (
        "# Nodes: parameters, topics, services\n\nAsked from the running nodes when this site was "
        "built. Names are as without a namespace and without remapping; `ros2 param describe` and "
        "`ros2 node info` say the same. `teleop` wants a terminal or a joystick: "
        "[its page](../safety.md).\n"
    )
    return "\n".join([head, *parts])


def a_bag(folder: Path) -> None:
    """The least that the replay node takes: frames, for whose decisions it waits."""
    with BagWriter(folder) as bag:
        for stamp in (10**9, 2 * 10**9):
            frame = messages.png_image(np.zeros((78, 200, 3), np.uint8), stamp)
            bag.write("/camera/image_raw/compressed", frame, stamp)


def section(asker: Asker, kind: Kind, folder: Path) -> str:
    with running(kind, folder):
        parameters = asker.parameters(kind.name)
        endpoints = asker.endpoints(kind.name)
    lines = [f"## {kind.name}", "", f"{kind.text} [More](../{kind.page}.md).", ""]
    for what, entries in endpoints.items():
        if entries:
            rows = [(f"`{name}`", f"`{type_}`") for name, type_ in entries]
            lines += [*table((what, "type"), rows), ""]
    rows = [
        (
            f"`{about.name}`",
            TYPES.get(about.type, "?"),
            shown(value),
            span(about),
            about.description + ("; fixed at start" if about.read_only else ""),
        )
        for about, value in parameters
    ]
    return "\n".join([*lines, *table(("parameter", "type", "default", "range", "what"), rows), ""])


def shown(value: ParameterValue) -> str:
    plain = parameter_value_to_python(value)
    text = f"{plain:.6g}" if isinstance(plain, float) else str(plain)
    return f"`{text}`" if text not in ("", "[]", "['']") else ""


def span(about: ParameterDescriptor) -> str:
    for given in (*about.floating_point_range, *about.integer_range):
        return f"{given.from_value:g} to {given.to_value:g}"
    return ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines]
