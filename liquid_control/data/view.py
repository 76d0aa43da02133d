"""A recording at a glance: frames with their commands, histograms and a timeline, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from liquid_control.data.alignment import match
from liquid_control.data.bag import BagReader
from liquid_control.data.drive import MAX_GAP_S, camera_topic_of, stamp_or_log_time
from liquid_control.data.info import BagInfo, Commands, histogram_edges, survey
from liquid_control.data.messages import decode_image
from liquid_control.errors import InputError
from liquid_control.files import replace_file

__all__ = ["draw"]

_COLUMNS = 5
_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")


@dataclass(eq=False)
class _Bag:
    """A bag on the common time axis, where bags follow one another.

    Args:
        info: what it holds.
        topic: its camera; None without one.
        stamps: of the camera's frames, int64 (N,) [ns].
        offset: what is added to its stamps [ns].
        start: of the bag on the common time axis [s].
    """

    info: BagInfo
    topic: str | None
    stamps: np.ndarray
    offset: int
    start: float

    def seconds(self, stamps: np.ndarray | int) -> np.ndarray:
        """On the common time axis [s]."""
        return (np.asarray(stamps) + self.offset) * 1e-9

    @property
    def commands(self) -> Commands | None:
        """Those that training prefers; None without any."""
        return next(iter(self.info.commands.values()), None)


def draw(bags: Sequence[Path], output: Path, frames: int = 20, topic: str | None = None) -> None:
    """Write a picture of `bags` to `output` (PNG).

    Args:
        bags: one or more.
        output: the file.
        frames: how many are shown, evenly spread over the frames of all bags.
        topic: of the camera, where a bag has several.

    Raises:
        InputError: a bag cannot be read, there is nothing to draw, or `output` cannot be written.
    """
    if frames < 1:
        raise InputError(f"A picture shows 1 or more frames, got {frames}.")
    opened = _open(bags, topic)
    shown = _pick(opened, frames)
    names = list(dict.fromkeys(n for bag in opened if bag.commands for n in bag.commands.names))
    if not shown and not names:
        raise InputError(
            f"{bags[0]} holds neither a camera nor commands; there is nothing to draw."
        )
    rows = -(-len(shown) // _COLUMNS)
    heights = [_height(opened, shown)] * rows + [1.6] * bool(names) + [0.9] * max(len(names), 1)
    figure = Figure(figsize=(13, 0.6 + 1.1 * sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    _sheet(figure, grid, rows, opened, shown)
    if names:
        cells = grid[rows].subgridspec(1, len(names))
        for index, name in enumerate(names):
            _histogram(figure.add_subplot(cells[index]), opened, name, _COLOURS[index % 6])
    first = None
    for index, name in enumerate(names or [None]):
        row = rows + bool(names) + index
        axes = figure.add_subplot(grid[row], sharex=first)
        _timeline(axes, opened, name, _COLOURS[index % 6])
        first = first or axes
    axes.set_xlabel("time [s]; red: no frames", fontsize=7, labelpad=1)
    figure.suptitle(_title(opened), fontsize=10)
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    try:
        replace_file(output, buffer.getvalue())
    except OSError as error:
        raise InputError(
            f"{output} cannot be written ({error.strerror}); give another file with --output."
        ) from error


def _open(bags: Sequence[Path], topic: str | None) -> list[_Bag]:
    opened: list[_Bag] = []
    end = 0
    for path in bags:
        info = survey(path)
        with BagReader(path, scan=info.recovered) as reader:
            try:
                camera = topic or camera_topic_of(reader)
            except InputError:
                if any("Image" in one.type for one in info.topics):
                    raise
                camera = None
            if topic:
                reader.require(topic)
            # Damaged frames keep their place by their log time.
            stamps = []
            for name, _, log_time, cdr in reader.raw_messages({camera} if camera else set()):
                try:
                    stamps.append(stamp_or_log_time(reader.decode(name, cdr), log_time))
                except InputError:
                    stamps.append(stamps[-1] if stamps else log_time)
        times = [np.array(stamps, np.int64), *(one.stamps for one in info.commands.values())]
        held = np.concatenate(times)
        start, stop = (int(held.min()), int(held.max())) if len(held) else (0, 0)
        opened.append(_Bag(info, camera, times[0], end - start, end * 1e-9))
        end += stop - start + 1_000_000_000
    return opened


def _height(bags: list[_Bag], shown: list[tuple[int, int]]) -> float:
    """Of a row of frames [inch], after the first one that is whole."""
    for number, index in shown:
        for _, frame in _frames(bags[number], {index}):
            if frame is not None:
                lines = -(-len(bags[number].commands.names) // 3) if bags[number].commands else 1
                return min(0.1 + 0.12 * lines + 2.5 * frame.shape[0] / frame.shape[1], 2.5)
    return 1.0


def _pick(bags: list[_Bag], count: int) -> list[tuple[int, int]]:
    """(bag, frame) of `count` frames, evenly spread."""
    every = [(number, index) for number, bag in enumerate(bags) for index in range(len(bag.stamps))]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int))
    return [every[place] for place in chosen]


def _sheet(figure: Figure, grid, rows: int, bags: list[_Bag], shown: list[tuple[int, int]]) -> None:
    place = 0
    for number, bag in enumerate(bags):
        wanted = {index for one, index in shown if one == number}
        labels = _labels(bag)
        for index, frame in _frames(bag, wanted):
            axes = figure.add_subplot(
                grid[place // _COLUMNS].subgridspec(1, _COLUMNS)[place % _COLUMNS]
            )
            axes.set_xticks([])
            axes.set_yticks([])
            if frame is None:
                axes.set_facecolor("0.85")
                axes.text(0.5, 0.5, "damaged", ha="center", va="center")
            else:
                axes.imshow(frame)
            time = float(bag.seconds(bag.stamps[index]))
            axes.set_title(f"{time:.1f} s  {labels[index]}", fontsize=6.5, pad=2)
            place += 1


def _frames(bag: _Bag, wanted: set[int]):
    """(index, uint8 RGB or None where it is damaged) of the wanted frames."""
    if not wanted:
        return
    with BagReader(bag.info.path, scan=bag.info.recovered) as reader:
        for index, (topic, _, _, cdr) in enumerate(reader.raw_messages({bag.topic})):
            if index in wanted:
                try:
                    yield index, decode_image(reader.decode(topic, cdr))
                except InputError:
                    yield index, None
                if index == max(wanted):
                    return


def _labels(bag: _Bag) -> list[str]:
    """The command that belongs to each frame, as text."""
    commands = bag.commands
    if commands is None or not len(bag.stamps):
        return [""] * len(bag.stamps)
    found = match(bag.stamps, commands.stamps)
    return ["no command" if k < 0 else _text(commands, commands.values[k]) for k in found]


def _text(commands: Commands, values: np.ndarray) -> str:
    """Numbers by name, three to a line, as long lines would run into the next frame."""
    parts = [f"{name} {value:+.3g}" for name, value in zip(commands.names, values, strict=True)]
    return "\n".join("  ".join(parts[k : k + 3]) for k in range(0, len(parts), 3))


def _histogram(axes: Axes, bags: list[_Bag], name: str, colour: str) -> None:
    values = np.concatenate([_column(bag, name)[1] for bag in bags])
    values = values[np.isfinite(values)]
    edges = histogram_edges(values, 41)
    axes.hist(values, edges, color=colour)
    if len(edges) == 2:
        # One value alone shall look like one bar, not like a wall.
        axes.set_xlim(edges[0] - 4, edges[1] + 4)
    axes.set_yscale("log" if len(values) > 1000 else "linear")
    axes.set_title(f"{name}: {len(values):,}", fontsize=8, pad=2)
    axes.tick_params(labelsize=7)


def _timeline(axes: Axes, bags: list[_Bag], name: str | None, colour: str) -> None:
    for number, bag in enumerate(bags):
        if name is not None:
            times, values = _column(bag, name)
            # A gap is a gap, not a line across it.
            apart = np.flatnonzero(np.diff(times) > MAX_GAP_S) + 1
            axes.plot(
                np.insert(times, apart, np.nan),
                np.insert(values, apart, np.nan),
                color=colour,
                linewidth=0.7,
            )
        seconds = bag.seconds(bag.stamps)
        for left, right in pairwise(seconds):
            if right - left > MAX_GAP_S:
                axes.axvspan(left, right, color="tab:red", alpha=0.2, linewidth=0)
        if number:
            axes.axvline(bag.start - 0.5, color="0.5", linewidth=0.8)
    axes.set_ylabel(name or "", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.margins(x=0.005)


def _column(bag: _Bag, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times on the common axis [s] and values of one output."""
    commands = bag.commands
    if commands is None or name not in commands.names:
        return np.zeros(0), np.zeros(0)
    order = np.argsort(commands.stamps, kind="stable")
    return (
        bag.seconds(commands.stamps[order]),
        commands.values[order, commands.names.index(name)],
    )


def _title(bags: list[_Bag]) -> str:
    frames = sum(len(bag.stamps) for bag in bags)
    labels = sorted({next(iter(bag.info.commands)) for bag in bags if bag.info.commands})
    name = bags[0].info.path.resolve().name
    more = f" and {len(bags) - 1} more" if len(bags) > 1 else ""
    source = f", commands on {', '.join(labels)}" if labels else ""
    return f"{name}{more}: {frames:,} frames{source}"
