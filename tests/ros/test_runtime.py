"""How a node's process begins and ends."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.node import Node

from liquid_control import models
from liquid_control.ros import drive, runtime
from liquid_control.ros.offboard_node import OffboardNode
from liquid_control.ros.parameters import declare
from liquid_control.ros.processes import setting


@pytest.fixture
def own_signals(monkeypatch):
    """What a node's process sets for itself is put back; what it chose for DDS as well."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(runtime.transport, "choose", lambda shared_memory: None)
    monkeypatch.setattr(runtime.memory, "keep_freed", lambda: None)
    yield
    signal.alarm(0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--params-file", "/nowhere.yaml"], "'--params-file /nowhere.yaml'"),
        (["-r", "__ns:=/car-1"], "'-r __ns:=/car-1'"),
        (["--ros"], "--ros"),
    ],
)
def test_arguments_that_ros_cannot_read_are_one_sentence_and_2(
    own_signals, monkeypatch, capsys, arguments, words
):
    monkeypatch.setattr(sys, "argv", ["safety"])
    made: list = []
    assert runtime.run(made.append, ["safety", "--ros-args", *arguments]) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert said.startswith("safety: ROS 2 refuses")
    assert words in said
    assert ".c:" not in said
    assert not made


def test_a_domain_that_is_no_number_is_one_sentence(own_signals, monkeypatch, capsys):
    monkeypatch.setenv("ROS_DOMAIN_ID", "blue")
    assert runtime.run(lambda stop: None, []) == 2
    assert "ROS_DOMAIN_ID is not an integral number;" in capsys.readouterr().err


@pytest.mark.parametrize("domain", ["233", "-1", "99999999999"])
def test_a_domain_that_does_not_exist_is_one_sentence(own_signals, monkeypatch, capsys, domain):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    made: list = []
    assert runtime.run(made.append, []) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert f"ROS_DOMAIN_ID must be a whole number from 0 to 232, got {domain};" in said
    assert not made


def test_a_clock_that_is_neither_true_nor_false_is_one_sentence(own_signals, capsys):
    arguments = ["--ros-args", "-p", "use_sim_time:='yes'"]
    assert runtime.run(lambda stop: Node("slow"), arguments) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert "use_sim_time" in said
    assert "BOOL" in said


# The level is the process's, and other tests silence it.
SAY = ["--ros-args", "--log-level", "INFO"]


@pytest.mark.parametrize("name", ["drive", "fly", "robot"])
def test_our_parameter_files_are_known_to_offboard(own_signals, capfd, name):
    def create(stop):
        stop(0)
        return OffboardNode(stop)

    file = models.share() / "config" / f"{name}.yaml"
    assert runtime.run(create, [*SAY, "--params-file", str(file)]) == 0
    assert "has no parameter" not in capfd.readouterr().err


def test_a_slip_in_the_name_of_a_parameter_is_said(own_signals, capfd):
    def create(stop):
        node = Node("slow")
        declare(node, "max_speed", 15.0, "highest speed [m/s]", 0.0, 60.0)
        declare(node, "options", [""], "of the world")
        stop(0)
        return node

    assert runtime.run(create, [*SAY, "-p", "max_sped:=3.0", "-p", "options:=[]"]) == 0
    said = capfd.readouterr().err
    assert "/slow has no parameter max_sped, and goes on without; was max_speed meant?" in said
    assert runtime.run(create, [*SAY, "-p", "max_speed:=3.0"]) == 0
    assert "has no parameter" not in capfd.readouterr().err


@pytest.mark.parametrize(("default", "word"), [(15.0, "float"), (True, "bool"), ("car", "str")])
def test_a_list_of_nothing_is_no_value(own_signals, capsys, default, word):
    def create(stop):
        node = Node("slow")
        declare(node, "it", default, "something")
        return node

    assert runtime.run(create, ["--ros-args", "-p", "it:=[]"]) == 2
    assert f"Parameter it of node /slow must be a {word}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["/home/me/run #2/bag", "a: b", "{a}", "2026", "1e3", "on", "Käse \U0001f697", "'\"\\"]
)
def test_a_text_reaches_a_node_as_it_is(text):
    assert parameter("bag", setting("bag", text)) == text


def test_the_nodes_of_a_drive_are_told_their_folders_as_they_are():
    model, bag = Path("/models #1/mine"), Path("/runs #2/bag")
    plans = drive.nodes(model, "Any-v0", 1, "realtime", Path("/p.yaml"), bag)
    policy, _, _, recorder = [list(plan.arguments) for plan in plans]
    assert parameter("bag", recorder) == str(bag)
    assert parameter("model", policy[2:]) == str(model)


def parameter(name: str, arguments: list[str]) -> str:
    """What a node that is started with these arguments is told."""
    context = rclpy.Context()
    rclpy.init(args=["--ros-args", *arguments], context=context)
    node = Node("told", context=context)
    value = node.declare_parameter(name, "").value
    node.destroy_node()
    context.try_shutdown()
    return value
