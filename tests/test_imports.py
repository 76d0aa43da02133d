"""Rooms import one another in one direction, and heavy packages are loaded only where used."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "liquid_control"

# Lowest first: a room imports only from itself and from rooms before it.
ORDER = (
    *(
        "errors",
        "files",
        "models",
        "command",
        "safety",
        "camera",
        "circuits",
        "perception",
        "attention",
    ),
    *("policy", "data", "deploy", "rollout", "evaluation", "analysis", "training", "ros"),
    *("doctor", "completion", "cli", "__main__"),
)
ENVS_MAY_IMPORT = {"errors", "command", "camera", "envs"}
ROS = {"rclpy", "launch", "launch_ros", "builtin_interfaces"} | {
    f"{name}_msgs" for name in ("sensor", "geometry", "nav", "std", "diagnostic", "rosgraph")
}
HEAVY = ["torch", "rclpy", "mujoco", "gymnasium", "lightning", "cv2", "matplotlib", "av", "numpy"]


def modules() -> dict[str, Path]:
    """Every module by its dotted name; envs through its real folder, not through the link."""
    found = {}
    for root, prefix in ((PACKAGE, "liquid_control"), (ROOT / "envs", "liquid_control.envs")):
        for path in root.rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            if root == PACKAGE and parts[0] == "envs":
                continue
            found[".".join((prefix, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(module: str) -> set[str]:
    """Dotted names of everything that a module imports, also inside of functions."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def loaded_after(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter holds after running code."""
    report = f"\nimport json, sys; print(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_room_imports_only_rooms_before_it(module: str) -> None:
    used = {room(name) for name in imports(module) if name.split(".")[0] == "liquid_control"} & {
        room(name) for name in MODULES
    }
    if room(module) == "envs":
        assert used <= ENVS_MAY_IMPORT
    elif room(module):
        assert room(module) in ORDER, f"say in ORDER where the room {room(module)!r} stands"
        before = ORDER[: ORDER.index(room(module)) + 1]
        late = used - set(before) - {"envs"} - {""}
        assert not late, f"{module} imports {late}, which come after it"


def test_no_module_imports_the_worlds_as_a_global_package() -> None:
    assert [m for m in MODULES if any(n.split(".")[0] == "envs" for n in imports(m))] == []


def test_only_ros_imports_ros_and_only_envs_imports_mujoco() -> None:
    for module in MODULES:
        top = {name.split(".")[0] for name in imports(module)}
        assert room(module) == "ros" or not top & ROS, module
        assert room(module) == "envs" or "mujoco" not in top, module


def test_the_package_itself_loads_nothing_heavy() -> None:
    assert (
        loaded_after("import liquid_control, liquid_control.errors, liquid_control.models") == set()
    )


@pytest.mark.parametrize("arguments", [["--help"], ["no-such-command"]])
def test_the_command_line_answers_before_anything_heavy_is_loaded(arguments: list[str]) -> None:
    code = f"from liquid_control.cli import main; main({arguments})"
    assert loaded_after(code) == set()


def test_the_doctor_itself_loads_nothing_heavy() -> None:
    assert loaded_after("import liquid_control.doctor") == set()


# Training samples are torch tensors; everything else about data is readable without torch.
TORCH_FREE = [
    *(name for name in MODULES if room(name) in ("command", "safety", "camera", "envs")),
    *(name for name in MODULES if room(name) == "data" and "sequences" not in name),
]


def test_the_low_rooms_worlds_and_readers_load_no_torch() -> None:
    loaded = loaded_after("".join(f"import {name}\n" for name in sorted(TORCH_FREE)))
    assert not loaded & {"torch", "rclpy", "lightning"}


def test_the_network_rooms_load_no_middleware_and_no_simulator() -> None:
    rooms = ("circuits", "perception", "policy", "attention")
    names = sorted(name for name in MODULES if room(name) in rooms)
    if importlib.util.find_spec("numba") is None:
        names = [
            name for name in names if not any(n.split(".")[0] == "numba" for n in imports(name))
        ]
    loaded = loaded_after("".join(f"import {name}\n" for name in names))
    assert not loaded & {"rclpy", "mujoco", "gymnasium", "lightning", "matplotlib"}
