"""`liquid-control doctor`: what works on this machine, and how to mend what does not.

Each check really does the thing: it draws a frame, sends a message between two processes. What can
crash or hang an interpreter (a graphics driver, a middleware) runs in a child process with a time
limit. The module itself needs the standard library alone, so that it can say what is missing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

__all__ = ["Finding", "doctor"]

GL_PACKAGES = "libegl1 libgl1 libgl1-mesa-dri"
PYTHON_VERSIONS = ((3, 11), (3, 12))

# Import name: (distribution, extra that brings it). What `liquid-control drive` uses.
PACKAGES = {
    "numpy": ("numpy", ""),
    "cv2": ("opencv-python-headless", ""),
    "torch": ("torch", ""),
    "safetensors": ("safetensors", ""),
    "tyro": ("tyro", ""),
    "rich": ("rich", ""),
    "rosbags": ("rosbags", ""),
    "mcap": ("mcap", ""),
    "mujoco": ("mujoco", "sim"),
    "gymnasium": ("gymnasium", "sim"),
    "av": ("av", "viz"),
    "matplotlib": ("matplotlib", "viz"),
}

DRAW = """
import mujoco
from OpenGL import GL
scene = "<mujoco><worldbody><geom type='sphere' size='1' rgba='1 1 1 1'/></worldbody></mujoco>"
model = mujoco.MjModel.from_xml_string(scene)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 64) as renderer:
    renderer.update_scene(data)
    frame = renderer.render()
    name = GL.glGetString(GL.GL_RENDERER).decode()
assert frame.max() > frame.min(), "the frame came back empty"
print(name)
"""

IMPORT_ROS = """
import rclpy
from rclpy.utilities import get_rmw_implementation_identifier
import sensor_msgs.msg
sensor_msgs.msg.Image()
print(get_rmw_implementation_identifier(), rclpy.__file__, sep="|")
"""

TALK = """
import time, rclpy
from std_msgs.msg import String
rclpy.init()
publisher = rclpy.create_node("doctor_talker").create_publisher(String, "doctor", 1)
while True:
    publisher.publish(String(data="{token}"))
    time.sleep(0.05)
"""

LISTEN = """
import time, rclpy
from std_msgs.msg import String
rclpy.init()
node, heard, start = rclpy.create_node("doctor_listener"), [], time.monotonic()
subscription = node.create_subscription(String, "doctor", heard.append, 1)
while not heard and time.monotonic() - start < {limit}:
    rclpy.spin_once(node, timeout_sec=0.1)
assert heard and heard[0].data == "{token}", "no message came within {limit} s"
print(f"{{time.monotonic() - start:.1f}} s to the first message")
"""

CUDA = """
import torch
if torch.cuda.is_available():
    print(torch.cuda.get_device_name(), "with CUDA", torch.version.cuda)
"""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        works: whether the thing is usable.
        found: what is there, or why not, in a few words.
        mend: what to do about it; empty when it works.
        needed: whether `liquid-control drive` needs it.
    """

    works: bool
    found: str
    mend: str = ""
    needed: bool = True


def python() -> Finding:
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] in PYTHON_VERSIONS:
        return Finding(True, found)
    return Finding(False, found, "use Python 3.11 or 3.12: make setup PYTHON=/path/to/python3.12")


def packages(robot: bool = False) -> Finding:
    # By import name: a system's own OpenCV or NumPy is as good as the one from pip.
    absent = dict(PACKAGES[name] for name in PACKAGES if not importlib.util.find_spec(name))
    missing = {name: extra for name, extra in absent.items() if not (robot and extra)}
    if not missing:
        shown = [name for name in ("torch", "numpy", "mujoco", "gymnasium") if name not in absent]
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in shown)
        more = f"{len(PACKAGES) - len(absent) - len(shown)} more"
        without = f", without {', '.join(sorted(absent))}" if absent else ""
        return Finding(True, f"{versions} and {more}{without}")
    extras = ",".join(sorted(filter(None, set(missing.values()))))
    wanted = f"liquid_control[{extras}]" if extras else "liquid_control"
    mend = f"in a checkout: make setup; elsewhere: pip install '{wanted}'"
    return Finding(False, f"not installed: {', '.join(sorted(missing))}", mend)


def opengl() -> Finding:
    backend = os.environ.get("MUJOCO_GL", "egl")
    works, said = _child(DRAW, MUJOCO_GL=backend)
    if works:
        kind = "in software" if "llvmpipe" in said or "softpipe" in said else "on the GPU"
        return Finding(True, f"draws off screen {kind}: {said} (MUJOCO_GL={backend})")
    if "ModuleNotFoundError" in said:
        return Finding(False, said, "in a checkout: make setup; else pip install mujoco")
    mend = f"sudo apt-get install -y {GL_PACKAGES}"
    if backend != "egl":
        mend = f"unset MUJOCO_GL (it is {backend!r}; egl needs no screen), or {mend}"
    return Finding(False, f"no frame with MUJOCO_GL={backend}: {said}", mend)


def ros() -> Finding:
    works, said = _child(IMPORT_ROS)
    distribution = os.environ.get("ROS_DISTRO")
    wheels = _installed("ros-rclpy")
    if works:
        middleware, where = said.split("|")
        source = "PyPI wheels" if "site-packages" in where else f"ROS 2 {distribution or where}"
        return Finding(True, f"rclpy from {source}, {middleware}")
    installed = sorted(path.parent.name for path in Path("/opt/ros").glob("*/setup.bash"))
    if distribution and wheels:
        mend = f"ROS 2 {distribution} and the PyPI wheels are mixed: use a shell without the former"
    elif installed and not distribution and not wheels:
        mend = f"source /opt/ros/{installed[-1]}/setup.bash"
    elif wheels:
        # They set the library path once, at the start of the first Python of a shell.
        mend = "unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH, then try again"
    elif platform.machine() == "x86_64" and sys.platform == "linux":
        mend = "in a checkout: make setup; elsewhere: pip install 'liquid_control[ros]'"
    else:
        mend = f"install ROS 2 Jazzy or Kilted: no wheels for {sys.platform} {platform.machine()}"
    return Finding(False, said, mend)


def dds(limit_s: float = 15.0) -> Finding:
    """One message from a process to another over this machine's own interface."""
    token = f"doctor-{os.getpid()}"
    environment = {
        # A domain and a topic that no robot on this machine hears; domains end at 101 on Linux.
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 101),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    talker = subprocess.Popen(
        [sys.executable, "-c", TALK.format(token=token)],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        works, said = _child(LISTEN.format(token=token, limit=limit_s), **environment)
    finally:
        talker.kill()
        talker.wait()
    if works:
        return Finding(True, f"two processes found each other, {said}")
    if "ModuleNotFoundError" in said or "ImportError" in said:
        return Finding(False, "not tried: rclpy cannot be imported", "mend ROS 2 first")
    return Finding(
        False,
        said,
        "let UDP multicast and ports 7400-32900 pass on the loopback interface "
        "(ip link set lo multicast on; firewall), and give /dev/shm at least 64 MB",
    )


def gpu() -> Finding:
    works, said = _child(CUDA)
    if works and said:
        return Finding(True, said, needed=False)
    if not works:
        return Finding(False, said, "mend torch first", needed=False)
    if shutil.which("nvidia-smi"):
        mend = "there is a driver: install a CUDA build of torch; driving does not need it"
    else:
        mend = "not needed for driving, only training is faster with one"
    return Finding(False, "no CUDA GPU that torch can use", mend, needed=False)


CHECKS: dict[str, tuple[str, Callable[[], Finding]]] = {
    "python": ("Python", python),
    "packages": ("Packages", packages),
    "opengl": ("OpenGL", opengl),
    "ros": ("ROS 2", ros),
    "dds": ("DDS discovery", dds),
    "gpu": ("GPU", gpu),
}
# What a robot asks otherwise: it draws no world.
ROBOT: dict[str, tuple[str, Callable[[], Finding]]] = {
    "packages": ("Packages", lambda: packages(robot=True)),
    "opengl": ("OpenGL", lambda: replace(opengl(), needed=False)),
}


def doctor(
    only: Literal["python", "packages", "opengl", "ros", "dds", "gpu"] | None = None,
    robot: bool = False,
) -> int:
    """Say what of Python, OpenGL, ROS 2, DDS discovery and GPU works, and how to mend the rest.

    Args:
        only: the one thing to check; everything if not given.
        robot: ask for what the nodes of a robot need, not for what a simulated world needs: OpenGL
            and the extras `sim` and `viz` may be missing.

    Returns:
        0 when all that `liquid-control drive`, or a robot, needs works, else 1.
    """
    checks = CHECKS | (ROBOT if robot else {})
    rows = [(title, check()) for name, (title, check) in checks.items() if only in (None, name)]
    _show(rows)
    return int(any(finding.needed and not finding.works for _, finding in rows))


def _show(rows: list[tuple[str, Finding]]) -> None:
    if not importlib.util.find_spec("rich"):
        for title, finding in rows:
            print(f"{title:14}{_word(finding):10}{finding.found}")
            if finding.mend:
                print(f"{'':24}-> {finding.mend}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "MISSING": "bold red", "optional": "yellow"}
    table = Table("", "", "what came, and how to mend it", show_lines=True)
    table.columns[2].overflow = "fold"
    for title, finding in rows:
        word = _word(finding)
        said = finding.found + (f"\n-> {finding.mend}" if finding.mend else "")
        table.add_row(title, Text(word, style=colours[word]), Text(said))
    Console().print(table)


def _word(finding: Finding) -> str:
    if finding.works:
        return "ok"
    return "MISSING" if finding.needed else "optional"


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _child(code: str, limit_s: float = 60.0, **environment: str) -> tuple[bool, str]:
    """Run code in a fresh interpreter: whether it ended well, and the last line that it printed."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {limit_s:.0f} s"
    if done.returncode == 0:
        return True, (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode < 0:
        return False, f"the process died of signal {-done.returncode}"
    # The exception's own line; what may follow it are hints.
    errors = [line for line in done.stderr.splitlines() if re.match(r"[\w.]+: ", line)]
    return False, (errors or done.stderr.strip().splitlines() or ["no word of why"])[-1]


if __name__ == "__main__":
    sys.exit(doctor())
