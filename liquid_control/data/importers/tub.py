"""Reading a Donkeycar tub, version 2: manifest.json, catalogs of records, and images."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from liquid_control.data.importers.images import read_image
from liquid_control.errors import InputError

__all__ = ["Record", "Tub"]

_ANGLE, _THROTTLE, _MODE = "user/angle", "user/throttle", "user/mode"
# Of several columns of images, the one that Donkeycar's own pilots are trained on.
_IMAGES, _CAMERA = "image_array", "cam/image_array"
_UNKNOWN = (
    "the manifest's list of catalogs and of deleted records is damaged (a loss of power?): all "
    "records of all catalogs count"
)


@dataclass(frozen=True)
class Record:
    """One frame as a person drove it.

    Args:
        index: the record's number in the tub.
        session: Donkeycar's session name, "" if it has none.
        stamp_ms: wall clock [ms].
        angle: share of full lock, -1 to 1, right positive (Donkeycar's sign).
        throttle: -1 to 1.
        image: bytes of the image file.
        format: "jpeg" or "png".
    """

    index: int
    session: str
    stamp_ms: int
    angle: float
    throttle: float
    image: bytes
    format: str


@dataclass
class Tub:
    """A tub folder.

    Args:
        path: the folder.
        catalogs: catalog files that count, in order.
        current_index: records from here on do not count; None if nobody knows.
        deleted: indexes that the driver deleted.
        image_column: name of the records' image.
        notes: what a person should know of it, in sentences.
        skipped: how many records `records` left out, by reason; filled while it runs.

    Raises (from `open`):
        InputError: the folder is no tub of version 2.
    """

    path: Path
    catalogs: list[Path]
    current_index: int | None
    deleted: frozenset[int]
    image_column: str
    notes: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def open(cls, path: str | Path) -> Tub:
        path = Path(path)
        manifest = path / "manifest.json"
        if not manifest.is_file():
            raise InputError(
                f"{path} is no Donkeycar tub of version 2 (it has no manifest.json); give the "
                "folder that holds manifest.json, and convert older tubs with Donkeycar's "
                "scripts/convert_to_tub_v2.py."
            )
        lines = manifest.read_text("utf-8", errors="replace").splitlines()
        try:
            columns, types = map(json.loads, lines[:2])
            images = [name for name, kind in zip(columns, types, strict=True) if kind == _IMAGES]
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{manifest} is no manifest of a Donkeycar tub of version 2 ({error}); expected "
                "five lines of JSON, so copy the tub from the car again."
            ) from error
        if missing := [name for name in (_ANGLE, _THROTTLE) if name not in columns]:
            raise InputError(
                f"The tub {path} holds no {' and no '.join(missing)}; expected a recording of a "
                f"person driving, got the columns {', '.join(columns)}."
            )
        if not images:
            raise InputError(
                f"The tub {path} holds no camera image; expected a column of type {_IMAGES}, got "
                f"{', '.join(types)}."
            )
        try:
            facts = json.loads(lines[4])
            catalogs = [path / name for name in facts["paths"]]
            current_index = int(facts["current_index"])
            deleted = frozenset(map(int, facts["deleted_indexes"]))
            notes = []
        except (ValueError, KeyError, TypeError, IndexError):
            # Donkeycar writes this line anew with every record, so a car that loses its power
            # loses it, and nothing else.
            catalogs = sorted(path.glob("catalog_*.catalog"), key=_number)
            current_index, deleted = None, frozenset()
            notes = [_UNKNOWN]
        if missing := [file.name for file in catalogs if not file.is_file()]:
            raise InputError(
                f"The tub {path} lacks {', '.join(missing)}, which its manifest names; copy the "
                "tub from the car again."
            )
        image = _CAMERA if _CAMERA in images else images[0]
        return cls(path, catalogs, current_index, deleted, image, notes)

    @property
    def size(self) -> int | None:
        """Number of records the manifest counts, deleted ones left out; None if it does not."""
        if self.current_index is None:
            return None
        return self.current_index - sum(index < self.current_index for index in self.deleted)

    def records(self) -> Iterator[Record]:
        """Usable records in the order they were driven; the others are counted in `skipped`."""
        self.skipped.clear()
        for catalog in self.catalogs:
            with catalog.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if line.strip("\0 \n"):
                        record = self._record(line)
                        if isinstance(record, Record):
                            yield record
                        else:
                            self.skipped[record] += 1

    def _record(self, line: str) -> Record | str:
        """The record of a catalog line, or why it is left out."""
        try:
            fields = json.loads(line)
            index = int(fields["_index"])
            if index in self.deleted:
                return "deleted by the driver"
            if self.current_index is not None and index >= self.current_index:
                return "beyond the manifest's current index"
            stamp_ms = int(fields["_timestamp_ms"])
            angle, throttle = float(fields[_ANGLE]), float(fields[_THROTTLE])
            file = self.path / "images" / str(fields[self.image_column])
        except (ValueError, KeyError, TypeError):
            return "unreadable record"
        if not (math.isfinite(angle) and math.isfinite(throttle)):
            return "unreadable record"
        # While the autopilot steers, `user/angle` is not what moved the car.
        if fields.get(_MODE, "user") != "user":
            return "not driven by a person"
        try:
            image, format = read_image(file)
        except ValueError as reason:
            return str(reason)
        session = str(fields.get("_session_id", ""))
        return Record(index, session, stamp_ms, angle, throttle, image, format)


def _number(catalog: Path) -> tuple[int, str]:
    """Of catalog_10.catalog, 10."""
    digits = catalog.stem.rpartition("_")[2]
    return (int(digits) if digits.isdecimal() else 0, catalog.name)
