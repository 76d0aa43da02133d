"""How far a policy's steering is from a person's on the real 1:10 car's recording, with intervals.

python benchmarks/rc_track.py                          rc_track_ncp on the last 15 %, the test part
python benchmarks/rc_track.py --part validation        on the 8 % before it
python benchmarks/rc_track.py --model A --other B      also the paired difference of two models
python benchmarks/rc_track.py --still saliency.png     also what the vision head answers to

Errors of neighbouring frames are alike, so the 95 % intervals are those of a moving-block bootstrap
(Kuensch 1989) of blocks of 5 seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
import tyro

from liquid_control import models
from liquid_control.attention.maps import maps
from liquid_control.attention.overlay import overlay
from liquid_control.data.drive import Drive, load_drives
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.policy import Policy
from liquid_control.training.split import split_by_time

DRAWS = 10_000
PARTS = ("training", "validation", "test")


def block_interval(values: np.ndarray, block: int, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean of a series whose neighbours are alike.

    Args:
        values: (N,), in order of time.
        block: length of the blocks that are drawn; they may run over the end into the beginning.
    """
    rng = np.random.default_rng(seed)
    sums = np.convolve(np.concatenate([values, values[: block - 1]]), np.ones(block), "valid")
    starts = rng.integers(len(values), size=(DRAWS, round(len(values) / block)))
    low, high = np.percentile(sums[starts].mean(1) / block, [2.5, 97.5])
    return float(low), float(high)


def write_still(policy: Policy, drive: Drive, path: Path, columns: int = 5, rows: int = 2) -> None:
    """Frames at equal distances in a recording, each above what the head answers to."""
    pictures = []
    for index in np.linspace(0, len(drive) - 1, rows * columns + 2)[1:-1].astype(int):
        frame = np.array(drive.frames[index])
        seen = [frame, overlay(frame, maps(policy, frame[None])[0])]
        pictures.append(np.vstack([cv2.resize(each, None, fx=2, fy=2) for each in seen]))
    table = [np.hstack(pictures[row * columns : (row + 1) * columns]) for row in range(rows)]
    picture = cv2.cvtColor(np.vstack(table), cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def main(
    model: str = "rc_track_ncp",
    other: str | None = None,
    data: str = "data/rc_track",
    part: Literal["validation", "test"] = "test",
    validation: float = 0.08,
    test: float = 0.15,
    block: int = 100,
    still: Path | None = None,
) -> None:
    """Measure.

    Args:
        model: name or folder.
        other: a second model, to be compared with it.
        data: the recording.
        part: on which to measure.
        validation, test: shares of the recording.
        block: frames of a block of the bootstrap.
        still: PNG to write.
    """
    torch.set_num_threads(1)
    errors = []
    for name in (model, *([other] if other else [])):
        policy = Policy.load(models.find(name))
        drives = load_drives([data], policy.camera, policy.spec.names)
        chosen = split_by_time(drives, validation, test)[PARTS.index(part)]
        found = open_loop(policy, chosen)
        if still is not None and not errors:
            write_still(policy, chosen[0], still)
        errors.append(((found.commands - found.labels) ** 2).mean(1))
        low, high = block_interval(errors[-1], block)
        figures = found.summary["steering"]
        print(
            f"{name} on {figures['frames']} frames ({part}): mean squared error "
            f"{figures['mse']:.4f} (95 %: {low:.4f} to {high:.4f}), correlation "
            f"{figures['correlation']:.3f}; always 0: {figures['mse_of_zero']:.4f}"
        )
    if other:
        low, high = block_interval(errors[0] - errors[1], block)
        print(
            f"{model} less {other}: {(errors[0] - errors[1]).mean():.4f} "
            f"(95 %: {low:.4f} to {high:.4f})"
        )


if __name__ == "__main__":
    tyro.cli(main)
