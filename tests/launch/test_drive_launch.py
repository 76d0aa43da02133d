"""`ros2 launch liquid_control drive.launch.py`, looked at and steered with ROS 2's own tools."""

from __future__ import annotations

import os
import re
import signal

import pytest

from liquid_control.data.bag import BagReader

pytestmark = [pytest.mark.ros, pytest.mark.slow]

MOVES = "the vehicle may move"


@pytest.mark.parametrize("more", [[], ["namespace:=car1", "mode:=lockstep"]])
def test_the_car_drives_and_ctrl_c_ends_every_node_cleanly(launch, model, more):
    run = launch("drive", f"model:={model}", "record:=true", "bag:=bag", *more)
    run.wait_for(MOVES)
    assert len(run.pids) == 4
    said = run.interrupt()
    assert said.count("process has finished cleanly") == 4, said
    assert "process has died" not in said
    assert "Traceback" not in said
    assert not run.survivors
    assert (run.folder / "bag" / "metadata.yaml").is_file()


def test_a_launch_ends_when_one_of_its_nodes_is_killed(launch, model):
    run = launch("drive", f"model:={model}")
    run.wait_for(MOVES)
    nodes = run.pids
    os.kill(nodes[-1], signal.SIGKILL)
    run.process.wait(30)
    assert not run.survivors
    assert run.said.count("process has finished cleanly") == len(nodes) - 1


def test_a_missing_model_ends_the_launch_with_its_sentence(launch):
    run = launch("drive", "model:=/nowhere/at_all")
    run.process.wait(60)
    assert "No model '/nowhere/at_all'" in run.said
    assert "process has died" not in run.said
    assert not run.survivors


def test_ctrl_c_while_the_model_still_loads_ends_every_node(launch, model):
    run = launch("drive", f"model:={model}")
    run.wait_for("Commands pass up to")
    said = run.interrupt()
    # Of the nodes: launch_ros itself may complain of a service that it was waiting for.
    assert not re.search(r"\[\w+-\d\] Traceback", said), said
    assert said.count("process has finished cleanly") == 3, said
    assert not run.survivors


def test_tools_see_frames_parameters_and_the_lifecycle(launch, model):
    run = launch("drive", f"model:={model}")
    run.wait_for(MOVES)
    run.until("active [3]", "lifecycle", "get", "/policy")
    described = run.ros2("param", "describe", "/policy", "max_gap")
    assert "Type: double" in described
    assert "resets the state" in described
    assert "Max value: 10.0" in described
    run.ros2("param", "set", "/policy", "max_gap", "0.3")
    assert "0.3" in run.ros2("param", "get", "/policy", "max_gap")
    refused = run.ros2("param", "set", "/policy", "max_gap", "99.0", succeeds=False)
    assert "Set parameter successful" not in refused
    assert "0.3" in run.ros2("param", "get", "/policy", "max_gap")
    assert "average rate" in run.ros2_until("average rate", "topic", "hz", "/camera/image_raw")
    assert "deactivate" in run.ros2("lifecycle", "list", "/policy")
    assert "successful" in run.ros2("lifecycle", "set", "/policy", "deactivate")
    assert "inactive [2]" in run.ros2("lifecycle", "get", "/policy")
    assert run.process.poll() is None
    assert "successful" in run.ros2("lifecycle", "set", "/policy", "activate")
    assert run.said.count("Driving by /camera/image_raw") == 2


def test_without_autostart_a_lifecycle_manager_brings_the_policy_up(launch, model):
    run = launch("drive", f"model:={model}", "autostart:=false")
    run.until("unconfigured [1]", "lifecycle", "get", "/policy")
    for transition in ("configure", "activate"):
        assert "successful" in run.ros2("lifecycle", "set", "/policy", transition)
    run.wait_for(MOVES)


def test_with_autostart_by_the_node_the_launch_is_no_node_itself(launch, model):
    run = launch("drive", f"model:={model}", "autostart:=node")
    run.wait_for(MOVES)
    nodes = run.until("/policy", "node", "list", "--no-daemon", "--spin-time", "5").split()
    assert sorted(nodes) == ["/policy", "/safety", "/simulator"]


def test_two_cars_drive_side_by_side_and_hear_nothing_of_each_other(launch, model):
    cars = [
        launch("drive", f"model:={model}", f"namespace:={name}", "record:=true", f"bag:={name}")
        for name in ("car1", "car2")
    ]
    for car in cars:
        car.wait_for(MOVES)
        car.until("active [3]", "lifecycle", "get", f"/car{cars.index(car) + 1}/policy")
    cars[0].ros2("param", "set", "/car1/policy", "max_gap", "0.3")
    assert "0.2" in cars[0].ros2("param", "get", "/car2/policy", "max_gap")
    for car in cars:
        said = car.interrupt()
        assert "process has died" not in said, said
    for name in ("car1", "car2"):
        with BagReader(cars[0].folder / name) as bag:
            held = {topic for topic, (_, count) in bag.topics.items() if count}
        assert {f"/{name}/{topic}" for topic in ("clock", "odom", "policy/decision")} <= held
        assert {topic for topic in held if not topic.startswith(f"/{name}/")} == {"/diagnostics"}
