"""`liquid-control import`: other systems' recordings become bags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from liquid_control.data.importers.donkeycar import import_donkeycar
from liquid_control.data.importers.drone import import_drone
from liquid_control.data.importers.minari import import_minari
from liquid_control.data.importers.rosbag import import_rosbag
from liquid_control.data.importers.udacity import import_udacity
from liquid_control.data.importers.writing import ImportReport
from liquid_control.data.info_tables import histogram
from liquid_control.errors import InputError

__all__ = ["import_"]

Format = Literal["donkeycar", "udacity", "drone", "minari", "rosbag"]


def import_(
    format: Annotated[Format, tyro.conf.Positional],
    src: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")],
    dst: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DST")],
    overwrite: bool = False,
    rate: float | None = None,
    topics: Path | None = None,
    outputs: tuple[str, ...] = (),
) -> None:
    """Turn a recording into a bag that `train`, `replay` and `ros2 bag play` read.

    What is damaged is left out, counted and reported. Nothing is left at DST unless all went well.

    Args:
        format: what SRC is: `donkeycar`, a tub of version 2; `udacity`, driving_log.csv with its
            IMG folder; `drone`, folders of 000000.png, ... with data_out.csv; `minari`, a dataset
            on this disk; `rosbag`, any rosbag2 recording.
        src: folder of the recording.
        dst: folder of the bag to write.
        overwrite: replace the bag at DST if there is one.
        rate: frames per second of a recording that holds no times (drone, minari, udacity).
        topics: YAML file that says which topic is what (rosbag).
        outputs: names of the action's numbers (minari).
    """
    given = {"--rate": rate is not None, "--topics": topics is not None, "--outputs": bool(outputs)}
    takes = {
        "drone": ["--rate"],
        "udacity": ["--rate"],
        "minari": ["--rate", "--outputs"],
        "rosbag": ["--topics"],
    }
    if odd := [name for name, is_given in given.items() if is_given]:
        odd = [name for name in odd if name not in takes.get(format, [])]
    if odd:
        raise InputError(
            f"{' and '.join(odd)} has no place in an import of {format}; leave it out."
        )
    if format == "donkeycar":
        report = import_donkeycar(src, dst, overwrite)
    elif format == "udacity":
        report = import_udacity(src, dst, overwrite, rate)
    elif format == "drone":
        report = import_drone(src, dst, overwrite, rate)
    elif format == "minari":
        report = import_minari(src, dst, overwrite, rate, outputs)
    elif topics is None:
        raise InputError(
            "An import of a rosbag needs --topics, a YAML file such as `camera: /image_raw` and "
            "`command: /cmd_vel` on two lines; `liquid-control data info` shows a bag's topics."
        )
    else:
        report = import_rosbag(src, dst, topics, overwrite)
    show(report, dst)


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
    for note in report.notes:
        table.add_row("note", note)
    console.print(table)
    for name, values in zip(report.names, report.commands.T, strict=True):
        console.print(histogram(name, values))
