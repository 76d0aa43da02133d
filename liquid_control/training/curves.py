"""A training's learning curves as one picture, from its CSV logs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

__all__ = ["draw", "read_logs"]

PANELS = (
    ("loss", ("losses/train", "losses/validation"), "log"),
    ("closed-loop score", ("closed_loop/score",), "linear"),
    ("learning rate", ("lr-AdamW/head", "lr-AdamW/circuit"), "linear"),
)


def read_logs(folder: Path) -> dict[str, np.ndarray]:
    """Every column of a training's CSV logs as (points, 2): step and value.

    A resumed training has one file per run; where two have a step, the later one counts.
    """
    columns: dict[str, dict[int, float]] = {}
    files = folder.glob("version_*/metrics.csv")
    for file in sorted(files, key=lambda path: int(path.parent.name.removeprefix("version_"))):
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                for name, value in row.items():
                    if name and value and name not in ("step", "epoch"):
                        columns.setdefault(name, {})[int(row["step"])] = float(value)
    return {name: np.array(sorted(points.items()), float) for name, points in columns.items()}


def draw(folder: Path, file: Path, title: str) -> None:
    """Write the learning curves of the logs in `folder` as a PNG.

    Args:
        folder: of the CSV logger, with a `version_N` for each run.
        file: the picture.
        title: over it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = read_logs(folder)
    panels = [panel for panel in PANELS if any(name in columns for name in panel[1])]
    figure = Figure(figsize=(4.6 * max(len(panels), 1), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for index, (label, names, scale) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for name in names:
            if name not in columns:
                continue
            steps, values = columns[name].T
            noisy = name == "losses/train" and len(values) > 50
            axes.plot(steps, values, lw=0.8 if noisy else 1.6, alpha=0.35 if noisy else 1.0)
            colour = axes.lines[-1].get_color()
            if noisy:
                width = max(len(values) // 40, 3)
                smooth = np.convolve(values, np.ones(width) / width, "valid")
                axes.plot(steps[width - 1 :], smooth, color=colour, lw=1.6)
            axes.lines[-1].set_label(name.rsplit("/", 1)[1])
            axes.lines[-1].set_marker("o" if len(values) < 30 else "")
        axes.set_yscale(scale)
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(label)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    # Matplotlib guesses the format from the ending, so the partial file has it, too.
    partial = file.with_name(f".partial-{file.name}")
    figure.savefig(partial, dpi=110)
    partial.replace(file)
