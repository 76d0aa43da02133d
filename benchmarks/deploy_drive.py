"""How close an exported policy stays to torch: over a recorded drive, and in closed loop.

    python benchmarks/deploy_drive.py                        differences over a drive; a minute
    python benchmarks/deploy_drive.py --scores-in FOLDER     also scores that `evaluate` wrote
    python benchmarks/deploy_drive.py --write                also the tables of docs/deploy.md

For the scores, export into `runs/deploy` and let all variants drive the same roads:

    for p in float32 float16 int8; do liquid-control export driving_ncp --precision $p \
        $([ $p = int8 ] && echo --calibrate data/driving_v1) --output runs/deploy/onnx_$p; done
    for p in float32 int8; do liquid-control export driving_ncp --precision $p --runtime openvino \
        $([ $p = int8 ] && echo --calibrate data/driving_v1) --output runs/deploy/openvino_$p; done
    liquid-control evaluate --model driving_ncp --model runs/deploy/onnx_float32 ... \
        --env liquid_control/Driving-v1 --episodes 20 --seconds 20 --output runs/deploy/scores
"""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import tyro
from page import put
from tqdm import tqdm

from liquid_control import models
from liquid_control.data.drive import Drive, load_drive
from liquid_control.data.sequences import elapsed_times
from liquid_control.deploy.onnx_export import export_onnx
from liquid_control.deploy.runtime import ExportDriver
from liquid_control.policy import Driver, Policy

TITLES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}


def driven(driver: Driver | ExportDriver, drive: Drive) -> tuple[np.ndarray, ...]:
    """Commands, states and attention of every frame; the state is fresh after a gap."""
    starts, found = {first for first, _ in drive.runs()}, []
    elapsed = elapsed_times(drive)
    for index, frame in enumerate(drive.frames):
        if index in starts:
            driver.reset()
        decision = driver.step(frame, float(elapsed[index]))
        found.append((decision.command, decision.state, driver.attention()))
    return tuple(np.stack(each) for each in zip(*found, strict=True))


def differences(folder: Path, bag: Path, calibrate: Path) -> str:
    policy = Policy.load(folder)
    drive = load_drive(bag, policy.camera, policy.spec.names)
    wanted = driven(Driver(policy), drive)
    runtimes = [name for name in TITLES if name == "onnx" or importlib.util.find_spec(name)]
    variants = [(runtime, each) for runtime in runtimes for each in ("float32", "float16", "int8")]
    lines = [
        "| program, head | command, largest | command, rms | state, largest | attention, largest |",
        "|---|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as work:
        for runtime, precision in tqdm(variants, unit="variant", disable=None):
            out = Path(work) / precision
            if not out.exists():
                export_onnx(folder, out, precision, calibrate if precision == "int8" else None)
            got = driven(ExportDriver(out, runtime), drive)
            apart = [np.abs(one - other) for one, other in zip(got, wanted, strict=True)]
            share = apart[0] / policy.spec.high
            lines.append(
                f"| {TITLES[runtime]}, {precision} | {share.max():.1e} "
                f"| {np.sqrt((share**2).mean()):.1e} | {apart[1].max():.1e} "
                f"| {apart[2].max():.1e} |"
            )
    moved = np.sqrt(((wanted[0] - wanted[0].mean(0)) ** 2).mean(0)) / policy.spec.high
    return "\n".join(
        [
            *lines,
            "",
            f"{len(drive)} frames. Commands as shares of their upper limits; the drive's own vary "
            f"by {', '.join(f'{each:.2g}' for each in moved)} (standard deviation).",
        ]
    )


def scores(folder: Path) -> str:
    results = json.loads((folder / "results.json").read_text())
    lines = [
        "| policy | roads without a crash | lateral error [m] | lane departures per road |",
        "|---|--:|--:|--:|",
    ]
    for group in results["groups"]:
        facts, free, figures = (
            results["models"][group["model"]],
            group["crash_free"],
            group["figures"],
        )
        what = (
            f"{TITLES[facts['runtime']]}, {facts['precision']}" if "runtime" in facts else "torch"
        )
        lateral = figures["lateral_error"]
        ends = " to ".join(f"{end:.3f}" for end in lateral["interval"] or ())
        lines.append(
            f"| {what} | {free['count']} of {group['episodes']} "
            f"| {lateral['mean']:.3f} ({ends or 'one episode'}) "
            f"| {figures['lane_departures']['mean']:.2f} |"
        )
    return "\n".join(lines)


def main(
    model: str = "driving_ncp",
    bag: Path = Path("data/driving_v1/000007"),
    calibrate: Path = Path("data/driving_v1"),
    scores_in: Path | None = None,
    write: bool = False,
) -> None:
    """Compare exports of a policy with torch.

    Args:
        model: name or folder.
        bag: a drive.
        calibrate: bags for the ranges of int8.
        scores_in: folder that `liquid-control evaluate` wrote.
        write: also write the tables of docs/deploy.md.
    """
    torch.set_num_threads(1)
    tables = {"benchmarks/deploy_drive.py": differences(models.find(model), bag, calibrate)}
    if scores_in is not None:
        tables["scores of deploy_drive.py"] = scores(scores_in)
    for name, text in tables.items():
        print(f"{text}\n")
        if write:
            put("deploy.md", name, text)


if __name__ == "__main__":
    tyro.cli(main)
