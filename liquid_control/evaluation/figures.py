"""The figures of a run report: each takes a run and gives a `Chart`, or None without its data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.evaluation.figure_style import (
    ASKED,
    BAD,
    DRIVEN,
    INK,
    MUTED,
    PLOT_LEFT,
    PLOT_RIGHT,
    RULE,
    TARGET,
    canvas,
    dress,
    limits,
    to_svg,
)
from liquid_control.evaluation.run_data import RunData, Series
from liquid_control.evaluation.run_results import UNITS, falls

__all__ = [
    "Chart",
    "commands_over_time",
    "imitation_over_time",
    "imitation_scatter",
    "latency",
    "lateral_error",
    "speed",
]

WIDTH = 1040


@dataclass(frozen=True)
class Chart:
    """A figure with what the page writes around it.

    Args:
        title: heading.
        svg: inline `<svg>`.
        note: one or two sentences on how to read it.
        legend: pairs of CSS colour and label.
        axes: left and right edge of the time axis as shares of the width, or None.
        span: first and last second of the time axis.
    """

    title: str
    svg: str
    note: str = ""
    legend: tuple[tuple[str, str], ...] = ()
    axes: tuple[float, float] | None = None
    span: tuple[float, float] | None = None


def lateral_error(run: RunData) -> Chart | None:
    """Distance from the lane's centre over time, with the road's edges where they are near."""
    if run.state is None or "lateral_error" not in run.state:
        return None
    values = run.state["lateral_error"]
    figure, axes = time_axes(run, 210, "lateral error [m]")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(*broken(run, run.state, values), color=DRIVEN, linewidth=1.5)
    low, high = limits(values, 0.4)
    axes.set_ylim(low, high)
    edges = _edges(run)
    for edge in edges:
        if low < edge < high:
            axes.axhline(edge, color=BAD, linewidth=1, linestyle=(0, (4, 3)))
    for stamp in falls(run.state, run.crash) if run.crash in run.state else ():
        axes.axvline(run.seconds(stamp), color=BAD, linewidth=1.2)
    note = "Positive: the car is left of its lane's centre."
    if edges:
        note += f" The road ends {edges[0]:.1f} m to the left and {-edges[1]:.1f} m to the right."
    legend = [("var(--driven)", "lateral error")]
    if any(low < edge < high for edge in edges):
        legend.append(("var(--bad)", "edge of the road"))
    return over_time(run, figure, "Lateral error", note, legend)


def commands_over_time(run: RunData) -> Chart | None:
    """The first output of the policy, beside what was driven and what the road does."""
    lines: list[tuple[str, str, Series, np.ndarray]] = []
    commands = run.commands
    name = "curvature"
    if run.state is not None and name in run.state:
        lines.append((TARGET, "curvature of the road", run.state, run.state[name]))
    if run.state is not None and "curvature_driven" in run.state:
        driven = run.state["curvature_driven"]
        lines.append((DRIVEN, "curvature driven", run.state, driven))
    if commands is not None and commands.names:
        name = name if name in commands else commands.names[0]
        lines.append((ASKED, f"{name} asked by the policy", commands, commands[name]))
    if not lines:
        return None
    unit = UNITS.get(name, "")
    figure, axes = time_axes(run, 240, f"{name} [{unit}]" if unit not in ("", "1") else name)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    widths = {TARGET: 4.0, DRIVEN: 1.5, ASKED: 1.2}
    for color, _, series, values in lines:
        axes.plot(*broken(run, series, values), color=color, linewidth=widths[color])
    axes.set_ylim(*limits(np.concatenate([values for *_, values in lines]), 1e-3))
    legend = [(_css(color), label) for color, label, *_ in lines]
    return over_time(run, figure, f"{name.capitalize()} asked and driven", _left(name), legend)


def speed(run: RunData) -> Chart | None:
    """Speed asked (after the safety node where that was recorded) and driven."""
    source = run.state if run.state is not None and "speed" in run.state else run.odometry
    if source is None:
        return None
    figure, axes = time_axes(run, 150, "speed [m/s]")
    legend = []
    asked = run.safe or run.asked
    if asked is not None and len(asked):
        told = asked["speed"]
        if run.flies:
            told = np.sqrt(told**2 + asked["left"] ** 2 + asked["up"] ** 2)
        axes.plot(*broken(run, asked, told), color=ASKED, linewidth=1.2)
        legend.append(("var(--asked)", "speed asked"))
    axes.plot(*broken(run, source, source["speed"]), color=DRIVEN, linewidth=1.5)
    axes.set_ylim(0, limits(source["speed"], 1.0)[1])
    legend.append(("var(--driven)", "speed flown" if run.flies else "speed driven"))
    return over_time(run, figure, "Speed", "", legend)


def imitation_over_time(run: RunData) -> Chart | None:
    """What the policy asks beside what the person or expert did."""
    name = _shared_output(run)
    if name is None:
        return None
    shown, asked = run.expert[name], run.commands[name]
    figure, axes = time_axes(run, 260, f"{name} [{UNITS.get(name, '1')}]")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(*broken(run, run.expert, shown), color=TARGET, linewidth=2.6)
    axes.plot(*broken(run, run.commands, asked), color=ASKED, linewidth=1.2)
    axes.set_ylim(*limits(np.concatenate([shown, asked]), 0.01))
    labels = (f"{name} of the recording", f"{name} asked by the policy")
    legend = list(zip(("var(--target)", "var(--asked)"), labels, strict=True))
    title = f"{name.capitalize()} beside the recording"
    return over_time(run, figure, title, _left(name), legend)


def imitation_scatter(run: RunData) -> Chart | None:
    """Asked against shown, one dot a frame; at most 2,000 dots."""
    name = _shared_output(run)
    if name is None:
        return None
    asked = run.commands[name]
    shown = run.expert.at(run.commands.stamps)[name]
    both = np.flatnonzero(np.isfinite(asked) & np.isfinite(shown))
    both = both[:: max(1, len(both) // 2000)]
    bound = 1.08 * max(np.abs(shown[both]).max(), np.abs(asked[both]).max(), 1e-3)
    figure = canvas(500, 420)
    axes = figure.add_axes((0.14, 0.13, 0.82, 0.84))
    axes.plot([-bound, bound], [-bound, bound], color=MUTED, linewidth=0.8)
    size, alpha = (5, 0.5) if len(both) < 300 else (3, 0.3)
    axes.plot(shown[both], asked[both], "o", color=ASKED, alpha=alpha, markersize=size, mew=0)
    axes.set_xlim(-bound, bound)
    axes.set_ylim(-bound, bound)
    unit = UNITS.get(name, "1")
    dress(axes, f"{name} of the recording [{unit}]", f"{name} asked [{unit}]", grid="both")
    svg = to_svg(figure, "scatter", f"{name} asked against the recording's")
    return Chart("Frame by frame", svg, "A policy that copies exactly lies on the diagonal.")


def latency(run: RunData) -> Chart | None:
    """Histogram of the time from a frame's arrival to its command, with median and p99."""
    if run.latency is None or "age" not in run.latency:
        return None
    values = run.latency["age"] * 1e3
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    p50, p99 = np.percentile(values, (50, 99))
    end = max(1.25 * p99, 1.0)
    figure = canvas(500, 380)
    axes = figure.add_axes((0.11, 0.13, 0.86, 0.76))
    axes.hist(values, bins=np.linspace(0, end, 49), color=ASKED, rwidth=0.86)
    axes.set_xlim(0, end)
    dress(axes, "frame to command [ms]", "frames")
    above = axes.get_xaxis_transform()
    near = p99 - p50 < 0.3 * end
    for value, label, side in ((p50, "p50", "right" if near else "left"), (p99, "p99", "left")):
        axes.axvline(value, color=INK, linewidth=1.2, ymax=1.02, clip_on=False)
        text = f" {label} {value:.1f} ms "
        axes.text(value, 1.05, text, ha=side, color=INK, fontsize=11, transform=above)
    beyond = int((values > end).sum())
    note = "From the sending of a camera frame to the sending of its command, by the wall clock."
    if beyond:
        frames = "frame took" if beyond == 1 else "frames took"
        note += f" {beyond} {frames} longer than {end:.0f} ms (at most {values.max():.0f} ms)."
    return Chart("Latency", to_svg(figure, "latency", "Histogram of frame-to-command times"), note)


def _css(color: str) -> str:
    return {TARGET: "var(--target)", DRIVEN: "var(--driven)", ASKED: "var(--asked)"}[color]


def _left(name: str) -> str:
    return "Positive turns left." if name in ("curvature", "steering") else ""


def _shared_output(run: RunData) -> str | None:
    if run.commands is None or run.expert is None:
        return None
    for name in run.commands.names:
        if name in run.expert:
            both = run.commands[name] + run.expert.at(run.commands.stamps)[name]
            if np.isfinite(both).any():
                return name
    return None


def span(run: RunData) -> tuple[float, float]:
    """First and last second of everything that has a stamp; at least 0.1 s long."""
    series = (run.commands, run.state, run.expert, run.neurons)
    ends = [run.seconds(s.stamps).max() for s in series if s is not None]
    if len(run.frames):
        ends.append(run.seconds(run.frames).max())
    return 0.0, max([0.1, *map(float, ends)])


def time_axes(run: RunData, height: int, ylabel: str):
    figure = canvas(WIDTH, height)
    bottom = 38 / height
    axes = figure.add_axes((PLOT_LEFT, bottom, PLOT_RIGHT - PLOT_LEFT, 1 - bottom - 8 / height))
    dress(axes, "time [s]", ylabel)
    axes.spines["bottom"].set_color(RULE)
    axes.set_xlim(*span(run))
    axes.yaxis.set_label_coords(-0.058, 0.5)
    return figure, axes


def over_time(run: RunData, figure, title: str, note: str, legend: list) -> Chart:
    name = "".join(c if c.isalnum() else "-" for c in title.lower())
    svg = to_svg(figure, name, title)
    return Chart(title, svg, note, tuple(legend), (PLOT_LEFT, PLOT_RIGHT), span(run))


def broken(run: RunData, series: Series, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and values with a NaN in every gap over 0.5 s, so that no line bridges it."""
    times = run.seconds(series.stamps)
    steps = np.diff(times)
    cuts = np.flatnonzero((steps > 0.5) | (steps < 0)) + 1
    return np.insert(times, cuts, np.nan), np.insert(values.astype(float), cuts, np.nan)


def _edges(run: RunData) -> tuple[float, float] | tuple[()]:
    """Median distance [m] of the road's left (+) and right (-) edge from the lane's centre."""
    road = next(iter(run.roads.values()), {})
    if not all(len(road.get(key, ())) for key in ("centre", "left", "right")):
        return ()
    centre = road["centre"][:: max(1, len(road["centre"]) // 200)]
    distances = []
    for key in ("left", "right"):
        gaps = np.linalg.norm(centre[:, None] - road[key][None], axis=2)
        distances.append(float(np.median(gaps.min(axis=1))))
    return distances[0], -distances[1]
