"""`liquid-control doctor` really tries things, and says what to do where they fail."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from liquid_control import doctor

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, python: str = sys.executable, **environment: str) -> tuple[int, str]:
    """Exit code and text, freed of the table's lines."""
    done = subprocess.run(
        [python, "-m", "liquid_control.doctor"]
        if python != sys.executable
        else [python, "-m", "liquid_control", "doctor", *arguments],
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, re.sub(r"[^\x20-\x7e\n]", "", done.stdout)


def line(text: str, title: str) -> str:
    return next(row for row in text.splitlines() if row.strip().startswith(title))


def test_opengl_is_tried_by_drawing_a_frame() -> None:
    code, text = run("--only", "opengl")
    assert code == 0, text
    assert "draws off screen" in line(text, "OpenGL")


@pytest.mark.ros
def test_ros_and_discovery_are_tried_with_two_processes() -> None:
    pytest.importorskip("rclpy", reason="needs the `ros` extra or a sourced ROS 2")
    assert run("--only", "ros")[0] == 0
    code, text = run("--only", "dds")
    assert code == 0, text
    assert "two processes found each other" in line(text, "DDS")


def test_no_opengl_is_said_with_the_packages_to_install() -> None:
    code, text = run("--only", "opengl", MUJOCO_GL="nonsense")
    assert code == 1
    assert "MISSING" in line(text, "OpenGL")
    assert "unset MUJOCO_GL" in text
    assert doctor.GL_PACKAGES in text


@pytest.mark.ros
def test_a_broken_middleware_is_said() -> None:
    pytest.importorskip("rclpy", reason="needs the `ros` extra or a sourced ROS 2")
    code, text = run("--only", "dds", RMW_IMPLEMENTATION="rmw_nonsense_cpp")
    assert code == 1
    assert "MISSING" in line(text, "DDS")


def test_in_an_empty_environment_everything_missing_is_listed_and_nothing_crashes(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    code, text = run(python=str(tmp_path / "v/bin/python"))
    assert code == 1
    assert "ok" in line(text, "Python")
    for title in ("Packages", "OpenGL", "ROS 2", "DDS discovery"):
        assert "MISSING" in line(text, title)
    assert "mujoco" in line(text, "Packages")
    assert text.count("make setup") >= 3


def test_a_robot_needs_no_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def robots(name: str) -> object:
        return None if name in ("mujoco", "gymnasium") else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", robots)
    assert not doctor.packages().works
    found = doctor.packages(robot=True)
    assert found.works
    assert "without gymnasium, mujoco" in found.found
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = doctor.packages(robot=True)
    assert not found.works
    assert "torch" in found.found
    assert "mujoco" not in found.found


def test_a_robot_may_have_no_opengl() -> None:
    code, text = run("--robot", "--only", "opengl", MUJOCO_GL="nonsense")
    assert code == 0
    assert "optional" in line(text, "OpenGL")


def test_a_missing_gpu_is_no_failure() -> None:
    code, text = run("--only", "gpu", CUDA_VISIBLE_DEVICES="")
    assert code == 0
    assert "optional" in line(text, "GPU")


def test_a_process_that_hangs_is_given_up() -> None:
    works, said = doctor._child("import time; time.sleep(60)", limit_s=0.5)
    assert not works
    assert "no answer" in said


def test_the_set_up_installs_what_the_doctor_names() -> None:
    assert doctor.GL_PACKAGES in (ROOT / "tools/setup.sh").read_text()
