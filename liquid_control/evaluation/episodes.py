"""The table of an evaluation's episodes, `episodes.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.rollout import Episode

__all__ = ["COLUMNS", "TABLE", "Row", "columns_of", "read_episodes", "read_rows", "write_rows"]

TABLE = "episodes.csv"
_CONVERT = {
    "int": int,
    "float": float,
    "bool": lambda text: text == "True",
    "str": str,
}


@dataclass(frozen=True)
class Row:
    """An episode and what it belongs to.

    Attributes:
        model: name of who drove; "" in tables from before there were several.
        world: its Gymnasium name; "" likewise.
        condition: name of the perturbation, "clean" for none.
        level: how much of it.
        episode: its figures.
    """

    model: str
    world: str
    condition: str
    level: float
    episode: Episode

    @property
    def group(self) -> tuple[str, str, str, float]:
        """What is averaged together: model, world, condition and level."""
        return self.model, self.world, self.condition, self.level

    @property
    def key(self) -> tuple[str, str, str, float, int]:
        """What there is one row of: the group and the seed."""
        return *self.group, self.episode.seed


COLUMNS = [
    *(each.name for each in fields(Row) if each.name != "episode"),
    *(each.name for each in fields(Episode)),
]


def read_rows(folder: Path) -> list[Row]:
    """The finished episodes in the order of the table; a last row cut by a kill is left out.

    Columns that an older version did not write are None, those of the group "" or "clean".

    Args:
        folder: with `episodes.csv`.

    Raises:
        InputError: there is no such table, or it holds something else.
    """
    table = folder / TABLE
    try:
        with table.open(newline="", encoding="utf-8") as file:
            lines = file.readlines()
        whole = lines if not lines or lines[-1].endswith("\n") else lines[:-1]
        rows = [row for row in csv.DictReader(whole) if None not in row.values()]
        return [_row(row) for row in rows]
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


def read_episodes(folder: Path) -> list[Episode]:
    """The episodes of `read_rows`, whatever they belong to."""
    return [row.episode for row in read_rows(folder)]


def columns_of(row: Row) -> dict[str, object]:
    """A row as the table's columns."""
    return dict(zip(COLUMNS[:4], row.group, strict=True)) | asdict(row.episode)


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Replace the table by these rows."""
    content = io.StringIO()
    writer = csv.DictWriter(content, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(columns_of, rows))
    replace_file(folder / TABLE, content.getvalue())


def _row(columns: dict[str, str]) -> Row:
    values = {}
    for each in fields(Episode):
        kind, _, optional = each.type.partition(" | ")
        # Only what was added later may be missing.
        text = columns.get(each.name, "") if optional else columns[each.name]
        values[each.name] = None if optional and text in ("", "None") else _CONVERT[kind](text)
    return Row(
        model=columns.get("model", ""),
        world=columns.get("world", ""),
        condition=columns.get("condition", "clean"),
        level=float(columns.get("level", 0.0)),
        episode=Episode(**values),
    )
