"""Drone runs as Chahine et al. (Science Robotics 2023) keep them become a bag.

A run is a folder of images 000000.png, 000001.png, ... and data_out.csv, whose row k belongs to
image k: vx, vy, vz [m/s] and the yaw rate omega_z [rad/s] in the body's frame (their
preprocess/process_data.py turns the log's world frame into it). Neither images nor rows hold a
time, and images are taken as they are, in the colours that they were saved with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from liquid_control.data.importers.images import read_image
from liquid_control.data.importers.tables import number, read_rows
from liquid_control.data.importers.writing import Clock, ImportReport, Sample, import_samples
from liquid_control.errors import InputError

__all__ = ["import_drone"]

TABLE = "data_out.csv"
OUTPUTS = ("vx", "vy", "vz", "yaw_rate")
_YAW_RATES = ("omega_z", "yaw_rate", "ang_vel_z")
_TIMES = ("time", "timestamp", "t")


def import_drone(
    src: str | Path,
    dst: str | Path,
    overwrite: bool = False,
    rate: float | None = None,
    progress: bool = True,
) -> ImportReport:
    """Write the run `src`, or all runs below it, as the bag `dst`; each run is a session.

    Args:
        src: folder of one run, or of folders of runs.
        dst: the bag.
        overwrite: replace a bag that is there.
        rate: frames per second; needed unless the tables have a column `time` or `timestamp` [s].
        progress: show a progress bar on a terminal.

    Raises:
        InputError: there is no run, a table lacks a column, there is no time and no rate, or see
            `import_samples`.
    """
    src = Path(src)
    tables = sorted(src.rglob(TABLE), key=lambda table: table.parent.as_posix())
    if not tables:
        raise InputError(
            f"There is no run at or below {src}: expected folders with {TABLE} and images "
            "000000.png, 000001.png, ...; check the path."
        )
    runs = [(table.parent, *_read(table)) for table in tables]
    timed = [time for _, _, _, time in runs]
    clock = None
    if not all(timed):
        if rate is None:
            raise InputError(
                f"The runs of {src} hold no times: give the frames per second with --rate, as it "
                "was when they were recorded."
            )
        clock = Clock(rate)
    elif rate is not None:
        raise InputError("--rate has no place here: the tables hold times.")
    notes = [f"times are made up at {rate:g} Hz, as the runs hold none"] if clock else []
    report = ImportReport(src, Path(dst), OUTPUTS, notes=notes)
    skipped: Counter[str] = Counter()
    total = sum(len(rows) for _, rows, _, _ in runs)
    return import_samples(
        report,
        _samples(src, runs, clock, skipped),
        skipped,
        overwrite,
        total,
        progress,
        {"format": "drone", "command": "body frame, x forward, y left, z up [m/s, rad/s]"},
    )


Run = tuple[Path, list[dict[str, str]], str, str]


def _read(table: Path) -> tuple[list[dict[str, str]], str, str]:
    """Rows of a run, the name of its yaw rate and of its time ("" without one)."""
    header, *rows = read_rows(table) or [[]]
    # A table that pandas wrote may begin with a nameless column of row numbers.
    yaw_rate = next((name for name in _YAW_RATES if name in header), "")
    if missing := [name for name in (*OUTPUTS[:3], yaw_rate or "omega_z") if name not in header]:
        raise InputError(
            f"{table} lacks the column {', '.join(missing)}; expected vx, vy, vz and omega_z, got "
            f"{', '.join(header) or 'an empty file'}."
        )
    time = next((name for name in _TIMES if name in header), "")
    return [dict(zip(header, row, strict=False)) for row in rows], yaw_rate, time


def _samples(
    src: Path, runs: list[Run], clock: Clock | None, skipped: Counter[str]
) -> Iterator[Sample]:
    for folder, rows, yaw_rate, time in runs:
        session = folder.relative_to(src).as_posix()
        images = {path.name for path in folder.glob("*.png")}
        for index, row in enumerate(rows):
            name = f"{index:06d}.png"
            images.discard(name)
            try:
                command = [number(row, column) for column in (*OUTPUTS[:3], yaw_rate)]
                stamp = clock.stamp(index) if clock else round(number(row, time) * 1e9)
                image, format = read_image(folder / name)
            except ValueError as reason:
                skipped[str(reason)] += 1
                continue
            yield Sample(stamp, session, command, image, format)
        if images:
            skipped["image without a row in the table"] += len(images)
        if clock:
            clock.next_session()
