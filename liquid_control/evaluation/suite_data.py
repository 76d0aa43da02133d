"""An evaluation's folder as its report reads it: `results.json` and `episodes.csv`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liquid_control import models
from liquid_control.errors import InputError
from liquid_control.evaluation.episodes import Row, read_rows
from liquid_control.evaluation.suite import CLEAN, Condition, Suite
from liquid_control.evaluation.suite_run import Job, jobs_of
from liquid_control.rollout import Perturbation
from liquid_control.rollout.bundle import Bundle, model_bundle

__all__ = ["MOST_VIDEOS", "Evaluation", "Place", "check_videos", "read_evaluation", "worst"]

Place = tuple[str, str, float]  # world, condition, level
MOST_VIDEOS = 20
_KIND = {"unit": "", "about": "", "clean": None}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `liquid-control evaluate` wrote.

    Attributes:
        folder: where it lies.
        results: `results.json`.
        rows: `episodes.csv`.
    """

    folder: Path
    results: dict
    rows: tuple[Row, ...]

    @property
    def models(self) -> list[str]:
        """Names, the reference of comparisons first."""
        return list(self.results["models"])

    @property
    def worlds(self) -> list[str]:
        return list(dict.fromkeys(group["world"] for group in self.results["groups"]))

    def levels(self, world: str) -> dict[str, list[float]]:
        """The levels of each condition of a world, in the suite's order: the hardest at the end."""
        found: dict[str, list[float]] = {}
        for group in self.results["groups"]:
            if group["world"] == world:
                found.setdefault(group["condition"], []).append(group["level"])
        return {name: list(dict.fromkeys(levels)) for name, levels in found.items()}

    def group(self, model: str, place: Place) -> dict | None:
        """The figures of a model at a place, None where it was not driven."""
        return self._groups.get((model, *place))

    @property
    def _groups(self) -> dict[tuple[str, str, str, float], dict]:
        keys = ("model", "world", "condition", "level")
        return {tuple(group[key] for key in keys): group for group in self.results["groups"]}

    def kind(self, condition: str) -> dict:
        """Unit, meaning and clean level of a condition: "unit", "about", "clean"."""
        known = self.results.get("settings", {}).get("conditions", [])
        found = next((each for each in known if each["name"] == condition), {})
        return {name: found.get(name, other) for name, other in _KIND.items()}

    def job(self, row: Row, with_model: bool = True) -> Job:
        """What drives the episode of a row again; without its model the road alone is meant.

        Raises:
            InputError: the condition or the model is not known any more, or has changed.
        """
        known = self.results.get("settings", {}).get("conditions", [])
        place = row.condition, row.level
        found = [each["definition"] for each in known if (each["name"], each["level"]) == place]
        if not found:
            raise InputError(
                f"{self.folder}/results.json does not say what {row.condition}={row.level:g} was; "
                "evaluate again to see these episodes."
            )
        definition = dict(found[0])
        seconds, options = definition.pop("seconds"), definition.pop("options")
        condition = Condition(*place, seconds, options, Perturbation.from_dict(definition))
        suite = Suite(None, "", (row.world,), 1, (condition,), {})
        sources = {row.model: self._source(row.model) if with_model else None}
        return jobs_of(sources, suite.worlds, suite, [row.episode.seed])[0]

    def _source(self, model: str) -> Bundle | None:
        facts = self.results["models"][model]
        if facts["weights_sha256"] is None:
            return None
        folder = models.find(facts.get("folder", model))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["weights_sha256"] != facts["weights_sha256"]:
            raise InputError(
                f"The model in {folder} has other weights than the one that was evaluated; "
                "evaluate again to see its episodes."
            )
        return model_bundle(folder)

    def name(self, condition: str, level: float) -> str:
        """A condition with its level and unit, such as "fog 30 m"."""
        if condition == CLEAN:
            return CLEAN
        unit = self.kind(condition)["unit"]
        text = f"{condition.replace('_', ' ')} {level:g}".replace("-", "−")
        return f"{text} {unit}" if unit else text


def read_evaluation(folder: str | Path) -> Evaluation:
    """Read an evaluation's folder.

    Raises:
        InputError: it is none, one from before evaluations had groups, or one that has not come to
            its end.
    """
    folder = Path(folder)
    path = folder / "results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder} has no results.json ({error.strerror}); give a folder in which "
            "`liquid-control evaluate` came to its end."
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); evaluate again.") from error
    if not isinstance(results, dict) or not results.get("groups") or "models" not in results:
        raise InputError(
            f"{path} holds no groups of episodes, which `liquid-control evaluate` writes; evaluate "
            "again with the same --output for a report."
        )
    rows = tuple(read_rows(folder))
    counted = sum(group["episodes"] for group in results["groups"])
    if len(rows) != counted:
        raise InputError(
            f"{folder} holds {len(rows)} episodes, and its results.json tells of {counted}: an "
            "evaluation is at work there, or was ended in between; let the same command come to "
            "its end."
        )
    return Evaluation(folder, results, rows)


def check_videos(count: int) -> None:
    """Refuse a number of videos that no report has.

    Raises:
        InputError: it is out of its range.
    """
    if not 0 <= count <= MOST_VIDEOS:
        raise InputError(
            f"A report shows videos of 0 to {MOST_VIDEOS} of the worst episodes, got {count}; "
            "choose a number in between."
        )


def worst(rows: Sequence[Row], count: int) -> list[Row]:
    """The worst episodes, each model in turn and a condition again only when all had their turn.

    A crash is worse than none, an early one worse than a late one; without a crash the largest
    lateral error, or else the smallest reward, is the worst.
    """
    whole = sorted((row for row in rows if row.episode.error is None), key=_badness)
    queues: dict[str, list[Row]] = {}
    for row in whole:
        queues.setdefault(row.model, []).append(row)
    found: list[Row] = []
    seen: set[tuple] = set()
    while len(found) < count and any(queues.values()):
        for queue in queues.values():
            if not queue or len(found) == count:
                continue
            fresh = (row for row in queue if (row.model, row.world, row.condition) not in seen)
            row = next(fresh, queue[0])
            queue.remove(row)
            seen.add((row.model, row.world, row.condition))
            found.append(row)
    return found


def _badness(row: Row) -> tuple[bool, float]:
    """Sorts the worst first."""
    episode = row.episode
    if episode.crashed:
        return False, episode.seconds
    if math.isfinite(episode.lateral_error_max):
        return True, -episode.lateral_error_max
    return True, episode.reward
