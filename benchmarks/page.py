"""Tables that benchmarks put into pages of docs/, between two comments."""

from __future__ import annotations

from pathlib import Path

from liquid_control.files import replace_file

__all__ = ["put"]

_DOCS = Path(__file__).resolve().parent.parent / "docs"


def put(page: str, name: str, text: str) -> None:
    """Put `text` in the place of what stands in a page behind `<!-- table: name -->`.

    Args:
        page: file name in docs/.
        name: of the table: the benchmark's path.
        text: Markdown.
    """
    path, begin, end = _DOCS / page, f"<!-- table: {name} -->", "<!-- end of table -->"
    head, rest = path.read_text().split(begin)
    _, tail = rest.split(end, 1)
    replace_file(path, f"{head}{begin}\n{text.strip()}\n{end}{tail}".encode())
