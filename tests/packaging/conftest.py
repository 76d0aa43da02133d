"""A clean copy of the checkout, and environments that the package is installed into for real."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLANTED = (
    "models/planted/config.json",
    "models/planted/model.safetensors",
    "models/planted/results/noise/results.json",
    "launch/planted.launch.py",
    "config/training/planted.yaml",
    "envs/driving_v0/assets/planted.xml",
    "envs/driving_v0/assets/planted.png",
)
Run = Callable[..., str]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker for this folder, so that each thing is built once."""
    for item in items:
        if "packaging" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("packaging"))


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command printed; its whole output is shown where it fails."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="session")
def run() -> Run:
    """`run(*command, cwd=folder, **environment)` gives what a command printed; it must succeed."""
    return _run


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows or would take, links kept: what a clone of this tree would hold."""
    copy = tmp_path_factory.mktemp("checkout") / "liquid_control_copy"
    listed = _run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if os.path.lexists(ROOT / name):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    # What a model, a world and a launch file bring, however few of them this tree has.
    for name in PLANTED:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("{}")
    return copy


@pytest.fixture(scope="session")
def shared_files(checkout: Path) -> set[str]:
    """Every file of launch, config, security and models: what an installation must bring."""
    return {
        str(path.relative_to(checkout))
        for room in ("launch", "config", "security", "models")
        for path in (checkout / room).rglob("*")
        if path.is_file() and not path.name.startswith(".") and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make an environment of its own that still finds the packages installed for these tests."""

    def make(name: str) -> Path:
        prefix = tmp_path_factory.mktemp(name) / "prefix"
        _run(sys.executable, "-m", "venv", "--without-pip", prefix, cwd=prefix.parent)
        (site,) = prefix.glob("lib/python*/site-packages")
        others = [path for path in sys.path if path.endswith("site-packages")]
        (site / "dependencies.pth").write_text("\n".join(others))
        return prefix

    return make


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(
        *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"),
        *("-w", folder, checkout),
        cwd=folder,
    )
    (built,) = folder.glob("liquid_control-*.whl")
    return built
