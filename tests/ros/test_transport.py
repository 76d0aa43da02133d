"""Camera frames larger than the middleware's default shared memory arrive."""

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from liquid_control.ros import transport

pytestmark = pytest.mark.ros

PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transport of this process is the nodes'; listed before `probe`, which starts rclpy."""
    for name in (*PROFILES, "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in transport.variables().items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
def test_frames_of_640_x_480_arrive(chosen, probe, start, model, camera_of):
    start("policy", "-p", f"model:={model}")
    camera, sent, send = camera_of(probe), [], probe.send_frame
    probe.send_frame = lambda frame, stamp: (sent.append(stamp), send(frame, stamp))
    frame = np.full((480, 640, 3), 128, np.uint8)
    for _ in range(30):
        camera.show(frame)
    # With the middleware's own 512 kB a third of such frames is lost, and repeated here.
    assert len(sent) <= 30 + 3


@pytest.mark.parametrize("name", [*PROFILES, "FASTDDS_BUILTIN_TRANSPORTS"])
def test_what_the_user_has_chosen_stays(monkeypatch: pytest.MonkeyPatch, chosen, name: str):
    for profile in PROFILES:
        monkeypatch.delenv(profile, raising=False)
    monkeypatch.setenv(name, "mine")
    before = dict(os.environ)
    transport.choose()
    assert dict(os.environ) == before


@pytest.mark.parametrize(("distribution", "name"), zip(("kilted", "jazzy"), PROFILES, strict=True))
def test_the_variable_is_the_one_that_the_distribution_reads(monkeypatch, distribution, name):
    for each in (*PROFILES, "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("ROS_DISTRO", distribution)
    assert os.path.isfile(transport.variables()[name])


@pytest.fixture
def memory(monkeypatch, chosen) -> Callable[[bool], int]:
    """The shared memory of a process that calls `choose` as its parent did before it."""
    code = """
import os
from liquid_control.ros import transport
transport.choose({shared})
import rclpy
rclpy.init()
node = rclpy.create_node("anybody")
print(sum("/dev/shm/fastdds" in line for line in open("/proc/self/maps")), flush=True)
os._exit(0)
"""

    def used(shared: bool) -> int:
        transport.choose(not shared)
        command = [sys.executable, "-c", code.format(shared=shared)]
        return int(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)

    return used


@pytest.mark.parametrize("discovery", ["LOCALHOST", "SUBNET"])
def test_who_must_outlive_others_shares_no_memory_whatever_its_parent_does(
    monkeypatch, memory, discovery
):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", discovery)
    assert memory(shared=True) > 0
    assert memory(shared=False) == 0
