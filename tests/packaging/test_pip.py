"""`pip install .` and `pip install -e .` give the names, the command, and what ROS 2 looks up."""

import os
import sys
import zipfile
from pathlib import Path

import pytest

# Whether names and files are found where they were installed, printed from another folder.
LOOK = """
import liquid_control, liquid_control.envs, liquid_control.models, pathlib
import importlib.util
assert importlib.util.find_spec("envs") is None, "envs is a global module"
for module in (liquid_control, liquid_control.envs):
    print(pathlib.Path(module.__file__).parent)
print(liquid_control.models.share())
print(*liquid_control.models.folders())
"""
PIP = (sys.executable, "-m", "pip")


@pytest.fixture(scope="module")
def installed(wheel, run, new_environment) -> Path:
    """The prefix that `pip install .` filled; the wheel is what pip makes of the checkout."""
    prefix = new_environment("pip")
    python = prefix / "bin/python"
    run(*PIP, "--python", python, "install", "-q", "--no-deps", wheel, cwd=prefix)
    return prefix


@pytest.mark.lengthy
def test_pip_gives_the_names_and_the_command(installed, checkout, run) -> None:
    looked = run(installed / "bin/python", "-c", LOOK, cwd=installed).splitlines()
    (site,) = installed.glob("lib/python*/site-packages")
    assert looked[:2] == [str(site / "liquid_control"), str(site / "liquid_control/envs")]
    assert looked[2] == str(installed / "share/liquid_control")
    shipped = sorted(path.parent.name for path in checkout.glob("models/*/config.json"))
    assert looked[3].split() == shipped
    assert "usage" in run(installed / "bin/liquid-control", "--help", cwd=installed)


def test_pip_gives_launch_config_and_models_in_share(installed, shared_files) -> None:
    share = installed / "share/liquid_control"
    files = (path for path in share.rglob("*") if path.is_file() and path.suffix != ".pyc")
    found = {str(path.relative_to(share)) for path in files}
    assert found == shared_files | {"package.xml"}
    assert (installed / "share/ament_index/resource_index/packages/liquid_control").is_file()


def test_pip_gives_each_node_as_a_program_that_launch_finds(installed, checkout) -> None:
    nodes = {path.name for path in (checkout / "scripts").iterdir() if path.is_file()}
    assert {"policy", "simulator", "safety", "recorder"} <= {
        name.removesuffix(".py").removesuffix("_node") for name in nodes
    }
    for name in nodes:
        program = installed / "lib/liquid_control" / name
        assert os.access(program, os.X_OK), name
        assert program.read_text().startswith("#!"), name


def test_the_wheel_holds_every_module_and_no_test(wheel, checkout) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(checkout))
        for path in (checkout / "liquid_control").rglob("*.py")
        if "envs" not in path.relative_to(checkout).parts
    } | {f"liquid_control/{path.relative_to(checkout)}" for path in checkout.glob("envs/**/*.py")}
    assert expected - names == set(), "a folder without __init__.py is not installed"
    assets = {f"liquid_control/envs/driving_v0/assets/planted.{kind}" for kind in ("xml", "png")}
    assert assets <= names
    tops = {name.split("/")[0] for name in names}
    version = wheel.name.split("-")[1]
    assert tops == {"liquid_control"} | {
        f"liquid_control-{version}.{kind}" for kind in ("dist-info", "data")
    }


@pytest.mark.slow
def test_a_source_archive_builds_the_same_wheel(wheel, checkout, run, tmp_path) -> None:
    run(sys.executable, "setup.py", "-q", "sdist", "-d", tmp_path, cwd=checkout)
    (archive,) = tmp_path.glob("*.tar.gz")
    flags = ("-q", "--no-deps", "--no-build-isolation", "-w", tmp_path)
    run(*PIP, "wheel", *flags, archive, cwd=tmp_path)
    (again,) = tmp_path.glob("*.whl")
    names = [sorted(zipfile.ZipFile(path).namelist()) for path in (wheel, again)]
    assert names[0] == names[1]


def test_an_editable_installation_runs_the_checkout_itself(checkout, run, new_environment) -> None:
    prefix = new_environment("editable")
    python = prefix / "bin/python"
    flags = ("-q", "--no-deps", "--no-build-isolation")
    run(*PIP, "--python", python, "install", *flags, "-e", checkout, cwd=prefix)
    looked = run(python, "-c", LOOK, cwd=prefix).splitlines()
    assert looked[:3] == [
        str(checkout / "liquid_control"),
        str(checkout / "liquid_control/envs"),
        str(checkout),
    ]
    assert "usage" in run(prefix / "bin/liquid-control", "--help", cwd=prefix)


def test_the_checkout_works_without_any_installation(checkout, run) -> None:
    looked = run(
        sys.executable, "-S", "-c", "import liquid_control; print(liquid_control)", cwd=checkout
    )
    assert str(checkout) in looked
