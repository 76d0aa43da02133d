"""How far a policy's steering is from a person's on the real 1:10 car's recording, with intervals.

python benchmarks/rc_track.py                          rc_track_ncp on the last 15 %, the test part
python benchmarks/rc_track.py --part validation        on the 8 % before it
python benchmarks/rc_track.py --model A --other B      also the paired difference of two models

Errors of neighbouring frames are alike, so the 95 % intervals are those of a moving-block bootstrap
(Kuensch 1989) of blocks of 5 seconds.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import tyro

from liquid_control import models
from liquid_control.data.drive import load_drives
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


def main(
    model: str = "rc_track_ncp",
    other: str | None = None,
    data: str = "data/rc_track",
    part: Literal["validation", "test"] = "test",
    validation: float = 0.08,
    test: float = 0.15,
    block: int = 100,
) -> None:
    """Measure.

    Args:
        model: name or folder.
        other: a second model, to be compared with it.
        data: the recording.
        part: on which to measure.
        validation, test: shares of the recording.
        block: frames of a block of the bootstrap.
    """
    torch.set_num_threads(1)
    errors = []
    for name in (model, *([other] if other else [])):
        policy = Policy.load(models.find(name))
        drives = load_drives([data], policy.camera, policy.spec.names)
        chosen = split_by_time(drives, validation, test)[PARTS.index(part)]
        found = open_loop(policy, chosen)
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
