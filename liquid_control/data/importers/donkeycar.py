"""A Donkeycar tub (version 2) becomes a bag of camera frames and the driver's commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from liquid_control.data.importers.tub import Tub
from liquid_control.data.importers.writing import ImportReport, Sample, import_samples

__all__ = ["import_donkeycar"]

_MILLISECOND = 1_000_000


def import_donkeycar(
    src: str | Path, dst: str | Path, overwrite: bool = False, progress: bool = True
) -> ImportReport:
    """Write the tub `src` as the bag `dst`.

    The bag holds the image files' bytes as they are, and steering in [-1, 1] with left positive
    (Donkeycar's own sign is the other one) and throttle. Deleted records, records behind the
    manifest's current index, records of the autopilot, unreadable records and damaged images are
    left out and counted. Stamps are the tub's.

    Raises:
        InputError: `src` is no tub or holds no usable record; `dst` exists and `overwrite` is not
            set, or is not a bag.
    """
    tub = Tub.open(src)
    report = ImportReport(tub.path, Path(dst), ("steering", "throttle"), notes=tub.notes)
    facts = {"format": "donkeycar", "steering": "share of full lock, left positive"}
    return import_samples(report, _samples(tub), tub.skipped, overwrite, tub.size, progress, facts)


def _samples(tub: Tub) -> Iterator[Sample]:
    for record in tub.records():
        yield Sample(
            stamp_ns=record.stamp_ms * _MILLISECOND,
            session=record.session,
            command=(0.0 - record.angle, record.throttle),
            image=record.image,
            format=record.format,
        )
