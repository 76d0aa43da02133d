"""A thousand messages a second on one input: nothing unsafe is told, and no process grows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from fault_rig.rig import CRUISE, Rig
from liquid_control.ros.runtime import COMMAND
from liquid_control.safety import Limits

__all__ = ["TARGETS", "Flooded", "flooded"]

TARGETS = (
    *("image", "cmd_vel", "intervention", "emergency_stop", "odom", "joy"),
    "parameters",
)
SECONDS = 4.0
# Of the policy's and the safety node's processes [MB]; they take 300 and 80.
GROWTH = 30.0


@dataclass(frozen=True)
class Flooded:
    """What a flood led to.

    Args:
        moving: the vehicle drove at its cruising speed at the flood's end.
        to_stop: from an emergency stop then to the first slower command [s]; None if it stood.
        growth: of the two processes' memory together [MB].
        sent: messages by a flooding process, as it says; "" where the camera itself floods.
    """

    moving: bool
    to_stop: float | None
    growth: float
    sent: str


def flooded(rig: Rig, target: str) -> Flooded:
    """Flood one input of a vehicle that drives, stop it by an emergency stop, end the flood.

    Raises:
        AssertionError: a command is outside the limits, memory grows, the emergency stop is not
            obeyed, or the vehicle does not drive again.
    """
    button = rig.node.create_publisher(Bool, "emergency_stop", COMMAND)
    rig.steady()
    before, began = _memory(rig), time.time_ns()
    if target == "image":
        rig.inflict("flood")
    else:
        if target == "joy":
            rig.start("teleop", "-p", "input:=joystick")
            rig.wait(lambda: rig.node.count_subscribers("joy"), "teleop listens")
        rig.start("flood", "-p", f"target:={target}", module="fault_rig.flood")
        rig.wait(lambda: " sent in" in rig.children["flood"].last_words(), "the flood runs")
    sent = ""
    try:
        rig.spin(SECONDS)
        growth = _memory(rig) - before
        moving = rig.told[-1].speed == CRUISE
        pressed = time.time_ns()
        button.publish(Bool(data=True))
        times = rig.stop_times(pressed) if moving else None
        rig.stays()
    finally:
        if target == "image":
            rig.inflict("")
        else:
            sent = rig.children["flood"].last_words().rpartition(": ")[2]
            rig.kill("flood")
        if target == "joy":
            rig.kill("teleop")
    _check([told.speed for told in rig.told if told.at > began])
    assert growth < GROWTH, f"the nodes grew by {growth:.0f} MB"
    rig.wait(
        lambda: rig.call(Trigger, "safety/release", Trigger.Request()).success, "it is released"
    )
    rig.node.destroy_publisher(button)
    rig.steady()
    return Flooded(moving, times and times[0], growth, sent)


def _check(speeds: list[float]) -> None:
    limits = Limits(max_acceleration=10.0)
    assert all(0.0 <= speed <= limits.max_speed for speed in speeds), "beyond the speed limit"
    # No leap is larger than the whole time-out's worth of the steepest ramp.
    steepest = max(limits.emergency_deceleration, limits.max_acceleration) * limits.timeout
    leaps = [abs(after - before) for before, after in pairwise(speeds)]
    assert max(leaps, default=0.0) <= steepest, f"a leap of {max(leaps):.2f} m/s"


def _memory(rig: Rig) -> float:
    """Resident memory of policy and safety node [MB]."""
    pages = 0
    for name in ("policy", "safety"):
        statm = Path(f"/proc/{rig.children[name].process.pid}/statm").read_text()
        pages += int(statm.split()[1])
    return pages * 4096e-6
