"""What all importers share: samples become one bag, in one step, with a report of what was found.

The bag holds `/camera/image_raw/compressed`, `/expert/command` (named vector, the label) with the
same stamps, `/recording/session` where a session begins, and whatever else a sample brings.
"""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.data.drive import MAX_GAP_S, SESSION_TOPIC
from liquid_control.data.qos import LATCHED
from liquid_control.data.source import storage_files
from liquid_control.errors import InputError

__all__ = ["Clock", "ImportReport", "Sample", "import_samples"]

SECOND = 1_000_000_000
# A step back of less is jitter of the wall clock, of more a clock that was set.
_JITTER_NS = SECOND
# How far a session is moved behind the one before where its clock had been set back.
_PAUSE_NS = SECOND
_STEP_NS = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One moment of a recording.

    Args:
        stamp_ns: when [ns].
        session: a new name begins a new session.
        command: one number per output.
        image: bytes of the camera's PNG or JPEG file; empty without a camera.
        format: "png" or "jpeg".
        more: (topic, constructor of the message from its stamp) of whatever else was recorded.
    """

    stamp_ns: int
    session: str
    command: Sequence[float]
    image: bytes = b""
    format: str = ""
    more: tuple[tuple[str, Any], ...] = ()


@dataclass
class ImportReport:
    """What an import found.

    Args:
        source: the recording.
        destination: the bag.
        names: of the command's outputs.
        stamps: int64 (N,), stamps of the samples in the bag [ns].
        sessions: int64 (N,), session of each sample.
        commands: float64 (N, outputs).
        skipped: how many records or parts of them were left out, by reason.
        clock_jitter: samples whose stamp did not advance: moved to 1 ms after the one before.
        clock_jumps: places where the clock went back: all later samples were moved behind.
        notes: what else a person should know, in sentences.
    """

    source: Path
    destination: Path
    names: tuple[str, ...]
    stamps: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    sessions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    commands: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    skipped: dict[str, int] = field(default_factory=dict)
    clock_jitter: int = 0
    clock_jumps: int = 0
    notes: list[str] = field(default_factory=list)

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
        """Median rate within runs [Hz]; 0 for a single sample."""
        steps = np.diff(self.stamps)
        steps = steps[~self._breaks()] if not self._breaks().all() else steps
        return 1e9 / float(np.median(steps)) if len(steps) else 0.0

    def _breaks(self) -> np.ndarray:
        return (np.diff(self.stamps) > MAX_GAP_S * 1e9) | (np.diff(self.sessions) != 0)


class Clock:
    """Stamps for recordings that hold no times: `rate` [Hz] within a session, 1 s between two.

    A sample that is left out leaves its time empty.
    """

    def __init__(self, rate: float) -> None:
        if not 0 < rate < math.inf:
            raise InputError(f"--rate is the number of frames per second, above 0, got {rate}.")
        self._period = SECOND / rate
        # Zero means "no time yet" in ROS 2.
        self._start, self._last = SECOND, SECOND

    def stamp(self, index: int) -> int:
        """Of the sample `index` of the session [ns]."""
        self._last = self._start + round(index * self._period)
        return self._last

    def next_session(self) -> None:
        self._start = self._last + SECOND


def import_samples(
    report: ImportReport,
    samples: Iterable[Sample],
    skipped: Counter[str],
    overwrite: bool,
    total: int | None = None,
    progress: bool = True,
    facts: dict[str, str] | None = None,
) -> ImportReport:
    """Write `samples` as the bag `report.destination` and complete the report.

    The bag appears under its name only when it is whole. Samples keep their order; stamps are made
    strictly increasing (see `ImportReport`).

    Args:
        report: with source, destination, names and notes.
        samples: of the source, usable ones alone.
        skipped: filled while `samples` is read.
        overwrite: replace a bag that is there.
        total: number of samples, for the progress bar.
        progress: show a progress bar on a terminal.
        facts: about the recording, kept in the bag.

    Raises:
        InputError: no usable sample; the destination exists and `overwrite` is not set, or it is
            no bag or holds the source; the disk is full.
    """
    shown = report.destination
    # resolve: "bags/x/" and "." must have a name.
    destination = report.destination = shown.resolve()
    _check_destination(destination, shown, overwrite, report.source)
    unfinished = destination.with_name(f".{destination.name}.importing")
    shutil.rmtree(unfinished, ignore_errors=True)
    bar = tqdm(
        samples,
        total=total,
        desc=f"importing {report.source.name}",
        unit="frame",
        disable=None if progress else True,
    )
    facts = {"source": report.source.name, **(facts or {})}
    try:
        # The images are compressed already.
        with BagWriter(unfinished, "", name=destination.name, facts=facts) as bag:
            _write(bag, _stamped(bar, report), report)
            report.skipped = {reason: count for reason, count in skipped.items() if count}
            bag.facts["skipped"] = ", ".join(f"{n} {why}" for why, n in report.skipped.items())
        if not report.frames:
            raise InputError(
                f"{report.source} holds no usable frame ({bag.facts['skipped'] or 'it is empty'}); "
                "check that it was copied whole."
            )
        _replace(unfinished, destination)
    finally:
        # Also when interrupted: nothing half-written stays.
        shutil.rmtree(unfinished, ignore_errors=True)
    return report


def _write(
    bag: BagWriter, samples: Iterable[tuple[Sample, int, bool]], report: ImportReport
) -> None:
    stamps, sessions, commands = [], [], []
    session, name = 0, None
    for sample, stamp_ns, jumped in samples:
        if sample.session != name or jumped:
            session, name = session + 1, sample.session
            bag.write(SESSION_TOPIC, messages.string(name), stamp_ns, LATCHED)
        if sample.image:
            image = messages.compressed_image(sample.image, stamp_ns, format=sample.format)
            bag.write("/camera/image_raw/compressed", image, stamp_ns)
        command = messages.named_vector(report.names, sample.command, stamp_ns)
        bag.write("/expert/command", command, stamp_ns)
        for topic, message in sample.more:
            bag.write(topic, message(stamp_ns), stamp_ns)
        stamps.append(stamp_ns)
        sessions.append(session)
        commands.append(sample.command)
    report.stamps = np.array(stamps, np.int64)
    report.sessions = np.array(sessions, np.int64)
    report.commands = np.array(commands, float).reshape(-1, len(report.names))


def _stamped(samples: Iterable[Sample], report: ImportReport) -> Iterator[tuple[Sample, int, bool]]:
    """Samples with strictly increasing stamps [ns], and whether the clock was set back there."""
    offset = 0
    last = None
    for sample in samples:
        stamp = sample.stamp_ns + offset
        jumped = last is not None and stamp <= last - _JITTER_NS
        if jumped:
            offset += last + _PAUSE_NS - stamp
            stamp = last + _PAUSE_NS
            report.clock_jumps += 1
        elif last is not None and stamp <= last:
            stamp = last + _STEP_NS
            report.clock_jitter += 1
        last = stamp
        yield sample, stamp, jumped


def _check_destination(destination: Path, shown: Path, overwrite: bool, source: Path) -> None:
    if not destination.exists():
        return
    if source.resolve().is_relative_to(destination):
        raise InputError(
            f"{shown} holds the recording {source} itself, which is never overwritten; give "
            "another destination."
        )
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
