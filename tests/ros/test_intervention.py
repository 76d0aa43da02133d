"""A person takes the car from the policy for a while; what they did is recorded and learnt from."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from liquid_control.data.bag import BagReader
from liquid_control.data.drive import load_drive
from liquid_control.data.messages import stamp_of
from liquid_control.safety import Limits

from .scripted_person import SPANS, SPEED

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(400)]

SECONDS = 12.0
# It stays on the road, so that the drive is not begun again in between.
MODEL = "driving_ncp"


@dataclass
class Run:
    """What was recorded: (speed, yaw rate) by stamp [ns], and who drove, in order."""

    bag: Path
    frames: list[int]
    asked: dict[int, tuple[float, float]]
    person: dict[int, tuple[float, float]]
    safe: list[tuple[int, float, float]]
    drivers: list[str]


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs")
    person = start(str(Path(__file__).with_name("scripted_person.py")))
    drive = start(
        *("-m", "liquid_control", "drive", "--model", MODEL, "--out", str(out), "--no-report"),
        *("--seconds", str(SECONDS), "--mode", "lockstep"),
    )
    try:
        said, _ = drive.communicate(timeout=300)
    finally:
        person.terminate()
        drive.kill()
    assert person.wait(20) == 0
    assert drive.returncode == 0, said
    assert f"ROS_DOMAIN_ID={os.environ['ROS_DOMAIN_ID']} liquid-control teleop" in said
    return read(next(out.glob("*-drive")) / "bag")


def read(bag: Path) -> Run:
    run = Run(bag, [], {}, {}, [], [])
    with BagReader(bag) as reader:
        reader.require("/intervention", "/cmd_vel", "/cmd_vel_safe", "/safety/state")
        for topic, _, message in reader.messages():
            if topic == "/camera/image_raw":
                run.frames.append(stamp_of(message))
            elif topic in ("/cmd_vel", "/intervention", "/cmd_vel_safe"):
                stamp = stamp_of(message)
                twist = message.twist.linear.x, message.twist.angular.z
                if topic == "/cmd_vel_safe":
                    run.safe.append((stamp, *twist))
                else:
                    (run.asked if topic == "/cmd_vel" else run.person)[stamp] = twist
            elif topic == "/safety/state":
                run.drivers.append(message.header.frame_id)
    return run


def spans_of(run: Run) -> list[tuple[int, int]]:
    """First and last stamp of each intervention [ns]."""
    stamps = np.array(sorted(run.person))
    parts = np.split(stamps, np.flatnonzero(np.diff(stamps) > 1e9) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts]


def end_of(run: Run) -> float:
    """When the policy said its last word, a stop [ns]; the stop ramp follows the steady clock."""
    return min((stamp for stamp, asked in run.asked.items() if asked == (0.0, 0.0)), default=np.inf)


def test_the_car_follows_the_person_while_they_have_it_and_the_policy_before_and_after(run):
    spans = spans_of(run)
    assert len(spans) == len(SPANS)
    for (begin, end), (first, last) in zip(spans, SPANS, strict=True):
        assert (end - begin) * 1e-9 == pytest.approx(last - first, abs=0.2)
    in_hand = free = 0
    settled, begun = 1_500_000_000, min(run.asked)
    until = end_of(run)
    for stamp, speed, yaw_rate in run.safe:
        before = [end for _, end in spans if end < stamp]
        if any(begin + settled < stamp <= end for begin, end in spans):
            assert (speed, yaw_rate) == pytest.approx(run.person[stamp])
            assert speed == SPEED
            in_hand += 1
        elif (
            stamp in run.asked
            and not any(begin <= stamp <= end for begin, end in spans)
            and max([begun, *before]) + settled < stamp < until
        ):
            assert (speed, yaw_rate) == pytest.approx(run.asked[stamp])
            free += 1
    assert in_hand > 80
    assert free > 20
    drivers = [driver for driver, _ in itertools.groupby(run.drivers)]
    during = drivers[drivers.index("policy") :]
    assert during[: 2 * len(SPANS) + 1] == ["policy", "person"] * len(SPANS) + ["policy"]


def test_no_change_of_hands_is_felt_as_more_than_the_limits_allow(run):
    limits, begun = Limits(), run.safe[0][0] + 1_000_000_000
    for (before, v, _), (after, w, _) in itertools.pairwise(run.safe):
        elapsed = (after - before) * 1e-9
        if begun < before and after < end_of(run) and 0.0 < elapsed < limits.timeout:
            assert -limits.max_deceleration * elapsed - 1e-6 <= w - v
            assert w - v <= limits.max_acceleration * elapsed + 1e-6


def test_what_the_person_did_is_a_label_of_each_frame_that_they_had_in_hand(run):
    drive = load_drive(run.bag, outputs=("curvature",), labels="interventions")
    labelled = {
        int(stamp): float(label)
        for stamp, label in zip(drive.stamps, drive.labels[:, 0], strict=True)
        if int(stamp) in run.person
    }
    assert len(labelled) > 0.9 * len(run.person)
    for stamp, label in labelled.items():
        speed, yaw_rate = run.person[stamp]
        assert label == pytest.approx(yaw_rate / speed, abs=1e-6)


def test_the_policy_learns_from_the_person(run, tmp_path):
    learn = start(
        *("-m", "liquid_control", "adapt", MODEL, str(run.bag), "--labels", "interventions"),
        *("--output", str(tmp_path / "taught"), "--steps", "10", "--length", "16"),
    )
    said, _ = learn.communicate(timeout=300)
    assert learn.returncode == 0, said
    results = json.loads((tmp_path / "taught" / "adapt.json").read_text())
    assert results["steps"] == 10
    assert results["frames"]["new"] > 150
