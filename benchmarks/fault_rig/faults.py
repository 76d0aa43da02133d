"""Faults after which the vehicle must be stopped, and stay so, by itself; and how each is ended.

`strike` runs one on a rig whose vehicle drives and measures the stop; the tests ask for no time,
since a busy machine is late with everything, `benchmarks/faults.py` tabulates the times.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from std_srvs.srv import Trigger

from fault_rig.rig import Rig

__all__ = ["FAULTS", "Fault", "Outcome", "strike"]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        title: for people.
        begin: brings it about; returns when it began [ns].
        end: takes it away, after which the vehicle must drive again.
        node: who must say so in /diagnostics; a regular expression, too.
        says: regular expression of what it says.
        compressed: it is one of JPEG frames.
        policy: module of the policy's process, where it is not the node's own.
    """

    title: str
    begin: Callable[[Rig], int]
    end: Callable[[Rig], object]
    node: str
    says: str
    compressed: bool = False
    policy: str = "liquid_control.ros.policy_node"


@dataclass(frozen=True)
class Outcome:
    """What a fault led to.

    Args:
        to_stop: from the fault to the first slower command on `cmd_vel_safe` [s].
        to_standstill: from the fault to the command to stand [s].
        noticed: who said what in /diagnostics.
    """

    to_stop: float
    to_standstill: float
    noticed: str


def strike(rig: Rig, fault: Fault, heal: bool = True) -> Outcome:
    """Let the vehicle drive, bring the fault about, and see that it is stopped and stays so.

    Args:
        heal: take the fault away afterwards and wait until the vehicle drives again.

    Raises:
        AssertionError: it is not stopped, moves again, nobody says why, or it drives no more.
    """
    rig.steady()
    began = fault.begin(rig)
    times = rig.stop_times(began)
    rig.stays()
    said = rig.reports(fault.node, fault.says, began)
    if heal:
        fault.end(rig)
        rig.steady()
    return Outcome(*times, said)


def _source(title: str, fault: str, node: str, says: str, compressed: bool = False) -> Fault:
    """A fault of the camera or of its clock."""
    begin = partial(Rig.inflict, fault=fault)
    return Fault(title, begin, partial(Rig.inflict, fault=""), node, says, compressed)


def _cure(rig: Rig) -> None:
    rig.send("policy", signal.SIGUSR2)
    assert rig.call(Trigger, "policy/reset", Trigger.Request()).success


FAULTS: dict[str, Fault] = {
    "camera_killed": Fault(
        "camera driver killed (SIGKILL)",
        lambda rig: rig.kill("source"),
        Rig.start_source,
        "policy",
        "no frames on /image",
    ),
    "camera_silent": _source("camera sends nothing", "silent", "policy", "no frames on /image"),
    "frozen": _source("frames repeat one picture", "frozen", "policy", "repeats one picture"),
    "black": _source("frames are black", "black", "policy", "are black"),
    "other_size": _source(
        "frames of another size", "other_size", "policy", "followed by one of 156 x 600"
    ),
    "jumping": _source("stamps jump to and fro by 0.2 s", "jumping", "policy", "jump back again"),
    "truncated": _source("frames cut off", "truncated", "policy", "needs .* bytes"),
    "wrong_step": _source("wrong row step", "wrong_step", "policy", "with step 200"),
    "truncated_jpeg": _source("JPEG cut off", "truncated", "policy", "cannot be decoded", True),
    "rubbish_jpeg": _source("JPEG rubbish", "rubbish", "policy", "cannot be decoded", True),
    "past": _source("stamps 60 s in the past", "past", "policy|safety", "no commands|old"),
    "future": _source("stamps 60 s in the future", "future", "policy|safety", "ahead|future"),
    "set_back": _source("clock set back by 1 s", "set_back", "policy|safety", "no commands|old"),
    "policy_killed": Fault(
        "policy killed (SIGKILL)",
        lambda rig: rig.kill("policy"),
        Rig.start_policy,
        "safety",
        "no commands",
    ),
    "policy_stopped": Fault(
        "policy stopped (SIGSTOP)",
        lambda rig: rig.send("policy", signal.SIGSTOP),
        lambda rig: rig.send("policy", signal.SIGCONT),
        "safety",
        "no commands",
    ),
    "nan_in_memory": Fault(
        "weights turn NaN in memory",
        lambda rig: rig.send("policy", signal.SIGUSR1),
        _cure,
        "policy",
        "is nan, outside its bounds|not finite",
        policy="fault_rig.poisoned",
    ),
}
