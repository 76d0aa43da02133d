"""The episodes of an evaluation: what is to be driven, what was driven before, and driving it."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
from tqdm import tqdm

from liquid_control import models
from liquid_control.deploy.runtime import load_driver
from liquid_control.errors import InputError
from liquid_control.evaluation.episodes import (
    COLUMNS,
    TABLE,
    Row,
    columns_of,
    read_rows,
    write_rows,
)
from liquid_control.evaluation.suite import Condition, Suite
from liquid_control.files import replace_file
from liquid_control.rollout import (
    Episode,
    ExpertPilot,
    Perturbation,
    Perturbed,
    Pilot,
    PolicyPilot,
    make_world,
    run_episode,
    split_options,
)
from liquid_control.rollout.bundle import Bundle, model_bundle
from liquid_control.rollout.engine import Engine

__all__ = ["EXPERT", "SETTINGS", "check", "drive", "jobs_of", "named_models", "resume"]

EXPERT = "expert"
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Job:
    """What a process needs to run one episode; `made` and `reset` are options as JSON.

    Attributes:
        name: of the model.
        source: its folder; None for the expert.
        world: Gymnasium name.
        condition, level: what it is called.
        made, reset: options of the world's constructor, and of its `reset`.
        perturbation: between world and pilot.
        seed: of the world.
    """

    name: str
    source: Bundle | None
    world: str
    condition: str
    level: float
    made: str
    reset: str
    perturbation: Perturbation
    seed: int

    @property
    def key(self) -> tuple[str, str, str, float, int]:
        """As `Row.key`."""
        return self.name, self.world, self.condition, self.level, self.seed


def named_models(given: Sequence[str]) -> dict[str, Bundle | None]:
    """Models by their names; None for the expert.

    Raises:
        InputError: no model, no such one, or two of one name.
    """
    found: dict[str, Bundle | None] = {}
    for each in given:
        source = None if each == EXPERT else model_bundle(models.find(each))
        name = EXPERT if source is None else source.name
        if name in found:
            raise InputError(
                f"Two models are called {name!r}; give each of them once, and folders with "
                "different names."
            )
        found[name] = source
    if not found:
        raise InputError("Nobody to drive: give a --model, or `--model expert`.")
    return found


def check(chosen: Mapping[str, Bundle | None], worlds: Sequence[str], suite: Suite) -> None:
    """Begin an episode of everybody in every world and condition, before anything is written.

    Raises:
        InputError: no such world, option or value, no OpenGL, or a model that does not fit.
    """
    try:
        for world in worlds:
            for condition in suite.conditions:
                made, reset = _options(world, condition)
                env = _world(world, made)
                env.reset(seed=0, options=json.loads(reset) or None)
                for source in chosen.values():
                    Perturbed(_pilot(source), condition.perturbation).reset(env, 0)
    except Exception:
        # Gymnasium's checks break the next episode of a world whose first reset was refused.
        _world.cache_clear()
        raise


def jobs_of(
    chosen: Mapping[str, Bundle | None], worlds: Sequence[str], suite: Suite, seeds: Sequence[int]
) -> list[Job]:
    """All episodes, condition by condition, so that what a kill leaves can be compared."""
    return [
        Job(
            *(name, source, world, condition.name, condition.level),
            *(*_options(world, condition), condition.perturbation, seed),
        )
        for world in worlds
        for condition in suite.conditions
        for name, source in chosen.items()
        for seed in seeds
    ]


def resume(
    output: Path, settings: dict[str, Any], order: Sequence[str]
) -> tuple[dict[str, Any], dict[tuple, Row]]:
    """Settings and whole episodes of this and all earlier calls into the same folder.

    Models, worlds and conditions may be added; what has a name already must stay what it was.
    Broken episodes are left out, so that they are tried again.

    Args:
        output: the folder, which exists.
        settings: of this call.
        order: keys of the suite's conditions.

    Raises:
        InputError: the folder holds something else under the same name.
    """
    path, table = output / SETTINGS, output / TABLE
    if not (path.is_file() and table.is_file()):
        replace_file(path, json.dumps(settings, indent=1) + "\n")
        write_rows(output, [])
        return settings, {}
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); give another --output.") from error
    if changed := _changed(before, settings):
        raise InputError(
            f"{output} holds an evaluation with another {', '.join(changed)}; give another "
            "--output or remove it."
        )
    settings = settings | {
        # Whoever was evaluated first stays the one that others are compared with.
        "models": before["models"] | settings["models"],
        "worlds": list(dict.fromkeys([*before["worlds"], *settings["worlds"]])),
        "conditions": dict(
            sorted(
                (before["conditions"] | settings["conditions"]).items(),
                key=lambda entry: order.index(entry[0]) if entry[0] in order else len(order),
            )
        ),
    }
    replace_file(path, json.dumps(settings, indent=1) + "\n")
    # A killed run may have left half a row.
    rows = [row for row in read_rows(output) if row.episode.error is None]
    write_rows(output, rows)
    return settings, {row.key: row for row in rows}


def drive(
    jobs: Sequence[Job], done: dict[tuple, Row], output: Path, engine: Engine
) -> dict[tuple, Row]:
    """Drive what is not done yet, and write each episode down as soon as it has ended.

    Args:
        jobs: all that was asked for.
        done: rows by their keys; is filled.
        output: folder with the table.
        engine: where to drive.

    Returns:
        `done`.
    """
    todo = [job for job in jobs if job.key not in done]
    crashed = sum(done[job.key].episode.crashed for job in jobs if job.key in done)
    broken = 0
    with (
        (output / TABLE).open("a", newline="", encoding="utf-8") as file,
        # Episodes differ in length, and several processes end together: a long average.
        tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="episode", smoothing=0.02) as bar,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        for job, episode in engine.spread(run, todo):
            row = Row(*job.key[:-1], episode)
            done[job.key] = row
            writer.writerow(columns_of(row))
            file.flush()
            crashed, broken = crashed + episode.crashed, broken + (episode.error is not None)
            bar.update()
            bar.set_postfix(crashes=crashed, **({"broken": broken} if broken else {}))
    return done


def run(job: Job) -> Episode:
    """Drive one episode; one that breaks comes back with its error."""
    try:
        env, pilot = _world(job.world, job.made), _pilot(job.source)
        options = json.loads(job.reset) or None
        return run_episode(env, pilot, job.seed, options=options, perturbation=job.perturbation)
    except Exception as error:  # noqa: BLE001 (whatever breaks one episode must not end the others)
        # The next episode must not depend on what is left of this one.
        _world.cache_clear()
        _pilot.cache_clear()
        text = " ".join(f"{type(error).__name__}: {error}".split())
        nothing = float("nan")
        figures = (nothing,) * 6
        return Episode(job.seed, 0.0, nothing, False, 0, *figures, error=text[:500])


def _changed(before: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What an earlier call meant by something else."""
    if "conditions" not in before:
        return ["format"]
    found = ["suite"] if before["suite"] != settings["suite"] else []
    for name, facts in settings["models"].items():
        known = before["models"].get(name, facts)
        if known["weights_sha256"] != facts["weights_sha256"]:
            found.append(f"model of the name {name}")
    names: set[str] = set()
    for key in before["conditions"].keys() & settings["conditions"].keys():
        one, other = (each["conditions"][key]["definition"] for each in (before, settings))
        names |= {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    return found + sorted(names)


def _options(world: str, condition: Condition) -> tuple[str, str]:
    # The world keeps the time, as it says at the end of it whether the episode was a success.
    limit = {} if condition.seconds is None else {"seconds": condition.seconds}
    made, reset = split_options(world, dict(condition.options) | limit)
    return json.dumps(made, sort_keys=True), json.dumps(reset, sort_keys=True)


@functools.lru_cache(maxsize=1)
def _world(world: str, made: str) -> gymnasium.Env:
    return make_world(world, **json.loads(made))


# As many as are compared at once, so that the order of episodes is free.
@functools.lru_cache(maxsize=16)
def _pilot(source: Bundle | None) -> Pilot:
    return ExpertPilot() if source is None else PolicyPilot(load_driver(source.folder))
