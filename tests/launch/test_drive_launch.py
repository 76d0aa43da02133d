"""`ros2 launch liquid_control drive.launch.py`, where ROS 2's tools and the package are installed.

They are not on PyPI, so these tests run after `colcon build` or in an environment made from their
sources; elsewhere they are skipped, and say why.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros

PATIENCE = 60.0


@pytest.fixture(scope="module")
def ros2() -> str:
    """The tool `ros2`, able to find the installed package."""
    tool = shutil.which("ros2")
    if tool is None:
        pytest.skip("ros2 is not on the PATH")
    found = subprocess.run([tool, "pkg", "prefix", "liquid_control"], capture_output=True)
    if found.returncode:
        pytest.skip("liquid_control is not installed for ros2: no AMENT_PREFIX_PATH leads to it")
    return tool


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy with curvature alone; its speed comes from config/drive.yaml."""
    from liquid_control.command import CURVATURE, CommandSpec
    from liquid_control.policy import Policy

    folder = tmp_path_factory.mktemp("models") / "untrained"
    Policy(CommandSpec((CURVATURE,))).save(folder)
    return folder


@pytest.fixture
def launch(ros2: str, tmp_path: Path) -> Iterator:
    """Starts the launch file; gives its process and its log file."""
    from liquid_control.ros.processes import free_domain

    started: list[subprocess.Popen] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen, Path]:
        log = tmp_path / "launch.log"
        environment = {**os.environ, "ROS_DOMAIN_ID": str(free_domain())}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [ros2, "launch", "liquid_control", "drive.launch.py", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=tmp_path,
            )
        started.append(process)
        return process, log

    yield begin
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def wait_for(log: Path, text: str) -> None:
    end = time.monotonic() + PATIENCE
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def pids(log: Path) -> list[int]:
    return [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", log.read_text())]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_every_argument_is_explained(ros2):
    shown = subprocess.run(
        [ros2, "launch", "liquid_control", "drive.launch.py", "--show-args"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert shown.returncode == 0, shown.stderr
    for argument in ("model", "world", "seed", "params_file", "namespace", "use_sim_time"):
        assert f"'{argument}':" in shown.stdout
    for argument in ("record", "discovery", "log_level", "autostart", "teleop"):
        assert f"'{argument}':" in shown.stdout
    assert "no description" not in shown.stdout


@pytest.mark.parametrize("more", [[], ["namespace:=car1", "mode:=lockstep"]])
def test_the_car_drives_and_ctrl_c_ends_every_node_cleanly(launch, model, more):
    process, log = launch(f"model:={model}", "record:=true", "bag:=bag", *more)
    wait_for(log, "the vehicle may move")
    nodes = pids(log)
    assert len(nodes) == 4
    process.send_signal(signal.SIGINT)
    process.wait(30)
    said = log.read_text()
    assert said.count("process has finished cleanly") == 4, said
    assert "process has died" not in said
    assert "Traceback" not in said
    assert not any(map(alive, nodes))
    assert (log.parent / "bag" / "metadata.yaml").is_file()


def test_a_launch_ends_when_one_of_its_nodes_is_killed(launch, model):
    process, log = launch(f"model:={model}")
    wait_for(log, "the vehicle may move")
    nodes = pids(log)
    os.kill(nodes[-1], signal.SIGKILL)
    process.wait(30)
    assert not any(map(alive, nodes))
    assert log.read_text().count("process has finished cleanly") == len(nodes) - 1


def test_a_missing_model_ends_the_launch_with_its_sentence(launch):
    process, log = launch("model:=/nowhere/at_all")
    process.wait(PATIENCE)
    assert "No model '/nowhere/at_all'" in log.read_text()
    assert not any(map(alive, pids(log)))
