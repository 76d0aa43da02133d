"""`liquid-control drive`: a policy drives a simulated car through real ROS 2 nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from liquid_control import models
from liquid_control.errors import InputError
from liquid_control.ros.processes import free_domain, setting
from liquid_control.ros.supervisor import NodePlan, finish, new_folder, supervise
from liquid_control.ros.view import free_port

__all__ = ["check_world", "drive", "nodes", "patience", "simulate"]

Mode = Literal["realtime", "lockstep"]
Options = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


def drive(
    model: str = "driving_ncp",
    world: str = "liquid_control/Driving-v1",
    seed: int = 5,
    seconds: float = 60.0,
    mode: Mode = "realtime",
    option: Options = (),
    report: bool = True,
    view: bool = False,
    params: Path | None = None,
    out: Path = Path("runs"),
) -> int:
    """Drive a simulated car, show it, record it and write a report.

    The policy, the simulator, the safety supervisor and the recorder run as separate processes and
    talk over ROS 2, on a domain of their own unless ROS_DOMAIN_ID is set; the first line says which
    it is, so that `liquid-control teleop` can take the car over from another terminal. Ctrl-C ends
    the drive early, with its report.

    Args:
        model: name of a shipped model, or the folder of one that you trained.
        world: Gymnasium id of the world.
        seed: of the road; after the car has left it, the next seed's road follows.
        seconds: how long to drive [s].
        mode: realtime, or lockstep: the world waits for each frame's command.
        option: of the world, NAME=VALUE; may be given several times.
        report: write results.json, the video and report.html from the recording.
        view: serve a live page of the drive; its address is printed.
        params: ROS parameter file in place of config/drive.yaml.
        out: folder in which the run's own folder is made.

    Returns:
        0 when the car stayed on the road, 1 when it left it or a node failed.
    """
    return simulate("drive", model, world, seed, seconds, mode, option, report, view, params, out)


def simulate(
    kind: Literal["drive", "drone"],
    model: str,
    world: str,
    seed: int,
    seconds: float,
    mode: Mode,
    option: Sequence[str],
    report: bool,
    view: bool,
    params: Path | None,
    out: Path,
) -> int:
    """What `drive` and `drone` have in common; their arguments.

    Args:
        kind: names the run's folder and the parameter file of `config/`.
    """
    file, verb, noun = {
        "drive": ("drive.yaml", "drives", "drive"),
        "drone": ("fly.yaml", "flies", "flight"),
    }[kind]
    if not seconds > 0:
        raise InputError(f"A {noun} takes more than 0 s, got --seconds {seconds}; try 60.")
    folder = models.find(model)
    parameters = models.share() / "config" / file if params is None else params
    if not parameters.is_file():
        raise InputError(f"No parameter file {parameters}; give an existing one with --params.")
    options = _as_json(option)
    _check_fit(kind, folder, world, check_world(world, options))
    run = new_folder(out, kind)
    plan = nodes(folder.resolve(), world, seed, mode, parameters.resolve(), run / "bag", options)
    title = f"{folder.name} {verb} {world}, seed {seed}"
    domain = os.environ.setdefault("ROS_DOMAIN_ID", str(free_domain()))
    print(f"To take over in another terminal: ROS_DOMAIN_ID={domain} liquid-control teleop")
    if view:
        port = free_port()
        plan.append(NodePlan("view", ["-p", f"port:={port}"], spare=True))
        print(f"Live page, in some seconds: http://127.0.0.1:{port}/", flush=True)
    outcome = supervise(plan, run, title, seconds)
    facts = {"Model": str(folder), "World": world, "Seed": str(seed), "Mode": mode}
    if option:
        facts["Options"] = ", ".join(option)
    return finish(run, title, outcome, facts, report)


def _check_fit(kind: str, folder: Path, world: str, inputs: Sequence[str]) -> None:
    """Raises InputError where a world's `inputs` are no vehicle for the command or the model."""
    try:
        spec = json.loads((folder / "config.json").read_text())["command"]
        outputs = [output["name"] for output in spec["outputs"]]
    except (OSError, ValueError, LookupError, TypeError):
        return  # The policy node says what is wrong with it.
    flown, takes = "vx" in inputs, f"The world {world} takes {' and '.join(inputs)}"
    if flown != (kind == "drone"):
        other = "drone" if flown else "drive"
        raise InputError(f"{takes}; use `liquid-control {other}` or another world.")
    if flown != ("vx" in outputs):
        raise InputError(
            f"{takes}, and the model {folder.name} gives {' and '.join(outputs)}; choose a model "
            "that was trained for such a vehicle."
        )


def _as_json(option: Sequence[str]) -> list[str]:
    """NAME=VALUE as the simulator node takes them."""
    if not option:
        return []
    # With its room comes PyTorch, which takes seconds to load.
    from liquid_control.rollout.world_options import parse_options

    return [f"{name}={json.dumps(value)}" for name, value in parse_options(option).items()]


def check_world(world: str, options: Sequence[str] = ()) -> list[str]:
    """Draw a world's first frame in a process of its own: a graphics driver may end it.

    Returns:
        What the world takes, by name.

    Raises:
        InputError: it cannot be drawn; the sentence says why.
    """
    code = (
        "import liquid_control.ros.simulator_node as s, sys; "
        "sys.exit(s.draw_once(sys.argv[1], sys.argv[2:]))"
    )
    command = [sys.executable, "-c", code, world, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"The world {world} drew no frame within 120 s; `liquid-control doctor` looks for why."
        ) from error
    said = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1]
    if done.returncode == 2:
        raise InputError(said)
    if done.returncode:
        raise InputError(
            f"The world {world} cannot be drawn ({said}); `liquid-control doctor` looks for why."
        )
    return done.stdout.splitlines()[-1].split()


def patience(mode: str) -> dict[str, float]:
    """Parameters of the safety node: in lockstep the world waits for a slow machine [s]."""
    return {"timeout": 1.0, "intervention_timeout": 0.5} if mode == "lockstep" else {}


def nodes(
    model: Path,
    world: str,
    seed: int,
    mode: str,
    parameters: Path,
    bag: Path,
    options: Sequence[str] = (),
) -> list[NodePlan]:
    """The nodes of a drive or a flight, in the order in which they are stopped."""
    common = ["--params-file", str(parameters), "-p", "use_sim_time:=true"]
    simulator = [*setting("world", world), "-p", f"seed:={seed}", "-p", f"mode:={mode}"]
    if options:
        simulator += ["-p", f"options:={json.dumps(list(options))}"]
    names = {"image": "camera/image_raw", "camera_info": "camera/camera_info"}
    remapped = [part for name, topic in names.items() for part in ("-r", f"{name}:={topic}")]
    patient = patience(mode).items()
    safety = [part for name, value in patient for part in ("-p", f"{name}:={value}")]
    return [
        NodePlan("policy", [*common, *setting("model", model), *remapped]),
        NodePlan("simulator", [*common[:2], *simulator]),
        NodePlan("safety", [*common, *safety]),
        NodePlan("recorder", setting("bag", bag)),
    ]
