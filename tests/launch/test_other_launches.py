"""`drone`, `replay`, `robot` and `record` by `ros2 launch`, with real nodes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter

pytestmark = [pytest.mark.ros, pytest.mark.slow]

START, STEP = 1_700_000_000_000_000_000, 50_000_000


def record(path: Path, frames: int) -> Path:
    """Frames 50 ms apart with a person's steering."""
    random = np.random.default_rng(0)
    with BagWriter(path) as bag:
        for stamp in range(START, START + frames * STEP, STEP):
            frame = random.integers(0, 256, (60, 80, 3), np.uint8)
            bag.write("/camera/image_raw/compressed", messages.png_image(frame, stamp), stamp)
            label = messages.named_vector(["steering"], [0.1], stamp)
            bag.write("/expert/command", label, stamp + 1)
    return path


def held(path: Path) -> dict[str, int]:
    with BagReader(path) as bag:
        return {topic: count for topic, (_, count) in bag.topics.items() if count}


def test_a_replay_ends_with_its_recording(launch, model, tmp_path):
    bag = record(tmp_path / "recording", 12)
    run = launch("replay", f"bag:={bag}", f"model:={model}", "record:=true", "out:=out")
    run.process.wait(90)
    assert "Replayed 12 frames" in run.said, run.said
    assert "process has died" not in run.said
    assert not run.survivors
    # The recorder may find the first decision's topic too late.
    assert held(run.folder / "out")["/policy/decision"] >= 11


def test_a_replay_of_nothing_is_one_sentence(launch, tmp_path):
    run = launch("replay", f"bag:={tmp_path / 'nothing'}")
    assert run.process.wait(60) == 1
    assert "nothing" in run.said.splitlines()[-1]
    assert "Traceback" not in run.said
    assert not run.pids


def test_a_recorder_alone_takes_the_topics_that_it_is_told(launch):
    run = launch("record", "topics:=/diagnostics odom", "bag:=kept")
    run.wait_for("Recording into")
    run.ros2_until("name: recorder", "topic", "echo", "/diagnostics")
    said = run.interrupt()
    assert "Recorded" in said
    assert set(held(run.folder / "kept")) == {"/diagnostics"}


@pytest.fixture
def camera(tmp_path) -> Iterator:
    """A camera under another name, and the clock of its recording."""
    started = []

    def begin(run) -> None:
        command = [run.tool, "run", "liquid_control", "replay", "--ros-args"]
        command += ["-p", f"bag:={record(tmp_path / 'sight', 400)}", "-p", "mode:=realtime"]
        command += ["-r", "camera/image_raw:=/front/image"]
        with (tmp_path / "camera.log").open("wb") as log:
            started.append(subprocess.Popen(command, env=run.environment, stdout=log, stderr=log))

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_a_robot_has_other_topics_and_a_base_that_wants_twist(launch, model, camera):
    run = launch(
        "robot",
        *(f"model:={model}", "image:=/front/image", "vehicle:=/base/cmd_vel", "stamped:=false"),
        *("use_sim_time:=true", "record:=true", "bag:=driven"),
    )
    camera(run)
    run.wait_for("the vehicle may move")
    run.until("/base/cmd_vel [geometry_msgs/msg/Twist]", "topic", "list", "-t")
    run.ros2_until("linear:", "topic", "echo", "/base/cmd_vel")
    said = run.interrupt()
    assert "process has died" not in said, said
    assert {"/front/image", "/base/cmd_vel", "/policy/decision"} <= set(held(run.folder / "driven"))


def test_a_drone_flies_and_an_autopilot_is_told_the_same(launch):
    run = launch("drone", "target:=mavros", "namespace:=uav1")
    run.wait_for("the vehicle may move")
    assert len(run.pids) == 4
    said = run.ros2_until("linear:", "topic", "echo", "/uav1/mavros/setpoint_velocity/cmd_vel")
    assert "frame_id: map" in said
    assert "active [3]" in run.until("active", "lifecycle", "get", "/uav1/policy")
    said = run.interrupt()
    assert "process has died" not in said, said
    assert not run.survivors
