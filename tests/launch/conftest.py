"""ROS 2's own tools on the installed package, each launch on a ROS domain of its own.

They are not on PyPI, so what needs them runs after `colcon build` or in an environment made from
their sources; elsewhere it is skipped, and says why. Nothing waits for a fixed time.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PATIENCE = 90.0


class Launch:
    """A `ros2 launch` that runs, and ROS 2's tools on its domain."""

    def __init__(self, tool: str, folder: Path, domain: int, name: str, arguments: tuple) -> None:
        self.tool, self.folder = tool, folder
        self.environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
        self.log = folder / f"{name}-{len(list(folder.iterdir()))}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [tool, "launch", "liquid_control", f"{name}.launch.py", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=folder,
                start_new_session=True,
                # A shell that runs tests in the background has children that ignore it.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", self.said)]

    @property
    def survivors(self) -> list[int]:
        return [pid for pid in self.pids if Path(f"/proc/{pid}").exists()]

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < end, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.05)

    def interrupt(self) -> str:
        """Ctrl-C; what the launch has said when it is over."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        return self.said

    def ros2(self, *command: str, succeeds: bool = True) -> str:
        """What a command of ROS 2 printed; it must succeed if it is to."""
        done = subprocess.run(
            [self.tool, *command],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=self.environment,
        )
        assert not succeeds or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def ros2_until(self, text: str, *command: str) -> str:
        """What a command of ROS 2 that never ends had printed when a text came.

        It is started again when it gives up, which it does where discovery takes long.
        """
        log = self.folder / "tool.log"
        end, said, tool = time.monotonic() + PATIENCE, "", None
        while text not in said and time.monotonic() < end:
            if tool is None or tool.poll() is not None:
                with log.open("wb") as output:
                    tool = subprocess.Popen(
                        [self.tool, *command],
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        env={**self.environment, "PYTHONUNBUFFERED": "1"},
                        start_new_session=True,
                    )
            time.sleep(0.1)
            said = log.read_text()
        if tool is not None:
            tool.kill()
            tool.wait()
        assert text in said, said
        return said

    def until(self, text: str, *command: str) -> str:
        """Ask until the answer holds a text: discovery takes up to seconds."""
        end = time.monotonic() + PATIENCE
        while text not in (answer := self.ros2(*command, succeeds=False)):
            assert time.monotonic() < end, answer
        return answer


@pytest.fixture(scope="session")
def ros2() -> str:
    """The tool `ros2`, able to find the installed package."""
    tool = shutil.which("ros2")
    if tool is None:
        pytest.skip("ros2 is not on the PATH")
    found = subprocess.run([tool, "pkg", "prefix", "liquid_control"], capture_output=True)
    if found.returncode:
        pytest.skip("liquid_control is not installed for ros2: no AMENT_PREFIX_PATH leads to it")
    return tool


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained policy with curvature alone; its speed comes from config/drive.yaml."""
    from liquid_control.command import CURVATURE, CommandSpec
    from liquid_control.policy import Policy

    folder = tmp_path_factory.mktemp("models") / "untrained"
    Policy(CommandSpec((CURVATURE,))).save(folder)
    return folder


@pytest.fixture
def launch(ros2: str, tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    """Starts launch files by name, all of a test on one domain; ends them with the test."""
    from liquid_control.ros.processes import free_domain

    domain, started = free_domain(), []

    def begin(name: str, *arguments: str) -> Launch:
        started.append(Launch(ros2, tmp_path, domain, name, arguments))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.interrupt()
    if started:
        # The tools leave one behind, which keeps what it knows of this domain for two hours.
        started[0].ros2("daemon", "stop", succeeds=False)
