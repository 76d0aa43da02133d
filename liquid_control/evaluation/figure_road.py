"""The road from above with the driven line, coloured by lateral error, crashes marked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from liquid_control.evaluation.figure_style import (
    ASKED,
    BAD,
    DRIVEN,
    ERROR_MAP,
    INK,
    MUTED,
    PAPER,
    RULE,
    canvas,
    to_svg,
)
from liquid_control.evaluation.figures import WIDTH, Chart
from liquid_control.evaluation.run_data import RunData, Series
from liquid_control.evaluation.run_results import falls, set_back

__all__ = ["ERROR_END_M", "roads_from_above"]

# A fixed scale lets two reports be compared by eye.
ERROR_END_M = 1.0
LEVELS = 12
MARGIN_M = np.array([12.0, 9.0])
# A flight is a few metres long.
FLIGHT_SCALE = 0.3
MOST_MAPS = 4
HALF_WIDTH = 476  # two maps side by side


def roads_from_above(run: RunData) -> tuple[Chart, ...]:
    """One map per road that was driven, at most `MOST_MAPS`."""
    drives = _drives(run)
    width = WIDTH if len(drives) == 1 else HALF_WIDTH
    maps = [_map(run, drive, number, width) for number, drive in enumerate(drives[:MOST_MAPS])]
    if len(drives) > MOST_MAPS:
        more = f" Driven after it, not shown: {len(drives) - MOST_MAPS}."
        maps[-1] = replace(maps[-1], note=maps[-1].note + more)
    return tuple(maps)


@dataclass(frozen=True)
class _Drive:
    """One road or flight: stamps (N,), line (N, 2) [m], lateral error (N,) [m] or None.

    Goals (targets, 2) [m] are what was flown to.
    """

    stamps: np.ndarray
    line: np.ndarray
    error: np.ndarray | None
    road: dict[str, np.ndarray]
    goals: np.ndarray


def _map(run: RunData, drive: _Drive, number: int, width: int) -> Chart:
    """Map of the driven part, turned so that its longest direction lies horizontally."""
    stamps, line, error = drive.stamps, drive.line, drive.error
    centre = line.mean(axis=0)
    turn = _turn(line - centre)

    def place(points: np.ndarray) -> np.ndarray:
        return (points - centre) @ turn

    path, goals = place(line), place(drive.goals)
    seen, near = np.concatenate([path, goals]), FLIGHT_SCALE if run.flies else 1.0
    low, high = seen.min(axis=0) - near * MARGIN_M, seen.max(axis=0) + near * MARGIN_M
    low, high = _at_least(low, high, (60.0 * near, 12.0 * near))
    height = float(np.clip(width * (high[1] - low[1]) / (high[0] - low[0]), 150, 560))
    scale = max((high[0] - low[0]) / width, (high[1] - low[1]) / height)
    low, high = _at_least(low, high, (scale * width, scale * height))
    figure = canvas(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])

    lines = {key: place(points) for key, points in drive.road.items() if len(points) > 1}
    if "left" in lines and "right" in lines:
        area = np.concatenate([lines["left"], lines["right"][::-1]])
        axes.add_collection(PolyCollection([area], facecolor=RULE, edgecolor="none", alpha=0.75))
    if "centre" in lines:
        axes.plot(*lines["centre"].T, color=MUTED, linewidth=0.7, linestyle=(0, (6, 6)))
    for points, color in _strokes(stamps, path, error):
        stroke = LineCollection([points], colors=[color], linewidths=3.2, capstyle="round")
        axes.add_collection(stroke)
    _mark(axes, path[0], "start", "o", PAPER)
    for goal in goals:
        axes.plot(*goal, "*", markersize=15, mfc=ASKED, mec=INK, mew=1.0, zorder=4)
    crashes = falls(run.state, run.crash)
    crashes = stamps[:0] if crashes is None else crashes[np.isin(crashes, stamps)]
    if stamps[-1] not in crashes:
        _mark(axes, path[-1], "end", "s", INK)
    for stamp in crashes:
        row = int(np.argmin(np.abs(stamps - stamp)))
        axes.plot(*path[row], "X", color=BAD, markersize=11, mec=PAPER, mew=1.2, zorder=6)
        what = "off the road" if run.crash == "off_road" else "crash"
        text = f"{what} at {run.seconds(stamp):.1f} s"
        _label(axes, path[row], text, BAD, above=False)
    _scale_bar(axes, height)
    begin, end = run.seconds(stamps[[0, -1]])
    note = f"From {begin:.1f} s to {end:.1f} s, turned so that the run lies horizontally."
    what = "Flight" if run.flies else "Road"
    if len(drive.goals):
        note += " Stars are the targets."
    elif not drive.road:
        note += " The road itself was not recorded."
    title = f"{what} from above" if number == 0 else f"{what} {number + 1} from above"
    svg = to_svg(figure, f"road{number + 1}", f"{title} with the driven line")
    legend = (("var(--driven)", "flown line" if run.flies else "driven line"),)
    return Chart(title, svg, note, () if error is not None else legend)


def _drives(run: RunData) -> list[_Drive]:
    """The car's ways by the simulator's state, or else by odometry; those of 2 points and more."""
    drives = []
    parts = [part for part in run.episodes() if "x" in part and "y" in part]
    if not parts and run.odometry is not None:
        parts = [run.odometry]
    for part in parts:
        line = np.stack([part["x"], part["y"]], axis=1)
        known = np.isfinite(line).all(axis=1)
        if known.sum() < 2:
            continue
        error = part.get("lateral_error")
        starts = [stamp for stamp in run.roads if stamp <= part.stamps[0]]
        road = run.roads[max(starts, default=next(iter(run.roads)))] if run.roads else {}
        error = None if error is None else error[known]
        drives.append(_Drive(part.stamps[known], line[known], error, road, _goals(part)))
    return drives


def _goals(part: Series) -> np.ndarray:
    """Where the targets stood (targets, 2) [m]; of a moving one only where it was at last."""
    if "target_x" not in part:
        return np.zeros((0, 2))
    places = np.stack([part["target_x"], part["target_y"]], axis=1)
    # A target that was reached vanishes; a step of less is one that moves.
    leaps = np.flatnonzero(np.linalg.norm(np.diff(places, axis=0), axis=1) > 1.0)
    return places[[*leaps, len(places) - 1]]


def _turn(points: np.ndarray) -> np.ndarray:
    """Rotation (2, 2) that lays the longest direction along x and the start to the left."""
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    first = axes[0] if (points[-1] - points[0]) @ axes[0] >= 0 else -axes[0]
    # The second axis keeps the map a rotation: a mirrored road would turn the wrong way.
    return np.stack([first, [-first[1], first[0]]], axis=1)


def _at_least(low: np.ndarray, high: np.ndarray, size: tuple[float, float]):
    grow = np.maximum(np.array(size) - (high - low), 0) / 2
    return low - grow, high + grow


def _strokes(stamps: np.ndarray, path: np.ndarray, error: np.ndarray | None):
    """Pieces of the path of one colour level each, broken where the car was set back."""
    jumps = set_back(stamps, np.linalg.norm(np.diff(path, axis=0), axis=1))
    if error is None:
        level = np.zeros(len(path) - 1, int)
    else:
        share = np.nan_to_num(np.abs(error[1:]), nan=0.0) / ERROR_END_M
        level = np.minimum((share * LEVELS).astype(int), LEVELS - 1)
    level[jumps] = -1
    starts = np.flatnonzero(np.diff(level, prepend=-2))
    for start, end in zip(starts, [*starts[1:], len(level)], strict=True):
        if level[start] < 0:
            continue
        color = DRIVEN if error is None else ERROR_MAP((level[start] + 0.5) / LEVELS)
        yield path[start : end + 1], color


def _mark(axes, place: np.ndarray, text: str, marker: str, face: str) -> None:
    axes.plot(*place, marker, markersize=8, mfc=face, mec=INK, mew=1.6, zorder=5)
    _label(axes, place, text, INK, above=True)


def _label(axes, place: np.ndarray, text: str, color: str, above: bool) -> None:
    axes.annotate(
        text,
        place,
        xytext=(0, 14 if above else -14),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        color=color,
        fontsize=12,
        zorder=7,
    )


def _scale_bar(axes, height: float) -> None:
    """A bar of a round length of about a tenth of the width, at the lower right."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    want = (right - left) / 9
    step = 10 ** np.floor(np.log10(want))
    length = step * max(f for f in (1, 2, 5) if f * step <= want)
    end, level = right - 0.012 * (right - left), bottom + 16 / height * (top - bottom)
    axes.plot([end - length, end], [level, level], color=INK, linewidth=1.6, solid_capstyle="butt")
    axes.annotate(
        f"{length:g} m",
        (end - length / 2, level),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        color=INK,
        fontsize=11,
    )
