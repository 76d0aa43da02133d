"""An audit as one picture: the command over time, and for each check where it failed."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from liquid_control.evaluation.audit_checks import CHECKS, Findings
from liquid_control.evaluation.audit_record import Record, Recorded

__all__ = ["draw"]

EQUAL, UNSEEN, DIFFERENT = range(3)
COLORS = ("#8fc7b5", "#e8b23a", "#c62828")
# A column of the picture is at least 1 pixel wide, however long the run.
_COLUMNS = 900


def draw(record: Record, findings: Findings) -> bytes:
    """The picture as PNG."""
    times = np.array([each.stamp - record.decisions[0].stamp for each in record.decisions]) / 1e9
    figure = Figure(figsize=(11, 5.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, height_ratios=(1, 1.7))
    _commands(above, record, findings)
    _strips(below, record, findings)
    ticks = np.unique(np.linspace(0, len(times) - 1, 9).astype(int))
    for axes in (above, below):
        axes.set_xlim(-0.5, len(times) - 0.5)
        axes.spines[["top", "right"]].set_visible(False)
    above.set_xticks(ticks, [])
    below.set_xticks(ticks, [f"{place}\n{times[place]:.1f} s" for place in ticks])
    below.set_xlabel("decision, and time since the first")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _commands(axes: Axes, record: Record, findings: Findings) -> None:
    """The first output as it was recorded, with the decisions that differ or were not seen."""
    values = np.array([_first_output(each) for each in record.decisions])
    # What was damaged may be any number.
    values[~(np.abs(values) < 1e6)] = np.nan
    axes.plot(values, color="#37474f", linewidth=0.9)
    differ = sorted(findings.places)
    for places, color, size in ((findings.unseen, COLORS[UNSEEN], 9), (differ, COLORS[-1], 14)):
        shown = [values[place] if np.isfinite(values[place]) else 0.0 for place in places]
        axes.scatter(places, shown, size, color, zorder=3)
    names = next((each.names for each in record.decisions if each.names), ("command",))
    axes.set_ylabel(names[names.index("reset") + 1] if "reset" in names else names[-1])
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    told = f"{len(record.decisions)} decisions, {len(differ)} differ"
    if findings.unseen:
        told += f", {len(findings.unseen)} without a recorded frame"
    if findings.removed:
        told += f", {findings.removed} missing"
    axes.set_title(told, loc="left", fontsize=11)


def _first_output(decision: Recorded) -> float:
    command = decision.command if "reset" in decision.names else ()
    return float(command[0]) if len(command) else np.nan


def _strips(axes: Axes, record: Record, findings: Findings) -> None:
    """A row for each check, a column for each decision or as many as fit: the worst of them."""
    count = len(record.decisions)
    names = [name for name in CHECKS if findings.compared[name]]
    status = np.full((len(names), count), EQUAL)
    recomputed = [
        row
        for row, name in enumerate(names)
        if name in ("frame", "command", "state", "time constants", "attention")
    ]
    status[np.ix_(recomputed, findings.unseen)] = UNSEEN
    for each in findings.differences:
        if each.check in names:
            status[names.index(each.check), each.place] = DIFFERENT
    starts = np.unique(np.linspace(0, count, min(count, _COLUMNS), endpoint=False).astype(int))
    worst = np.maximum.reduceat(status, starts, axis=1)
    edges = np.append(starts, count) - 0.5
    rows = np.arange(len(names) + 1) - 0.5
    axes.pcolormesh(edges, rows, worst, cmap=ListedColormap(COLORS), vmin=0, vmax=2)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.hlines(rows[1:-1], -0.5, count - 0.5, color="white", linewidth=2.5)
    axes.invert_yaxis()
    labels = ("equal", "frame not recorded", "different")
    axes.legend(
        handles=[
            Patch(color=color, label=label) for color, label in zip(COLORS, labels, strict=True)
        ],
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        frameon=False,
        fontsize=9,
    )
