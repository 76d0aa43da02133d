"""How often an attention monitor raises alarms, where it should and where it should not.

What followed a drive is (frames, 3): similarity, drift and alarm.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from liquid_control.evaluation.statistics import wilson_interval

__all__ = ["alarms", "normal", "noticed", "rate_interval"]


def alarms(followed: np.ndarray) -> int:
    """How often an alarm began."""
    alarm = followed[:, 2] > 0
    return int(alarm[0]) + int((alarm[1:] & ~alarm[:-1]).sum())


def rate_interval(count: int, seconds: float) -> tuple[float, float, float]:
    """Alarms in ten minutes, and the ends of their exact 95 % interval (Garwood 1936)."""
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = chi2.ppf(0.975, 2 * count + 2) / 2
    return tuple(600.0 * value / seconds for value in (count, low, high))


def normal(followed: list[np.ndarray], steps: list[float]) -> dict:
    """False alarms."""
    seconds = sum(len(each) * step for each, step in zip(followed, steps, strict=True))
    count = sum(map(alarms, followed))
    return {
        "drives": len(followed),
        "seconds": seconds,
        "alarms": count,
        "alarms_in_10_min": rate_interval(count, seconds),
        "share_of_time": float(np.concatenate(followed)[:, 2].mean()),
    }


def noticed(runs: list[tuple[np.ndarray, int, float]], usual: np.ndarray) -> dict:
    """What became of drives that are disturbed from a place `at` on."""
    heard = [followed[at:, 2] > 0 for followed, at, _ in runs]
    steps = [elapsed for _, _, elapsed in runs]
    # An alarm that stood already says nothing of the disturbance.
    fresh = [not followed[at - 1, 2] for followed, at, _ in runs]
    first = [
        float(np.argmax(each)) * step if each.any() else np.inf
        for each, step in zip(heard, steps, strict=True)
    ]
    counted = [time for time, new in zip(first, fresh, strict=True) if new]
    within = sum(time <= 5.0 for time in counted)
    odd = np.concatenate([followed[at + int(2 / step) :, 1] for followed, at, step in runs])
    limits = np.quantile(np.concatenate((usual[:, 1], odd)), np.linspace(0, 1, 200))
    finite = [time for time in counted if np.isfinite(time)]
    return {
        "drives": len(counted),
        "noticed_in_5_s": within,
        "share": within / max(len(counted), 1),
        "interval": wilson_interval(within, len(counted)) if counted else [0.0, 1.0],
        "median_seconds": float(np.median(finite)) if finite else None,
        "share_of_time": float(np.mean(np.concatenate(heard))),
        "area_under_roc": _area(usual[:, 1], odd),
        "false_alarms": [round(float(np.mean(usual[:, 1] > limit)), 5) for limit in limits],
        "detections": [round(float(np.mean(odd > limit)), 4) for limit in limits],
        "drift": [round(float(value), 3) for value in runs[0][0][:, 1]],
        "begins": runs[0][1],
    }


def _area(usual: np.ndarray, odd: np.ndarray) -> float:
    """Probability that an odd score is above a usual one."""
    ordered = np.sort(usual)
    below = np.searchsorted(ordered, odd, "left") + np.searchsorted(ordered, odd, "right")
    return float(below.mean() / 2 / len(ordered))
