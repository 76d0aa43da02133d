"""`liquid-control replay`: a recorded drive through the real policy node."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from liquid_control import models
from liquid_control.data.bag import BagReader
from liquid_control.errors import InputError
from liquid_control.ros.replay_node import period
from liquid_control.ros.supervisor import NodePlan, finish, new_folder, supervise

__all__ = ["replay"]


def replay(
    bag: Positional[Path],
    model: str = "rc_track_ncp",
    seconds: float = 0.0,
    mode: Literal["realtime", "lockstep"] = "lockstep",
    report: bool = True,
    out: Path = Path("runs"),
) -> int:
    """Show a policy what a human saw, and compare what both did.

    The frames of the bag go through the policy node with their own time stamps; nothing moves.

    Args:
        bag: rosbag2 folder with a camera and, to compare with, /expert/command or /cmd_vel.
        model: name of a shipped model, or the folder of one that you trained.
        seconds: of the bag [s]; 0: all of it.
        mode: lockstep, as fast as the policy decides; or realtime, at the pace of the recording.
        report: write results.json, the video and report.html from the recording.
        out: folder in which the run's own folder is made.

    Returns:
        0 when the whole bag was replayed, 1 when a node failed.
    """
    if seconds < 0:
        raise InputError(f"A replay takes 0 s (all) or more, got --seconds {seconds}.")
    folder = models.find(model).resolve()
    with BagReader(bag) as reader:
        rate = f"nominal_period:={period(reader):.6f}"
    run = new_folder(out, "replay")
    plan = [
        NodePlan(
            "replay",
            [
                *("-p", f"bag:={bag.resolve()}", "-p", f"mode:={mode}"),
                *("-p", f"seconds:={float(seconds)}"),
            ],
            ends_run=True,
        ),
        NodePlan(
            "policy",
            [
                *("-p", f"model:={folder}", "-p", rate, "-p", "use_sim_time:=true"),
                *("-r", "image:=camera/image_raw"),
            ],
        ),
        NodePlan("recorder", ["-p", f"bag:={run / 'bag'}"]),
    ]
    title = f"{folder.name} replays {bag.resolve().name}"
    facts = {"Model": str(folder), "Recording": str(bag), "Mode": mode}
    return finish(run, title, supervise(plan, run, title), facts, report)
