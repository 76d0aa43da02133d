"""What real nodes record of a drive is equal to the bit when it is made again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState

from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.evaluation.audit import audit_bag
from liquid_control.ros import conversion
from liquid_control.ros.runtime import COMMAND

# A drive loads PyTorch and a world in processes of their own, which takes long on a busy machine.
pytestmark = [pytest.mark.ros, pytest.mark.timeout(280)]

LATE = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)

Change = Callable[[str, int, bytes], bytes | None]


def drive(model: Path, out: Path, *more: str) -> Path:
    arguments = ["drive", "--model", str(model), "--out", str(out), "--no-report", *more]
    done = subprocess.run(
        [sys.executable, "-m", "liquid_control", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def run(driver_with_speed, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    return drive(driver_with_speed, out, "--seconds", "2", "--mode", "lockstep")


def rewrite(bag: Path, target: Path, change: Change) -> Path:
    """The bag again, each message as `change(topic, number of it, bytes)` gives it, or without."""
    counts: Counter[str] = Counter()
    with BagReader(bag) as reader, BagWriter(target) as writer:
        for topic, kind, logged, cdr in reader.raw_messages():
            changed = change(topic, counts[topic], cdr)
            counts[topic] += 1
            if changed is not None:
                writer.write_raw(topic, kind, changed, logged)
    return target


def test_a_drive_is_equal_to_the_bit_when_it_is_made_again(run):
    result = audit_bag(run / "bag", attention=True)
    assert result.ok, result.sentence
    assert result.findings.exact, result.build
    assert "equal to the bit" in result.sentence
    compared, count = result.findings.compared, len(result.record.decisions)
    assert count > 50
    # The camera is best effort: what the recorder missed is counted, and most is there.
    assert compared["command"] == count - len(result.findings.unseen) > 0.8 * count
    assert compared["state"] > 0.8 * count
    assert compared["published"] > 0.8 * count
    assert compared["attention"] > 0.5 * count
    assert result.findings.removed == 0
    facts = next(iter(result.record.facts.values()))
    assert facts.build["threads"] == "1"
    assert facts.parameters["speed"] == 8.33
    assert {"autostart", "image_transport", "max_gap", "wheelbase"} <= facts.parameters.keys()


def test_changes_of_a_real_record_are_found(run, tmp_path):
    def flip(topic: str, number: int, cdr: bytes) -> bytes | None:
        if (topic, number) == ("/policy/decision", 30):
            return None
        kind = {"/policy/decision": "JointState"}.get(topic)
        if kind and number in (10, 20):
            message = messages.deserialize(f"sensor_msgs/msg/{kind}", cdr)
            message.position = message.position.copy()
            message.position[-1 if number == 10 else 3] += 1e-6
            return bytes(messages.serialize(message))
        return cdr

    result = audit_bag(rewrite(run / "bag", tmp_path / "bag", flip))
    found = {(each.place, each.check) for each in result.findings.differences}
    assert {(10, "record"), (20, "record"), (20, "chain"), (30, "sequence")} <= found
    assert {place for place, _ in found} <= {10, 20, 21, 30}


def test_a_pixel_of_a_real_frame_is_found(run, tmp_path):
    seen = audit_bag(run / "bag")
    wanted = seen.record.decisions[15].stamp

    def flip(topic: str, number: int, cdr: bytes) -> bytes:
        if topic != "/camera/image_raw":
            return cdr
        message = messages.deserialize("sensor_msgs/msg/Image", cdr)
        if messages.stamp_of(message) != wanted:
            return cdr
        message.data = message.data.copy()
        message.data[7] ^= 1
        return bytes(messages.serialize(message))

    result = audit_bag(rewrite(run / "bag", tmp_path / "bag", flip))
    assert result.findings.first[0].place == 15
    assert "camera image was changed" in result.findings.cause


def test_a_drive_whose_recorder_died_is_audited_as_far_as_it_came(run, tmp_path):
    shutil.copytree(run / "bag", tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").unlink()
    (file,) = (tmp_path / "bag").glob("*.mcap")
    whole = len(audit_bag(run / "bag").record.decisions)
    left = whole
    # In lockstep the world goes on without decisions until all nodes have ended.
    while left == whole:
        os.truncate(file, file.stat().st_size * 3 // 4)
        result = audit_bag(tmp_path / "bag")
        assert result.ok, result.sentence
        assert not result.record.closed
        left = len(result.record.decisions)
    assert left > 0


def test_the_command_line_audits_a_run_folder(run):
    command = [sys.executable, "-m", "liquid_control", "audit", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((run / "audit.json").read_text())["ok"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_policy_that_learns_while_it_drives_is_audited(
    probe, start, end, camera_of, model, tmp_path
):
    """Weights change between two frames; each decision is made again with those in force."""
    bag, rng = tmp_path / "bag", np.random.default_rng(3)
    topics = ["image", *(f"policy/{name}" for name in ("facts", "decision", "neurons", "updates"))]
    recorder = start("recorder", "-p", f"bag:={bag}", "-p", f"topics:=[{', '.join(topics)}]")
    options = ["adapt:=true", "adapt_every:=12", "adapt_tolerance:=1.0", "adapt_anchor:=0.0"]
    policy = start(
        "policy", "-p", f"model:={model}", *(x for option in options for x in ("-p", option))
    )
    probe.wait(lambda: probe.count_publishers("policy/decision"), 90.0)
    camera = camera_of(probe)
    said = probe.listen(JointState, "policy/updates", LATE)
    probe.wait(lambda: probe.count_subscribers("policy/decision") > 1)
    person = probe.out(TwistStamped, "intervention", COMMAND)
    frames = rng.integers(0, 256, (20, 78, 200, 3), np.uint8)

    def learnt() -> bool:
        frame = frames[len(camera.decisions) % len(frames)]
        person.publish(conversion.twist_stamped(4.0, 0.08, camera.stamp + 30_000_000))
        camera.show(frame)
        return len(said) > 2

    probe.wait(learnt, 300.0)
    for frame in frames:
        camera.show(frame)
    assert [end(child, signal.SIGINT) for child in (policy, recorder)] == [0, 0]

    result = audit_bag(bag)
    assert result.ok, result.sentence
    assert result.findings.exact
    named = {each.hashes.weights for each in result.record.decisions}
    assert len(named) >= 3
    assert result.findings.compared["command"] > 0.8 * len(result.record.decisions)
