"""The curves of an evaluation's report: figures over levels, conditions side by side, pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from liquid_control.evaluation.figure_style import (
    INK,
    MUTED,
    canvas,
    dress,
    model_colors,
    model_css,
    to_svg,
)
from liquid_control.evaluation.figures import WIDTH, Chart
from liquid_control.evaluation.suite import CLEAN
from liquid_control.evaluation.suite_data import Evaluation

__all__ = ["FIGURES", "Figure", "curves", "differences", "headlines", "side_by_side", "value"]

SHARE = "crash_free"


@dataclass(frozen=True)
class Figure:
    """How a figure is called and which way is good.

    Args:
        label: with the unit.
        scale: shown as the stored number times this.
        high: whether more is better; None where neither is.
    """

    label: str
    scale: float = 1.0
    high: bool | None = False


FIGURES = {
    SHARE: Figure("crash-free [%]", 100, True),
    "success": Figure("success [%]", 100, True),
    "distance_per_intervention": Figure("distance per intervention [m]", 1, True),
    "interventions_per_km": Figure("interventions per km"),
    "lateral_error": Figure("lateral error [m]"),
    "lateral_error_max": Figure("largest lateral error [m]"),
    "heading_error": Figure("heading error [rad]"),
    "distance": Figure("distance [m]", 1, True),
    "laps": Figure("laps", 1, True),
    "reward": Figure("reward", 1, True),
    "seconds": Figure("time driven [s]", 1, None),
    "seconds_of_successes": Figure("time to success [s]"),
    "lane_departures": Figure("lane departures"),
    "lateral_acceleration": Figure("lateral acceleration [m/s²]"),
    "jerk": Figure("jerk [m/s³]"),
    "steering_rate": Figure("steering rate [1/s]"),
    "speed": Figure("speed [m/s]", 1, None),
}
# Beside the crash-free share; the first two of these that a world has.
BESIDE = ("lateral_error", "heading_error", "success", "seconds_of_successes", "reward")
# What such a world is about.
OWN = {
    "liquid_control/CarRacing": ("reward", "lateral_error"),
    "liquid_control/Drone": ("success", "seconds_of_successes"),
}


def value(group: dict | None, name: str) -> tuple[float, float, float] | None:
    """Mean, low and high end of a figure of a group as shown; None where it has none.

    Without an interval the ends are NaN, which draws and writes nothing.
    """
    if group is None:
        return None
    if name == SHARE:
        found = group[SHARE] | {"mean": group[SHARE]["share"]}
    else:
        found = group["figures"].get(name)
    if found is None or found["mean"] is None:
        return None
    ends = found["interval"] or [math.nan] * 2
    ends = [found["mean"] if end is None else end for end in ends]
    return tuple(FIGURES[name].scale * number for number in (found["mean"], *ends))


def curves(evaluation: Evaluation, world: str) -> list[Chart]:
    """For each condition with several levels, how figures go with the level, for all models."""
    found = []
    for condition, levels in evaluation.levels(world).items():
        points: list[tuple[float, str, float]] = [(level, condition, level) for level in levels]
        clean = evaluation.kind(condition)["clean"]
        if condition != CLEAN and clean is not None and clean not in levels:
            points.append((clean, CLEAN, 0.0))
        if len(points) > 1:
            found.append(_curve(evaluation, world, condition, sorted(points)))
    return found


def _curve(
    evaluation: Evaluation, world: str, condition: str, points: list[tuple[float, str, float]]
) -> Chart:
    kind, colors = evaluation.kind(condition), model_colors(evaluation.models)
    names = headlines(evaluation, world)
    figure = canvas(WIDTH, 230)
    width = 1.0 / len(names)
    for number, name in enumerate(names):
        axes = figure.add_axes((0.048 + number * width, 0.2, width - 0.062, 0.7))
        for model, color in colors.items():
            seen = [
                (level, found)
                for level, at, its in points
                if (found := value(evaluation.group(model, (world, at, its)), name))
            ]
            if not seen:
                continue
            x = [level for level, _ in seen]
            middle, low, high = np.array([found for _, found in seen]).T
            axes.fill_between(x, low, high, color=color, alpha=0.16, linewidth=0)
            axes.plot(x, middle, "o-", color=color, linewidth=1.8, markersize=4.5, mew=0)
        unit = f" [{kind['unit']}]" if kind["unit"] else ""
        dress(axes, f"{condition.replace('_', ' ')}{unit}", "")
        axes.set_title(FIGURES[name].label, color=INK, fontsize=12, loc="left", pad=7)
        if name in (SHARE, "success"):
            axes.set_ylim(-3, 103)
        elif axes.get_ylim()[0] > 0:
            axes.set_ylim(bottom=0)
        ticks = sorted({level for level, *_ in points})
        if len(ticks) <= 7:
            axes.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    css = model_css(evaluation.models)
    svg = to_svg(figure, _id("curve", world, condition), f"Figures over {condition}")
    about = kind["about"].rstrip(".")
    note = f"{about[:1].upper()}{about[1:]}. " if about and about != condition else ""
    title = condition.replace("_", " ").capitalize()
    legend = tuple((color, model) for model, color in css.items())
    return Chart(title, svg, f"{note}Bands: 95 % intervals.", legend)


def side_by_side(evaluation: Evaluation, world: str, name: str = SHARE) -> Chart | None:
    """A figure at the hardest level of every condition, for all models, with intervals."""
    places = []
    for condition, levels in evaluation.levels(world).items():
        clean = evaluation.kind(condition)["clean"]
        if clean is not None and min(levels) < clean < max(levels):
            # Both ways lead away from clean.
            places.append((condition, levels[0]))
        places.append((condition, levels[-1]))
    if len(places) < 2:
        return None
    colors, css = model_colors(evaluation.models), model_css(evaluation.models)
    pitch = max(26, 11 * len(colors) + 12)
    height = pitch * len(places) + 56
    figure = canvas(WIDTH, height)
    axes = figure.add_axes((0.23, 44 / height, 0.755, 1 - 56 / height))
    for row, (condition, level) in enumerate(places):
        for index, (model, color) in enumerate(colors.items()):
            found = value(evaluation.group(model, (world, condition, level)), name)
            if found is None:
                continue
            y = row + (index - (len(colors) - 1) / 2) * 11 / pitch
            axes.plot(found[1:], [y, y], color=color, alpha=0.45, linewidth=2.4)
            axes.plot(found[0], y, "o", color=color, markersize=6, mew=0)
    axes.set_yticks(range(len(places)), [evaluation.name(*place) for place in places])
    axes.set_ylim(len(places) - 0.4, -0.6)
    if name in (SHARE, "success"):
        axes.set_xlim(-2, 102)
    dress(axes, FIGURES[name].label, "", grid="x")
    for label in axes.get_yticklabels():
        label.set_color(INK)
    axes.spines["bottom"].set_visible(False)
    svg = to_svg(figure, _id("side", world, name), f"{name} by condition")
    title = f"{FIGURES[name].label.split(' [')[0].capitalize()} at the hardest level"
    legend = tuple((color, model) for model, color in css.items())
    note = "Every condition at its last, hardest level. Bars: 95 % intervals."
    return Chart(title, svg, note, legend)


def differences(evaluation: Evaluation, world: str, name: str = SHARE) -> Chart | None:
    """Paired differences of a figure to the first model, in every condition, with intervals."""
    rows = [
        row
        for row in evaluation.results["paired"]
        if row["world"] == world and row["figure"] == name
    ]
    places = list(dict.fromkeys((row["condition"], row["level"]) for row in rows))
    if not rows:
        return None
    colors, css = model_colors(evaluation.models), model_css(evaluation.models)
    models = list(dict.fromkeys(row["model"] for row in rows))
    pitch = max(24, 10 * len(models) + 10)
    height = pitch * len(places) + 56
    figure = canvas(WIDTH, height)
    axes = figure.add_axes((0.23, 44 / height, 0.755, 1 - 56 / height))
    axes.axvline(0, color=MUTED, linewidth=1)
    scale = FIGURES[name].scale
    for row in rows:
        index = models.index(row["model"])
        y = places.index((row["condition"], row["level"]))
        y += (index - (len(models) - 1) / 2) * 10 / pitch
        color = colors[row["model"]]
        ends = [scale * end for end in row["interval"] or ()]
        axes.plot(ends, [y] * len(ends), color=color, alpha=0.5, linewidth=2.4)
        face = color if row["certain"] else "none"
        axes.plot(scale * row["difference"], y, "o", mec=color, mfc=face, markersize=6, mew=1.5)
    axes.set_yticks(range(len(places)), [evaluation.name(*place) for place in places])
    axes.set_ylim(len(places) - 0.4, -0.6)
    reach = 1.08 * max(abs(end) for end in axes.get_xlim())
    axes.set_xlim(-reach, reach)
    label = FIGURES[name].label
    label = label.replace("[%]", "[percentage points]")
    reference = rows[0]["reference"]
    dress(axes, f"{label}, less {reference}", "", grid="x")
    for text in axes.get_yticklabels():
        text.set_color(INK)
    axes.spines["bottom"].set_visible(False)
    better = "Right" if FIGURES[name].high else "Left"
    note = (
        f"{better} of 0 is better than {reference}, on the same seeds. Bars: 95 % intervals; "
        "a full dot where the interval excludes 0, by 6 pairs or more."
    )
    svg = to_svg(figure, _id("paired", world, name), f"Paired differences of {name}")
    title = f"{label.split(' [')[0].capitalize()}: difference to {reference}"
    return Chart(title, svg, note, tuple((css[model], model) for model in models))


def headlines(evaluation: Evaluation, world: str) -> list[str]:
    """The crash-free share and the two figures that matter beside it in a world."""
    having = {
        name
        for group in evaluation.results["groups"]
        if group["world"] == world
        for name in group["figures"]
    }
    own = next((names for start, names in OWN.items() if world.startswith(start)), BESIDE)
    return [SHARE, *[name for name in own if name in having][:2]]


def _id(*parts: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in "-".join(parts).lower())
