"""The graph of a whole drive: names, who may do what in it, and what the shipped layouts show."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from ruamel.yaml import YAML

from liquid_control import models
from liquid_control.ros import processes
from liquid_control.ros.recorder_node import TOPICS

pytestmark = [pytest.mark.ros, pytest.mark.slow]

CAR, DRONE = "car1", "uav1"
NODES = {
    "policy": ("-r", "image:=camera/image_raw"),
    "safety": (),
    "simulator": ("-p", "lockstep_timeout:=5.0"),
    "recorder": (),
    "teleop": ("-p", "input:=joystick"),
    "offboard": ("-p", "target:=mavros"),
    "view": ("-p", "port:=0"),
}
# What belongs to every vehicle of a graph, by the customs of ROS.
SHARED = {"/diagnostics", "/parameter_events", "/rosout"}
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Graph:
    """Names with their types, by node and by what the node does; and what a simulated drone adds.

    Names of a namespace's own are without it; those with a slash in front are the whole graph's.
    """

    publish: dict[str, dict[str, str]]
    subscribe: dict[str, dict[str, str]]
    reply: dict[str, dict[str, str]]
    request: dict[str, dict[str, str]]
    flight: dict[str, str]
    # By absolute name: whether its publisher is reliable, and whether it keeps its last message.
    offered: dict[str, tuple[bool, bool]]

    def topics(self, layout: str) -> dict[str, str]:
        """Every topic that the nodes of this layout publish, absolute, and its type."""
        published = [*self.publish.values(), *([self.flight] if layout == "drone" else [])]
        return {f"/{name.lstrip('/')}": kind for names in published for name, kind in names.items()}


WAYS = ("publish", "subscribe", "reply", "request")


def policies() -> dict[str, dict[str, set[str]]]:
    """What the SROS2 policy file allows each node, as names relative to its namespace."""
    folder = models.share() / "security"
    allowed = {}
    for enclave in ElementTree.parse(folder / "liquid_control.policy.xml").iter("enclave"):
        (profile,) = enclave.iter("profile")
        node = profile.get("node")
        assert enclave.get("path") == f"/{node}"
        rules = {way: set() for way in WAYS}
        for part in profile:
            # Of the includes, which ROS 2's own tool follows: <profile> is their root.
            file = part.get("href")
            for item in ElementTree.parse(folder / file).getroot() if file else [part]:
                for way in set(item.attrib) & set(WAYS):
                    assert item.get(way) == "ALLOW"
                    names = {entry.text.replace("~", node).lstrip("/") for entry in item}
                    assert names
                    rules[way] |= names
        allowed[node] = rules
    return allowed


def listed(query: Callable, name: str, space: str) -> dict[str, str]:
    return {topic.removeprefix(f"/{space}/"): kinds[0] for topic, kinds in query(name, f"/{space}")}


def offer(qos: QoSProfile) -> tuple[bool, bool]:
    return (
        qos.reliability == ReliabilityPolicy.RELIABLE,
        qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    )


@pytest.fixture(scope="module")
def graph(start_shared, model, tmp_path_factory) -> Iterator[Graph]:
    """Of a drive, and of a simulated drone beside it, once the recorder has found all topics."""
    domain = os.environ["ROS_DOMAIN_ID"]
    os.environ["ROS_DOMAIN_ID"] = str(processes.free_domain())
    arguments = {
        **NODES,
        "policy": (*NODES["policy"], "-p", f"model:={model}"),
        "recorder": ("-p", f"bag:={tmp_path_factory.mktemp('graph') / 'bag'}"),
    }
    shared = ("-r", "/clock:=clock", "-p", "use_sim_time:=true")
    for name, more in arguments.items():
        start_shared(name, "-r", f"__ns:=/{CAR}", *shared, *more)
    world = "world:=liquid_control/Drone-v0"
    start_shared("simulator", "-r", f"__ns:=/{DRONE}", *shared, "-p", world)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("onlooker")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    there = {(name, f"/{CAR}") for name in NODES} | {("simulator", f"/{DRONE}")}
    publish, subscribe, reply, request = (
        node.get_publisher_names_and_types_by_node,
        node.get_subscriber_names_and_types_by_node,
        node.get_service_names_and_types_by_node,
        node.get_client_names_and_types_by_node,
    )
    missing: set = there
    for _ in range(4000):
        executor.spin_once(timeout_sec=0.02)
        missing = there - set(node.get_node_names_and_namespaces())
        if missing:
            continue
        published = {name for other in NODES for name in listed(publish, other, CAR)}
        missing = set(TOPICS) & published - set(listed(subscribe, "recorder", CAR))
        missing |= {"clock", "policy/neurons", "policy/facts"} - published
        missing |= {"camera/image_raw"} - set(listed(subscribe, "policy", CAR))
        missing |= {"odom"} - set(listed(publish, "simulator", DRONE))
        if not missing:
            break
    assert not missing, "not found within 80 s"
    yield Graph(
        *(
            {name: listed(query, name, CAR) for name in NODES}
            for query in (publish, subscribe, reply, request)
        ),
        listed(publish, "simulator", DRONE),
        {
            f"/{topic}": offer(
                node.get_publishers_info_by_topic(f"/{space}/{topic}")[0].qos_profile
            )
            for space, names in ((DRONE, ("simulator",)), (CAR, NODES))
            for name in names
            for topic in listed(publish, name, space)
            if not topic.startswith("/")
        },
    )
    node.destroy_node()
    rclpy.try_shutdown()
    os.environ["ROS_DOMAIN_ID"] = domain


def test_all_that_belongs_to_a_vehicle_lies_under_its_namespace(graph):
    for names in (graph.publish, graph.subscribe, graph.reply, graph.request):
        for node, found in names.items():
            assert {name for name in found if name.startswith("/")} <= SHARED, node
    for node, served in graph.reply.items():
        assert {f"{node}/get_parameters", f"{node}/set_parameters"} <= set(served)


# Allowed, and not seen in this drive: for another parameter, message package, model or vehicle.
OTHERWISE = {
    "policy": {
        *("ackermann_cmd", "policy/updates", "intervention", "policy/watch"),
        *("camera/image_raw/compressed", "camera/camera_info"),
    },
    "safety": {"ackermann_cmd_safe"},
    "offboard": {
        *("fmu/in/offboard_control_mode", "fmu/in/trajectory_setpoint", "cmd_hover"),
        *("fmu/out/vehicle_odometry",),
    },
    "simulator": {"tf", "tf_static", "simulator/target"},
    # Nobody looks: tests/ros/test_view.py has what it hears then.
    "view": {
        *("diagnostics", "camera/image_raw", "camera/image_raw/compressed", "intervention"),
        *("safety/state", "safety/emergency_stopped", "policy/facts", "policy/decision"),
        *("policy/neurons", "policy/latency", "policy/watch"),
        *("policy/attention/overlay/compressed", "simulator/state", "simulator/expert"),
        "expert/command",
    },
    "recorder": {
        *("expert/command", "policy/updates", "policy/watch", "simulator/target"),
        "camera/image_raw/compressed",  # where the policy drives by them
    },
}


def test_the_security_policy_allows_what_the_nodes_do_and_no_more(graph):
    allowed = policies()
    for way in WAYS:
        for node, found in getattr(graph, way).items():
            seen, rule = {name.lstrip("/") for name in found}, allowed[node][way]
            assert seen <= rule, f"{node} does more than it may: {way}"
            assert rule - seen <= OTHERWISE.get(node, set()), f"{node} may do more: {way}"


def test_every_node_of_the_package_has_a_security_policy():
    assert set(policies()) == {path.name for path in (ROOT / "scripts").iterdir()}


RVIZ = {
    "Image": "sensor_msgs/msg/Image",
    "Odometry": "nav_msgs/msg/Odometry",
    "Path": "nav_msgs/msg/Path",
    "Pose": "geometry_msgs/msg/PoseStamped",
}


@pytest.mark.parametrize("name", ["drive", "drone"])
def test_rviz_shows_what_is_published_with_that_type(graph, name):
    content = YAML(typ="safe").load(models.share() / "config" / "rviz" / f"{name}.rviz")
    displays = content["Visualization Manager"]["Displays"]
    shown = {
        display["Topic"]["Value"]: RVIZ[display["Class"].split("/")[1]]
        for display in displays
        if "Topic" in display
    }
    assert {"/camera/image_raw", "/policy/attention/overlay", "/odom"} <= set(shown)
    published = graph.topics(name)
    for topic, kind in shown.items():
        assert published[topic] == kind, topic
    for wish in (display["Topic"] for display in displays if "Topic" in display):
        reliable, latched = graph.offered[wish["Value"]]
        # Who asks for more than is offered hears nothing; who is late misses what is not kept.
        assert reliable or wish["Reliability Policy"] == "Best Effort", wish
        assert latched == (wish["Durability Policy"] == "Transient Local"), wish


@pytest.mark.parametrize("name", ["drive", "drone"])
def test_foxglove_shows_what_is_published_and_fields_that_there_are(graph, name):
    content = json.loads((models.share() / "config" / "foxglove" / f"{name}.json").read_text())
    panels = content["configById"]
    assert set(leaves(content["layout"])) == set(panels)
    assert {panel.split("!")[0] for panel in panels} == {
        *("Image", "3D", "Plot", "DiagnosticSummary"),
    }
    published = graph.topics(name)
    named = set()
    for panel in panels.values():
        named |= set(panel.get("topics", {})) | {panel.get("topicToRender")}
        named |= {value for key, value in panel.get("imageMode", {}).items() if "Topic" in key}
        for path in panel.get("paths", []):
            topic, *fields = path["value"].split(".")
            named.add(topic)
            value = message(published[topic])
            for field in fields:
                value = getattr(value, field.split("[")[0])
    assert named - {None} <= set(published)
    assert {"/camera/image_raw", "/cmd_vel_safe", "/diagnostics"} <= named


def message(kind: str) -> object:
    """An empty message of the type "package/msg/Name"."""
    package, _, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)()


def leaves(tree: dict | str) -> list[str]:
    """The panels of a layout."""
    return [tree] if isinstance(tree, str) else leaves(tree["first"]) + leaves(tree["second"])
