"""The table of an evaluation's episodes, `episodes.csv`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.rollout import Episode

__all__ = ["TABLE", "read_episodes", "write_episodes"]

TABLE = "episodes.csv"
_CONVERT = {
    "int": int,
    "float": float,
    "bool": lambda text: text == "True",
    "float | None": lambda text: float(text) if text not in ("", "None") else None,
}


def read_episodes(folder: Path) -> list[Episode]:
    """The finished episodes in the order of the table; a last row cut by a kill is left out.

    Args:
        folder: with `episodes.csv`.

    Raises:
        InputError: there is no such table, or it holds something else.
    """
    table = folder / TABLE
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
        return [
            Episode(**{each.name: _CONVERT[each.type](row[each.name]) for each in fields(Episode)})
            for row in rows
        ]
    except OSError as error:
        raise InputError(
            f"No table {table} ({error.strerror}); give the folder that `liquid-control evaluate` "
            "wrote."
        ) from error
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{table} is no table of episodes: {error!r}; expected what `liquid-control evaluate` "
            "writes."
        ) from error


def write_episodes(folder: Path, episodes: Sequence[Episode]) -> None:
    """Replace the table by these episodes."""
    lines = [",".join(field.name for field in fields(Episode))]
    lines += [",".join(str(value) for value in asdict(episode).values()) for episode in episodes]
    replace_file(folder / TABLE, "\n".join(lines) + "\n")
