"""A search as one picture: scores in order, what mattered, and a slice for each key."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import optuna

from liquid_control.training.tune.results import best_of, ended, importances, outcome
from liquid_control.training.tune.space import Dimension, Space

__all__ = ["draw_study"]

COLUMNS = 4
GREY = "0.65"


def draw_study(study: optuna.Study, space: Space, score: str, title: str, file: Path) -> None:
    """Write the picture of a search as a PNG.

    Args:
        study: with at least one complete trial.
        space: what was searched.
        score: what was measured, in words.
        title: over the picture.
        file: to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    slices = space.dimensions
    rows = 1 + math.ceil(len(slices) / COLUMNS)
    figure = Figure(figsize=(3.3 * COLUMNS, 2.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, rows - 1])
    left, right = top.subplots(1, 2)
    trials = ended(study)
    complete = [each for each in trials if outcome(each) == "complete"]
    limits = _limits([each.value for each in complete])
    _history(left, study, trials, score, limits)
    _shares(right, importances(study))
    best = best_of(study)
    for index, each in enumerate(slices):
        axes = bottom.add_subplot(rows - 1, COLUMNS, 1 + index)
        _slice(axes, each, complete, best, limits)
        if index % COLUMNS == 0:
            axes.set_ylabel(score)
    # Matplotlib guesses the format from the ending, so the partial file has it, too.
    partial = file.with_name(f".partial-{file.name}")
    figure.savefig(partial, dpi=100)
    partial.replace(file)


def _limits(values: list[float]) -> tuple[float, float]:
    """A range of scores that shows the ordinary ones: a few very bad trials flatten the rest."""
    low, middle, high = np.quantile(values, [0.0, 0.5, 1.0])
    reach = 4 * np.median(np.abs(np.array(values) - middle)) or high - low or 1.0
    low, high = max(low, middle - reach), min(high, middle + reach)
    margin = 0.08 * (high - low)
    return low - margin, high + margin


def _history(axes, study, trials, score: str, limits: tuple[float, float]) -> None:
    """Score of each trial, and the best so far."""
    best = np.minimum if study.direction == optuna.study.StudyDirection.MINIMIZE else np.maximum
    for kind, colour, marker in (("complete", "C0", "o"), ("pruned", GREY, "x")):
        chosen = [
            each
            for each in trials
            if outcome(each) == kind and each.value is not None and math.isfinite(each.value)
        ]
        if not chosen:
            continue
        numbers = [each.number for each in chosen]
        values = np.array([each.value for each in chosen])
        shown = np.clip(values, *limits)
        axes.plot(numbers, shown, marker, color=colour, ms=5, label=kind, clip_on=False)
        if kind == "complete":
            held = best.accumulate(values)
            axes.step(
                *([*numbers, trials[-1].number], [*held, held[-1]]),
                *("C3",),
                where="post",
                label="best so far",
                lw=1.5,
            )
    failed = [each.number for each in trials if outcome(each) == "failed"]
    if failed:
        bottom = [limits[0]] * len(failed)
        axes.plot(failed, bottom, "v", color="C1", ms=6, label="failed", clip_on=False)
    axes.set_ylim(limits)
    axes.set_xlabel("trial")
    axes.set_ylabel(score)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)


def _shares(axes, shares: dict[str, float]) -> None:
    """How much each key mattered."""
    axes.set_xlabel("importance (PED-ANOVA, complete trials)")
    if not shares:
        axes.text(0.5, 0.5, "too few complete trials", ha="center", transform=axes.transAxes)
        axes.set_yticks([])
        return
    names = list(shares)[::-1]
    axes.barh(names, [shares[name] for name in names], color="C0")
    axes.set_xlim(0, 1.15 * max(shares.values()))
    for row, name in enumerate(names):
        axes.annotate(f" {shares[name]:.2f}", (shares[name], row), va="center", fontsize=8)


def _slice(axes, dimension: Dimension, trials, best, limits: tuple[float, float]) -> None:
    """Scores over the values of one key; darker points are later trials."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_title(dimension.name, fontsize=10)
    values = [trial.params[dimension.name] for trial in trials]
    scores = np.clip([trial.value for trial in trials], *limits)
    if dimension.choices:
        choices = [str(dimension.coded(each)) for each in dimension.choices]
        places = [choices.index(str(value)) for value in values]
        axes.set_xticks(range(len(choices)), choices)
        axes.set_xlim(-0.5, len(choices) - 0.5)
    else:
        places = values
        if dimension.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif dimension.whole:
            axes.xaxis.get_major_locator().set_params(integer=True)
    order = [trial.number for trial in trials]
    axes.scatter(
        *(places, scores),
        c=order,
        cmap="Blues",
        vmin=-max(order) / 2 - 1,
        s=28,
        edgecolors="0.3",
        clip_on=False,
    )
    if best is not None:
        place = places[[trial.number for trial in trials].index(best.number)]
        axes.plot(place, best.value, "*", color="C3", ms=13)
    axes.set_ylim(limits)
    axes.grid(alpha=0.25)
