"""Pictures of the results: one for trajectory lengths, one for the trained tasks."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot, ticker

from sequence_tasks.data import Task
from sequence_tasks.models import MODELS, VARIANTS
from sequence_tasks.results import summaries
from sequence_tasks.training import Result
from sequence_tasks.trajectory import KINDS, Setting, plane, states

__all__ = ["plot_tasks", "plot_trajectories"]

COLOURS = {"node": "#b0622b", "ctrnn": "#6b6f76", "ltc": "#1f6f8b"}
LIQUID, OTHER = "#1f6f8b", "#a9adb3"
AXES = {
    "width": "neurons a layer",
    "depth": "layers",
    "scale": "deviation of the weights",
    "activation": "activation",
}


def plot_trajectories(rows: list[dict], path: Path) -> None:
    """Lengths over each property, a path of each kind, and what the LTC owes its length to."""
    figure, axes = pyplot.subplots(2, 4, figsize=(13, 6.4), constrained_layout=True)
    for axis, (sweep, label) in zip(axes[0], AXES.items(), strict=True):
        for kind, name in KINDS.items():
            line = [row for row in rows if row["sweep"] == sweep and row["kind"] == kind]
            values = [row[sweep] for row in line]
            places = range(len(values))
            middle = np.array([row["plane"] for row in line])
            spread = np.array([row["plane_deviation"] for row in line])
            low = np.maximum(middle - spread, middle / 3)  # keeps a log axis whole
            axis.plot(places, middle, "o-", color=COLOURS[kind], label=name, ms=4)
            axis.fill_between(places, low, middle + spread, color=COLOURS[kind], alpha=0.15)
            axis.set_xticks(list(places), [str(value).replace("_", " ") for value in values])
        _log_scale(axis)
        axis.set_title(label, fontsize=10)
    axes[0, 0].set_ylabel("length of the path")
    axes[0, 0].legend(frameon=False, fontsize=9)
    for axis, (kind, name) in zip(axes[1], KINDS.items(), strict=False):
        flat = plane(states(kind, Setting(), 1)[0])
        axis.plot(*flat.T, color=COLOURS[kind], lw=1.4)
        axis.plot(*flat[0], "o", color=COLOURS[kind], ms=5)
        axis.set_title(f"a path of the {name}", fontsize=10)
        axis.set_aspect("equal", adjustable="datalim")
    own = [row for row in rows if row["sweep"] == "advantage"]
    labels = list(dict.fromkeys(f"A {row['targets']},\n{row['recurrent']} rec." for row in own))
    for shift, kind in enumerate(KINDS):
        heights = [row["plane"] for row in own if row["kind"] == kind]
        places = np.arange(len(heights)) + 0.27 * (shift - 1)
        axes[1, 3].bar(places, heights, 0.25, color=COLOURS[kind])
    axes[1, 3].set_xticks(range(len(labels)), labels, fontsize=8)
    _log_scale(axes[1, 3])
    axes[1, 3].set_title("without what sets the LTC apart", fontsize=10)
    _save(figure, path)


def plot_tasks(tasks: list[Task], results: list[Result], path: Path) -> None:
    """Test scores of all networks, a panel a task; every seed is a dot."""
    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7), constrained_layout=True)
    for axis, task in zip(axes.flat, tasks, strict=False):
        found = summaries(results, task.name)
        for place, model in enumerate(found):
            scores = [r.test for r in results if (r.task, r.model) == (task.name, model)]
            scale = 100 if task.classifies else 1
            colour = LIQUID if model.startswith(("ltc", "cfc")) else OTHER
            axis.barh(place, scale * found[model].mean, color=colour, height=0.7)
            axis.plot(scale * np.array(scores), [place] * len(scores), "o", color="black", ms=3)
            known = task.published.get(model)
            if known is not None:
                axis.plot(scale * known, place, "D", color="#c9472f", ms=6, mfc="none")
        names = MODELS | VARIANTS
        axis.set_yticks(range(len(found)), [names[model] for model in found], fontsize=8)
        axis.invert_yaxis()
        own = [each.reference for each in results if each.task == task.name]
        if own and task.classifies:
            axis.axvline(100 * own[0], color="black", lw=0.8, ls=":")
        axis.set_title(task.title, fontsize=9)
        axis.set_xlabel("accuracy [%]; dotted: chance" if task.classifies else "squared error")
    for axis in axes.flat[len(tasks) :]:
        axis.set_visible(False)
    figure.text(
        0.99, -0.02, "dots: seeds; diamonds: published, other recipe", ha="right", fontsize=9
    )
    _save(figure, path)


def _log_scale(axis: pyplot.Axes) -> None:
    """A log axis whose ticks are plain numbers."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axis.yaxis.set_minor_formatter(ticker.NullFormatter())


def _save(figure: pyplot.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
