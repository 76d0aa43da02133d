"""Faults that the vehicle drives on through, and such as keep a policy from starting.

Each function takes a rig whose vehicle drives, or starts what it needs, raises AssertionError where
the stack does not behave, and returns who said what.
"""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import JointState

from fault_rig.rig import CRUISE, PATIENCE, Rig
from liquid_control.data.bag import BagReader
from liquid_control.data.messages import read_named_vector

__all__ = [
    "continued",
    "disk_full",
    "parameters_changed",
    "poison",
    "policy_slowed",
    "refused_model",
    "safety_killed",
    "small_disk",
    "truncate",
    "two_policies",
]

_MAX_AGE_NS = 500_000_000
# What one obeyed command can make of a vehicle that stands is 0.2 m/s and a busy machine [m/s].
CRAWL = 1.0


def two_policies(rig: Rig) -> str:
    """A second policy commands another speed on the same topic: one is obeyed, one refused.

    It is the first one, unless a busy machine keeps that silent for longer than the time-out.
    """
    rig.steady()
    began = time.time_ns()
    other = 1.0
    more = ("-r", "__node:=policy_2", "-p", f"speed:={other}")
    rig.start_policy(*more, name="policy_2")
    try:
        said = rig.reports("safety", "/policy(_2)? is obeyed, /policy(_2)? refused", began)
        if rig.steady(CRUISE, other) == CRUISE:
            rig.kill("policy")
        else:
            rig.kill("policy_2")
        changed = time.time_ns()
        rig.wait(lambda: rig.told[-1].at > changed, "the vehicle is told something")
        rig.steady(CRUISE, other)
    finally:
        rig.kill("policy_2")
    if rig.children["policy"].code is not None:
        rig.start_policy()
    rig.steady()
    return said


def disk_full(rig: Rig, disk: Path) -> str:
    """The recorder's disk fills up: the vehicle drives on, and what was recorded can be read.

    Args:
        disk: an empty folder of `small_disk`.
    """
    rig.steady()
    began = time.time_ns()
    bag = disk / "bag"
    topics = "topics:=[image, odom, cmd_vel_safe, policy/decision]"
    recorder = rig.start("recorder", "-p", f"bag:={bag}", "-p", topics)
    if not disk.is_mount():
        # A file that may not grow gives the same error to the same call.
        resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    said = rig.reports("recorder", "cannot be written on.*nothing more is recorded", began)
    rig.steady()
    assert recorder.code is None, recorder.last_words()
    rig.send("recorder", signal.SIGINT)
    assert recorder.process.wait(PATIENCE) == 1, "a recording that was cut short ends with 1"
    with BagReader(bag) as reader:
        frames = sum(1 for _ in reader.messages({"/image"}))
    assert frames > 5, f"only {frames} frames can be read"
    return said


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 2 MB where this process may mount one; else `folder` as it is."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
    )
    try:
        yield folder
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def parameters_changed(rig: Rig) -> str:
    """Parameters are set while driving: what fits counts at once, what does not is refused."""
    rig.steady()
    refused = [
        _set(rig, "policy", "black_frames", "yes"),
        _set(rig, "policy", "max_gap", -1.0),
        _set(rig, "policy", "model", "nothing"),
        _set(rig, "safety", "timeout", 100.0),
        _set(rig, "safety", "max_speed", float("nan")),
    ]
    assert all(refused), refused
    for value in (False, True):
        assert not _set(rig, "policy", "black_frames", value)
    rig.steady()
    assert not _set(rig, "policy", "speed", 2.0)
    rig.wait(lambda: rig.told[-1].speed == 2.0, "the new speed is driven")
    assert not _set(rig, "policy", "speed", CRUISE)
    rig.steady()
    return f"answer: {refused[2]}"


def _set(rig: Rig, node: str, name: str, value: bool | float | str) -> str:
    """Set a parameter; why that was refused, else ""."""
    kinds = {bool: "bool", float: "double", str: "string"}
    kind = kinds[type(value)]
    typed = ParameterValue(type=getattr(ParameterType, f"PARAMETER_{kind.upper()}"))
    setattr(typed, f"{kind}_value", value)
    request = SetParameters.Request(parameters=[Parameter(name=name, value=typed)])
    result = rig.call(SetParameters, f"{node}/set_parameters", request).results[0]
    return "" if result.successful else result.reason or "refused"


def truncate(model: Path, folder: Path) -> Path:
    """A copy of a model whose weights are cut off."""
    shutil.copytree(model, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    return folder


def poison(model: Path, folder: Path) -> Path:
    """A copy of a model some of whose weights are NaN."""
    import torch

    from liquid_control.policy import Policy

    policy = Policy.load(model)
    next(policy.circuit.parameters()).data.fill_(torch.nan)
    policy.save(folder)
    return folder


def refused_model(rig: Rig, broken: Path, pattern: str) -> str:
    """A model that cannot be used: the policy stays unconfigured, says why, and takes a good one.

    Args:
        broken: folder of the model; the rig's own good one is put into its place.
        pattern: regular expression of what is said.
    """
    began = time.time_ns()
    child = rig.start("policy", "-p", f"model:={broken}", "-p", "autostart:=false")
    configure = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert not rig.call(ChangeState, "policy/change_state", configure).success
    state = rig.call(GetState, "policy/get_state", GetState.Request()).current_state
    assert state.id == State.PRIMARY_STATE_UNCONFIGURED, state.label
    said = rig.reports("policy", pattern, began)
    assert "Traceback" not in child.log.read_text()
    shutil.copytree(rig.model, broken, dirs_exist_ok=True)
    assert rig.call(ChangeState, "policy/change_state", configure).success
    rig.kill("policy")
    return said


def continued(rig: Rig) -> str:
    """A policy that was stopped for 2 s goes on: what it says of old frames is not obeyed."""
    rig.steady()
    began = rig.send("policy", signal.SIGSTOP)
    rig.stop_times(began)
    rig.spin(max(0.0, 2.0 - (time.time_ns() - began) * 1e-9))
    woken = rig.send("policy", signal.SIGCONT)
    rig.steady()
    moves = next(told for told in rig.told if told.at > woken and told.speed > 0.0)
    age = moves.at - moves.stamp
    assert age < _MAX_AGE_NS, f"a command on a frame {age * 1e-9:.3f} s old is obeyed"
    return f"first command obeyed: {age * 1e-6:.0f} ms after its frame"


def safety_killed(rig: Rig) -> tuple[float, float, str]:
    """The safety node is killed: the simulated vehicle brakes by itself, and drives on afterwards.

    Args:
        rig: nothing runs on it; its model drives liquid_control/Driving-v0.

    Returns:
        From the fault to the first frame in which the vehicle brakes [s], to standing [s], and who
        said what.
    """
    rig.start("simulator", "-p", "world:=liquid_control/Driving-v0")
    clock = ("-p", "use_sim_time:=true")
    rig.start("safety", *clock)
    camera = "image:=camera/image_raw"
    rig.start("policy", *clock, "-p", f"model:={rig.model}", "-r", camera)
    speeds: list[tuple[int, float]] = []

    def on_odometry(message: Odometry, info: dict[str, int]) -> None:
        speeds.append((info["received_timestamp"], message.twist.twist.linear.x))

    rig.node.create_subscription(Odometry, "odom", on_odometry, 100)
    state: list[tuple[int, dict[str, float]]] = []

    def on_state(message: JointState, info: dict[str, int]) -> None:
        state.append((info["received_timestamp"], read_named_vector(message)))

    rig.node.create_subscription(JointState, "simulator/state", on_state, 100)

    def drives() -> bool:
        """For 2 s of simulated time no longer waiting for a first command."""
        lately = [values["waiting"] for _, values in state[-60:]]
        return len(lately) == 60 and not any(lately)

    rig.wait(drives, "the simulated vehicle drives")
    began = rig.kill("safety")

    def stands() -> int | None:
        return next((at for at, speed in speeds if at > began and speed < 0.05), None)

    rig.wait(stands, "the simulated vehicle stands")
    standing = stands()
    braking = next(at for at, asked in state if at > began and asked["asked_speed"] == 0.0)
    said = rig.reports("simulator", "brakes by itself", began)
    stood = len(speeds)
    rig.start("safety", *clock)
    rig.wait(lambda: speeds[-1][1] > 3.0, "it drives again")
    # 0.1 m/s a frame is what the limits allow; a busy machine misses some frames.
    leap = max(after[1] - before[1] for before, after in pairwise(speeds[stood:]))
    assert leap < 1.0, f"the new safety node begins with a leap of {leap:.1f} m/s"
    return (braking - began) * 1e-9, (standing - began) * 1e-9, said


def policy_slowed(rig: Rig) -> tuple[float, float, str]:
    """A policy that gets 30 ms of every 400 ms: the vehicle is stopped, and crawls at most.

    Returns:
        From the fault to the first slower command [s], to the command to stand [s], who said what.
    """
    rig.steady()
    healed = threading.Event()

    def throttle() -> None:
        while not healed.is_set():
            rig.send("policy", signal.SIGSTOP)
            healed.wait(0.37)
            rig.send("policy", signal.SIGCONT)
            healed.wait(0.03)

    began = time.time_ns()
    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        times = rig.stop_times(began)
        since = time.time_ns()
        said = rig.reports("safety", "no commands", began)
        rig.spin(2.0)
        fastest = max(told.speed for told in rig.told if told.at > since)
        assert fastest < CRAWL, f"driven at {fastest:.2f} m/s by a policy that is too slow"
    finally:
        healed.set()
        thread.join()
    rig.steady()
    return (*times, f"{said}; at most {fastest:.2f} m/s afterwards")
