"""`colcon build`, plain and with --symlink-install, gives what ROS 2 and a shell look for."""

import os
import shutil
import sys
from pathlib import Path

import pytest

COLCON = shutil.which("colcon", path=Path(sys.executable).parent) or shutil.which("colcon")
colcon = pytest.mark.skipif(COLCON is None, reason="needs colcon, which the `dev` extra brings")
LOOK = "import liquid_control, liquid_control.envs, liquid_control.models as m; print(m.share())"


@pytest.fixture(scope="module", params=["copied", "linked"])
def workspace(request, checkout, run, tmp_path_factory) -> Path:
    """A workspace after its build; `linked` is `--symlink-install`."""
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copytree(checkout, folder / "src/liquid_control", symlinks=True)
    flags = ["--symlink-install"] if request.param == "linked" else []
    run(COLCON, "build", "--event-handlers", "console_direct+", *flags, cwd=folder)
    return folder


def in_shell(run, workspace: Path, command: str) -> str:
    """What a command prints in a shell that sourced the workspace."""
    script = f"source {workspace}/install/setup.bash && {command}"
    return run("bash", "-c", script, cwd=workspace.parent)


@colcon
def test_colcon_sees_a_ros_package_and_not_plain_python(checkout, run) -> None:
    listed = run(COLCON, "--log-base", os.devnull, "list", cwd=checkout)
    assert listed.split() == ["liquid_control", ".", "(ros.ament_python)"]


@colcon
def test_the_names_and_the_command_are_there_after_sourcing(workspace, run) -> None:
    printed = in_shell(run, workspace, f"{sys.executable} -c '{LOOK}'")
    share = Path(printed.splitlines()[-1])
    assert (share / "package.xml").is_file()
    assert workspace in share.parents
    assert "usage" in in_shell(run, workspace, "liquid-control --help")
    found = in_shell(run, workspace, "command -v liquid-control").strip()
    assert found == str(workspace / "install/liquid_control/bin/liquid-control")


@colcon
def test_launch_config_models_and_nodes_lie_where_ros_looks(
    workspace, checkout, shared_files
) -> None:
    prefix = workspace / "install/liquid_control"
    share = prefix / "share/liquid_control"
    assert shared_files <= {
        str(path.relative_to(share)) for path in share.rglob("*") if path.is_file()
    }
    assert (prefix / "share/ament_index/resource_index/packages/liquid_control").is_file()
    for node in filter(Path.is_file, (checkout / "scripts").iterdir()):
        assert os.access(prefix / "lib/liquid_control" / node.name, os.X_OK), node.name
