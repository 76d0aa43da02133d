"""The charts of a neurons page: activity, components, time constants, influence of synapses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from liquid_control.analysis.neurons_activity import Activity
from liquid_control.analysis.neurons_measures import Components, Coupling, Influence, hidden
from liquid_control.evaluation.figure_neurons import neuron_activity
from liquid_control.evaluation.figure_style import (
    INK,
    LAYER_COLORS,
    MUTED,
    NEGATIVE,
    POSITIVE,
    RULE,
    TARGET,
    canvas,
    dress,
    layer,
    model_colors,
    model_css,
    to_svg,
)
from liquid_control.evaluation.figures import (
    WIDTH,
    Chart,
    commands_over_time,
    imitation_over_time,
)
from liquid_control.evaluation.run_data import RunData, Series
from liquid_control.policy import Policy

__all__ = ["activity_chart", "command_chart", "component_chart", "coupling_chart", "ranking_chart"]

SHOWN = 20
CURVE = 12
# More rows than these are no picture any more.
ROWS = 32


def activity_chart(activity: Activity, policy: Policy, key: str) -> Chart | None:
    """The hidden state over one drive, as in the report of a run; `key` sets its ids apart."""
    states = hidden(activity, policy)
    sizes = policy.circuit.state_sizes
    units, chosen = states.shape[1], np.arange(states.shape[1])
    names = policy.state_names[:units] if sizes else [f"unit_{unit}" for unit in range(units)]
    if units > ROWS:
        chosen = np.sort(np.argsort(-states.std(0), kind="stable")[:ROWS])
    names = tuple(names[unit] for unit in chosen)
    times = activity.constants
    run = RunData(
        bag=Path(activity.bag),
        camera="",
        frames=activity.stamps,
        neurons=Series(activity.stamps, names, states[:, chosen].astype(float)),
        time_constants=None if times is None else Series(activity.stamps, names, times[:, chosen]),
    )
    chart = neuron_activity(run)
    if units > ROWS:
        note = f"The {ROWS} of {units} units that vary most. {chart.note}"
        chart = replace(chart, note=note)
    what = "Neurons" if policy.wiring is not None else "Hidden units"
    return _apart(replace(chart, title=f"{what} over {activity.name}"), key)


def command_chart(activity: Activity, policy: Policy, key: str) -> Chart | None:
    """The first output over one drive, beside the recording's where it has one."""
    names = policy.spec.names
    known = np.isfinite(activity.labels).all(1)
    expert = Series(activity.stamps[known], names, activity.labels[known].astype(float))
    run = RunData(
        bag=Path(activity.bag),
        camera="",
        frames=activity.stamps,
        commands=Series(activity.stamps, names, activity.commands.astype(float)),
        expert=expert if known.any() else None,
    )
    chart = imitation_over_time(run) if known.any() else commands_over_time(run)
    return None if chart is None else _apart(chart, key)


def component_chart(found: Mapping[str, Components]) -> Chart:
    """Share of variance that the first components hold together, a line for each model."""
    figure = canvas(500, 340)
    axes = figure.add_axes((0.12, 0.14, 0.85, 0.82))
    most = min(CURVE, max(len(each.shares) for each in found.values()))
    colors = model_colors(found)
    for name, each in found.items():
        curve = 100 * np.cumsum(each.shares)[:most]
        axes.plot(range(1, len(curve) + 1), curve, "o-", color=colors[name], markersize=5, mew=0)
        # Names would collide where curves begin together: the number alone, at the first point.
        text = f"{curve[0]:.0f} %"
        axes.annotate(
            text, (1, curve[0]), (9, -4), textcoords="offset points", color=colors[name],
            fontsize=12, fontweight="bold", va="top",
        )  # fmt: skip
    lowest = min(100 * each.shares[0] for each in found.values())
    axes.set_ylim(min(40.0, 10 * (lowest // 10 - 1)), 102)
    axes.set_xlim(0.7, most + 0.4)
    axes.set_xticks(range(1, most + 1))
    dress(axes, "principal components", "share of variance [%]")
    note = "How much of what the hidden state does the first components hold together."
    legend = tuple(zip(model_css(found).values(), found, strict=True))
    svg = to_svg(figure, "components", "Cumulative share of hidden-state variance")
    return Chart("Principal components of the hidden state", svg, note, legend)


def coupling_chart(coupling: Coupling, policy: Policy, output: str, unit: str, key: str) -> Chart:
    """Time constants straight on and in turns, and their correlation with the command."""
    names = policy.state_names[: len(coupling.straight)]
    row, top, foot = 21, 30, 44
    height = top + row * len(names) + foot
    figure = canvas(WIDTH, height)
    box = (foot / height, 1 - (top + foot) / height)
    places = [(0.105, 0.42), (0.565, 0.19), (0.79, 0.19)]
    panels = [figure.add_axes((left, box[0], width, box[1])) for left, width in places]
    _medians(panels[0], coupling, names)
    titles = ("median time constant", f"correlation with |{output}|", f"… with {output}")
    for axes, values in zip(panels[1:], (coupling.size, coupling.side), strict=True):
        _whiskers(axes, values, names)
    for (left, _), title in zip(places, titles, strict=True):
        figure.text(left, 1 - 14 / height, title, color=MUTED, fontsize=11)
    low, high = coupling.limits
    digits = f"{{:.3g}} {unit}" if unit != "1" else "{:.3g}"
    note = (
        f"Straight: |{output}| up to {digits.format(low)}, a third of the frames; turns: from "
        f"{digits.format(high)} on, another third. Correlations of log τ, with 95 % intervals from "
        "blocks of 5 s where there is more than one."
    )
    legend = (("var(--target)", "straight"), (POSITIVE, "left turn"), (NEGATIVE, "right turn"))
    svg = to_svg(figure, f"{key}-coupling", "Time constants straight on and in turns")
    return Chart("Time constants and the command", svg, note, legend)


def ranking_chart(influence: Influence, key: str) -> Chart:
    """The synapses whose cut changes the command most, and how many it takes for most of it."""
    order = influence.order[:SHOWN]
    row, top, foot = 22, 26, 44
    height = top + row * len(order) + foot
    figure = canvas(WIDTH, height)
    box = (foot / height, 1 - (top + foot) / height)
    axes = figure.add_axes((0.175, box[0], 0.46, box[1]))
    values = 100 * influence.size[order]
    rows = np.arange(len(order))
    colors = [POSITIVE if influence.synapses[k].polarity > 0 else NEGATIVE for k in order]
    axes.barh(rows, values[:, 0], 0.62, color=colors)
    if np.isfinite(values).all():
        axes.hlines(rows, values[:, 1], values[:, 2], color=INK, linewidth=1.1)
    labels = [influence.synapses[k].text.replace(" to ", " → ") for k in order]
    axes.set_yticks(rows, labels, color=INK, fontsize=11)
    axes.set_ylim(len(order) - 0.4, -0.6)
    dress(axes, "change of the command when cut [% of full command]", grid="x")
    axes.tick_params(axis="y", labelcolor=INK)
    side = figure.add_axes((0.73, box[0], 0.255, box[1]))
    squares = np.sort(influence.size[:, 0] ** 2)[::-1]
    total = squares.sum() or 1.0
    share = 100 * np.cumsum(squares) / total
    side.plot(np.arange(1, len(share) + 1), share, color=INK, linewidth=1.6)
    most = influence.most
    side.plot([most], [share[most - 1]], "o", color=INK, markersize=6, mew=0)
    side.annotate(
        f"{most} of {len(share)} make 90 %", (most, share[most - 1]), (0, -9),
        textcoords="offset points", color=INK, fontsize=11, va="top",
    )  # fmt: skip
    side.set_xscale("log")
    side.set_ylim(0, 103)
    ticks = [t for t in (1, 3, 10, 30, 100, 300, 1000) if t <= len(share)]
    side.set_xticks(ticks, list(map(str, ticks)))
    side.set_xticks([], minor=True)
    dress(side, "synapses, strongest first", "share of all squared changes [%]")
    note = (
        f"Each of {len(influence.synapses)} synapses cut alone through {influence.frames:,} frames "
        "with its own state; root mean square"
    )
    note += ", with the 95 % interval." if np.isfinite(values).all() else "."
    legend = ((POSITIVE, "excitatory"), (NEGATIVE, "inhibitory"))
    svg = to_svg(figure, f"{key}-ranking", "Synapses by their influence on the command")
    return Chart("What each synapse does for the command", svg, note, legend)


def _medians(axes: Axes, coupling: Coupling, names: Sequence[str]) -> None:
    rows = np.arange(len(names))
    groups = np.stack((coupling.straight, coupling.left, coupling.right), 1)
    axes.hlines(rows, np.nanmin(groups, 1), np.nanmax(groups, 1), color=RULE, linewidth=3)
    for values, color in zip(groups.T, (TARGET, POSITIVE, NEGATIVE), strict=True):
        axes.plot(values, rows, "o", color=color, markersize=7, mew=0)
    axes.set_xscale("log")
    low, high = np.nanmin(groups) / 1.25, np.nanmax(groups) * 1.25
    axes.set_xlim(low, high)
    ticks = [t for e in range(-5, 4) for m in (1, 2, 5) if low <= (t := m * 10.0**e) <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    dress(axes, "time constant [s]", grid="x")
    axes.set_yticks(rows, [name.replace("_", " ") for name in names], fontsize=11)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(LAYER_COLORS.get(layer(name), INK))
    axes.set_ylim(len(names) - 0.4, -0.6)


def _whiskers(axes: Axes, values: np.ndarray, names: Sequence[str]) -> None:
    rows = np.arange(len(values))
    axes.axvline(0, color=MUTED, linewidth=0.8)
    colors = [LAYER_COLORS.get(layer(name), INK) for name in names]
    axes.hlines(rows, values[:, 1], values[:, 2], color=colors, linewidth=3, alpha=0.35)
    axes.scatter(values[:, 0], rows, 36, color=colors, linewidths=0, zorder=3)
    axes.set_xlim(-1.05, 1.05)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xticks((-1, -0.5, 0, 0.5, 1), ("−1", "", "0", "", "1"))
    dress(axes, "r", grid="x")
    axes.set_yticks([])


def _apart(chart: Chart, key: str) -> Chart:
    """The same chart with ids of its own, so that it can stand on a page twice."""
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", chart.svg)
    return replace(chart, svg=svg)
