"""What a bag holds: counts, rates, gaps and commands; of any bag, whole, killed or foreign."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from liquid_control.data.bag import BagReader
from liquid_control.data.commands import command_values, default_outputs
from liquid_control.data.drive import MAX_GAP_S, SESSION_TOPIC, stamp_or_log_time
from liquid_control.errors import InputError

__all__ = ["BagInfo", "Commands", "TopicInfo", "histogram_edges", "survey"]

_COMMAND_TYPES = (
    *("JointState", "Twist", "TwistStamped"),
    *("AckermannDrive", "AckermannDriveStamped", "Twist2DStamped"),
)
# A vector of more numbers is ground truth or neurons, not a command.
_MOST_OUTPUTS = 8
_SKIPPED = ("/simulator/state", "/observation")


@dataclass
class TopicInfo:
    """One topic.

    Args:
        name: full name.
        type: "package/msg/Name".
        count: messages.
        rate_hz: median rate within runs without a gap [Hz], 0 for fewer than two messages.
        gaps: steps longer than 0.2 s and than three median periods.
        longest_gap_s: the longest of them [s].
        damaged: messages that cannot be decoded, of topics that were decoded.
    """

    name: str
    type: str
    count: int
    rate_hz: float = 0.0
    gaps: int = 0
    longest_gap_s: float = 0.0
    damaged: int = 0


@dataclass(eq=False)
class Commands:
    """The commands on one topic: names of the outputs, stamps int64 (N,) [ns], values (N, outputs);
    NaN where a message lacks a number."""

    names: tuple[str, ...]
    stamps: np.ndarray
    values: np.ndarray


@dataclass(eq=False)
class BagInfo:
    """A bag.

    Args:
        path: of the bag.
        size: of its files [bytes].
        files: number of storage files.
        recovered: it was scanned, as its index is missing or damaged.
        damaged: chunks that were left out.
        facts: what its recorder said about it.
        seconds: from the first to the last message [s].
        topics: in the order of their names.
        commands: by topic, those that training prefers first.
        sessions: log times at which a recording session begins [ns].
    """

    path: Path
    size: int
    files: int
    recovered: bool
    damaged: int
    facts: dict[str, str]
    seconds: float
    topics: list[TopicInfo]
    commands: dict[str, Commands] = field(default_factory=dict)
    sessions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def messages(self) -> int:
        return sum(topic.count for topic in self.topics)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: figures of the commands instead of their values."""
        return {
            "path": str(self.path),
            "size": self.size,
            "files": self.files,
            "recovered": self.recovered,
            "damaged": self.damaged,
            "seconds": self.seconds,
            "messages": self.messages,
            "sessions": len(self.sessions),
            "facts": self.facts,
            "topics": [asdict(topic) for topic in self.topics],
            "commands": {
                topic: {
                    name: _figures(values)
                    for name, values in zip(one.names, one.values.T, strict=True)
                }
                for topic, one in self.commands.items()
            },
        }


def survey(path: str | Path) -> BagInfo:
    """Read a bag once and say what it holds.

    A bag whose index is missing, or whose files are damaged, is scanned.

    Raises:
        InputError: there is no bag, or it cannot be read at all.
    """
    with BagReader(path) as reader:
        try:
            return _survey(reader)
        except InputError:
            if reader.recovered or any(file.suffix != ".mcap" for file in reader.files):
                raise
    with BagReader(path, scan=True) as reader:
        return _survey(reader)


def histogram_edges(values: np.ndarray, bins: int = 11) -> np.ndarray:
    """float64 (bins + 1,): symmetric about 0 where the values have both signs; one bin for values
    that are all equal."""
    if not len(values):
        return np.linspace(-1, 1, bins + 1)
    low, high = float(values.min()), float(values.max())
    if low < 0 < high:
        low, high = -max(-low, high), max(-low, high)
    elif low == high:
        return np.array([low - 0.5, high + 0.5])
    return np.linspace(low, high, bins + 1)


def _survey(reader: BagReader) -> BagInfo:
    topics = {name: TopicInfo(name, kind, 0) for name, (kind, _) in sorted(reader.topics.items())}
    stamps: dict[str, list[int]] = {name: [] for name in topics}
    rows: dict[str, list[tuple[int, dict[str, float]]]] = {}
    first, last = None, 0
    for topic, kind, log_time, cdr in reader.raw_messages():
        stamps[topic].append(log_time)
        first = log_time if first is None else min(first, log_time)
        last = max(last, log_time)
        if kind.rpartition("/")[2] not in _COMMAND_TYPES or topic in _SKIPPED:
            continue
        try:
            message = reader.decode(topic, cdr)
        except InputError:
            topics[topic].damaged += 1
            continue
        values = command_values(message) or {}
        if 0 < len(values) <= _MOST_OUTPUTS:
            rows.setdefault(topic, []).append((stamp_or_log_time(message, log_time), values))
    for name, times in stamps.items():
        _rates(topics[name], np.sort(np.array(times, np.int64)))
    return BagInfo(
        path=reader.path,
        size=sum(file.stat().st_size for file in reader.files),
        files=len(reader.files),
        recovered=reader.recovered,
        damaged=reader.damaged,
        facts=reader.facts,
        seconds=(last - first) * 1e-9 if first is not None else 0.0,
        topics=list(topics.values()),
        commands={topic: _commands(rows[topic]) for topic in sorted(rows, key=_preference)},
        sessions=np.sort(np.array(stamps.get(SESSION_TOPIC, []), np.int64)),
    )


def _rates(topic: TopicInfo, times: np.ndarray) -> None:
    topic.count = len(times)
    steps = np.diff(times) * 1e-9
    if not len(steps) or not steps.any():
        return
    limit = max(MAX_GAP_S, 3 * float(np.median(steps)))
    gaps = steps[steps > limit]
    within = steps[(steps <= limit) & (steps > 0)]
    topic.rate_hz = float(1 / np.median(within)) if len(within) else 0.0
    topic.gaps, topic.longest_gap_s = len(gaps), float(gaps.max(initial=0.0))


def _commands(rows: list[tuple[int, dict[str, float]]]) -> Commands:
    names = default_outputs(rows[0][1])
    values = [[row.get(name, np.nan) for name in names] for _, row in rows]
    return Commands(names, np.array([stamp for stamp, _ in rows], np.int64), np.array(values))


def _preference(topic: str) -> tuple[int, str]:
    """The order in which training looks for labels."""
    known = ("/expert/command", "/cmd_vel", "/command")
    return (known.index(topic) if topic in known else len(known), topic)


def _figures(values: np.ndarray) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"count": 0}
    edges = histogram_edges(finite)
    return {
        "count": len(finite),
        "mean": float(finite.mean()),
        "std": float(finite.std()),
        "min": float(finite.min()),
        "max": float(finite.max()),
        "edges": edges.tolist(),
        "counts": np.histogram(finite, edges)[0].tolist(),
    }
