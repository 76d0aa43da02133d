"""`liquid-control drive`: four processes that drive, record and are gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from liquid_control.data.bag import BagReader
from liquid_control.data.messages import read_named_vector, stamp_of

pytestmark = pytest.mark.ros


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "liquid_control", *arguments]


def begin(model: Path, out: Path, *more: str) -> subprocess.Popen:
    arguments = ["drive", "--model", str(model), "--out", str(out), "--no-report", *more]
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Says where, should the middleware ever crash.
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )


def until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def moving(out: Path) -> bool:
    """Whether the nodes of the only run below `out` drive by now."""
    return any("the vehicle may move" in log.read_text() for log in out.glob("*/log/safety.log"))


def recorded(out: Path) -> bool:
    """Whether the recorder has put some frames on disk: it flushes every half second."""
    return sum(file.stat().st_size for file in out.glob("*/bag/*.mcap")) > 200_000


def process_of(node: str, survivors) -> int:
    module = f"liquid_control.ros.{node}_node"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            mine = os.environ["LIQUID_CONTROL_TEST"].encode()
            if module.encode() in line and mine in (entry / "environ").read_bytes():
                return int(entry.name)
    raise AssertionError(f"no {node} among {survivors()}")


def test_a_drive_records_every_decision_and_leaves_nothing_behind(
    driver_with_speed, tmp_path, survivors
):
    # A plain road, wide enough that an untrained policy stays on it for 2 s.
    plain = ("--world", "liquid_control/Driving-v0", "--mode", "lockstep")
    drive = begin(driver_with_speed, tmp_path, "--seconds", "2", *plain)
    said, _ = drive.communicate(timeout=110)
    assert drive.returncode == 0, said
    assert survivors() == []
    (run,) = tmp_path.glob("*-drive")
    assert said.strip().splitlines()[-1] == str(run)
    with BagReader(run / "bag") as bag:
        assert not bag.recovered
        names = ["/policy/decision", "/camera/image_raw", "/cmd_vel", "/cmd_vel_safe", "/clock"]
        bag.require(*names, "/simulator/road", "/policy/attention/overlay/compressed", "/odom")
        stamps = {topic: [] for topic in names[:3]}
        for topic, _, message in bag.messages(stamps):
            stamps[topic].append(stamp_of(message))
            if topic == "/policy/decision":
                assert list(read_named_vector(message))[-2:] == ["curvature", "speed"]
    decided = stamps["/policy/decision"]
    assert decided == sorted(decided)
    # In lockstep the car goes on while its nodes are being stopped, faster than the clock.
    assert 2.0 <= (decided[-1] - decided[0]) * 1e-9 < 20.0
    # Best effort may lose a frame, but decisions never belong to frames that were not there.
    assert len(set(decided) & set(stamps["/camera/image_raw"])) > 0.8 * len(decided)


def test_a_node_that_dies_ends_the_drive_with_1_and_leaves_nothing_behind(
    model, tmp_path, survivors
):
    drive = begin(model, tmp_path, "--seconds", "100")
    until(lambda: moving(tmp_path))
    os.kill(process_of("simulator", survivors), signal.SIGKILL)
    said, _ = drive.communicate(timeout=60)
    assert drive.returncode == 1, said
    assert "simulator ended by SIGKILL" in said
    assert survivors() == []
    (run,) = tmp_path.glob("*-drive")
    with BagReader(run / "bag") as bag:
        assert not bag.recovered


def test_a_supervisor_that_is_killed_takes_its_nodes_with_it(model, tmp_path, survivors):
    drive = begin(model, tmp_path, "--seconds", "100")
    until(lambda: moving(tmp_path) and recorded(tmp_path))
    drive.send_signal(signal.SIGKILL)
    drive.communicate(timeout=10)
    until(lambda: survivors() == [], 20.0)
    (run,) = tmp_path.glob("*-drive")
    with BagReader(run / "bag") as bag:
        bag.require("/camera/image_raw")


def test_ctrl_c_ends_a_drive_early_but_cleanly(model, tmp_path, survivors):
    drive = begin(model, tmp_path, "--seconds", "100")
    until(lambda: moving(tmp_path))
    drive.send_signal(signal.SIGINT)
    drive.send_signal(signal.SIGINT)
    said, _ = drive.communicate(timeout=60)
    assert drive.returncode in (0, 1), said
    assert "Stopped early" in said
    assert "Traceback" not in said
    assert survivors() == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--model", "no_such_model"], "no_such_model"),
        (["--seconds", "0"], "--seconds"),
        (["--params", "/nowhere.yaml"], "/nowhere.yaml"),
        (["--world", "CartPole-v1"], "CartPole-v1"),
        (["--world", "liquid_control/Drone-v0"], "liquid-control drone"),
        (["--model", "drone_ncp"], "gives vx and vy"),
    ],
)
def test_wrong_input_is_said_in_one_line_before_anything_starts(model, tmp_path, arguments, word):
    given = ["--model", str(model), *arguments, "--out", str(tmp_path / "runs")]
    done = subprocess.run(command("drive", *given), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert word in done.stderr
    assert not (tmp_path / "runs").exists()
