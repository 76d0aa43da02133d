"""Figures of recordings as tables of text for a terminal."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from liquid_control.data.info import BagInfo, TopicInfo, histogram_edges

__all__ = ["bag_table", "histogram", "topic_table"]


def bag_table(info: BagInfo) -> Table:
    """What a bag is, in a few rows."""
    table = Table(title=str(info.path), title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("length", f"{info.seconds:,.1f} s, {info.messages:,} messages")
    table.add_row("size", f"{info.size / 1e6:,.1f} MB in {info.files} file(s)")
    if info.recovered:
        table.add_row("index", "missing or left out: the files were scanned; see `data repair`")
    if info.damaged:
        table.add_row("damaged", f"{info.damaged:,} chunks left out")
    for name, text in info.facts.items():
        if text:
            table.add_row(name, text if len(text) <= 300 else text[:300] + " ...")
    return table


def topic_table(topics: list[TopicInfo]) -> Table:
    """Counts, rates and gaps of every topic."""
    table = Table(title="topics", title_justify="left")
    table.add_column("topic", no_wrap=True)
    table.add_column("type", overflow="fold")
    damaged = any(topic.damaged for topic in topics)
    for name in ("count", "Hz", "gaps", "longest [s]", *(["damaged"] if damaged else [])):
        table.add_column(name, justify="right")
    for topic in topics:
        table.add_row(
            topic.name,
            topic.type.rpartition("/")[2],
            f"{topic.count:,}",
            f"{topic.rate_hz:.1f}" if topic.rate_hz else "",
            f"{topic.gaps:,}" if topic.gaps else "",
            f"{topic.longest_gap_s:.2f}" if topic.gaps else "",
            *([f"{topic.damaged:,}"] if damaged else []),
        )
    return table


def histogram(name: str, values: np.ndarray, bins: int = 11, width: int = 40) -> Table:
    """Finite `values` (N,) as bars of text, largest on top as left is drawn above right."""
    finite = np.asarray(values, float)[np.isfinite(values)]
    edges = histogram_edges(finite, bins)
    counts, _ = np.histogram(finite, edges)
    mean = f", mean {finite.mean():+.3g}, std {finite.std():.3g}" if len(finite) else ""
    table = Table(title=f"{name}: {len(finite):,}{mean}", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(width=width)
    for low, high, count in reversed(list(zip(edges, edges[1:], counts, strict=False))):
        bar = "#" * round(width * count / max(counts.max(), 1))
        # A bar that would vanish still says that there is something.
        table.add_row(f"{low:+.3g} to {high:+.3g}", f"{count:,}", bar or ("." if count else ""))
    return table
