"""CSV files as other systems wrote them."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from liquid_control.errors import InputError

__all__ = ["number", "read_rows"]


def read_rows(path: Path) -> list[list[str]]:
    """Rows of stripped cells, empty lines left out; a byte order mark is no part of a name.

    Raises:
        InputError: the file cannot be read, or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the folder of the recording."
        ) from error
    # A NUL comes from a disk that was full or unplugged; csv refuses it.
    rows = csv.reader(text.replace("\0", "").splitlines(), skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]


def number(cells: dict[str, str], name: str) -> float:
    """A finite number of a row.

    Raises:
        ValueError: it lacks or is none; the text says so, as a reason to count.
    """
    try:
        value = float(cells[name])
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("unreadable record")
    return value
