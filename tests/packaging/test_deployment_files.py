"""Container, unit and the example car: what can be checked of them without a robot."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HADOLINT = Path(sys.executable).with_name("hadolint")


def parameters(path: Path, node: str) -> dict:
    return yaml.safe_load(path.read_text())[node]["ros__parameters"]


@pytest.mark.skipif(not HADOLINT.is_file(), reason="hadolint is not installed (extra dev)")
def test_the_dockerfile_is_free_of_lint():
    done = subprocess.run(
        [HADOLINT, ROOT / "docker" / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_is_well_where_its_packages_are():
    text = (ROOT / "docker" / "Dockerfile").read_text()
    program, *arguments = json.loads(re.search(r"HEALTHCHECK.*?CMD (\[.*?\])", text, re.DOTALL)[1])
    assert program == "liquid-control"
    done = subprocess.run([sys.executable, "-m", "liquid_control", *arguments], check=False)
    assert done.returncode == 0


def test_the_container_gets_all_that_the_package_is_made_of():
    ignored = (ROOT / ".dockerignore").read_text().split()
    # tests and docs stay out; setup.py packs the others.
    for room in ("liquid_control", "envs", "launch", "config", "security", "models", "scripts"):
        assert room not in ignored
    for name in ("setup.py", "setup.cfg", "package.xml", "README.md", "resource"):
        assert name not in ignored


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_unit_is_one_that_systemd_takes_and_ends_by_sigint():
    unit = ROOT / "systemd" / "liquid-control.service"
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = unit.read_text().splitlines()
    assert "KillSignal=SIGINT" in lines
    words = (ROOT / "systemd" / "robot.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in words if line and not line.startswith("#"))
    start = next(line for line in lines if line.startswith("ExecStart="))
    assert "$ROS_DISTRO" in start.replace('"', "")
    assert "$LAUNCH_ARGUMENTS" in start
    assert {"ROS_DISTRO", "LAUNCH_ARGUMENTS", "ROS_AUTOMATIC_DISCOVERY_RANGE"} <= given.keys()
    launch = (ROOT / "launch" / "robot.launch.py").read_text()
    launch += (ROOT / "liquid_control" / "ros" / "launching.py").read_text()
    for argument in given["LAUNCH_ARGUMENTS"].split():
        assert f'"{argument.split(":=")[0]}"' in launch


def test_the_example_car_is_one_car_in_all_its_files():
    folder = ROOT / "config" / "donkeycar"
    controller = parameters(folder / "controllers.yaml", "bicycle_steering_controller")
    policy = parameters(ROOT / "config" / "robot.yaml", "/**/policy")
    safety = parameters(ROOT / "config" / "robot.yaml", "/**/safety")
    assert controller["wheelbase"] == policy["wheelbase"]
    assert controller["reference_timeout"] <= safety["timeout"]
    car = ElementTree.parse(folder / "donkeycar.urdf").getroot()
    control = car.find("ros2_control")
    joints = {joint.get("name"): joint for joint in control.findall("joint")}
    assert [*controller["traction_joints_names"], *controller["steering_joints_names"]] == list(
        joints
    )
    described = {joint.get("name"): joint for joint in car.findall("joint")}
    assert joints.keys() <= described.keys()
    lock = float(described["steering"].find("limit").get("upper"))
    scale = {
        name: float(next(p.text for p in joint.findall("param") if p.get("name") == "scale"))
        for name, joint in joints.items()
    }
    assert lock == scale["steering"] == policy["max_wheel_angle"]
    # At full pulse the wheels turn as fast as the safety node lets the car drive, or faster.
    assert scale["rear_axle"] * controller["traction_wheel_radius"] >= safety["max_speed"]
    for joint in joints.values():
        widths = {p.get("name"): float(p.text) for p in joint.findall("param")}
        assert widths["pwm_low"] < widths["pwm_zero"] < widths["pwm_high"]
