"""A robot's own camera: real nodes undo its lens and cut its picture, and the audit repeats it."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, Image, JointState

from liquid_control.camera import Calibration, View
from liquid_control.camera.view import RobotCamera
from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.data.messages import decode_image
from liquid_control.evaluation.audit import audit_bag
from liquid_control.policy import Policy, frame_hash
from liquid_control.policy.fingerprint import Hashes
from liquid_control.ros import conversion
from liquid_control.ros.runtime import SENSOR

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(280)]

ROWS, COLUMNS, MS = 120, 160, 1_000_000
SETUP = {"undistort": True, "flip": "both", "roi_top": 0.2, "roi_right": 150.0}


def info(k1: float = -0.2) -> CameraInfo:
    k = [100.0, 0.0, 78.0, 0.0, 101.0, 61.0, 0.0, 0.0, 1.0]
    lens = [k1, 0.03, 0.001, -0.002, 0.0]
    return CameraInfo(width=COLUMNS, height=ROWS, distortion_model="plumb_bob", d=lens, k=k)


def test_a_bayer_camera_with_a_lens_drives_and_is_audited_to_the_bit(
    probe, start, end, model, tmp_path
):
    bag, rng = tmp_path / "bag", np.random.default_rng(11)
    topics = ["image", *(f"policy/{name}" for name in ("facts", "decision", "neurons"))]
    recorder = start("recorder", "-p", f"bag:={bag}", "-p", f"topics:=[{', '.join(topics)}]")
    options = [f"{name}:={json.dumps(value).strip(chr(34))}" for name, value in SETUP.items()]
    policy = start("policy", "-p", f"model:={model}", *(x for o in options for x in ("-p", o)))
    probe.wait(lambda: probe.count_publishers("policy/decision"), 90.0)
    probe.wait(lambda: probe.count_subscribers("policy/decision"))
    decisions = probe.listen(JointState, "policy/decision")
    reports = probe.listen(DiagnosticArray, "/diagnostics")
    stamp, sent = 1_000 * MS, {}

    def show() -> None:
        nonlocal stamp
        stamp += 33 * MS
        image = conversion.image(rng.integers(0, 256, (ROWS, COLUMNS), np.uint8), stamp, "camera")
        image.encoding = "bayer_gbrg8"
        sent[stamp] = image
        probe.out(Image, "image", SENSOR).publish(image)

    def told(text: str) -> bool:
        show()
        return any(text in report.status[0].message for report in reports)

    def decided(count: int) -> None:
        def enough() -> bool:
            show()
            return len(decisions) >= count

        probe.wait(enough)

    probe.wait(lambda: told("No camera_info came on /camera_info"))
    assert not decisions
    calibrations = probe.out(CameraInfo, "camera_info", SENSOR)
    calibrations.publish(info())
    decided(20)
    calibrations.publish(info(k1=-0.21))
    probe.wait(lambda: told("camera_info on /camera_info has changed"))
    calibrations.publish(info())
    decided(len(decisions) + 10)
    # What the policy saw is what the setup says.
    last = decisions[-1]
    loaded = Policy.load(model)
    camera = RobotCamera(View.of(SETUP), loaded.camera, Calibration.of(info()))
    seen = loaded.camera.apply(camera.apply(decode_image(sent[messages.stamp_of(last)])))
    assert Hashes.parse(last.header.frame_id).frame == frame_hash(seen)
    assert [end(child, signal.SIGINT) for child in (policy, recorder)] == [0, 0]

    result = audit_bag(bag)
    assert result.ok, result.sentence
    assert result.findings.exact
    assert result.findings.compared["command"] > 0.8 * len(result.record.decisions)
    for name, change in {"d": lens, "roi": region}.items():
        found = audit_bag(with_facts(bag, tmp_path / name, change)).findings
        assert "facts" in {each.check for each in found.first}


def lens(facts: dict) -> None:
    if facts["camera_info"]:
        facts["camera_info"]["d"][0] = -0.21


def region(facts: dict) -> None:
    facts["parameters"]["roi_top"] = 0.25


def with_facts(bag: Path, target: Path, change) -> Path:
    """The bag again, with other facts."""
    counts: Counter[str] = Counter()
    with BagReader(bag) as reader, BagWriter(target) as writer:
        for topic, kind, logged, cdr in reader.raw_messages():
            counts[topic] += 1
            if topic == "/policy/facts":
                facts = json.loads(messages.deserialize(kind, cdr).data)
                change(facts)
                cdr = bytes(messages.serialize(messages.string(json.dumps(facts))))
            writer.write_raw(topic, kind, cdr, logged)
    assert counts["/policy/facts"] == 2
    return target
