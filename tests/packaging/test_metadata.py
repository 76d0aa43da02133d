"""The files that describe the package agree with one another."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import liquid_control

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {"fast", "sim", "carracing", "train", "ros", "viz", "export", "scale"}
EXTRAS |= {"bench", "openvino", "data", "rl", "view", "attend", "docs", "dev", "test", "all"}


@pytest.fixture(scope="module")
def requirements() -> dict[str, list[Requirement]]:
    """What setup.py asks for, by extra ("" for the base), as its own metadata says."""
    code = (
        "import json, setuptools\n"
        "said = {}\n"
        "setuptools.setup = lambda **kw: said.update(kw)\n"
        "exec(compile(open('setup.py').read(), 'setup.py', 'exec'), {'__file__': 'setup.py'})\n"
        "print(json.dumps({'': said['install_requires'], **said['extras_require']}))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    return {
        extra: [Requirement(line) for line in lines]
        for extra, lines in json.loads(printed.stdout.splitlines()[-1]).items()
    }


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    rows = (line.split("==") for line in lines if line and not line.startswith("#"))
    return dict(rows)


def test_one_version_everywhere() -> None:
    said = ElementTree.parse(ROOT / "package.xml").findtext("version")
    assert said == liquid_control.__version__


def test_the_manifest_is_what_ros_expects() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.get("format") == "3"
    assert package.findtext("name") == "liquid_control"
    assert package.findtext("export/build_type") == "ament_python"
    assert package.findtext("license") == "Apache-2.0"
    # An address that does not look like one makes colcon take the package for plain Python.
    assert re.fullmatch(r"[-\w.]+@[-\w.]+\.\w+", package.find("maintainer").get("email"))


def test_the_extras_are_the_documented_ones_and_all_holds_every_feature(requirements) -> None:
    assert set(requirements) == EXTRAS | {""}
    everything = {str(line) for line in requirements["all"]}
    for extra in EXTRAS - {"dev", "all"}:
        assert {str(line) for line in requirements[extra]} <= everything, extra
    assert "torch" not in {line.name for line in requirements["ros"]}


def test_every_requirement_is_pinned_within_its_range(requirements, pins) -> None:
    for line in {str(line): line for group in requirements.values() for line in group}.values():
        assert line.name in pins, f"{line.name} has no pin in constraints.txt"
        assert line.specifier.contains(pins[line.name]), f"{line} but {pins[line.name]}"
    assert pins["torch"] == "2.13.0"


def test_the_ros_wheels_are_asked_for_only_where_they_exist(requirements) -> None:
    for line in requirements["ros"]:
        here = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11"}
        assert line.marker.evaluate(here)
        assert not line.marker.evaluate({**here, "platform_machine": "aarch64"})
        assert not line.marker.evaluate({**here, "python_version": "3.13"})
