"""Launch files: each explains itself, and starts what `liquid-control` starts, in the same way.

What needs the Python package `launch` of ROS 2 is skipped without it; nothing here starts a node.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.ros import drive, replay_command

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
NAMES = {"drive", "drone", "record", "replay", "robot"}
# Set by the launch alone: it brings the policy up itself, and with `view:=true` a recorder waits
# for the page's button.
OWN = {"policy": {"autostart": False}, "recorder": {"at_once": True}}


def test_the_launch_files_are_the_documented_ones():
    assert {path.name.removesuffix(".launch.py") for path in FILES} == NAMES
    page = (ROOT / "docs" / "ros2.md").read_text()
    for name in NAMES:
        assert f"{name}.launch.py" in page


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_launch_file_compiles_and_says_how_it_is_called(path):
    tree = ast.parse(path.read_text(), path.name)
    assert f"ros2 launch liquid_control {path.name}" in (ast.get_docstring(tree) or "")
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert "generate_launch_description" in functions


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_argument_is_explained_by_the_real_tool(ros2, name):
    shown = subprocess.run(
        [ros2, "launch", "liquid_control", f"{name}.launch.py", "--show-args"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stderr
    page = (ROOT / "docs" / "ros2.md").read_text()
    arguments = [
        line.strip(" ':") for line in shown.stdout.splitlines() if line.startswith("    '")
    ]
    assert {"namespace", "params_file", "discovery", "log_level", "use_sim_time"} <= set(arguments)
    for argument in arguments:
        assert f"`{argument}`" in page, f"docs/ros2.md does not name {argument}"
    assert "no description" not in shown.stdout.lower()


@pytest.fixture
def described(ros2, monkeypatch):
    """What a launch file starts: by executable its parameters and remappings."""
    # A launch sets what the middleware of its process uses, unless somebody has.
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", "DEFAULT")
    pytest.importorskip("launch", reason="the Python package launch of ROS 2 is not installed")
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch.utilities import perform_substitutions
    from launch_ros.actions import Node

    def describe(launch_file: str, **values: str) -> dict[str, tuple[dict, dict]]:
        path = ROOT / "launch" / f"{launch_file}.launch.py"
        spec = importlib.util.spec_from_file_location(launch_file, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        context = LaunchContext()
        context.launch_configurations.update(values)
        found = {}
        for entity in module.generate_launch_description().entities:
            if not isinstance(entity, (DeclareLaunchArgument, OpaqueFunction)):
                continue
            for action in entity.execute(context) or []:
                if isinstance(action, Node):
                    # What the action does before it starts the process.
                    action._perform_substitutions(context)
                    context.extend_locals({"ros_specific_arguments": {"name": "", "ns": ""}})
                    command = [perform_substitutions(context, part) for part in action.cmd]
                    name = Path(command[0]).name
                    found[name] = plan(name, command)
        return found

    return describe


def plan(node: str, arguments: list[str]) -> tuple[dict, dict]:
    """Parameters and remappings of a node's command line, files of parameters read."""
    parameters, remaps = {}, {}
    for option, value in pairwise(arguments):
        if option == "--params-file":
            # launch_ros writes lists as Python's tuples.
            content = yaml.load(Path(value).read_text(), yaml.FullLoader)
            if all(name.startswith("/**/") for name in content):
                section = content.get(f"/**/{node}", {"ros__parameters": {}})
            else:
                # What launch_ros writes of one node's parameters.
                (section,) = content.values()
            for name, value in section["ros__parameters"].items():
                parameters[name] = list(value) if isinstance(value, tuple) else value
        elif option == "-p":
            name, _, text = value.partition(":=")
            parameters[name] = yaml.safe_load(text)
        elif option == "-r":
            name, _, topic = value.partition(":=")
            remaps[name] = topic
    return parameters, remaps


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "recording"
    with BagWriter(path) as bag:
        for index in range(3):
            stamp = (1 + index) * 50_000_000
            frame = np.zeros((8, 8, 3), np.uint8)
            bag.write("/camera/image_raw/compressed", messages.png_image(frame, stamp), stamp)
    return path


def compare(launched: dict, nodes: list) -> None:
    assert set(launched) == {node.name for node in nodes}
    for node in nodes:
        parameters, remaps = plan(node.name, list(node.arguments))
        there, names = launched[node.name]
        assert there == parameters | OWN.get(node.name, {}), node.name
        assert remaps.items() <= names.items(), node.name


@pytest.mark.parametrize("mode", ["realtime", "lockstep"])
@pytest.mark.parametrize("kind", ["drive", "drone"])
def test_the_launch_starts_what_the_command_starts(described, tmp_path, kind, mode):
    file = ROOT / "config" / ("drive.yaml" if kind == "drive" else "fly.yaml")
    values = {"model": "/m", "world": "a/World-v0", "seed": "3", "mode": mode, "bag": "/b"}
    launched = described(
        kind, params_file=str(file), record="true", options="season=winter", **values
    )
    nodes = drive.nodes(
        Path("/m"), "a/World-v0", 3, mode, file, Path("/b"), options=["season=winter"]
    )
    compare(launched, nodes)


def test_the_launch_of_a_replay_starts_what_the_command_starts(described, recording):
    launched = described(
        "replay",
        bag=str(recording),
        model="rc_track_ncp",
        seconds="2",
        record="true",
        out="/b",
    )
    nodes = replay_command.nodes(recording, Path("rc_track_ncp"), 2.0, "lockstep", Path("/b"))
    compare(launched, nodes)


@pytest.mark.parametrize("target", ["mavros", "px4", "crazyflie"])
def test_an_autopilot_gets_an_adapter_that_knows_it(described, target):
    launched = described("drone", target=target, simulator="false")
    assert set(launched) == {"safety", "policy", "offboard"}
    assert launched["offboard"][0]["target"] == target
    assert launched["policy"][0]["use_sim_time"] is False


def test_a_robot_s_topics_are_arguments(described):
    launched = described(
        "robot",
        image="/front/image",
        image_transport="compressed",
        vehicle="/base/cmd_vel",
        stamped="false",
        odom="/base/odom",
        record="true",
    )
    parameters, remaps = launched["policy"]
    assert remaps["image"] == "/front/image"
    assert remaps["image/compressed"] == "/front/image/compressed"
    assert remaps["odom"] == "/base/odom"
    assert parameters["image_transport"] == "compressed"
    assert parameters["stamped"] is launched["safety"][0]["stamped"] is False
    assert launched["safety"][1]["cmd_vel_safe"] == "/base/cmd_vel"
    assert launched["recorder"][1]["camera/image_raw/compressed"] == "/front/image/compressed"


def test_what_is_not_installed_or_no_number_is_one_sentence(described):
    from liquid_control.errors import InputError

    with pytest.raises(InputError, match="package usb_cam is not installed"):
        described("robot", camera="usb_cam")
    with pytest.raises(InputError, match="seed must be a whole number, got 'x'"):
        described("drive", seed="x")


def test_recorded_topics_are_chosen_by_an_argument(described):
    assert described("record", topics="odom cmd_vel")["recorder"][0]["topics"] == [
        "odom",
        "cmd_vel",
    ]
    assert "topics" not in described("record")["recorder"][0]
