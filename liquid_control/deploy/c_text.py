"""C source as text: the fragments in `c/`, and tables of constants."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files

import numpy as np

from liquid_control.errors import InputError

__all__ = ["Table", "comment", "fill", "fragment", "identifier", "integers", "literal", "reals"]

_TEXT = files("liquid_control.deploy").joinpath("c")
_PLACE = re.compile(r"@(\w+)@")
_WIDTH = 100
# Files that lie beside the source.
_TAKEN = {"main", "benchmark"}


class Table(str):
    """The text of constants, and how many bytes they take in flash.

    Attributes:
        size: bytes.
    """

    size: int

    def __new__(cls, text: str, size: int) -> Table:
        table = super().__new__(cls, text)
        table.size = size
        return table

    def noted(self, text: str) -> Table:
        """With a comment above it."""
        return Table(f"/* {text} */\n{self}", self.size)


def fragment(name: str, **values: object) -> str:
    """A file of `c/`, its `@places@` filled in; those without a value stay for `fill`."""
    return fill(_TEXT.joinpath(name).read_text(encoding="utf-8"), **values)


def fill(text: str, **values: object) -> str:
    """`text` with `@name@` replaced by each value given."""
    return _PLACE.sub(lambda found: str(values.get(found[1], found[0])), text)


def literal(value: float) -> str:
    """A float32 as C writes it, to the bit."""
    number = float(np.float32(value))
    if math.isinf(number):
        return "-HUGE_VALF" if number < 0 else "HUGE_VALF"
    text = f"{number:.9g}"
    return f"{text}F" if set(text) & set(".en") else f"{text}.0F"


def reals(name: str, values: np.ndarray, shape: str, static: bool = True) -> Table:
    """Constants of float32; `shape` is what C writes after the name, as in "[UNITS]"."""
    values = np.asarray(values, np.float32)
    kind = f"{'static ' if static else ''}const float {name}{shape}"
    if values.ndim == 1:
        return Table(f"{kind} = {{\n{_lines(map(literal, values.tolist()))}}};\n", values.nbytes)
    rows = ["    {" + ", ".join(map(literal, row)) + "},\n" for row in values.tolist()]
    return Table(f"{kind} = {{\n{''.join(rows)}}};\n", values.nbytes)


def integers(name: str, values: np.ndarray, kind: str, shape: str) -> Table:
    """Constants of an integer type: "int8_t", "uint16_t"."""
    size = int(re.sub(r"\D", "", kind)) // 8 * np.size(values)
    text = _lines(map(str, np.ravel(values).tolist()))
    return Table(f"static const {kind} {name}{shape} = {{\n{text}}};\n", size)


def _lines(items: Iterable[str]) -> str:
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line]) + "\n"


def comment(text: str) -> str:
    """`text` so that it cannot end the comment that it stands in, and is ASCII."""
    plain = text.encode("ascii", "replace").decode()
    return " ".join(plain.replace("*/", "* /").replace("??/", "? /").split())


def identifier(name: str) -> str:
    """A prefix for C names from the name of a model: lower case, digits and underscores.

    Raises:
        InputError: nothing of it can be one.
    """
    prefix = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", prefix) or prefix in _TAKEN:
        raise InputError(
            "A prefix of C names starts with a letter, has at most 41 letters, digits and "
            f"underscores, and is not {' or '.join(sorted(_TAKEN))}, got {name!r}; give another "
            "one by --prefix."
        )
    return prefix


def strings(names: Sequence[str]) -> str:
    """Names as C strings, comma-separated."""
    escaped = (
        "".join(
            chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
            for byte in name.encode()
        )
        for name in names
    )
    return ", ".join(f'"{name}"' for name in escaped)
