"""What the circuit did: the state of each neuron over time, beside its effective time constant."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

from liquid_control.evaluation.figure_style import (
    INK,
    LAYER_COLORS,
    MUTED,
    NEGATIVE,
    POSITIVE,
    RULE,
    canvas,
    dress,
    layer,
    to_svg,
)
from liquid_control.evaluation.figures import WIDTH, Chart, span
from liquid_control.evaluation.run_data import RunData, Series

__all__ = ["neuron_activity"]

COLUMNS = 760
ROW, GAP, TOP, FOOT = 17, 7, 20, 44
LEFT, RIGHT = 0.105, 0.735
# Where no time constants stand beside it.
ALONE = 0.985


def neuron_activity(run: RunData) -> Chart | None:
    """Heat map with one row per neuron, grouped by layer; time constants on a log axis."""
    if run.neurons is None:
        return None
    names = run.neurons.names
    begin, end = span(run)
    bound = float(np.nanpercentile(np.abs(run.neurons.values), 99.5)) or 1.0
    bound = max(bound, 1e-6)
    groups = list(dict.fromkeys(map(layer, names)))
    rows = sorted(range(len(names)), key=lambda row: groups.index(layer(names[row])))
    height = TOP + ROW * len(names) + GAP * (len(groups) - 1) + FOOT
    figure = canvas(WIDTH, height)
    image = _tinted(_binned(run, begin, end)[rows] / bound)
    constants = _spread(run.time_constants, [names[row] for row in rows])

    right = ALONE if constants is None else RIGHT
    down, used = float(TOP), 0
    for group in groups:
        members = [row for row in rows if layer(names[row]) == group]
        tall = ROW * len(members)
        bottom = 1 - (down + tall) / height
        color = LAYER_COLORS.get(group, MUTED)
        axes = figure.add_axes((LEFT, bottom, right - LEFT, tall / height))
        part = image[used : used + len(members)]
        box = (begin, end, len(members) - 0.5, -0.5)
        axes.imshow(part, aspect="auto", interpolation="nearest", extent=box)
        labels = [names[row].replace("_", " ") for row in members]
        last = group == groups[-1]
        _rows(axes, labels, color, "time [s]" if last else "", last)
        if constants is not None:
            side = figure.add_axes((0.775, bottom, 0.21, tall / height))
            _constants(side, constants[used : used + len(members)], constants, color, last)
        down += tall + GAP
        used += len(members)
    figure.text(LEFT, 1 - 12 / height, "hidden state", color=MUTED, fontsize=11)
    if constants is not None:
        title = "effective time constant"
        figure.text(0.775, 1 - 12 / height, title, color=MUTED, fontsize=11)
    note = f"Full colour is a state of ±{bound:.2g}; nothing is drawn where no state was recorded."
    if constants is not None:
        note += " Dots are medians over the run, bars reach from the 5th to the 95th percentile."
    legend = ((POSITIVE, "positive state"), (NEGATIVE, "negative state"))
    svg = to_svg(figure, "neurons", f"Heat map of {len(names)} neurons over time")
    return Chart("Neurons", svg, note, legend, (LEFT, right), (begin, end))


def _binned(run: RunData, begin: float, end: float) -> np.ndarray:
    """Mean state (neurons, columns) in equal bins of time, NaN where a bin is empty."""
    times = run.seconds(run.neurons.stamps)
    columns = int(np.clip(len(times), 1, COLUMNS))
    # No bin shorter than a frame, or every second one would stay empty.
    steps = np.diff(times)
    if (steps > 0).any():
        columns = int(np.clip((end - begin) / (1.05 * np.median(steps[steps > 0])), 1, COLUMNS))
    place = np.clip(((times - begin) / (end - begin) * columns).astype(int), 0, columns - 1)
    counts = np.bincount(place, minlength=columns)
    sums = np.zeros((run.neurons.values.shape[1], columns))
    for row, values in enumerate(run.neurons.values.T):
        sums[row] = np.bincount(place, weights=np.nan_to_num(values), minlength=columns)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / counts, np.nan)


def _tinted(share: np.ndarray) -> np.ndarray:
    """RGBA uint8: the sign picks the hue, the size the opacity, so it fits light and dark."""
    size = np.clip(np.nan_to_num(np.abs(share)), 0, 1)
    hues = np.where((share > 0)[..., None], to_rgb(POSITIVE), to_rgb(NEGATIVE))
    return (np.concatenate([hues, size[..., None]], axis=2) * 255).astype(np.uint8)


def _spread(series: Series | None, names: list[str]) -> np.ndarray | None:
    """5th, 50th and 95th percentile (neurons, 3) [s]."""
    if series is None or not all(name in series for name in names):
        return None
    values = np.stack([series[name] for name in names])
    values = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    if np.isnan(values).all(axis=1).any():
        return None
    return np.nanpercentile(values, (5, 50, 95), axis=1).T


def _rows(axes, labels: list[str], color: str, xlabel: str, last: bool) -> None:
    dress(axes, xlabel, grid="")
    axes.set_yticks(range(len(labels)), labels, color=INK, fontsize=11)
    axes.spines["left"].set(visible=True, color=color, linewidth=3)
    axes.spines["bottom"].set_visible(last)
    if not last:
        axes.set_xticks([])


def _constants(axes, part: np.ndarray, everything: np.ndarray, color: str, last: bool) -> None:
    rows = np.arange(len(part))
    axes.hlines(rows, part[:, 0], part[:, 2], color=color, linewidth=3, alpha=0.35)
    axes.plot(part[:, 1], rows, "o", color=color, markersize=5, mew=0)
    axes.set_ylim(len(part) - 0.5, -0.5)
    axes.set_xscale("log")
    low, high = everything.min() / 1.3, everything.max() * 1.3
    axes.set_xlim(low, high)
    dress(axes, "time constant [s]" if last else "", grid="")
    ticks = [t for e in range(-4, 4) for m in (1, 2, 5) if low <= (t := m * 10.0**e) <= high]
    ticks = ticks if len(ticks) <= 4 else [t for t in ticks if f"{t:e}"[0] == "1"] or ticks[::3]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks] if last else [""] * len(ticks))
    axes.set_xticks([], minor=True)
    axes.set_yticks([])
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    axes.spines["bottom"].set_visible(last)
