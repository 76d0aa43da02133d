"""The charts of an explain page: one decision and the seconds around it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from liquid_control.analysis.explain_decision import Explanation
from liquid_control.command import Output
from liquid_control.evaluation.figure_style import (
    ASKED,
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
    limits,
    to_svg,
)
from liquid_control.evaluation.figures import WIDTH, Chart

__all__ = ["around_chart", "built_chart", "state_chart", "without_chart"]

HALF = 500
# The strongest summands; the rest is one bar.
PARTS = 12
UNITS_SHOWN = 24
_COUNTS = {2: "two", 3: "three", 4: "four", 5: "five"}


def around_chart(told: Explanation, column: int) -> Chart:
    """The command in the seconds around the decision, beside the recording's."""
    activity, now, output = told.activity, told.moment.seconds, told.policy.spec.outputs[column]
    seconds = activity.seconds - now
    near = (seconds >= -4.0) & (seconds <= 2.0)
    # No line bridges a gap, after which the state was fresh.
    cuts = np.flatnonzero(activity.fresh[near])
    times = np.insert(seconds[near], cuts, np.nan)
    figure = canvas(WIDTH, 190)
    axes = figure.add_axes((0.075, 0.22, 0.91, 0.74))
    axes.axhline(0, color=MUTED, linewidth=0.8)
    legend = [("var(--asked)", f"{_name(output)} asked")]
    shown, label = (
        np.insert(values[near, column].astype(float), cuts, np.nan)
        for values in (activity.commands, activity.labels)
    )
    if np.isfinite(label).any():
        axes.plot(times, label, color=TARGET, linewidth=3)
        legend.append(("var(--target)", f"{_name(output)} of the recording"))
    axes.plot(times, shown, color=ASKED, linewidth=1.6)
    axes.axvline(0, color=INK, linewidth=1.2)
    if told.earlier is not None:
        axes.axvline(told.earlier.seconds - now, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(-4, 2)
    axes.set_ylim(*limits(np.concatenate((shown, label)), 0.1 * output.high))
    dress(axes, "seconds from this decision", _unit(output))
    note = "The line marks this decision"
    note += ", the dashed one what it is compared with below." if told.earlier else "."
    svg = to_svg(figure, f"around{column}", f"{_name(output)} around the decision")
    return Chart(f"{_name(output).capitalize()} around it", svg, note, tuple(legend))


def without_chart(told: Explanation) -> Chart | None:
    """What the command would have been without each of the synapses that mattered most."""
    if not told.cuts:
        return None
    outputs = told.policy.spec.outputs
    row, top, foot = 34, 30, 44
    height = top + row * len(told.cuts) + foot
    figure = canvas(WIDTH, height)
    # Room for the values behind a single panel; several are too narrow for them.
    right, gap = (0.86, 0.0) if len(outputs) == 1 else (0.985, 0.02)
    wide = (right - 0.2 + gap) / len(outputs)
    for column in range(len(outputs)):
        box = (0.2 + column * wide, foot / height, wide - gap, 1 - (top + foot) / height)
        _without(figure.add_axes(box), told, column, first=column == 0)
    note = (
        f"Filled: cut from {told.since_s:.1f} s before on, the state carried on without it. "
        "Hollow: cut for this one frame."
    )
    asked = "asked"
    if len(outputs) == 1:
        note += " Written: the filled one."
        asked += f", {number(float(told.moment.decision.command[0]), outputs[0])}"
    legend = [("var(--ink)", asked)]
    if np.isfinite(told.label).any():
        told_label = "of the recording"
        if len(outputs) == 1:
            told_label += f", {number(float(told.label[0]), outputs[0])}"
        legend.append(("var(--target)", told_label))
    legend += [(POSITIVE, "excitatory"), (NEGATIVE, "inhibitory")]
    svg = to_svg(figure, "without", "The command without synapses")
    title = f"The {_COUNTS.get(len(told.cuts) - 1, '')} synapses that mattered most"
    return Chart(" ".join(title.split()), svg, note, tuple(legend))


def built_chart(told: Explanation, column: int) -> Chart | None:
    """The command as a sum: what each incoming synapse, or each hidden unit, put in."""
    if not told.parts:
        return None
    output = told.policy.spec.outputs[column]
    parts = [(each.name, float(each.values[column])) for each in told.parts]
    ends = [each for each in parts if each[0] in ("state_before", "leak", "offset")]
    others = sorted((p for p in parts if p not in ends), key=lambda part: -abs(part[1]))
    rest = others[PARTS:]
    others = others[:PARTS] + ([(f"{len(rest)} more", sum(v for _, v in rest))] if rest else [])
    shown = [part for part in ends + others if abs(part[1]) >= 5e-4 * output.high]
    small = sum(value for _, value in ends + others) - sum(value for _, value in shown)
    shown += [("the rest", small)] if abs(small) >= 5e-4 * output.high else []
    row, top, foot = 25, 10, 44
    height = max(top + row * (len(shown) + 1) + foot, 250)
    figure = canvas(HALF, height)
    axes = figure.add_axes((0.25, foot / height, 0.56, 1 - (top + foot) / height))
    edge, edges = 0.0, [0.0]
    for place, (_, value) in enumerate(shown):
        color = POSITIVE if value > 0 else NEGATIVE
        axes.barh(place, value, 0.6, left=edge, color=color)
        axes.plot([edge + value] * 2, [place - 0.3, place + 1.3], color=MUTED, linewidth=0.8)
        edge += value
        edges.append(edge)
    total = len(shown)
    axes.barh(total, edge, 0.6, color=INK)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    names = {"state_before": f"left from {told.since_s:.1f} s ago"}
    labels = [names.get(name, name.replace("_", " ")) for name, _ in shown]
    axes.set_yticks(range(total + 1), [*labels, _name(output)], fontsize=11)
    axes.set_ylim(total + 0.55, -0.55)
    axes.set_xlim(*limits(np.array(edges), 0.05 * output.high, 0.08))
    dress(axes, _unit(output), grid="x")
    axes.tick_params(axis="y", labelcolor=INK)
    for place, value in enumerate([*(value for _, value in shown), edge]):
        axes.text(
            1.03, place, number(value, output), color=INK, fontsize=11, va="center",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    wired = any(name == "leak" for name, _ in parts)
    note = (
        "What each synapse of the motor neuron put in, followed through every solver step."
        if wired
        else "Hidden units times their weight in the read-out."
    )
    if abs(edge) > output.high or edge < output.low:
        note += " The sum is clipped to the limits."
    svg = to_svg(figure, f"built{column}", f"{_name(output)} as a sum")
    return Chart(f"What {_name(output)} was built from", svg, note)


def state_chart(told: Explanation) -> Chart:
    """States before and after the decision and a second earlier, beside the time constants."""
    moment, earlier, policy = told.moment, told.earlier, told.policy
    sizes = policy.circuit.state_sizes
    count = len(moment.hidden)
    names = policy.state_names[:count] if sizes else [f"unit_{unit}" for unit in range(count)]
    change = np.abs(moment.hidden - (earlier.hidden if earlier else 0.0))
    rows = np.arange(count)
    if count > UNITS_SHOWN:
        rows = np.sort(np.argsort(-change, kind="stable")[:UNITS_SHOWN])
    constants = told.activity.constants
    row, top, foot = 21, 28, 42
    height = top + row * len(rows) + foot
    wide = constants is not None
    figure = canvas(HALF, height)
    box = (foot / height, 1 - (top + foot) / height)
    axes = figure.add_axes((0.185, box[0], 0.48 if wide else 0.78, box[1]))
    _states(axes, told, rows, names)
    figure.text(0.185, 1 - 15 / height, "state", color=MUTED, fontsize=11)
    if wide:
        side = figure.add_axes((0.72, box[0], 0.26, box[1]))
        _constants(side, told, rows, names)
        figure.text(0.72, 1 - 15 / height, "time constant [ms]", color=MUTED, fontsize=11)
    note = "Dot: after this frame; bar: before it; ring: a second earlier."
    if count > UNITS_SHOWN:
        note += f" The {UNITS_SHOWN} of {count} units that changed most."
    what = "Neurons" if policy.wiring is not None else "Hidden units"
    svg = to_svg(figure, "states", "States of the neurons")
    return Chart(f"{what} at this moment", svg, note)


def number(value: float, output: Output) -> str:
    """A command with a sign and the digits that tell."""
    if not np.isfinite(value):
        return "–"
    digits = 4 if output.high < 0.5 else 2
    return f"{value:+.{digits}f}".replace("-", "−")


def _without(axes: Axes, told: Explanation, column: int, first: bool) -> None:
    """One output without each of the synapses."""
    output = told.policy.spec.outputs[column]
    command, label = float(told.moment.decision.command[column]), float(told.label[column])
    rows = np.arange(len(told.cuts))
    since = np.array([each.since[column] for each in told.cuts])
    once = np.array([each.once[column] for each in told.cuts])
    values = np.concatenate((since, once, [command, label]))
    axes.set_xlim(*limits(values, 0.05 * output.high, 0.06))
    axes.axvline(0, color=RULE, linewidth=0.8)
    axes.axvline(command, color=INK, linewidth=2)
    if np.isfinite(label):
        axes.axvline(label, color=TARGET, linewidth=3, zorder=0.5)
    axes.hlines(rows, command, since, color=RULE, linewidth=5)
    colors = [
        INK if len(each.synapses) > 1 else POSITIVE if each.synapses[0].polarity > 0 else NEGATIVE
        for each in told.cuts
    ]
    axes.scatter(once, rows, 46, facecolors="none", edgecolors=colors, linewidths=1.6, zorder=3)
    axes.scatter(since, rows, 90, color=colors, linewidths=0, zorder=4)
    dress(axes, f"{_name(output)} without it {_unit(output)}", grid="x")
    names = [
        f"{place} · {each.synapses[0].text.replace(' to ', ' → ')}"
        if len(each.synapses) == 1
        else f"all {len(each.synapses)}"
        for place, each in enumerate(told.cuts, 1)
    ]
    axes.set_yticks(rows, names if first else [""] * len(rows), fontsize=12)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.tick_params(axis="y", labelcolor=INK)
    if len(told.policy.spec) > 1:
        axes.locator_params(axis="x", nbins=4)
        return
    for place, value in enumerate(since):
        axes.text(
            1.02, place, number(value, output), color=INK, fontsize=12, va="center",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip


def _states(axes: Axes, told: Explanation, rows: np.ndarray, names: list[str]) -> None:
    places, moment = np.arange(len(rows)), told.moment
    colors = [LAYER_COLORS.get(layer(names[unit]), INK) for unit in rows]
    after = moment.hidden[rows]
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.hlines(places, 0, after, color=colors, linewidth=1.2, alpha=0.5)
    if len(moment.hidden_before):
        axes.plot(moment.hidden_before[rows], places, "|", color=INK, markersize=11, mew=1.6)
    if told.earlier is not None:
        ring = told.earlier.hidden[rows]
        axes.scatter(ring, places, 34, facecolors="none", edgecolors=MUTED, linewidths=1.1)
    axes.scatter(after, places, 40, color=colors, linewidths=0, zorder=3)
    axes.set_yticks(places, [names[unit].replace("_", " ") for unit in rows], fontsize=11)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    dress(axes, grid="x")
    for text, color in zip(axes.get_yticklabels(), colors, strict=True):
        text.set_color(color)


def _constants(axes: Axes, told: Explanation, rows: np.ndarray, names: list[str]) -> None:
    places, constants = np.arange(len(rows)), 1e3 * told.activity.constants
    colors = [LAYER_COLORS.get(layer(names[unit]), INK) for unit in rows]
    now = 1e3 * told.moment.decision.time_constants[rows]
    shown = [now]
    if told.earlier is not None:
        ring = constants[told.earlier.row, rows]
        axes.hlines(places, ring, now, color=RULE, linewidth=3)
        axes.scatter(ring, places, 34, facecolors="none", edgecolors=MUTED, linewidths=1.1)
        shown.append(ring)
    axes.scatter(now, places, 40, color=colors, linewidths=0, zorder=3)
    axes.set_xscale("log")
    low, high = np.min(shown) / 1.4, np.max(shown) * 1.4
    axes.set_xlim(low, high)
    ticks = [t for e in range(-2, 6) if low <= (t := 10.0**e) <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    dress(axes, grid="x")
    axes.set_yticks([])


def _name(output: Output) -> str:
    return output.name.replace("_", " ")


def _unit(output: Output) -> str:
    return "" if output.unit == "1" else f"[{output.unit}]"
