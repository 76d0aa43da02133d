"""`liquid-control replay`: a recorded drive through the real policy node."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from liquid_control import models
from liquid_control.data.bag import BagReader
from liquid_control.data.importers.donkeycar import import_donkeycar
from liquid_control.errors import InputError
from liquid_control.ros.processes import setting
from liquid_control.ros.replay_node import period
from liquid_control.ros.supervisor import NodePlan, finish, new_folder, supervise

__all__ = ["nodes", "nominal_period", "recorded", "replay"]


def replay(
    bag: Positional[Path],
    model: str = "rc_track_ncp",
    seconds: float = 0.0,
    mode: Literal["realtime", "lockstep"] = "lockstep",
    report: bool = True,
    params: Path | None = None,
    out: Path = Path("runs"),
) -> int:
    """Show a policy what a human saw, and compare what both did.

    The recording's frames go through the policy node with their own time stamps; nothing moves.

    Args:
        bag: rosbag2 folder with a camera and, to compare with, /expert/command or /cmd_vel; or a
            Donkeycar tub.
        model: name of a shipped model, or the folder of one that you trained.
        seconds: of the bag [s]; 0: all of it.
        mode: lockstep, as fast as the policy decides; or realtime, at the pace of the recording.
        report: write results.json, the video and report.html from the recording.
        params: ROS parameter file, for a camera setup that the recording needs.
        out: folder in which the run's own folder is made.

    Returns:
        0 when the whole bag was replayed, 1 when a node failed.
    """
    if seconds < 0:
        raise InputError(f"A replay takes 0 s (all) or more, got --seconds {seconds}.")
    folder = models.find(model).resolve()
    if params is not None and not params.is_file():
        raise InputError(f"No parameter file {params}; give an existing one with --params.")
    run = new_folder(out, "replay")
    try:
        plan = nodes(recorded(bag, run), folder, seconds, mode, run / "bag", params)
    except InputError:
        shutil.rmtree(run)
        with suppress(OSError):  # Others have their runs there.
            out.rmdir()
        raise
    title = f"{folder.name} replays {bag.resolve().name}"
    facts = {"Model": str(folder), "Recording": str(bag), "Mode": mode}
    return finish(run, title, supervise(plan, run, title), facts, report)


def nodes(
    bag: Path, model: Path, seconds: float, mode: str, out: Path, params: Path | None = None
) -> list[NodePlan]:
    """The nodes of a replay of `bag` that is recorded into `out`, in the order of their end."""
    source = [*setting("bag", bag), "-p", f"mode:={mode}", "-p", f"seconds:={float(seconds)}"]
    rate = ["-p", f"nominal_period:={nominal_period(bag)}"]
    policy = [] if params is None else ["--params-file", str(params.resolve())]
    policy += [*setting("model", model), *rate, "-p", "use_sim_time:=true"]
    policy += ["-r", "image:=camera/image_raw", "-r", "camera_info:=camera/camera_info"]
    return [
        NodePlan("replay", source, ends_run=True),
        NodePlan("policy", policy),
        NodePlan("recorder", setting("bag", out)),
    ]


def recorded(path: str | Path, folder: str | Path) -> Path:
    """The bag `path`; of a Donkeycar tub there, a bag `recording` in `folder`.

    Raises:
        InputError: there is neither.
    """
    path = Path(path).resolve()
    if not (path / "manifest.json").is_file():
        return path
    bag = Path(folder).resolve() / "recording"
    bag.parent.mkdir(parents=True, exist_ok=True)
    import_donkeycar(path, bag, progress=False)
    return bag


def nominal_period(bag: str | Path) -> float:
    """Time between the frames of a bag [s].

    Raises:
        InputError: it is no bag, or has no camera.
    """
    with BagReader(bag) as reader:
        return round(period(reader), 6)
