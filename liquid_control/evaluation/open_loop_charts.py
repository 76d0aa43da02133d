"""The charts of an open-loop page: commands over time, frame by frame, error by bin, way beside."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from liquid_control.evaluation.figure_style import (
    BAD,
    INK,
    MUTED,
    PLOT_LEFT,
    PLOT_RIGHT,
    RULE,
    TARGET,
    canvas,
    dress,
    limits,
    model_colors,
    model_css,
    to_svg,
)
from liquid_control.evaluation.figures import WIDTH, Chart
from liquid_control.evaluation.open_loop_autonomy import AWAY_M
from liquid_control.evaluation.open_loop_recordings import Recording

__all__ = ["beside", "by_bin", "scatter", "stretches"]

STRETCH_S = 20.0
DOTS = 1500
MOST_MAPS = 3


def stretches(
    recordings: Sequence[Recording], output: str, unit: str, models: Sequence[str]
) -> list[Chart]:
    """The recorded and the asked commands in the stretches where the models err the most.

    One stretch of 20 s, at most, from each of the three worst places, and the calmest one that has
    the median error, so that the page shows the usual as well as the bad.
    """
    places = _stretches(recordings, output, models)
    if not places:
        return []
    places.sort(key=lambda place: -place[0])
    worst = places[:MOST_MAPS]
    usual = places[len(places) // 2]
    chosen = [("Usual", usual)] if usual not in worst else []
    chosen += [(f"Worst {number + 1}", place) for number, place in enumerate(worst)]
    return [
        _over_time(recordings[place[1]], place[2:], output, unit, models, title)
        for title, place in chosen
    ]


def scatter(
    recordings: Sequence[Recording], output: str, unit: str, models: Sequence[str]
) -> Chart:
    """Asked against recorded, a panel for each model on one scale."""
    colors, css = model_colors(models), model_css(models)
    recorded = np.concatenate([each.recorded[output] for each in recordings])
    asked = {
        name: np.concatenate([each.asked[name][output] for each in recordings]) for name in models
    }
    rows = np.arange(0, len(recorded), max(1, len(recorded) // DOTS))
    every = np.concatenate([recorded[rows], *(values[rows] for values in asked.values())])
    low, high = every.min(), every.max()
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low) or 1.0
    columns = min(len(models), 3)
    side, lines = WIDTH / max(columns, 2), -(-len(models) // columns)
    # One model alone has its panel in the middle of the page.
    figure = canvas(WIDTH, 0.86 * side * lines)
    for index, name in enumerate(models):
        axes = figure.add_subplot(lines, columns, index + 1)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8)
        axes.plot(
            recorded[rows], asked[name][rows], "o", color=colors[name], alpha=0.35, ms=3, mew=0
        )
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        dress(axes, f"recorded [{unit}]", f"asked [{unit}]" if index % columns == 0 else "", "both")
        axes.set_title(name, color=INK, fontsize=12, loc="left")
    edge = 0.27 if columns == 1 else PLOT_LEFT
    low, high = 0.12 / lines, 1 - 0.07 / lines
    figure.subplots_adjust(edge, low, 1 - (edge if columns == 1 else 0.015), high, 0.2, 0.32)
    svg = to_svg(figure, f"scatter-{output}", f"{output} asked against recorded")
    legend = tuple((css[name], name) for name in models)
    note = "A model that copies exactly lies on the diagonal."
    if len(rows) < len(recorded):
        note += f" Shown: {len(rows):,} of {len(recorded):,} frames."
    return Chart(f"{output.capitalize()}, frame by frame", svg, note, legend)


def by_bin(groups: Sequence[dict], output: str) -> Chart:
    """Mean absolute error of every model by the recorded value, with intervals and frames."""
    groups = [group for group in groups if group["output"] == output]
    models = [group["model"] for group in groups]
    colors, css = model_colors(models), model_css(models)
    bins = groups[0]["bins"]
    figure = canvas(WIDTH, 330)
    above = figure.add_axes((PLOT_LEFT, 0.36, PLOT_RIGHT - PLOT_LEFT, 0.61))
    below = figure.add_axes((PLOT_LEFT, 0.14, PLOT_RIGHT - PLOT_LEFT, 0.15))
    place = np.arange(len(bins))
    for index, group in enumerate(groups):
        x = place + 0.56 * ((index + 0.5) / len(groups) - 0.5)
        for where, row in zip(x, group["bins"], strict=True):
            if row["mae"]["mean"] is None:
                continue
            if row["mae"]["interval"]:
                line = {"color": colors[group["model"]], "linewidth": 2.2, "alpha": 0.45}
                above.plot([where] * 2, row["mae"]["interval"], solid_capstyle="round", **line)
            above.plot(where, row["mae"]["mean"], "o", color=colors[group["model"]], ms=6, mew=0)
    above.set_ylim(bottom=0)
    unit = groups[0]["unit"]
    dress(above, "", f"mean |error| [{unit}]")
    above.set_xticks([])
    below.bar(place, [row["frames"] for row in bins], color=TARGET, width=0.72)
    dress(below, f"recorded {output} [{unit}]", "frames")
    below.locator_params(axis="y", nbins=2)
    inner = [row["high"] for row in bins[:-1]]
    below.set_xticks(place[:-1] + 0.5, [f"{edge:+.3g}".replace("-", "−") for edge in inner])
    for axes in (above, below):
        axes.set_xlim(-0.6, len(bins) - 0.4)
        axes.yaxis.set_label_coords(-0.055, 0.5)
    svg = to_svg(figure, f"bins-{output}", f"Error by recorded {output}")
    note = "Dots: mean absolute error of the frames with such a command; bars: 95 % intervals."
    legend = tuple((css[name], name) for name in models)
    return Chart(f"Error by recorded {output}", svg, note, legend)


def beside(recordings: Sequence[Recording], models: Sequence[str]) -> Chart | None:
    """Where the simulated vehicle would be, on the longest recording, with interventions."""
    held = [each for each in recordings if each.left]
    if not held:
        return None
    recording = max(held, key=lambda each: each.elapsed.sum())
    models = [name for name in models if name in recording.left]
    colors, css = model_colors(models), model_css(models)
    figure, axes = _axes(210, "beside the path [m]", recording.seconds[[0, -1]])
    for edge in (-AWAY_M, AWAY_M):
        axes.axhline(edge, color=BAD, linewidth=1, linestyle=(0, (4, 3)))
    for name in models:
        times, left = _with_gaps(recording, recording.left[name], slice(None))
        axes.plot(times, left, color=colors[name], linewidth=1.3)
        away = recording.away[name]
        axes.plot(
            recording.seconds[away],
            recording.left[name][away],
            "X",
            color=colors[name],
            ms=7,
            mew=0,
        )
    axes.set_ylim(-1.25 * AWAY_M, 1.25 * AWAY_M)
    legend = (*((css[name], name) for name in models), ("var(--bad)", "intervention beyond"))
    span = tuple(map(float, recording.seconds[[0, -1]]))
    svg = to_svg(figure, "beside", "Way beside the recorded path")
    note = f"{recording.path.name}. Positive: left. A cross: set back onto the recorded path."
    title = "Beside the recorded path"
    return Chart(title, svg, note, legend, (PLOT_LEFT, PLOT_RIGHT), span)


def _stretches(
    recordings: Sequence[Recording], output: str, models: Sequence[str]
) -> list[tuple[float, int, int, int]]:
    """(mean absolute error, number of the recording, first frame, end) of stretches of 20 s."""
    found = []
    for number, recording in enumerate(recordings):
        errors = [
            np.abs(recording.asked[name][output] - recording.recorded[output]) for name in models
        ]
        error, times = np.mean(errors, axis=0), recording.seconds
        for start, stop in recording.runs:
            parts = max(1, round((times[stop - 1] - times[start]) / STRETCH_S))
            edges = np.linspace(start, stop, parts + 1).round().astype(int)
            for first, end in pairwise(edges):
                if end - first > 1:
                    found.append((float(error[first:end].mean()), number, int(first), int(end)))
    # A run of a few frames shows nothing.
    long = [place for place in found if _length(recordings[place[1]], place) > STRETCH_S / 4]
    return long or found


def _length(recording: Recording, place: tuple[float, int, int, int]) -> float:
    return float(recording.seconds[place[3] - 1] - recording.seconds[place[2]])


def _over_time(
    recording: Recording,
    rows: tuple[int, int],
    output: str,
    unit: str,
    models: Sequence[str],
    title: str,
) -> Chart:
    colors, css, part = model_colors(models), model_css(models), slice(*rows)
    span = recording.seconds[[rows[0], rows[1] - 1]]
    figure, axes = _axes(200, f"{output} [{unit}]", span)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    recorded = recording.recorded[output]
    axes.plot(recording.seconds[part], recorded[part], color=TARGET, linewidth=3.2)
    for model in models:
        asked = recording.asked[model][output]
        axes.plot(recording.seconds[part], asked[part], color=colors[model], linewidth=1.4)
    every = [recorded[part], *(recording.asked[model][output][part] for model in models)]
    axes.set_ylim(*limits(np.concatenate(every), 0.01 * float(np.abs(recorded).max() or 1.0)))
    errors = [np.abs(recording.asked[m][output][part] - recorded[part]).mean() for m in models]
    told = ", ".join(f"{m} {e:.3g}" for m, e in zip(models, errors, strict=True))
    legend = (("var(--target)", "recorded"), *((css[model], model) for model in models))
    svg = to_svg(figure, f"{output}-{title}".lower().replace(" ", "-"), f"{output} over time")
    return Chart(
        f"{title}: {span[0]:.0f} s to {span[1]:.0f} s of {recording.path.name}",
        svg,
        f"Mean absolute error: {told}.",
        legend,
        (PLOT_LEFT, PLOT_RIGHT),
        (float(span[0]), float(span[1])),
    )


def _axes(height: int, ylabel: str, span: np.ndarray):
    figure = canvas(WIDTH, height)
    bottom = 38 / height
    axes = figure.add_axes((PLOT_LEFT, bottom, PLOT_RIGHT - PLOT_LEFT, 1 - bottom - 8 / height))
    dress(axes, "time [s]", ylabel)
    axes.spines["bottom"].set_color(RULE)
    axes.set_xlim(float(span[0]), float(max(span[1], span[0] + 0.1)))
    axes.yaxis.set_label_coords(-0.058, 0.5)
    return figure, axes


def _with_gaps(
    recording: Recording, values: np.ndarray, part: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Times and values with a NaN where a stretch begins, so that no line bridges a gap."""
    cuts = [start for start, _ in recording.runs[1:]]
    return np.insert(recording.seconds[part], cuts, np.nan), np.insert(values[part], cuts, np.nan)
