"""What every report page is set from: the document, cards, charts, tables. Nothing is fetched."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from liquid_control.evaluation.page_style import STYLE

if TYPE_CHECKING:
    from liquid_control.evaluation.figures import Chart

__all__ = [
    "Card",
    "Cell",
    "cards",
    "chart",
    "data_uri",
    "document",
    "facts",
    "grid",
    "interval_text",
    "legend",
    "number",
    "section",
    "sortable",
    "tag",
]


@dataclass(frozen=True)
class Card:
    """A headline figure.

    Args:
        label: what it is.
        value: as text.
        unit: small, behind the value.
        note: one short line below.
        alarm: whether it is bad news.
    """

    label: str
    value: str
    unit: str = ""
    note: str = ""
    alarm: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a sortable table.

    Args:
        html: what it shows, as markup.
        value: what it is sorted by; its text by default.
        best: whether it is the best of its kind.
    """

    html: str
    value: float | None = None
    best: bool = False


def document(title: str, body: Sequence[str], footer: str, script: str = "") -> str:
    """The whole page as text; `body` holds markup, `title` and `footer` plain text."""
    inner = "\n".join(part for part in body if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{inner}\n<footer>{escape(footer)}</footer>\n</main>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def cards(items: Sequence[Card]) -> str:
    """Headline figures in a row."""
    return '<dl class="cards">\n' + "\n".join(map(_card, items)) + "\n</dl>"


def _card(card: Card) -> str:
    kind = ' class="alarm"' if card.alarm else ""
    small = f"<small>{escape(card.unit)}</small>" if card.unit else ""
    return (
        f"<div><dt>{escape(card.label)}</dt><dd{kind}>{escape(card.value)}{small}</dd>"
        f"<dd>{escape(card.note)}</dd></div>"
    )


def section(title: str, content: str, note: str = "", beside: str = "", kind: str = "") -> str:
    """A part of the page with its heading; `content` and `beside` (the heading) are markup."""
    text = f'<p class="note">{escape(note)}</p>\n' if note else ""
    style = f' class="{kind}"' if kind else ""
    return (
        f'<section{style}>\n<div class="head"><h2>{escape(title)}</h2>{beside}</div>\n'
        f"{text}{content}\n</section>"
    )


def legend(entries: Sequence[tuple[str, str]], extra: str = "") -> str:
    """Keys of a chart: pairs of CSS colour and label."""
    keys = "".join(
        f'<span><i style="background: {color}"></i>{escape(label)}</span>'
        for color, label in entries
    )
    return f'<div class="legend">{keys}{extra}</div>'


def chart(chart: Chart | None, extra: str = "", wide: bool = False) -> str:
    """A chart with its heading, note and legend; "" for None.

    Args:
        chart: what to show.
        extra: markup for the legend.
        wide: whether it scrolls on a narrow screen rather than shrink; charts over time do.
    """
    if chart is None:
        return ""
    timed, cursor = "", ""
    if chart.axes and chart.span:
        timed = (
            f' class="timed" data-left="{chart.axes[0]:.5f}" data-right="{chart.axes[1]:.5f}" '
            f'data-begin="{chart.span[0]:.4f}" data-end="{chart.span[1]:.4f}"'
        )
        cursor = '<span class="cursor"></span>'
    kind = " wide" if chart.axes or wide else ""
    plot = f'<div class="plot{kind}"><div{timed}>{chart.svg}{cursor}</div></div>'
    return section(chart.title, plot, chart.note, legend(chart.legend, extra))


def grid(*sections: str) -> str:
    """Two columns; the last of an odd number takes the whole width."""
    return '<div class="pair">\n' + "\n".join(filter(None, sections)) + "\n</div>"


def facts(title: str, rows: dict[str, str]) -> str:
    """A section with a table of names and values."""
    lines = "\n".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return section(title, f"<table>\n{lines}\n</table>")


def sortable(heads: Sequence[str], rows: Sequence[Sequence[Cell | str]], numbers: int) -> str:
    """A table that a click on a heading sorts (with `page_style.SORT_SCRIPT`).

    Args:
        heads: of the columns.
        rows: cells; a string is plain text.
        numbers: index of the first column of numbers, set flush right.
    """
    top = "".join(
        f'<th scope="col"{_right(index, numbers)}><button type="button">{escape(head)}</button>'
        "</th>"
        for index, head in enumerate(heads)
    )
    lines = [
        "<tr>" + "".join(_cell(cell, index, numbers) for index, cell in enumerate(row)) + "</tr>"
        for row in rows
    ]
    return (
        '<div class="scroll"><table class="sortable">\n'
        f"<thead><tr>{top}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody></table></div>"
    )


def _cell(cell: Cell | str, index: int, numbers: int) -> str:
    if isinstance(cell, str):
        cell = Cell(escape(cell))
    # JavaScript's name of it: a page that read "inf" would sort by no number.
    value = repr(cell.value).replace("inf", "Infinity")
    key = "" if cell.value is None else f' data-value="{value}"'
    kind = " ".join(filter(None, ["n" if index >= numbers else "", "best" if cell.best else ""]))
    style = f' class="{kind}"' if kind else ""
    return f"<td{key}{style}>{cell.html}</td>"


def _right(index: int, numbers: int) -> str:
    return ' class="n"' if index >= numbers else ""


def tag(color: str, text: str) -> str:
    """A name with a dot of its colour, as markup."""
    return f'<span class="dot" style="background: {color}"></span>{escape(text)}'


def interval_text(interval: Sequence[float] | None, digits: int = 3, scale: float = 1.0) -> str:
    """ "0.9 to 1.0", or "" without an interval."""
    if interval is None or any(end != end for end in interval):
        return ""
    return " to ".join(number(end * scale, digits) for end in interval)


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, never with an exponent above 1e-4; "–" for none."""
    if value is None or value != value:
        return "–"
    size = abs(value)
    if size >= 10**digits:
        return f"{value:,.0f}".replace("-", "−")
    if 0 < size < 1e-4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def data_uri(kind: str, content: bytes) -> str:
    """The content as an address that fetches nothing."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
