"""The tutorial's lines, as they stand, in an empty folder: from a recording to a driving export."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"

pytestmark = [pytest.mark.slow, pytest.mark.ros, pytest.mark.timeout(3600)]


def test_the_tutorial_as_written_ends_in_an_export_that_drives(tmp_path):
    blocks = re.findall(r"^```sh\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    folder = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    log = tmp_path / "log.txt"
    home = tmp_path / "home"
    home.mkdir()
    with log.open("w") as file:
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", "\n".join(blocks)],
            cwd=home,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert done.returncode == 0, log.read_text()[-3000:]

    def results(name: str) -> dict:
        return json.loads((home / name / "results.json").read_text())

    driven, exported = results("closed_loop")["groups"][0], results("exported")["groups"][0]
    assert driven["crash_free"]["count"] >= 9
    assert exported["crash_free"]["count"] == 3
    assert (home / "my_robot_c").is_dir()
    assert len(list(home.glob("runs/*-drive/report.html"))) == 1
