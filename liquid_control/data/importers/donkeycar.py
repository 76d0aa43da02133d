"""A Donkeycar tub (version 2) becomes a bag of camera frames and the driver's commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.data.drive import MAX_GAP_S, SESSION_TOPIC
from liquid_control.data.importers.tub import Record, Tub
from liquid_control.data.qos import LATCHED
from liquid_control.data.source import storage_files
from liquid_control.errors import InputError

__all__ = ["ImportReport", "import_donkeycar"]

_MILLISECOND = 1_000_000
# A step back of less is jitter of the wall clock, of more a clock that was set.
_JITTER_MS = 1000
# How far a session is moved behind the one before where its clock had been set back.
_SESSION_PAUSE_MS = 1000


@dataclass
class ImportReport:
    """What an import found.

    Args:
        source: the tub.
        destination: the bag.
        stamps: int64 (N,), stamps of the frames in the bag [ns].
        sessions: int64 (N,), session of each frame.
        steering: float64 (N,), share of full lock, left positive.
        throttle: float64 (N,), -1 to 1.
        skipped: how many records were left out, by reason.
        clock_jitter: frames whose stamp did not advance: moved to 1 ms after the one before.
        clock_jumps: places where the clock went back: all later frames were moved behind.
    """

    source: Path
    destination: Path
    stamps: np.ndarray
    sessions: np.ndarray
    steering: np.ndarray
    throttle: np.ndarray
    skipped: dict[str, int] = field(default_factory=dict)
    clock_jitter: int = 0
    clock_jumps: int = 0

    @property
    def frames(self) -> int:
        return len(self.stamps)

    @property
    def gaps(self) -> np.ndarray:
        """float64 (gaps,): lengths of the gaps of more than 0.2 s or between sessions [s]."""
        return np.diff(self.stamps)[self._breaks()] * 1e-9

    @property
    def driven_s(self) -> float:
        """Time driven without the gaps [s]."""
        return float(np.diff(self.stamps)[~self._breaks()].sum()) * 1e-9

    @property
    def rate_hz(self) -> float:
        """Median frame rate within runs [Hz]; 0 for a single frame."""
        steps = np.diff(self.stamps)[~self._breaks()]
        return 1e9 / float(np.median(steps)) if len(steps) else 0.0

    def _breaks(self) -> np.ndarray:
        return (np.diff(self.stamps) > MAX_GAP_S * 1e9) | (np.diff(self.sessions) != 0)


def import_donkeycar(
    src: str | Path, dst: str | Path, overwrite: bool = False, progress: bool = True
) -> ImportReport:
    """Write the tub `src` as the bag `dst`.

    The bag holds `/camera/image_raw/compressed` (the image files' bytes as they are),
    `/expert/command` (named vector: steering in [-1, 1] with left positive, throttle) with the same
    stamps, and `/recording/session` where a session begins. Deleted records, records behind the
    manifest's current index, records of the autopilot, unreadable records and damaged images are
    left out and counted. Records keep their order; stamps are the tub's, made strictly increasing
    (see `ImportReport`).

    The bag appears under its name only when it is whole.

    Raises:
        InputError: `src` is no tub or holds no usable record; `dst` exists and `overwrite` is not
            set, or is not a bag.
    """
    tub = Tub.open(src)
    # resolve: "bags/x/" and "." must have a name.
    destination = Path(dst).resolve()
    _check_destination(destination, Path(dst), overwrite)
    unfinished = destination.with_name(f".{destination.name}.importing")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        report = _write(tub, unfinished, destination, progress)
        if not report.frames:
            reasons = ", ".join(f"{n} {reason}" for reason, n in report.skipped.items())
            raise InputError(
                f"The tub {src} holds no usable frame ({reasons or 'its catalogs are empty'}); "
                "check that the images were copied too."
            )
        _replace(unfinished, destination)
    finally:
        # Also when interrupted: nothing half-written stays.
        shutil.rmtree(unfinished, ignore_errors=True)
    return report


def _write(tub: Tub, folder: Path, destination: Path, progress: bool) -> ImportReport:
    rows: list[tuple[int, int, float, float]] = []
    report = ImportReport(tub.path, destination, *np.zeros((4, 0)))
    session, name = 0, None
    bar = tqdm(
        tub.records(),
        total=tub.size,
        desc=f"importing {tub.path.name}",
        unit="frame",
        disable=None if progress else True,
    )
    # The images are compressed already.
    with BagWriter(folder, compression="", name=destination.name) as bag:
        for record, stamp_ns, jumped in _stamped(bar, report):
            if record.session != name or jumped:
                session, name = session + 1, record.session
                bag.write(SESSION_TOPIC, messages.string(name), stamp_ns, LATCHED)
            steering = 0.0 - record.angle
            bag.write(
                "/camera/image_raw/compressed",
                messages.compressed_image(record.image, stamp_ns, format=record.format),
                stamp_ns,
            )
            bag.write(
                "/expert/command",
                messages.named_vector(
                    ["steering", "throttle"], [steering, record.throttle], stamp_ns
                ),
                stamp_ns,
            )
            rows.append((stamp_ns, session, steering, record.throttle))
    if rows:
        stamps, sessions, steering, throttle = zip(*rows, strict=True)
        report.stamps = np.array(stamps, np.int64)
        report.sessions = np.array(sessions, np.int64)
        report.steering, report.throttle = np.array(steering), np.array(throttle)
    report.skipped = dict(tub.skipped)
    return report


def _stamped(records: Iterable[Record], report: ImportReport) -> Iterator[tuple[Record, int, bool]]:
    """Records with strictly increasing stamps [ns], and whether the clock was set back there."""
    offset = 0
    last = None
    for record in records:
        stamp = record.stamp_ms + offset
        jumped = last is not None and stamp <= last - _JITTER_MS
        if jumped:
            offset += last + _SESSION_PAUSE_MS - stamp
            stamp = last + _SESSION_PAUSE_MS
            report.clock_jumps += 1
        elif last is not None and stamp <= last:
            stamp = last + 1
            report.clock_jitter += 1
        last = stamp
        yield record, stamp * _MILLISECOND, jumped


def _check_destination(destination: Path, shown: Path, overwrite: bool) -> None:
    if not destination.exists():
        return
    if not overwrite:
        raise InputError(
            f"{shown} exists already; give another destination, or --overwrite to replace the bag."
        )
    # Whoever mistypes a path must not lose a folder that is no bag.
    if not destination.is_dir() or not storage_files(destination):
        raise InputError(
            f"{shown} exists and is no bag, so it is not overwritten; give another destination."
        )


def _replace(new: Path, destination: Path) -> None:
    replaced = destination.with_name(f".{destination.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if destination.exists():
        os.replace(destination, replaced)
    os.replace(new, destination)
    shutil.rmtree(replaced, ignore_errors=True)
