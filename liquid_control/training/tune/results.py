"""What a search found: best.yaml, study.json and trials.csv, rewritten after every trial."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from liquid_control.files import json_text, replace_file
from liquid_control.training.tune.space import Space, changed
from liquid_control.training.tune.study import ended

__all__ = ["Search", "best_of", "importances", "outcome", "settings_of", "write_results"]


@dataclass(frozen=True)
class Search:
    """What a search is about.

    Args:
        recipe: the file.
        settings: its entries.
        space: what is varied.
        score: what is measured, in words.
        budget: of a trial, in words.
    """

    recipe: Path
    settings: Mapping[str, Any]
    space: Space
    score: str
    budget: str


def outcome(trial: FrozenTrial) -> str:
    """complete, pruned, or failed: ended by an error or given up."""
    if trial.state == TrialState.FAIL or "error" in trial.user_attrs:
        return "failed"
    return trial.state.name.lower()


def best_of(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the best score of those that were not cut short; None without one."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    return min(done, key=lambda trial: sign * trial.value, default=None)


def settings_of(trial: FrozenTrial, space: Space) -> dict[str, Any]:
    """What a trial has otherwise than the recipe, by dotted key."""
    return space.suggest(optuna.trial.FixedTrial(trial.params))


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of each key in how good a trial is (PED-ANOVA, Watanabe et al. 2023).

    Empty where fewer than four trials are complete.
    """
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < 4:
        return {}
    found = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def write_results(study: optuna.Study, folder: Path, search: Search) -> None:
    """Write `best.yaml`, `study.json` and `trials.csv`; call it with the study locked."""
    trials = ended(study)
    names = [each.name for each in search.space.dimensions]
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["number", "outcome", "score", "seconds", *names])
    for trial in trials:
        row = [trial.number, outcome(trial), trial.value, trial.user_attrs.get("seconds")]
        table.writerow([*row, *(trial.params.get(name) for name in names)])
    replace_file(folder / "trials.csv", text.getvalue())
    best = best_of(study)
    content = {
        "recipe": str(search.recipe),
        "score": search.score,
        "direction": study.direction.name.lower(),
        "budget": search.budget,
        "space": search.space.to_dict(),
        "best": None if best is None else best.number,
        "importances": importances(study),
        "trials": [
            {
                "number": trial.number,
                "outcome": outcome(trial),
                "score": trial.value,
                "settings": trial.params,
                "checks": trial.intermediate_values,
                **trial.user_attrs,
            }
            for trial in trials
        ],
    }
    replace_file(folder / "study.json", json_text(content))
    if best is not None:
        replace_file(folder / "best.yaml", _recipe(best, len(trials), search))


def _recipe(best: FrozenTrial, trials: int, search: Search) -> str:
    """A recipe for `liquid-control train` with the best trial's settings."""
    settings = settings_of(best, search.space)
    words = (
        f"From `liquid-control tune {search.recipe}`: trial {best.number} of {trials}, "
        f"{search.score} {best.value:.5g}. A trial was {search.budget}. Searched: "
        f"{', '.join(each.name for each in search.space.dimensions)}."
    )
    head = textwrap.fill(words, 96, initial_indent="# ", subsequent_indent="# ") + "\n"
    # Safe to read by any version of YAML: PyYAML writes 1e-4 as 0.0001.
    return head + yaml.safe_dump(changed(search.settings, settings), sort_keys=False)
