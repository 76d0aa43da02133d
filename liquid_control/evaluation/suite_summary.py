"""What the episodes of an evaluation come to: figures with 95 % intervals, and models in pairs.

`docs/evaluation.md` defines the figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from liquid_control.errors import InputError, nearest_first
from liquid_control.evaluation.compare import paired_differences
from liquid_control.evaluation.episodes import Row
from liquid_control.evaluation.statistics import (
    bootstrap_interval,
    bootstrap_ratio_interval,
    wilson_interval,
)
from liquid_control.rollout import Episode

__all__ = ["METRICS", "check_metrics", "group_rows", "paired", "summarise"]

# Figures that every episode has one of; their means are averaged over episodes.
MEANS = (
    *("distance", "seconds", "lane_departures", "lateral_error", "lateral_error_max"),
    *("heading_error", "speed", "lateral_acceleration", "jerk", "steering_rate", "laps"),
    "reward",
)
METRICS = (
    *("crash_free", "distance_per_intervention", "interventions_per_km", *MEANS),
    *("success", "seconds_of_successes"),
)
# Upper end of the exact 95 % interval of a Poisson count of 0: -log(0.025).
NONE_SEEN = -math.log(0.025)


def check_metrics(names: Sequence[str]) -> None:
    """Refuse a name that is no metric.

    Raises:
        InputError: it names those that there are.
    """
    for name in names:
        if name not in METRICS:
            raise InputError(
                f"There is no metric {name!r}; those there are: {nearest_first(name, METRICS)}."
            )


def group_rows(rows: Iterable[Row]) -> dict[tuple[str, str, str, float], list[Episode]]:
    """The episodes of each model, world, condition and level, in the order of the rows."""
    groups: dict[tuple[str, str, str, float], list[Episode]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row.episode)
    return groups


def summarise(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Figures of the episodes of one group; broken ones are counted and left out of all else.

    The shares, crash-free and success, have their Wilson intervals, the others a bootstrap over the
    episodes; None for a single one, which a bootstrap can only repeat. A figure that no episode has
    is left out; where only some have it (one of 0.1 s has no jerk), it is theirs.
    """
    whole = [each for each in episodes if each.error is None]
    safe = sum(not each.crashed for each in whole)
    figures = _interventions(whole)
    for name in MEANS:
        _add(figures, name, [getattr(each, name) for each in whole])
    if ends := [each.success == 1 for each in whole if each.success is not None]:
        share, interval = sum(ends) / len(ends), wilson_interval(sum(ends), len(ends))
        figures["success"] = {"mean": share, "interval": interval}
    _add(figures, "seconds_of_successes", [e.seconds for e in whole if e.success == 1])
    return {
        "episodes": len(episodes),
        "broken": len(episodes) - len(whole),
        "crash_free": {
            "count": safe,
            "share": safe / len(whole) if whole else None,
            "interval": wilson_interval(safe, len(whole)) if whole else None,
        },
        "crashed_seeds": [each.seed for each in whole if each.crashed],
        "broken_seeds": [each.seed for each in episodes if each.error is not None],
        "figures": figures,
    }


def paired(
    groups: Mapping[tuple[str, str, str, float], Sequence[Episode]], models: Sequence[str]
) -> list[dict[str, Any]]:
    """Every model against the first one, on the seeds that both have driven whole."""
    found = []
    for (model, *rest), episodes in groups.items():
        if model == models[0] or (models[0], *rest) not in groups:
            continue
        theirs = {e.seed: e for e in groups[models[0], *rest] if e.error is None}
        pairs = [(theirs[e.seed], e) for e in episodes if e.error is None and e.seed in theirs]
        for each in paired_differences(pairs) if pairs else ():
            values = asdict(each)
            found.append(
                {
                    **dict(zip(("world", "condition", "level"), rest, strict=True)),
                    "reference": models[0],
                    "model": model,
                    "figure": values.pop("name"),
                    **values,
                    "certain": each.certain,
                }
            )
    return found


def _add(figures: dict[str, Any], name: str, values: Sequence[float | None]) -> None:
    numbers = np.array(values, float)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers):
        interval = bootstrap_interval(numbers) if len(numbers) > 1 else None
        figures[name] = {"mean": float(numbers.mean()), "interval": interval}


def _interventions(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Distance per intervention and its inverse; None stands for infinitely far."""
    known = [e for e in episodes if e.interventions is not None and math.isfinite(e.distance)]
    counts = np.array([e.interventions for e in known], float)
    metres = np.array([e.distance for e in known], float)
    if metres.sum() <= 0:
        return {}
    rate = counts.sum() / metres.sum()
    if not counts.sum():
        ends = 0.0, NONE_SEEN / float(metres.sum())
    else:
        ends = bootstrap_ratio_interval(counts, metres) if len(known) > 1 else None

    def inverse(value: float) -> float | None:
        return 1 / value if value > 0 else None

    return {
        "distance_per_intervention": {
            "mean": inverse(float(rate)),
            "interval": ends and [inverse(end) for end in reversed(ends)],
        },
        "interventions_per_km": {
            "mean": 1000 * float(rate),
            "interval": ends and [1000 * end for end in ends],
        },
    }
