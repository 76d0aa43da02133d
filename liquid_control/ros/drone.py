"""`liquid-control drone`: a policy flies a simulated drone through real ROS 2 nodes."""

from __future__ import annotations

from pathlib import Path

from liquid_control.ros.drive import Mode, Options, simulate

__all__ = ["drone"]


def drone(
    model: str = "drone_ncp",
    world: str = "liquid_control/Drone-v0",
    seed: int = 7,
    seconds: float = 60.0,
    mode: Mode = "realtime",
    option: Options = (),
    report: bool = True,
    view: bool = False,
    params: Path | None = None,
    out: Path = Path("runs"),
) -> int:
    """Fly a simulated drone to targets, show it, record it and write a report.

    The same nodes as in `liquid-control drive`, with the safety node's rules for a drone. A flight
    ends at its target, with a crash or when its time is over; the next seed's follows.

    Args:
        model: name of a shipped model, or the folder of one that you trained.
        world: Gymnasium id of the world.
        seed: of the first flight.
        seconds: how long to fly [s].
        mode: realtime, or lockstep: the world waits for each frame's command.
        option: of the world, NAME=VALUE (season=winter); may be given several times.
        report: write results.json, the video and report.html from the recording.
        view: serve a live page of the flight; its address is printed.
        params: ROS parameter file in place of config/fly.yaml.
        out: folder in which the run's own folder is made.

    Returns:
        0 when the drone hit nothing, 1 when it crashed or a node failed.
    """
    return simulate("drone", model, world, seed, seconds, mode, option, report, view, params, out)
