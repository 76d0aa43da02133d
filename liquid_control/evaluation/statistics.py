"""Intervals: how far a figure of a few episodes may lie from the truth."""

from __future__ import annotations

import numpy as np

__all__ = [
    "FEWEST",
    "bootstrap_interval",
    "bootstrap_ratio_interval",
    "paired_share_interval",
    "wilson_interval",
]


# A bootstrap of pairs that all differ in one direction never meets zero, however few they are; by
# chance alone that happens to 5 pairs once in 16 times, to 6 once in 32.
FEWEST = 6


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> list[float]:
    """95 % interval [low, high] of a share (Wilson 1927); sound also at 0 and at 1."""
    share = successes / trials
    denominator = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / denominator
    half = z / denominator * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return [max(0.0, float(centre - half)), min(1.0, float(centre + half))]


def bootstrap_interval(values: np.ndarray, draws: int = 2000) -> list[float]:
    """95 % percentile bootstrap interval [low, high] of the mean of `values`; seeded."""
    values = np.asarray(values, float)
    chosen = np.random.default_rng(0).integers(0, len(values), (draws, len(values)))
    low, high = np.quantile(values[chosen].mean(axis=1), [0.025, 0.975])
    return [float(low), float(high)]


def bootstrap_ratio_interval(
    above: np.ndarray, below: np.ndarray, draws: int = 2000
) -> tuple[float, float]:
    """95 % percentile bootstrap interval (low, high) of sum(above) / sum(below); seeded.

    Args:
        above, below: (episodes,), drawn in pairs; a draw whose `below` comes to 0 or less is left
            out.
    """
    above, below = np.asarray(above, float), np.asarray(below, float)
    chosen = np.random.default_rng(0).integers(0, len(above), (draws, len(above)))
    sums = above[chosen].sum(axis=1), below[chosen].sum(axis=1)
    low, high = np.quantile(sums[0][sums[1] > 0] / sums[1][sums[1] > 0], [0.025, 0.975])
    return float(low), float(high)


def paired_share_interval(before: np.ndarray, after: np.ndarray) -> list[float]:
    """95 % interval [low, high] of the difference of two shares, after less before, in pairs.

    Newcombe, "Improved confidence intervals for the difference between binomial proportions based
    on paired data", Statistics in Medicine 1998, method 10: from the two Wilson intervals and the
    correlation of the pairs. Unlike the bootstrap it has a width where no pair differs.

    Args:
        before, after: bool or 0 and 1, (pairs,), in the same order.
    """
    before, after = np.asarray(before, bool), np.asarray(after, bool)
    n = len(before)
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    gained, lost = int((~before & after).sum()), int((before & ~after).sum())
    p1, p2 = (both + gained) / n, (both + lost) / n
    l1, u1 = wilson_interval(both + gained, n)
    l2, u2 = wilson_interval(both + lost, n)
    cells = (both + gained) * (neither + lost) * (both + lost) * (neither + gained)
    # With Newcombe's correction for continuity of a positive correlation.
    cross = both * neither - gained * lost
    cross = max(cross - n / 2, 0.0) if cross > 0 else cross
    phi = cross / np.sqrt(cells) if cells else 0.0
    down = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    up = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2
    difference = p1 - p2
    return [float(difference - np.sqrt(down)), float(difference + np.sqrt(up))]
