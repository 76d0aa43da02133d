"""The rounds of a run of DAgger as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

__all__ = ["draw", "show"]


def show(rounds: Sequence[dict[str, Any]]) -> None:
    """Print the rounds as a table; the best one is marked."""
    best = int(np.argmax([each["score"]["value"] for each in rounds]))
    table = Table(title="rounds of DAgger")
    for name in ("round", "beta", "new frames", "crashes", "error", "steps", "score", "safe"):
        table.add_column(name, justify="right")
    for number, each in enumerate(rounds):
        recorded, score = each.get("recording"), each["score"]
        told = ["", "", "", ""]
        if recorded:
            errors = ", ".join(f"{value:.3g}" for value in recorded["error"].values())
            crashes = f"{recorded['crashes']} of {recorded['bags']}"
            told = [f"{recorded['beta']:.3g}", str(recorded["frames"]), crashes, errors]
        steps = str(each["training"].get("steps", ""))
        safe = f"{score['without_crash']} of {score['episodes']}"
        mark = " *" if number == best else ""
        table.add_row(f"{number}{mark}", *told, steps, f"{score['value']:.4f}", safe)
    Console().print(table)


def draw(rounds: Sequence[dict[str, Any]], file: Path, title: str) -> None:
    """Write a picture of score, error on the policy's own states and recordings by round.

    Args:
        rounds: as in `dagger.json`.
        file: the PNG.
        title: over it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(13.2, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    score, error, share = figure.subplots(1, 3)
    numbers = np.arange(len(rounds))
    values = np.array([each["score"]["value"] for each in rounds])
    best = int(values.argmax())
    score.plot(numbers, values, marker="o", label="score")
    safe = [each["score"]["without_crash"] / each["score"]["episodes"] for each in rounds]
    score.plot(numbers, safe, marker=".", ls="--", color="0.5", label="drives without a crash")
    score.plot(best, values[best], marker="*", ms=15, ls="", color="C1", label="kept")
    score.set_ylabel("closed loop, fixed seeds")
    recorded = [(k, each["recording"]) for k, each in enumerate(rounds) if "recording" in each]
    at = [k for k, _ in recorded]
    highest = 0.0
    for name in recorded[0][1]["error"] if recorded else ():
        off = [each["error"][name] for _, each in recorded]
        error.plot(at, off, marker="o", label=name)
        highest = max(highest, *off)
    error.set_ylabel("policy - expert (RMS), recorded drives")
    error.set_ylim(0, 1.2 * highest or None)
    crashed = [each["crashes"] / each["bags"] for _, each in recorded]
    share.bar(at, crashed, width=0.5, color="C3", alpha=0.6, label="crashed")
    share.plot(at, [each["beta"] for _, each in recorded], marker="o", color="C2", label="beta")
    driven = [each["expert_share"] for _, each in recorded]
    share.plot(at, driven, marker=".", ls="--", color="C2", label="expert drove")
    share.set_ylabel("share, recorded drives")
    share.set_ylim(0, 1)
    for axes in (score, error, share):
        axes.set_xlabel("round")
        axes.set_xlim(-0.5, len(rounds) - 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    # Matplotlib guesses the format from the ending, so the partial file has it, too.
    partial = file.with_name(f".partial-{file.name}")
    figure.savefig(partial, dpi=110)
    partial.replace(file)
