"""What a saliency map costs: VisualBackProp beside half a forward pass and captum's methods.

    python benchmarks/attention_cost.py             one thread, prints a table
    python benchmarks/attention_cost.py --write     also results/attention_cost.json and page

All explain the same decision of the same policy on one frame. They take turns, so that a change of
the machine's speed meets all; the figure to quote is the ratio to the forward pass of the same turn
(`Driver.step` on a prepared frame: head, circuit, time constants), with the range over the turns.
Processor time of this process counts, which other programs disturb less than the clock.

captum's Guided GradCAM and integrated gradients (50 steps, its default) want gradients and ReLU as
modules, so they get the policy rebuilt from modules with the same weights; that it decides the same
is checked. VisualBackProp takes the maps that the forward pass has left behind.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import tyro
from captum.attr import GuidedGradCam, IntegratedGradients
from page import put
from torch import Tensor, nn

from liquid_control import models
from liquid_control.perception.head import LAYERS, standardise
from liquid_control.policy import Driver, Policy

ELAPSED = 1 / 30
FORWARD, OURS = "forward pass", "VisualBackProp"
AIM = 0.5  # of a forward pass


class Modules(nn.Module):
    """A policy's head and circuit, from a fresh state, of ReLU modules that captum can hook.

    Takes standardised frames (N, 3, rows, columns), gives commands (N, outputs).
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        head, rows, columns = policy.head, *policy.head.size
        parts: list[nn.Module] = []
        for layer, convolution in zip(LAYERS, head.convolutions, strict=True):
            (top, bottom), (left, right) = layer.padding(rows), layer.padding(columns)
            rows, columns = -(-rows // layer.stride), -(-columns // layer.stride)
            copy = nn.Conv2d(convolution.in_channels, layer.filters, layer.kernel, layer.stride).to(
                memory_format=torch.channels_last
            )
            copy.load_state_dict(convolution.state_dict())
            parts += [nn.ZeroPad2d((left, right, top, bottom)), copy, nn.ReLU()]
        self.convolutions = nn.Sequential(*parts)
        self.dense = nn.ReLU()
        self._policy = policy

    @property
    def last_convolution(self) -> nn.Module:
        return self.convolutions[-2]

    def forward(self, frames: Tensor) -> Tensor:
        head = self._policy.head
        flat = self.convolutions(frames).flatten(2).transpose(0, 1)
        dense = torch.baddbmm(head.dense_bias.unsqueeze(1), flat, head.dense_weight)
        features = self.dense(dense).transpose(0, 1).flatten(1)
        commands, _ = self._policy.forward_features(features[:, None], None, ELAPSED)
        return commands[:, 0]


def contenders(policy: Policy, frame: np.ndarray) -> dict[str, Callable[[], object]]:
    """What takes turns, by name.

    Raises:
        RuntimeError: the policy of modules decides otherwise.
    """
    driver, modules = Driver(policy), Modules(policy).eval()
    pixels = standardise(torch.from_numpy(frame)[None]).permute(0, 3, 1, 2)
    with torch.no_grad():
        theirs = modules(pixels)[0].numpy()
    ours = driver.step(frame, ELAPSED).command
    if not np.allclose(policy.spec.clip(theirs), ours, rtol=1e-4, atol=1e-6):
        raise RuntimeError(f"The policy of modules gives {theirs}, the policy {ours}.")
    guided = GuidedGradCam(modules, modules.last_convolution)
    integrated = IntegratedGradients(modules)

    def gradients(method: GuidedGradCam | IntegratedGradients) -> Tensor:
        return method.attribute(pixels.detach().requires_grad_(), target=0)

    return {
        FORWARD: lambda: driver.step(frame, ELAPSED),
        OURS: driver.attention,
        "captum, Guided GradCAM": lambda: gradients(guided),
        "captum, integrated gradients": lambda: gradients(integrated),
    }


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
        model: name or folder of a policy with the vision head.
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
