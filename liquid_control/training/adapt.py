"""`liquid-control adapt MODEL BAGS`: a circuit learns from new bags and keeps the old ones in mind.

The vision head stays as it is, so its features are computed once; the circuit, 1,069 numbers and
its input and output maps in the flagship, then trains within a minute on a CPU. It is pulled back
to where it started (L2-SP, Li et al., "Explicit Inductive Bias for Transfer Learning with
Convolutional Networks", 2018), also sees the old bags where they are given, and of all the weights
on the way, and between its end and its start, those are kept that do best on a part of the new bags
without doing worse on the old.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor
from tqdm import tqdm

from liquid_control import models
from liquid_control.data.drive import Drive, load_drives
from liquid_control.data.interventions import Labels
from liquid_control.data.sequences import elapsed_times
from liquid_control.errors import InputError
from liquid_control.files import check_folder, replace_file
from liquid_control.policy import Policy
from liquid_control.training.features import features_of
from liquid_control.training.learned import save_learned
from liquid_control.training.module import learning_rate_share, weighted_loss
from liquid_control.training.split import split_by_time

__all__ = ["Settings", "adapt", "adapt_policy"]

# A run of a drive: features, labels as shares of the limits, elapsed times [s], weights.
Stretch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Settings:
    """How a circuit is adapted.

    Args:
        steps: of the optimiser, at most.
        seconds: end the training after this time, features not counted [s].
        rate: peak learning rate of Adam.
        anchor: pull back to the weights of the start, per unit of squared distance; the loss of
            the start counts 1.
        forget: how much worse the mean squared error on the old bags may become, as a share, on
            the part that picks the weights.
        length: frames of a window.
        batch: windows of a step, half of them from the old bags where there are any.
        alpha: weight of large commands in the loss, as in a recipe.
        seed: of the order.
    """

    steps: int = 600
    seconds: float = 45.0
    rate: float = 2e-3
    anchor: float = 1e-2
    forget: float = 0.1
    length: int = 32
    batch: int = 32
    alpha: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.length, self.batch) < 1 or not self.seconds > 0:
            raise InputError(
                "An adaptation needs steps, length and batch of 1 or more and seconds above 0, got "
                f"{self.steps}, {self.length}, {self.batch} and {self.seconds}."
            )
        shares = self.rate, self.anchor, self.forget, self.alpha, self.seed
        if not all(0 <= value < math.inf for value in shares):
            raise InputError(
                "An adaptation needs rate, anchor, forget, alpha and seed of 0 or more, got "
                f"{self.rate}, {self.anchor}, {self.forget}, {self.alpha} and {self.seed}."
            )


def adapt(
    model: str,
    bags: tuple[Path, ...],
    /,
    old: tuple[Path, ...] = (),
    output: Path | None = None,
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings(),
    labels: Labels = "expert",
    threads: int = 0,
    from_updates: Path | None = None,
) -> int:
    """Fine-tune the circuit of a model on new bags; the model itself stays as it is.

    Prints and writes into `adapt.json` the mean squared errors before and after, on the last fifth
    of the new bags and of the old ones; neither was used for anything else.

    Args:
        model: name of a shipped model or folder of a trained one.
        bags: new bags, or folders of bags.
        old: bags of what the model can already do, to be kept.
        output: folder for the adapted model; models/<model>_adapted by default.
        settings: of the adaptation.
        labels: of the new bags, as in a recipe: "interventions" are a person's who took over.
        threads: CPU threads for torch; 0 leaves the choice to it.
        from_updates: bag of a drive in which the model's policy node learnt (`adapt:=true`): save
            what it had learnt at the end, without training or other bags.
    """
    if bool(bags) == bool(from_updates):
        raise InputError(
            "An adaptation needs new bags, adapt MODEL BAG [BAG ...], or --from-updates BAG, got "
            f"{'both' if bags else 'neither'}."
        )
    folder = models.find(model)
    output = output or models.share() / "models" / f"{folder.name}_adapted"
    if output.resolve() == folder.resolve():
        raise InputError(f"{output} is the model to be adapted, which is kept; give another.")
    check_folder(output)
    if from_updates is not None:
        return save_learned(folder, from_updates, output)
    if threads:
        torch.set_num_threads(threads)
    policy = Policy.load(folder)
    new, before = (
        load_drives(given, policy.camera, policy.spec.names, whose) if given else []
        for given, whose in ((bags, labels), (old, "expert"))
    )
    adapted, results = adapt_policy(policy, new, before, settings)
    digest = json.loads((folder / "config.json").read_text(encoding="utf-8"))["weights_sha256"]
    extra = {"adapted_from": folder.name, "weights_sha256": digest, "bags": [str(b) for b in bags]}
    adapted.save(output, {**policy.extra, "adaptation": extra})
    replace_file(output / "adapt.json", json.dumps({**extra, **results}, indent=1) + "\n")
    _show(results, output, settings)
    return 0


def adapt_policy(
    policy: Policy, new: Sequence[Drive], old: Sequence[Drive], settings: Settings
) -> tuple[Policy, dict]:
    """An adapted copy of a policy and what the adaptation reached.

    Three fifths of the new and old drives train, the next fifth picks the weights, the last one
    measures.

    Args:
        policy: the start; it is not changed.
        new: recordings to learn from.
        old: recordings to keep; may be empty.
        settings: how.

    Returns:
        The policy, and `new` and `old` (or None) with mean squared errors `before` and `after` for
        each output, `parameters`, `steps`, `kept_step`, `seconds` and `seconds_features`.

    Raises:
        InputError: a recording is too short for one window, or a label is not finite.
    """
    started = time.perf_counter()
    fresh, kept = _Recordings(policy, new, settings, "new"), None
    if old:
        kept = _Recordings(policy, old, settings, "old")
    features_s = time.perf_counter() - started
    adapted = copy.deepcopy(policy)
    steps, kept_step, train_s = _train(adapted, fresh, kept, settings)
    results = {
        name: None
        if recordings is None
        else {
            when: dict(zip(policy.spec.names, _errors(which, recordings.test, True), strict=True))
            for when, which in (("before", policy), ("after", adapted))
        }
        for name, recordings in (("new", fresh), ("old", kept))
    }
    return adapted, {
        **results,
        "parameters": sum(p.numel() for p in adapted.circuit.parameters() if p.requires_grad),
        "frames": {"new": fresh.frames, "old": kept.frames if kept else 0},
        "steps": steps,
        "kept_step": kept_step,
        "seconds": round(train_s, 2),
        "seconds_features": round(features_s, 2),
    }


class _Recordings:
    """Features of drives, computed once, as windows to train on and stretches to check on."""

    def __init__(
        self, policy: Policy, drives: Sequence[Drive], settings: Settings, name: str
    ) -> None:
        for drive in drives:
            if not np.isfinite(drive.labels).all():
                raise InputError(
                    f"{drive.path} holds a label that is not finite; mend or leave out this bag."
                )
        self.frames = sum(map(len, drives))
        features = features_of(policy, drives, f"{name} bags")
        # As drives whose frames are features: they are cut by time in the same way.
        drives = [replace(d, frames=f) for d, f in zip(drives, features, strict=True)]
        parts = split_by_time(drives, 0.2, 0.2)
        self.stretches, self.check, self.test = (
            [stretch for drive in part for stretch in _stretches(policy, drive)] for part in parts
        )
        self.length, start = settings.length, _burn_in(settings)
        self.places = [
            (number, first)
            for number, (*_, weights) in enumerate(self.stretches)
            for first in range(len(weights) - settings.length + 1)
            if weights[first + start : first + settings.length].any()
        ]
        if not self.places or not self.check or not self.test:
            longest = max((len(features) for features, *_ in self.stretches), default=0)
            raise InputError(
                f"The {name} bags hold no window of {settings.length} frames to train on, or "
                f"nothing to measure on: the longest stretch has {longest} frames of {self.frames}"
                "; record longer drives or give a smaller --length."
            )

    def batch(self, count: int, rng: np.random.Generator) -> Stretch:
        """Random windows: features, labels as shares of the limits, elapsed times [s], weights."""
        chosen = [self.places[k] for k in rng.integers(len(self.places), size=count)]
        return tuple(
            torch.stack([self.stretches[n][part][k : k + self.length] for n, k in chosen])
            for part in range(4)
        )


def _burn_in(settings: Settings) -> int:
    """Frames at the start of a window that do not count: no drive is in their state."""
    return settings.length // 8


def _stretches(policy: Policy, drive: Drive) -> list[Stretch]:
    """Each run of a drive that holds a labelled frame."""
    elapsed = torch.from_numpy(elapsed_times(drive))
    features = torch.from_numpy(np.array(drive.frames))
    labels = torch.from_numpy(policy.spec.clip(drive.labels)) / policy.scale
    weights = torch.from_numpy(np.array(drive.weights))
    runs = [slice(*run) for run in drive.runs() if drive.weights[slice(*run)].any()]
    return [(features[run], labels[run], elapsed[run], weights[run]) for run in runs]


def _train(
    policy: Policy, new: _Recordings, old: _Recordings | None, settings: Settings
) -> tuple[int, int, float]:
    """Train the circuit in place; steps taken, the step whose weights were kept, seconds."""
    started = time.perf_counter()
    circuit = policy.circuit
    parameters = [p for p in circuit.parameters() if p.requires_grad]
    anchors = [p.detach().clone() for p in parameters]
    optimiser = torch.optim.Adam(parameters, settings.rate)
    rng = np.random.default_rng(settings.seed)
    sources = [new, old] if old else [new]
    # In shares of what they were: an old error is small, and must count before it has grown.
    before = [max(_error(policy, each.check), 1e-12) for each in sources]
    best, kept, kept_step = 1.0, [p.clone() for p in anchors], 0

    def keep_if_best(step: int) -> None:
        nonlocal best, kept, kept_step
        share, *forgotten = (
            _error(policy, each.check) / first for each, first in zip(sources, before, strict=True)
        )
        # Weights that are no numbers compare false and are never kept.
        if share < best and all(each <= 1 + settings.forget for each in forgotten):
            best, kept, kept_step = share, [p.detach().clone() for p in parameters], step

    every, step = max(1, settings.steps // 20), 0
    bar = tqdm(total=settings.steps, desc="adapting", unit="step", delay=1, disable=None)
    while step < settings.steps and time.perf_counter() - started < settings.seconds:
        pull = sum(((p - a) ** 2).sum() for p, a in zip(parameters, anchors, strict=True))
        loss = settings.anchor * pull
        for each, first in zip(sources, before, strict=True):
            batch = each.batch(max(1, settings.batch // len(sources)), rng)
            loss = loss + _loss(policy, batch, settings) / first
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        rate = settings.rate * learning_rate_share(step, settings.steps, settings.steps // 20)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        step += 1
        bar.update()
        if step % every == 0 or step == settings.steps:
            keep_if_best(step)
    bar.close()
    # Between the start and the end lie weights that keep more of the old (Wortsman et al., "Robust
    # fine-tuning of zero-shot models", 2022).
    ends = [p.detach().clone() for p in parameters]
    for part in range(1, 10):
        _set(parameters, [a.lerp(e, part / 10) for a, e in zip(anchors, ends, strict=True)])
        keep_if_best(step)
    _set(parameters, kept)
    return step, kept_step, time.perf_counter() - started


@torch.no_grad()
def _set(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


def _loss(policy: Policy, batch: Stretch, settings: Settings) -> Tensor:
    features, labels, elapsed, weights = batch
    commands, _ = policy.forward_features(features, None, elapsed)
    start = _burn_in(settings)
    commands = (commands / policy.scale)[:, start:]
    counted = weights[:, start:]
    return weighted_loss(commands, labels[:, start:], settings.alpha, counted).mean()


def _error(policy: Policy, stretches: Sequence[Stretch]) -> float:
    """Mean squared error of all commands as shares of their limits."""
    return float(np.mean(_errors(policy, stretches, False)))


@torch.no_grad()
def _errors(policy: Policy, stretches: Sequence[Stretch], physical: bool) -> list[float]:
    """Mean squared error of each output, run as a node would: state carried on, commands clipped.

    Args:
        physical: in the units of the outputs, else as shares of their limits.
    """
    low = torch.from_numpy(policy.spec.low)
    total, count = torch.zeros(len(policy.spec)), 0.0
    for features, labels, elapsed, weights in stretches:
        commands, _ = policy.forward_features(features[None], None, elapsed[None])
        commands = commands[0].clamp(low, policy.scale) / policy.scale
        total += ((commands - labels) ** 2 * weights[:, None]).sum(0)
        count += float(weights.sum())
    mean = total / count
    return (mean * policy.scale**2 if physical else mean).tolist()


def _show(results: dict, output: Path, settings: Settings) -> None:
    table = Table(title="mean squared error on the last fifth")
    for column in ("bags", "output", "before", "after"):
        table.add_column(column)
    for name in ("new", "old"):
        for quantity, value in (results[name] or {"before": {}})["before"].items():
            after = results[name]["after"][quantity]
            table.add_row(name, quantity, f"{value:.4g}", f"{after:.4g}")
    console = Console()
    console.print(table)
    if results["old"] is None:
        console.print("no old bags were given (--old), so nothing says what was forgotten")
    console.print(
        f"{output}: {results['parameters']} numbers trained in {results['seconds']} s, features "
        f"computed in {results['seconds_features']} s; {_kept(results, settings)}"
    )


def _kept(results: dict, settings: Settings) -> str:
    """Which weights were written, in words."""
    steps, kept = results["steps"], results["kept_step"]
    ended = (
        f" of {settings.steps}, as {settings.seconds:g} s were over (--seconds),"
        if steps < settings.steps
        else ""
    )
    if kept == 0:
        return (
            f"none of {steps} steps{ended} was better on what picks the weights: they are what "
            "they were"
        )
    return f"step {kept} of {steps}{ended} was kept"
