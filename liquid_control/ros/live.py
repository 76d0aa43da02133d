"""The run on the screen: a panel on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from liquid_control.ros.monitor import Monitor

__all__ = ["View"]

_REDRAW, _LINE = 0.2, 5.0  # [s]
_BLOCKS = " ▁▂▃▄▅▆▇█"
_ROAD_HALF_WIDTH, _ROAD_COLUMNS = 4.0, 33  # [m], [characters]


class View:
    """Shows a run until it is closed.

    Args:
        title: above everything.
        seconds: planned length [s]; None where it is not known.
    """

    def __init__(self, title: str, seconds: float | None) -> None:
        self._title, self._seconds = title, seconds
        self._console = Console()
        self._live: Live | None = None
        self._shown_at = time.monotonic()

    def __enter__(self) -> View:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True).__enter__()
            self._live.update(Panel("starting the nodes", title=self._title), refresh=True)
        else:
            print(f"{self._title}: starting the nodes", flush=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, traceback)

    def update(self, monitor: Monitor) -> None:
        """Draw again if it is time to."""
        now = time.monotonic()
        if not monitor.frames or now - self._shown_at < (_REDRAW if self._live else _LINE):
            return
        self._shown_at = now
        if self._live is None:
            print(_line(monitor), flush=True)
        else:
            self._live.update(Panel(self._panel(monitor), title=self._title), refresh=True)

    def _panel(self, monitor: Monitor) -> Group:
        middle, late = monitor.latency
        table = Table.grid(padding=(0, 2))
        rows = [
            ("time", f"{monitor.seconds:6.1f} s"),
            ("command", _command(monitor)),
            ("latency", f"{middle:.1f} ms median, {late:.1f} ms p99"),
            ("frames", f"{monitor.rate:.1f} a second, {monitor.dropped} dropped"),
        ]
        if monitor.state:
            rows.insert(1, ("speed", f"{monitor.state['speed']:6.2f} m/s"))
            rows.insert(2, _place(monitor.state))
            rows.append(("episodes", _episodes(monitor)))
        if monitor.driver:
            rows.insert(1, ("driver", monitor.driver))
        if monitor.neurons:
            rows.append(("neurons", _bars(list(monitor.neurons.values()))))
        for name, text in rows:
            table.add_row(Text(name, style="bold"), text)
        parts = [table]
        if self._seconds:
            bar = ProgressBar(total=self._seconds, completed=min(monitor.seconds, self._seconds))
            parts.append(bar)
        return Group(*parts)


def _command(monitor: Monitor) -> str:
    names = list(monitor.decision)
    outputs = names[names.index("reset") + 1 :]
    text = "  ".join(f"{name} {monitor.decision[name]:+.3f}" for name in outputs)
    human = "  ".join(f"{name} {value:+.3f}" for name, value in monitor.expert.items())
    return f"{text}   recorded: {human}" if human else text


def _line(monitor: Monitor) -> str:
    middle, late = monitor.latency
    parts = [f"{monitor.seconds:6.1f} s", f"{monitor.rate:5.1f} frames/s", _command(monitor)]
    if monitor.state:
        parts.append(f"speed {monitor.state['speed']:.1f} m/s")
        if "lateral_error" in monitor.state:
            parts.append(f"lateral error {monitor.state['lateral_error']:+.2f} m")
        else:
            parts.append(" ".join(_place(monitor.state)))
        parts.append(_episodes(monitor))
    if monitor.driver in ("person", "emergency stop"):
        parts.append(f"driver: {monitor.driver}")
    parts += [f"latency {middle:.1f} ms (p99 {late:.1f})", f"dropped {monitor.dropped}"]
    return "  ".join(parts)


def _place(state: Mapping[str, float]) -> tuple[str, str]:
    """Where the vehicle is: in its lane, or before its target."""
    if "lateral_error" in state:
        return "lane", _lane(state["lateral_error"])
    bearing = math.degrees(state["target_bearing"])
    return "target", f"{state['target_distance']:.1f} m away, {bearing:+.0f} degrees to the left"


def _episodes(monitor: Monitor) -> str:
    return f"crashes {monitor.crashes}, successes {monitor.successes}"


def _lane(lateral_error: float) -> str:
    """The car in its lane, seen from behind: left of the middle is left on the screen."""
    middle = _ROAD_COLUMNS // 2
    shift = round(-lateral_error / _ROAD_HALF_WIDTH * middle)
    place = min(max(middle + shift, 0), _ROAD_COLUMNS - 1)
    cells = ["·"] * _ROAD_COLUMNS
    cells[middle] = "┊"
    cells[place] = "█"
    return f"{''.join(cells)} {lateral_error:+.2f} m"


def _bars(values: list[float]) -> str:
    """One block a neuron; -1 and less is empty, 1 and more is full."""
    top = len(_BLOCKS) - 1
    levels = [round((min(max(value, -1.0), 1.0) + 1.0) / 2.0 * top) for value in values]
    return "".join(_BLOCKS[level] for level in levels)
