"""`liquid-control drive`: a policy drives a simulated car through real ROS 2 nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from liquid_control import models
from liquid_control.doctor import opengl
from liquid_control.errors import InputError
from liquid_control.ros.supervisor import NodePlan, finish, new_folder, supervise

__all__ = ["drive", "nodes"]


def drive(
    model: str = "driving_ncp",
    world: str = "liquid_control/Driving-v0",
    seed: int = 7,
    seconds: float = 60.0,
    mode: Literal["realtime", "lockstep"] = "realtime",
    report: bool = True,
    params: Path | None = None,
    out: Path = Path("runs"),
) -> int:
    """Drive a simulated car, show it, record it and write a report.

    The policy, the simulator, the safety supervisor and the recorder run as separate processes and
    talk over ROS 2, on a domain of their own unless ROS_DOMAIN_ID is set. Ctrl-C ends the drive
    early, with its report.

    Args:
        model: name of a shipped model, or the folder of one that you trained.
        world: Gymnasium id of the world.
        seed: of the road; after the car has left it, the next seed's road follows.
        seconds: how long to drive [s].
        mode: realtime, or lockstep: the world waits for each frame's command.
        report: write results.json, the video and report.html from the recording.
        params: ROS parameter file in place of config/drive.yaml.
        out: folder in which the run's own folder is made.

    Returns:
        0 when the car stayed on the road, 1 when it left it or a node failed.
    """
    if not seconds > 0:
        raise InputError(f"A drive takes more than 0 s, got --seconds {seconds}; try 60.")
    folder = models.find(model)
    parameters = models.share() / "config" / "drive.yaml" if params is None else params
    if not parameters.is_file():
        raise InputError(f"No parameter file {parameters}; give an existing one with --params.")
    screen = opengl()
    if not screen.works:
        raise InputError(f"The simulator cannot draw: {screen.found}; {screen.mend}.")
    run = new_folder(out, "drive")
    plan = nodes(folder.resolve(), world, seed, mode, parameters.resolve(), run / "bag")
    title = f"{folder.name} drives {world}, seed {seed}"
    outcome = supervise(plan, run, title, seconds)
    return finish(run, title, outcome, report)


def nodes(
    model: Path, world: str, seed: int, mode: str, parameters: Path, bag: Path
) -> list[NodePlan]:
    """The nodes of a drive, in the order in which they are stopped."""
    common = ["--params-file", str(parameters), "-p", "use_sim_time:=true"]
    camera = [
        "-r",
        "image:=camera/image_raw",
        "-r",
        "image/compressed:=camera/image_raw/compressed",
    ]
    simulator = ["-p", f"world:={world}", "-p", f"seed:={seed}", "-p", f"mode:={mode}"]
    # In lockstep the world waits for the machine, so a slow one is no reason to stop the car.
    safety = ["-p", "timeout:=1.0"] if mode == "lockstep" else []
    return [
        NodePlan("policy", [*common, "-p", f"model:={model}", "-r", "image:=camera/image_raw"]),
        NodePlan("simulator", [*common[:2], *simulator]),
        NodePlan("safety", [*common, *safety]),
        NodePlan("recorder", ["-p", f"bag:={bag}"]),
    ]
