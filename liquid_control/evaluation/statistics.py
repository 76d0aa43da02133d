"""Intervals: how far a figure of a few episodes may lie from the truth."""

from __future__ import annotations

import numpy as np

__all__ = ["bootstrap_interval", "wilson_interval"]


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
