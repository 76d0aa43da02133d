"""Recorded frames by which ranges of an int8 head are found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from liquid_control.data.drive import find_bags, load_drive
from liquid_control.errors import InputError
from liquid_control.policy import Policy

__all__ = ["calibration_frames"]

# How many frames, from how many bags of a folder, and how few will not do.
FRAMES, BAGS, FEWEST = 256, 16, 16


def calibration_frames(policy: Policy, root: Path, count: int = FRAMES) -> np.ndarray:
    """Frames, evenly from the bags at or below `root`, as the policy sees them.

    Returns:
        uint8 (frames, rows, columns, 3).

    Raises:
        InputError: there is no bag, it holds no such commands as the policy gives, or too few
            frames.
    """
    bags = find_bags(root)
    bags = [bags[index] for index in _evenly(len(bags), BAGS)]
    drives = [load_drive(bag, policy.camera, policy.spec.names) for bag in bags]
    share = -(-count // len(drives))
    frames = [drive.frames[index] for drive in drives for index in _evenly(len(drive), share)]
    if len(frames) < FEWEST:
        raise InputError(
            f"Ranges for int8 need {FEWEST} frames or more, {root} has {len(frames)}; give a "
            "longer recording."
        )
    return np.stack(frames[:count])


def _evenly(length: int, count: int) -> Sequence[int]:
    """At most `count` indexes, evenly spread."""
    if length <= count:
        return range(length)
    return np.linspace(0, length - 1, count).round().astype(int).tolist()
