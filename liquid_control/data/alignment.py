"""Which frames follow one another, and which label belongs to which. Stamps are int64 [ns]."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from liquid_control.errors import InputError

__all__ = ["breaks", "forward", "match"]

# Labels further from their frame than this say nothing about it, however slowly they come.
_MAX_LABEL_DISTANCE_S = 0.1


def forward(stamps: np.ndarray, path: Path) -> np.ndarray:
    """bool (N,): frames that are later than every frame before them.

    Raises:
        InputError: a stamp lies more than 1 s behind an earlier one.
    """
    latest = np.maximum.accumulate(stamps)
    if len(stamps) and (latest - stamps).max() > 1_000_000_000:
        raise InputError(
            f"The clock of {path} was set back by {(latest - stamps).max() * 1e-9:.1f} s in the "
            "recording (a restarted simulator?); record each part into its own bag."
        )
    forward = np.ones(len(stamps), bool)
    forward[1:] = stamps[1:] > latest[:-1]
    return forward


def match(stamps: np.ndarray, label_stamps: np.ndarray) -> np.ndarray:
    """int64 (N,): index of each frame's label, -1 without one.

    It is the one nearest in time, within half a period of the slower of the two and 0.1 s; equal
    stamps are nearest of all.
    """
    order = np.argsort(label_stamps, kind="stable")
    ordered = label_stamps[order]
    periods = [np.median(np.diff(x)) for x in (np.sort(stamps), ordered) if len(x) > 1]
    limit = min(max(periods, default=0.0) / 2, _MAX_LABEL_DISTANCE_S * 1e9)
    after = np.searchsorted(ordered, stamps).clip(0, len(ordered) - 1)
    before = (after - 1).clip(0)
    nearest = np.where(stamps - ordered[before] < np.abs(ordered[after] - stamps), before, after)
    return np.where(np.abs(ordered[nearest] - stamps) <= limit, order[nearest], -1)


def breaks(stamps: np.ndarray, sessions: np.ndarray, max_gap_s: float) -> np.ndarray:
    """int64: frames that do not continue the one before: later by more than `max_gap_s` [s], or of
    another session."""
    apart = (np.diff(stamps) > max_gap_s * 1e9) | (np.diff(sessions) != 0)
    return np.flatnonzero(apart) + 1
