"""What `attend` leaves behind: the video, the contact sheet, and how far back a command looks."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np

from liquid_control.analysis.explainer import Explainer, Seen
from liquid_control.attention.overlay import overlay
from liquid_control.attention.past import Past, past
from liquid_control.evaluation.dashboard import Dashboard, Reading

__all__ = ["Film", "Stills", "curves_figure", "past_figure", "past_of", "sheet"]

# A bar needs a line of text beside it; a network of 64 units gets none.
MOST_BARS = 24
COUNT = 6
CURVES = {
    "attention": {"color": "C3", "linewidth": 2},
    "random": {"color": "0.5"},
    "inverse": {"color": "C0", "linestyle": "--"},
}
LAGS = (0, 1, 2, 4, 8, 16)  # frames back that are shown


class Film:
    """The overlay video of one explainer: camera, attention, command and neurons."""

    def __init__(self, path: Path, explainer: Explainer, where: str) -> None:
        from liquid_control.evaluation.video import Writer

        policy = explainer.model.policy
        names = tuple(policy.state_names)
        self._names = names if len(names) <= MOST_BARS else ()
        self._output = policy.spec.names[0]
        reach = float(policy.spec.high[0])
        self._board = Dashboard(
            *(f"{explainer.name} on {where}", self._names),
            output=self._output,
            reach=reach,
        )
        self._writer = Writer(path)
        self._held: tuple[np.ndarray, float] | None = None

    def add(self, seen: Seen, seconds: float) -> None:
        """Append a frame; one without a map of its own shows the last one and says so."""
        picture, made = seen.overlay(), np.nan
        if picture is not None:
            self._held = picture, seconds
        elif self._held is not None:
            picture, made = self._held
        expert = seen.shot.given.get(self._output, np.nan)
        states = dict(zip(self._names, seen.decision.state, strict=False))
        reading = Reading(
            time=seconds,
            output=self._output,
            asked=float(seen.decision.command[0]),
            marks=(("expert", float(expert), "target"),) if np.isfinite(expert) else (),
            neurons=states or None,
            attention_time=made,
        )
        self._writer.add(self._board.draw(seen.shot.image, picture, reading), round(seconds * 1e9))

    def close(self) -> None:
        self._writer.close()


class Stills:
    """A few moments, spread evenly over a stream of unknown length."""

    def __init__(self, count: int = COUNT) -> None:
        self._count, self._stride, self._came = count, 1, 0
        self._kept: list[tuple[float, list[Seen], list[list[Seen]]]] = []

    def add(self, seconds: float, seen: list[Seen], before: list[list[Seen]]) -> None:
        """Take in a moment: what each explainer saw, and the frames of each until then."""
        if self._came % self._stride == 0:
            self._kept.append((seconds, seen, before))
            if len(self._kept) > 4 * self._count:
                del self._kept[1::2]
                self._stride *= 2
        self._came += 1

    @property
    def chosen(self) -> list[tuple[float, list[Seen], list[list[Seen]]]]:
        """At most `count` of them: time [s], what was seen, and what came before."""
        count = len(self._kept)
        if count <= self._count:
            return self._kept
        places = np.linspace(0, count - 1, self._count + 2)[1:-1].round().astype(int)
        return [self._kept[place] for place in places]


def sheet(explainers: Sequence[Explainer], stills: Stills, where: str) -> bytes:
    """PNG: a moment a row, the view and each explainer's overlay in columns."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    moments = stills.chosen
    columns = 1 + len(explainers)
    rows, wide = moments[0][1][0].frame.shape[:2]
    # Narrower, titles would run into each other.
    width = max(1.6, min(3.6, 13 / columns))
    figure = Figure(
        figsize=(width * columns, (width * rows / wide + 0.06) * len(moments) + 0.55),
        layout="constrained",
        dpi=130,
    )
    grid = figure.subplots(len(moments), columns, squeeze=False)
    for row, (seconds, seen, _) in zip(grid, moments, strict=True):
        pictures = [seen[0].frame, *(each.overlay() for each in seen)]
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(picture, interpolation="bicubic")
            axes.set_xticks([])
            axes.set_yticks([])
            for side in axes.spines.values():
                side.set_visible(False)
        row[0].set_ylabel(f"{seconds:.1f} s", fontsize=7, labelpad=2)
    titles = ["what the model sees", *("\n".join(one.name.split(" · ")) for one in explainers)]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=7.5, pad=3)
    figure.suptitle(where, fontsize=8.5)
    return _png(figure, FigureCanvasAgg)


def past_of(explainer: Explainer, frames: list[Seen], seconds: float) -> Past:
    """Contributions of the frames of the last `seconds` to the last command."""
    elapsed = np.array([each.decision.elapsed for each in frames])
    lags = np.append(np.cumsum(elapsed[:0:-1])[::-1], 0.0)
    inside = frames[int(np.argmax(lags <= seconds)) :]
    return past(
        explainer.model.policy,
        np.stack([each.frame for each in inside]),
        elapsed[len(frames) - len(inside) :],
        inside[0].decision.state_before,
        explainer.target,
    )


def past_figure(found: list[tuple[str, list[Past]]], frames: list[Seen]) -> bytes:
    """PNG: the share of each past frame, and on what of it the last command of the first rests.

    Args:
        found: by name, the pasts of several moments; the pictures are of the first one's last.
        frames: of that moment, oldest first.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.1), layout="constrained", dpi=130)
    top, strip = figure.subfigures(2, 1, height_ratios=(3.2, 1.0))
    axes = top.subplots()
    for index, (name, moments) in enumerate(found):
        reach = min(len(each.lags) for each in moments)
        shares = np.mean([each.shares[-reach:] for each in moments], 0)
        mean = np.mean([each.mean_lag for each in moments])
        axes.plot(
            moments[-1].lags[-reach:] * 1e3,
            shares * 100,
            marker="o",
            markersize=3,
            color=f"C{index}",
            label=f"{name}: {mean * 1e3:.0f} ms back on average",
        )
    axes.invert_xaxis()
    axes.set_xlabel("before the command [ms]", fontsize=8)
    axes.set_ylabel("share of the contributions [%]", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, frameon=False)
    last = found[0][1][-1]
    count = len(last.lags)
    shown = [lag for lag in LAGS if lag < count]
    strength = [cv2.GaussianBlur(np.abs(last.maps[count - 1 - lag]), (0, 0), 1.5) for lag in shown]
    bright = max(float(np.quantile(each, 0.995)) for each in strength) or 1.0
    for axes, lag, each in zip(
        strip.subplots(1, len(shown), squeeze=False)[0], shown[::-1], strength[::-1], strict=True
    ):
        level = np.clip(each / bright, 0, 1).astype(np.float32)
        axes.imshow(overlay(frames[len(frames) - 1 - lag].frame, level))
        axes.set_axis_off()
        axes.set_title(f"{last.lags[count - 1 - lag] * 1e3:.0f} ms before", fontsize=7, pad=2)
    return _png(figure, FigureCanvasAgg)


def curves_figure(summaries: list[dict]) -> bytes:
    """PNG: deletion and insertion curves, a column for each model and method."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(2.2 * len(summaries), 4.6), 4.4), layout="constrained", dpi=130)
    grid = figure.subplots(2, len(summaries), squeeze=False, sharex=True)
    for column, each in zip(grid.T, summaries, strict=True):
        shares = np.array(each["curves"]["shares"]) * 100
        for axes, name in zip(column, ("deletion", "insertion"), strict=True):
            for order, style in CURVES.items():
                axes.plot(shares, each["curves"][name][order], label=order, **style)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            axes.tick_params(labelsize=6)
        column[0].set_title(f"{each['model']}\n{each['method']}", fontsize=7.5)
        column[0].set_xlabel("hidden [%]", fontsize=7)
        column[1].set_xlabel("shown sharp [%]", fontsize=7)
    for axes, name in zip(grid[:, 0], ("deletion", "insertion"), strict=True):
        axes.set_ylabel(f"{name}: change of {summaries[0]['target']}", fontsize=7)
    grid[0, 0].legend(fontsize=6.5, frameon=False)
    return _png(figure, FigureCanvasAgg)


def _png(figure, canvas) -> bytes:
    buffer = BytesIO()
    canvas(figure).print_png(buffer)
    return buffer.getvalue()
