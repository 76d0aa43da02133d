"""Divide recordings by time: what comes last is held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from liquid_control.data.drive import Drive

__all__ = ["part_of", "split_by_time"]


def split_by_time(
    drives: Sequence[Drive], validation: float, test: float
) -> tuple[list[Drive], list[Drive], list[Drive]]:
    """(training, validation, test) parts of drives given in order of time.

    The last share `test` of all frames with a label is the test part and the share `validation`
    before it the validation part. A drive that holds a border is cut there; frames without a label
    go with the labelled one that follows them.
    """
    total = sum(int(np.count_nonzero(drive.weights)) for drive in drives)
    borders = [0, round(total * (1 - validation - test)), round(total * (1 - test)), total]
    parts: tuple[list[Drive], list[Drive], list[Drive]] = ([], [], [])
    first = 0
    for drive in drives:
        # Row behind the k-th labelled frame, for a border of k.
        ends = np.r_[0, np.flatnonzero(drive.weights) + 1]
        count = len(ends) - 1
        for part, low, high in zip(parts, borders[:-1], borders[1:], strict=True):
            start, stop = np.clip([low - first, high - first], 0, count)
            if start < stop:
                last = len(drive) if stop == count else int(ends[stop])
                part.append(part_of(drive, int(ends[start]), last))
        first += count
    return parts


def part_of(drive: Drive, start: int, stop: int) -> Drive:
    """The frames [start, stop) of a drive."""
    if (start, stop) == (0, len(drive)):
        return drive
    rows = slice(start, stop)
    return replace(
        drive,
        stamps=drive.stamps[rows],
        frames=drive.frames[rows],
        labels=drive.labels[rows],
        sessions=drive.sessions[rows],
        weights=drive.weights[rows],
    )
