"""The learning curve of a run as a picture; needs matplotlib (extra 'viz')."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from liquid_control.training.rl.evaluation import Score

__all__ = ["draw_curve"]

PANELS = {
    "score": "score",
    "crash_free": "crash-free episodes",
    "success": "successful episodes",
    "seconds": "length of an episode [s]",
    "distance": "distance [m]",
    "lateral_error": "lateral error [m]",
    "steering_rate": "change of the first output [unit/s]",
}


def draw_curve(scores: Sequence[Score], path: Path) -> None:
    """Draw what each evaluation measured over the decisions learnt from, the start dashed."""
    steps = np.array([score.steps for score in scores])
    panels = {name: np.array([getattr(score, name) for score in scores]) for name in PANELS}
    panels = {name: values for name, values in panels.items() if np.isfinite(values).any()}
    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for index, (name, values) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.axhline(values[0], color="0.6", linestyle="--", linewidth=1)
        axes.plot(steps, values, color="#3178b8", marker="o", markersize=3)
        axes.set_title(PANELS[name], fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        if name in ("crash_free", "success"):
            axes.set_ylim(-0.03, 1.03)
        if index >= len(panels) - columns:
            axes.set_xlabel("decisions", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
