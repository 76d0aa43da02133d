"""`liquid-control import`: other systems' recordings become bags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from liquid_control.data.importers.donkeycar import ImportReport, import_donkeycar

__all__ = ["import_"]


def import_(
    format: Annotated[Literal["donkeycar"], tyro.conf.Positional],
    src: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")],
    dst: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DST")],
    overwrite: bool = False,
) -> None:
    """Turn a recording into a bag that `train`, `replay` and `ros2 bag play` read.

    Args:
        format: what SRC is: `donkeycar`, a Donkeycar tub of version 2.
        src: folder of the recording.
        dst: folder of the bag to write.
        overwrite: replace the bag at DST if there is one.
    """
    show(import_donkeycar(src, dst, overwrite), dst)


def show(report: ImportReport, shown: Path, console: Console | None = None) -> None:
    """Print what an import found."""
    console = console or Console()
    table = Table(title=f"{report.source} -> {shown}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("frames", f"{report.frames:,}")
    for reason, count in sorted(report.skipped.items()):
        table.add_row("left out", f"{count:,} {reason}")
    table.add_row("driven", f"{report.driven_s:,.0f} s at {report.rate_hz:.1f} Hz (median)")
    table.add_row("sessions", f"{report.sessions[-1]:,}")
    gaps = report.gaps
    longest = f", {np.median(gaps):.1f} s median, {gaps.max():.1f} s longest" if len(gaps) else ""
    table.add_row("gaps over 0.2 s", f"{len(gaps):,}{longest}")
    if report.clock_jitter:
        table.add_row("clock", f"{report.clock_jitter:,} stamps moved to 1 ms after the last")
    if report.clock_jumps:
        table.add_row("clock", f"went back {report.clock_jumps} times: later frames moved behind")
    table.add_row("throttle", f"{report.throttle.min():+.2f} to {report.throttle.max():+.2f}")
    console.print(table)
    console.print(_histogram(report.steering))


def _histogram(steering: np.ndarray, bins: int = 11, width: int = 40) -> Table:
    edges = np.linspace(-1, 1, bins + 1)
    counts, _ = np.histogram(steering.clip(-1, 1), edges)
    table = Table(title="steering (left positive)", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(width=width)
    for low, high, count in reversed(list(zip(edges, edges[1:], counts, strict=False))):
        bar = "#" * round(width * count / max(counts.max(), 1))
        table.add_row(f"{low:+.2f} to {high:+.2f}", f"{count:,}", bar)
    return table
