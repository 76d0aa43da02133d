"""One training: Adam, cosine decay, the weights that were best on the validation part."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sequence_tasks.data import Data, Split, Task
from sequence_tasks.models import Network, build, parameters

__all__ = ["RATES", "Result", "best_rate", "pilot", "score", "train"]

GRADIENT_NORM = 1.0
# Networks differ in the rate that suits them, LTCs by a factor of ten in the papers' own code.
RATES = (0.001, 0.003, 0.01, 0.03)
PILOT_SEED = 1000


@dataclass(frozen=True)
class Result:
    """What one training gave.

    Attributes:
        task, model, seed: which one it was.
        recipe: epochs, batch, rate and cap in seconds.
        test, validation: scores with the best weights; see `Task.score`.
        reference: test score of doing nothing clever; see `Data`.
        best_epoch: after how many epochs the best weights were found.
        epochs: how many were trained.
        ended: "done" after all epochs, "perfect" once no validation sequence was wrong, "cap" where
            the time was over.
        curve: validation score after each epoch.
        parameters: values that were trained.
        epoch_process_s, epoch_wall_s: median duration of an epoch without validation, of this
            process and on the clock.
    """

    task: str
    model: str
    seed: int
    recipe: dict[str, float]
    test: float
    validation: float
    reference: float
    best_epoch: int
    epochs: int
    ended: str
    curve: list[float]
    parameters: int
    epoch_process_s: float
    epoch_wall_s: float


def best_rate(pilots: list[Result], task: Task) -> float:
    """The learning rate of the pilot that did best on the validation part, and soonest."""
    sign = 1 if task.classifies else -1
    return max(pilots, key=lambda each: (sign * each.validation, -each.best_epoch)).recipe["rate"]


def pilot(task: Task, data: Data, model: str, rate: float, cap_s: float) -> Result:
    """A training of a quarter of the epochs with a seed of its own, to try a learning rate."""
    short = replace(task, epochs=max(task.epochs // 4, 1))
    return train(short, data, model, PILOT_SEED, rate, cap_s)


def train(task: Task, data: Data, model: str, seed: int, rate: float, cap_s: float) -> Result:
    """Train one network.

    Args:
        task, data, model, seed: what is trained on what.
        rate: learning rate of Adam at the beginning; it ends at a twentieth of that.
        cap_s: stop at the end of the epoch in which this many seconds are over.
    """
    started = time.monotonic()
    network = build(model, data.train.inputs.shape[2], data.outputs, seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    steps = task.epochs * math.ceil(len(data.train) / task.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=rate / 20)
    rng = np.random.default_rng(seed)
    best: dict[str, Tensor] = {}
    curve: list[float] = []
    process_s, wall_s = [], []
    best_epoch, sign, ended = 0, 1 if task.classifies else -1, "done"
    for epoch in range(task.epochs):
        process, wall = time.process_time(), time.perf_counter()
        order = rng.permutation(len(data.train))
        for first in range(0, len(order), task.batch):
            batch = data.train.pick(order[first : first + task.batch])
            optimizer.zero_grad()
            loss(task, network, batch).backward()
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
            optimizer.step()
            schedule.step()
        process_s.append(time.process_time() - process)
        wall_s.append(time.perf_counter() - wall)
        curve.append(score(task, network, data.validation, data.unit))
        if not best or sign * curve[-1] > sign * curve[best_epoch - 1]:
            best_epoch, best = epoch + 1, copy.deepcopy(network.state_dict())
        if task.classifies and curve[-1] == 1:
            ended = "perfect"
            break
        if time.monotonic() - started > cap_s and epoch + 1 < task.epochs:
            ended = "cap"
            break
    network.load_state_dict(best)
    return Result(
        task=task.name,
        model=model,
        seed=seed,
        recipe={"epochs": task.epochs, "batch": task.batch, "rate": rate, "cap_s": cap_s},
        test=score(task, network, data.test, data.unit),
        validation=curve[best_epoch - 1],
        reference=data.reference,
        best_epoch=best_epoch,
        epochs=len(curve),
        ended=ended,
        curve=[round(value, 5) for value in curve],
        parameters=parameters(network),
        epoch_process_s=float(np.median(process_s)),
        epoch_wall_s=float(np.median(wall_s)),
    )


def loss(task: Task, network: Network, split: Split) -> Tensor:
    """Cross-entropy at the last sample, or mean squared error over all samples."""
    outputs = network(torch.from_numpy(split.inputs), torch.from_numpy(split.elapsed))
    targets = torch.from_numpy(split.targets)
    if not task.classifies:
        return functional.mse_loss(outputs, targets)
    rows = torch.arange(len(outputs))
    return functional.cross_entropy(outputs[rows, torch.from_numpy(split.last)], targets)


@torch.no_grad()
def score(task: Task, network: Network, split: Split, unit: float, batch: int = 500) -> float:
    """Accuracy, or mean squared error in the units of the recording."""
    total = 0.0
    for first in range(0, len(split), batch):
        part = split.pick(np.arange(first, min(first + batch, len(split))))
        if task.classifies:
            outputs = network(torch.from_numpy(part.inputs), torch.from_numpy(part.elapsed))
            last = outputs[torch.arange(len(part)), torch.from_numpy(part.last)]
            total += float((last.argmax(1) == torch.from_numpy(part.targets)).sum())
        else:
            total += float(loss(task, network, part)) * len(part) * unit**2
    return total / len(split)
