"""`make setup` refuses a machine that does not fit in one sentence, and is instant when done."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(tmp_path: Path):
    """A machine that has only the programs named, and those that the test writes as scripts."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "env", "dirname", "id"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))

    def setup(programs: dict[str, str], **environment: str) -> subprocess.CompletedProcess:
        for name, script in programs.items():
            path = tmp_path / "bin" / name
            path.unlink(missing_ok=True)
            path.write_text(f"#!/usr/bin/env bash\n{script}\n")
            path.chmod(path.stat().st_mode | stat.S_IEXEC)
        return subprocess.run(
            [ROOT / "tools/setup.sh", tmp_path / "venv"],
            env={"PATH": str(tmp_path / "bin"), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return setup


SHIM = "echo 'pyenv: command not found' >&2; exit 127"
OLD = 'case "$1" in -V) echo "Python 3.8.10";; *) exit 1;; esac'
WITHOUT_VENV = """
case "$2" in *version_info\\[:2\\]\\ not*) exit 0;; *ensurepip*) exit 1;; *print*) echo 3.12;; esac
"""


@pytest.mark.parametrize(
    ("programs", "came"),
    [({}, "no python3 that runs"), ({"python3.11": SHIM, "python3": OLD}, "Python 3.8.10")],
)
def test_no_fitting_python_is_one_sentence(machine, programs, came, tmp_path) -> None:
    done = machine(programs)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert "expected Python 3.11 or 3.12" in said
    assert came in said
    assert "PYTHON=" in said
    assert not (tmp_path / "venv").exists()


def test_a_named_python_is_the_only_one_tried(machine) -> None:
    done = machine({"python3.12": "exit 0"}, PYTHON="/no/such/python")
    assert done.returncode == 2
    assert "no /no/such/python that runs" in done.stderr


def test_a_python_without_venv_says_which_package_to_install(machine, tmp_path) -> None:
    programs = {"python3.12": WITHOUT_VENV, "id": "echo 1000", "apt-get": "", "sudo": "exit 1"}
    done = machine(programs)
    assert done.returncode == 2
    assert "sudo apt-get install -y python3.12-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_root_installs_what_is_missing_by_itself(machine, tmp_path) -> None:
    programs = {
        "python3.12": WITHOUT_VENV,
        "id": "echo 0",
        "apt-get": f'echo "$@" >> {tmp_path}/apt; [ "$1" = update ]',
    }
    done = machine(programs)
    assert done.returncode == 2  # this apt-get knows no package
    assert (
        "install -y -qq --no-install-recommends python3.12-venv" in (tmp_path / "apt").read_text()
    )
    assert "could not install python3.12-venv" in done.stderr


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_make_alone_lists_the_targets(checkout) -> None:
    done = make(checkout)
    assert done.returncode == 0
    for target in ("setup", "drive", "test", "doctor"):
        assert f"make {target} " in done.stdout


def test_make_calls_the_setup_once_and_again_when_a_requirement_changes(checkout, tmp_path) -> None:
    copy = tmp_path / "copy"
    (copy / "tools").mkdir(parents=True)
    for name in ("Makefile", "setup.py", "constraints.txt"):
        shutil.copy(checkout / name, copy)
    (copy / "tools/setup.sh").write_text("#!/usr/bin/env bash\nmkdir -p $1; echo SETUP\n")
    (copy / "tools/setup.sh").chmod(0o755)
    assert "SETUP" in make(copy, "setup").stdout
    assert "SETUP" not in make(copy, "setup").stdout
    ready = copy / ".venv/.ready"
    os.utime(copy / "constraints.txt", (ready.stat().st_mtime + 10,) * 2)
    assert "SETUP" in make(copy, "setup").stdout


def test_another_ros_in_the_shell_does_not_reach_the_programs(checkout, tmp_path) -> None:
    copy = tmp_path / "copy"
    (copy / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "setup.py", "constraints.txt"):
        shutil.copy(checkout / name, copy)
    (copy / "tools").mkdir()
    (copy / "tools/setup.sh").touch()
    (copy / ".venv/.ready").touch()
    program = copy / ".venv/bin/liquid-control"
    program.write_text("#!/usr/bin/env bash\nenv\n")
    program.chmod(0o755)
    sourced = {"ROS_DISTRO": "jazzy", "PYTHONPATH": "/opt/ros/jazzy", "ROS_DOMAIN_ID": "7"}
    done = subprocess.run(
        ["make", "drive"], cwd=copy, env={**os.environ, **sourced}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "/opt/ros" not in done.stdout
    assert "ROS_DOMAIN_ID=7" in done.stdout
