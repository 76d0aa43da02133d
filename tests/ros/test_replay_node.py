"""A recorded drive goes frame by frame, with its own stamps, through a policy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import Image, JointState

from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.data.messages import read_named_vector, stamp_of
from liquid_control.evaluation.audit import audit_bag
from liquid_control.ros import conversion
from liquid_control.ros.replay_node import moments, period
from liquid_control.ros.runtime import SENSOR

pytestmark = pytest.mark.ros

MS = 1_000_000
START = 1_700_000_000_000 * MS
COUNT = 12


def frame_of(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames 50 ms apart with steering; the one with number 5 is damaged."""
    path = tmp_path_factory.mktemp("bags") / "recording"
    with BagWriter(path) as bag:
        for index in range(COUNT):
            stamp = START + index * 50 * MS
            image = messages.png_image(frame_of(index), stamp)
            if index == 5:
                image = messages.compressed_image(b"not a picture", stamp)
            bag.write("/camera/image_raw/compressed", image, stamp)
            label = messages.named_vector(["steering"], [index / 20], stamp)
            bag.write("/expert/command", label, stamp + 1)
    return path


def test_every_good_frame_comes_with_the_command_of_its_moment(recording):
    with BagReader(recording) as reader:
        found = list(moments(reader))
    assert [moment.stamp for moment in found] == [
        START + index * 50 * MS for index in range(COUNT) if index != 5
    ]
    for moment in found:
        index = (moment.stamp - START) // (50 * MS)
        assert np.array_equal(moment.frame, frame_of(index))
        assert moment.command == {"steering": pytest.approx(index / 20)}
    with BagReader(recording) as reader:
        assert len(list(moments(reader, seconds=0.1))) == 3
        assert period(reader) == pytest.approx(0.05)


@pytest.mark.parametrize("mode", ["lockstep", "realtime"])
def test_frames_keep_their_stamps_and_the_node_ends_with_the_bag(probe, start, recording, mode):
    """The probe plays the policy: it answers every frame with a decision of the same stamp."""
    decide = probe.create_publisher(JointState, "policy/decision", 15)
    frames: dict[int, np.ndarray] = {}
    labels: dict[int, float] = {}

    def answer(message: Image) -> None:
        frames[stamp_of(message)] = conversion.decode_image(message)
        decide.publish(conversion.named_vector(["steering"], [0.0], stamp_of(message)))

    def note(message: JointState) -> None:
        labels[stamp_of(message)] = read_named_vector(message)["steering"]

    probe.create_subscription(Image, "camera/image_raw", answer, SENSOR)
    probe.create_subscription(JointState, "expert/command", note, 50)
    child = start("replay", "-p", f"bag:={recording}", "-p", f"mode:={mode}")
    probe.wait(lambda: child.code is not None, 40.0)
    assert child.code == 0, child.last_words()
    expected = {START + index * 50 * MS: index for index in range(COUNT) if index != 5}
    assert frames.keys() == expected.keys()
    for stamp, index in expected.items():
        assert np.array_equal(frames[stamp], frame_of(index))
        assert labels[stamp] == pytest.approx(index / 20)


def test_the_replay_command_puts_policy_and_human_side_by_side(
    recording, model, tmp_path, survivors
):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "liquid_control", "replay", str(recording)),
            *("--model", str(model), "--out", str(tmp_path), "--no-report"),
        ],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert survivors() == []
    (run,) = tmp_path.glob("*-replay")
    with BagReader(run / "bag") as bag:
        heard = {topic: set() for topic in ("/policy/decision", "/expert/command")}
        for topic, _, message in bag.messages(heard):
            heard[topic].add(stamp_of(message))
    assert len(heard["/expert/command"]) == COUNT - 1
    # The first frame finds the policy; recorders look for its topics only when it has answered.
    assert heard["/expert/command"] - heard["/policy/decision"] <= {START}


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_recording_of_a_wide_camera_is_replayed_and_audited_through_its_setup(model, tmp_path):
    """Its camera_info is in the bag, what to do with it in a parameter file."""
    camera = {"width": 80, "height": 60, "fx": 50.0, "fy": 50.0, "cx": 39.5, "cy": 29.5}
    camera["distortion"] = (-0.2, 0.03, 0.0, 0.0, 0.0)
    with BagWriter(tmp_path / "wide") as bag:
        for index in range(COUNT):
            stamp = START + index * 50 * MS
            bag.write("/camera/camera_info", messages.camera_info(camera, stamp), stamp)
            bag.write("/camera/image_raw", messages.image(frame_of(index), stamp), stamp + 1)
    params = tmp_path / "params.yaml"
    text = "/**/policy: {ros__parameters: {undistort: true, roi_top: 0.3, flip: both}}"
    params.write_text(text, encoding="utf-8")
    options = ["--model", str(model), "--params", str(params), "--out", str(tmp_path)]
    command = [sys.executable, "-m", "liquid_control", "replay", str(tmp_path / "wide")]
    done = subprocess.run([*command, *options, "--no-report"], capture_output=True, timeout=170)
    assert done.returncode == 0, done.stderr.decode()
    (run,) = tmp_path.glob("*-replay")
    result = audit_bag(run / "bag")
    assert result.ok, result.sentence
    assert result.findings.compared["command"] >= COUNT - 2
    facts = result.record.facts_of(result.record.decisions[0])
    assert facts.camera_info["d"][:2] == [-0.2, 0.03]
    assert facts.parameters["roi_top"] == 0.3


@pytest.mark.parametrize("bag", ["/nowhere/at_all", ""])
def test_a_bag_that_is_missing_ends_the_node_with_2(start, bag):
    child = start("replay", "-p", f"bag:='{bag}'")
    assert child.process.wait(20) == 2
    assert "Traceback" not in child.log.read_text()


def test_a_bag_without_a_camera_is_refused_before_anything_is_written(tmp_path):
    with BagWriter(tmp_path / "blind") as bag:
        bag.write("/expert/command", messages.named_vector(["steering"], [0.1], START), START)
    out = tmp_path / "runs"
    command = [sys.executable, "-m", "liquid_control", "replay", str(tmp_path / "blind")]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "expected /camera/image_raw" in done.stderr
    assert "got /expert/command" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not out.exists()
