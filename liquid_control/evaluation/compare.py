"""`liquid-control compare A B`: is one model better than another, seed by seed?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.table import Table

from liquid_control.errors import InputError
from liquid_control.evaluation.episodes import TABLE, read_rows
from liquid_control.evaluation.output import console
from liquid_control.evaluation.statistics import (
    FEWEST,
    bootstrap_interval,
    paired_share_interval,
)
from liquid_control.files import check_folder, replace_file
from liquid_control.rollout import Episode
from liquid_control.rollout.worlds import default_of

__all__ = ["Difference", "compare", "paired_differences", "pairs_of"]

Pair = tuple[Episode, Episode]
SHARES: dict[str, Callable[[Episode], bool | None]] = {
    "crash_free": lambda episode: not episode.crashed,
    "success": lambda episode: None if episode.success is None else episode.success == 1,
}
FIGURES = (
    *("seconds", "distance", "reward", "speed", "steering_rate"),
    *("lane_departures", "lateral_error", "lateral_error_max", "heading_error"),
    *("interventions", "lateral_acceleration", "jerk", "laps"),
)
# Whoever fails early is quick: times and ways say something where both have succeeded.
SUCCESSFUL = ("seconds", "distance", "steering_rate")


@dataclass(frozen=True)
class Difference:
    """A figure of two models on the same episodes.

    Attributes:
        name: of the figure.
        before, after: means of the first and the second model.
        difference: mean of after less before.
        interval: its 95 % interval [low, high]: bootstrap over the pairs, or Newcombe's of paired
            shares; None where a single pair has nothing to draw from.
        pairs: episodes that both models have driven.
    """

    name: str
    before: float
    after: float
    difference: float
    interval: list[float] | None
    pairs: int

    @property
    def certain(self) -> bool:
        """Whether the interval excludes zero, by as many pairs as can say so."""
        if self.interval is None:
            return False
        low, high = self.interval
        return self.pairs >= FEWEST and (low > 0 or high < 0)


def compare(
    before: Annotated[Path, tyro.conf.arg(metavar="A")],
    after: Annotated[Path, tyro.conf.arg(metavar="B")],
    /,
    output: Path | None = None,
) -> int:
    """Compare two evaluations of the same seeds: differences B - A with 95 % intervals.

    Both are folders that `liquid-control evaluate` wrote, or folders of such folders; those of the
    same name are then compared with each other and all pairs are taken together.

    Args:
        before: evaluation of the first model.
        after: evaluation of the second one.
        output: a JSON file for the differences.
    """
    if output is not None:
        check_folder(output.parent)
    pairs = pairs_of(before, after)
    found = paired_differences(pairs)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        rows = [asdict(each) | {"certain": each.certain} for each in found]
        content = {"before": str(before), "after": str(after), "differences": rows}
        replace_file(output, json.dumps(content, indent=1) + "\n")
    table = Table(title=f"{after} less {before}, {len(pairs)} pairs")
    for column in ("figure", "pairs", "before", "after", "difference", "95 % interval", ""):
        table.add_column(column)
    for each in found:
        ends = " to ".join(f"{end:+.4g}" for end in each.interval or ())
        table.add_row(
            *(each.name, str(each.pairs), f"{each.before:.4g}", f"{each.after:.4g}"),
            *(f"{each.difference:+.4g}", ends),
            "excludes zero" if each.certain else "",
        )
    screen = console()
    screen.print(table)
    if len(pairs) == 1:
        screen.print("One pair gives no interval, but for shares; evaluate more episodes.")
    return 0


def pairs_of(before: Path, after: Path) -> list[Pair]:
    """The episodes of two evaluations with the same world, condition and seed, or of the same
    folders in each. Broken ones have no pair.

    Raises:
        InputError: no evaluation there, several models in one, settings that differ, or no seed in
            common.
    """
    found: list[Pair] = []
    for folders in _folders(before, after):
        one, other = map(_evaluation, folders)
        _check_settings(*folders, one[0], other[0])
        found += [(one[1][key], other[1][key]) for key in other[1] if key in one[1]]
    if not found:
        raise InputError(
            f"{before} and {after} have no seed in common; evaluate both models with the same "
            "--seed."
        )
    return found


def paired_differences(pairs: Sequence[Pair]) -> list[Difference]:
    """Second less first model in every figure that all episodes have.

    Names that end in "_of_successes" are over the pairs in which both models have succeeded.
    """
    found = []
    for name, of in SHARES.items():
        values = [[of(one), of(other)] for one, other in pairs]
        if all(value is not None for pair in values for value in pair):
            found.append(_difference(name, np.array(values, float), paired_share_interval))
    found += _means(pairs, FIGURES, "")
    both = [pair for pair in pairs if all(SHARES["success"](episode) for episode in pair)]
    return found + _means(both, SUCCESSFUL, "_of_successes")


def _means(pairs: Sequence[Pair], names: Sequence[str], suffix: str) -> list[Difference]:
    columns = {
        name: np.array([[getattr(one, name), getattr(other, name)] for one, other in pairs], float)
        for name in (names if pairs else ())
    }
    return [
        _difference(name + suffix, values, _bootstrap)
        for name, values in columns.items()
        if np.isfinite(values).all()
    ]


def _bootstrap(before: np.ndarray, after: np.ndarray) -> list[float] | None:
    return bootstrap_interval(after - before) if len(before) > 1 else None


def _difference(
    name: str,
    values: np.ndarray,
    interval: Callable[[np.ndarray, np.ndarray], list[float] | None],
) -> Difference:
    one, other = values.T
    means = float(one.mean()), float(other.mean())
    return Difference(name, *means, means[1] - means[0], interval(one, other), len(values))


def _folders(before: Path, after: Path) -> list[tuple[Path, Path]]:
    if (before / TABLE).is_file() or (after / TABLE).is_file():
        return [(before, after)]
    names = [{table.parent.name for table in each.glob(f"*/{TABLE}")} for each in (before, after)]
    give = (
        "give two folders that `liquid-control evaluate` wrote, or two folders of such with the "
        "same names."
    )
    for folder, held in zip((before, after), names, strict=True):
        if not held:
            raise InputError(f"{folder} holds no evaluation (no {TABLE}); {give}")
    if odd := ", ".join(sorted(names[0] ^ names[1])):
        raise InputError(
            f"{before} and {after} do not hold the same evaluations ({odd} is in one of them "
            f"alone); {give}"
        )
    return [(before / name, after / name) for name in sorted(names[0])]


def _evaluation(folder: Path) -> tuple[dict, dict]:
    """What was driven, by world and condition, and the whole episodes, by these and the seed.

    Also of folders from before an evaluation had several models, worlds and conditions.
    """
    try:
        content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder} has no results.json ({error.strerror}); let `liquid-control evaluate` "
            "come to its end there."
        ) from error
    except ValueError as error:
        raise InputError(f"{folder}/results.json is not JSON ({error}); evaluate again.") from error
    rows = [row for row in read_rows(folder) if row.episode.error is None]
    if "groups" not in content:
        condition = ("noise", noise) if (noise := content.get("noise")) else ("clean", 0.0)
        definition = {"seconds": content.get("seconds"), "options": content.get("options") or {}}
        place = content.get("env"), *condition
        if noise:
            definition["noise"] = noise
        return {place: definition}, {(*place, row.episode.seed): row.episode for row in rows}
    if len(content["models"]) > 1:
        raise InputError(
            f"{folder} holds several models, {', '.join(content['models'])}, whose differences are "
            "in its results.json already; give folders of one model each."
        )
    driven = {
        (world, each["name"], each["level"]): each["definition"]
        for world in content["settings"]["worlds"]
        for each in content["settings"]["conditions"]
    }
    return driven, {row.key[1:]: row.episode for row in rows}


def _check_settings(one: Path, other: Path, before: dict, after: dict) -> None:
    """Refuse evaluations that have nothing in common, or mean something else by the same name."""
    changed = {
        name
        for place in before.keys() & after.keys()
        for name in before[place].keys() | after[place].keys()
        if _setting(before, place, name) != _setting(after, place, name)
    }
    if not before.keys() & after.keys():
        worlds = {place[0] for place in before} & {place[0] for place in after}
        changed = {"condition" if worlds else "env"}
    if changed:
        raise InputError(
            f"{one} and {other} were driven with another {', '.join(sorted(changed))}; evaluate "
            "both models in the same way."
        )


def _setting(driven: dict, place: tuple, name: str) -> Any:
    """A setting of what was driven at a place; the world's own length where none was asked for."""
    value = driven[place].get(name)
    if name != "seconds" or value is not None:
        return value
    try:
        return default_of(place[0], name)
    except InputError:
        # A world of somebody else, which is not needed to compare tables.
        return None
