"""A recording of Udacity's driving simulator becomes a bag: driving_log.csv and its IMG folder.

The log's columns are center, left, right, steering, throttle, brake, speed, with or without a
header. `steering` is a share of 25 degrees at the front wheels and positive to the right, `speed`
is in miles per hour, and the time stands in the images' names
(center_2016_12_01_13_30_48_287.jpg).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from liquid_control.data import messages
from liquid_control.data.importers.images import read_image
from liquid_control.data.importers.tables import number, read_rows
from liquid_control.data.importers.writing import Clock, ImportReport, Sample, import_samples
from liquid_control.errors import InputError

__all__ = ["import_udacity"]

COLUMNS = ("center", "left", "right", "steering", "throttle", "brake", "speed")
_LOG = "driving_log.csv"
_TIME = re.compile(r"(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d{1,3})\.\w+$")
_METRES_PER_SECOND = 0.44704  # 1 mph
_SIDES = {"left": "/camera/left", "right": "/camera/right"}


def import_udacity(
    src: str | Path,
    dst: str | Path,
    overwrite: bool = False,
    rate: float | None = None,
    progress: bool = True,
) -> ImportReport:
    """Write the recording `src` as the bag `dst`.

    The label holds steering in [-1, 1] as a share of 25 degrees with left positive, throttle and
    brake; the speed is on `/vehicle/twist` [m/s], the side cameras on
    `/camera/left/image_raw/compressed` and `/camera/right/...`. Damaged or missing centre images
    and unreadable rows are left out and counted, and so are damaged side images.

    Args:
        src: folder with driving_log.csv, or the log itself.
        dst: the bag.
        overwrite: replace a bag that is there.
        rate: frames per second, for images whose names hold no time.
        progress: show a progress bar on a terminal.

    Raises:
        InputError: `src` is no such recording or holds no usable row, the images' names hold no
            time and no rate is given, or see `import_samples`.
    """
    log = Path(src)
    log = log / _LOG if log.is_dir() else log
    rows = _rows(log)
    names = [_file_name(row.get("center", "")) for row in rows]
    clock = None
    notes = ["times are those in the images' names, read as UTC"]
    if not any(map(_stamp, names)):
        if rate is None:
            raise InputError(
                f"The images of {log} are not named after the time when they were taken (the first "
                f"is {names[0]!r}); give the frames per second with --rate."
            )
        clock = Clock(rate)
        notes = [f"times are made up at {rate:g} Hz, as the images' names hold none"]
    elif rate is not None:
        raise InputError("--rate has no place here: the images' names hold their times.")
    report = ImportReport(log.parent, Path(dst), ("steering", "throttle", "brake"), notes=notes)
    facts = {"format": "udacity", "steering": "share of 25 degrees, left positive"}
    skipped: Counter[str] = Counter()
    samples = _samples(log.parent, rows, names, clock, skipped)
    return import_samples(report, samples, skipped, overwrite, len(rows), progress, facts)


def _rows(log: Path) -> list[dict[str, str]]:
    rows = read_rows(log)
    header = COLUMNS
    if rows and {"center", "steering"} <= {cell.lower() for cell in rows[0]}:
        header = tuple(cell.lower() for cell in rows.pop(0))
    elif rows and len(rows[0]) < 4:
        raise InputError(
            f"{log} is no driving log: expected the columns {', '.join(COLUMNS)}, got "
            f"{', '.join(rows[0])}; give the folder that the simulator wrote."
        )
    if not rows:
        raise InputError(f"{log} holds no row; record again.")
    # A row that was cut off lacks columns, which `number` tells.
    return [dict(zip(header, row, strict=False)) for row in rows]


def _samples(
    folder: Path,
    rows: list[dict[str, str]],
    names: list[str],
    clock: Clock | None,
    skipped: Counter[str],
) -> Iterator[Sample]:
    for index, (row, name) in enumerate(zip(rows, names, strict=True)):
        stamp = clock.stamp(index) if clock else _stamp(name)
        try:
            steering = number(row, "steering")
            throttle = number(row, "throttle") if row.get("throttle") else 0.0
            brake = number(row, "brake") if row.get("brake") else 0.0
            if abs(steering) > 1:
                raise ValueError("steering outside of [-1, 1]")
            if not stamp:
                raise ValueError("image without a time in its name")
            image, format = read_image(_locate(folder, row["center"], name))
        except ValueError as reason:
            skipped[str(reason)] += 1
            continue
        more = []
        for side, topic in _SIDES.items():
            if path := row.get(side):
                try:
                    picture, kind = read_image(_locate(folder, path, _file_name(path)))
                except ValueError as reason:
                    skipped[f"{side} {reason}"] += 1
                    continue
                message = partial(messages.compressed_image, picture, format=kind)
                more.append((f"{topic}/image_raw/compressed", message))
        if row.get("speed"):
            try:
                speed = number(row, "speed") * _METRES_PER_SECOND
                more.append(("/vehicle/twist", partial(messages.twist_stamped, speed, 0.0)))
            except ValueError:
                skipped["unreadable speed"] += 1
        command = (0.0 - steering, throttle, brake)
        yield Sample(stamp, "", command, image, format, tuple(more))


def _file_name(path: str) -> str:
    """Of a path that was written on any system."""
    return re.split(r"[/\\]", path)[-1]


def _locate(folder: Path, path: str, name: str) -> Path:
    """Where an image lies now: the log holds the path of the machine that recorded it."""
    for candidate in (folder / "IMG" / name, folder / path):
        if name and candidate.is_file():
            return candidate
    return folder / (name or "unnamed")


def _stamp(name: str) -> int:
    """The time in an image's name as UTC [ns]; 0 where there is none."""
    if not (match := _TIME.search(name)):
        return 0
    *parts, milliseconds = map(int, match.groups())
    try:
        seconds = int(datetime(*parts, tzinfo=UTC).timestamp())
    except ValueError:
        return 0
    return (seconds * 1000 + milliseconds) * 1_000_000
