"""What a saliency map costs: every attention method beside half a forward pass.

    python benchmarks/attention_cost.py             one thread, prints a table
    python benchmarks/attention_cost.py --write     also results/attention_cost.json and page

All explain the same decision of the same policy on one frame. They take turns, so that a change of
the machine's speed meets all; the figure to quote is the ratio to the forward pass of the same turn
(`Driver.step` on a prepared frame: head, circuit, time constants), with the range over the turns.
Processor time of this process counts, which other programs disturb less than the clock.

VisualBackProp takes the maps that the forward pass has left behind. The others are those of
`attention.maps`, as they are called: each makes its own forward passes, 64 for integrated
gradients.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import tyro
from page import put

from liquid_control import models
from liquid_control.attention.maps import METHODS, maps
from liquid_control.policy import Driver, Policy

ELAPSED = 1 / 30
FORWARD, OURS = "forward pass", "VisualBackProp"
AIM = 0.5  # of a forward pass


def contenders(policy: Policy, frame: np.ndarray) -> dict[str, Callable[[], object]]:
    """What takes turns, by name."""
    driver = Driver(policy)
    driver.step(frame, ELAPSED)
    found = {FORWARD: lambda: driver.step(frame, ELAPSED), OURS: driver.attention}
    for method in METHODS[1:]:
        found[method] = partial(maps, policy, frame[None], method, elapsed=ELAPSED)
    return found


def turn(work: Callable[[], object], seconds: float) -> float:
    """Processor time of one call [s], the median over those that fit into `seconds`."""
    took: list[float] = []
    while not took or sum(took) < seconds:
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return statistics.median(took)


def main(model: str = "driving_ncp", turns: int = 15, write: bool = False) -> None:
    """Measure.

    Args:
        model: name or folder of a policy.
        turns: of each method.
        write: also write benchmarks/results/attention_cost.json and the table of docs/latency.md.
    """
    torch.set_num_threads(1)
    policy = Policy.load(models.find(model))
    coarse = np.random.default_rng(0).integers(0, 256, (6, 16, 3), np.uint8)
    frame = np.repeat(np.repeat(coarse, 13, 0), 13, 1)
    work = contenders(policy, policy.camera.apply(frame))
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(turns + 1):
        for name, call in work.items():
            took = turn(call, 0.1)
            if number:  # The first turn warms up.
                times[name].append(took)
    lines = ["| | forward passes (range over turns) | processor time [ms] |", "|---|---|---|"]
    ratios = {}
    for name, took in times.items():
        shares = [one / whole for one, whole in zip(took, times[FORWARD], strict=True)]
        ratios[name] = [statistics.median(shares), min(shares), max(shares)]
        middle, low, high = ratios[name]
        spent = statistics.median(took) * 1e3
        lines.append(f"| {name} | {middle:.2f} ({low:.2f} to {high:.2f}) | {spent:.2f} |")
    print("\n".join(lines))
    reached = ratios[OURS][0] <= AIM
    print(f"Aim, at most {AIM} of a forward pass: {'reached' if reached else 'missed'}")
    if write:
        results = {
            "command": "python benchmarks/attention_cost.py --write",
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
            "model": model,
            "processor_ms": {name: [one * 1e3 for one in took] for name, took in times.items()},
            "forward_passes_median_low_high": ratios,
        }
        path = Path(__file__).resolve().parent / "results" / "attention_cost.json"
        path.write_text(json.dumps(results, indent=1) + "\n")
        put("latency.md", "benchmarks/attention_cost.py", "\n".join(lines))


if __name__ == "__main__":
    tyro.cli(main)
