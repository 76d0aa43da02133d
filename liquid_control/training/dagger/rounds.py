"""Rounds of DAgger: record, train, score, keep the best, and go on where a run was killed.

Ross, Gordon & Bagnell, "A Reduction of Imitation Learning and Structured Prediction to No-Regret
Online Learning", AISTATS 2011, algorithm 3.1. What is done is written into `dagger.json` phase by
phase; within a phase the recorder finds its bags, the training its checkpoint and the score its
drives.
"""

from __future__ import annotations

import functools
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from liquid_control import models
from liquid_control.data.drive import Drive, find_bags, load_drives
from liquid_control.errors import InputError
from liquid_control.evaluation.output import alone
from liquid_control.files import check_folder, replace_file
from liquid_control.policy import Policy
from liquid_control.rollout import (
    Episode,
    Mixture,
    PolicyPilot,
    check_world,
    parse_options,
    split_options,
)
from liquid_control.rollout.engine import HERE, Engine
from liquid_control.rollout.episode_bag import Settings, is_recorded
from liquid_control.rollout.recording import Recording, record_episodes
from liquid_control.training import closed_loop
from liquid_control.training.dagger.recipe import DaggerRecipe
from liquid_control.training.dagger.select import answers, around_mistakes, choose
from liquid_control.training.dagger.summary import recording_summary, score_summary, sentence
from liquid_control.training.imitation import FREE, Machine, fit
from liquid_control.training.networks import make_policy
from liquid_control.training.options import merged
from liquid_control.training.recipe import Recipe

__all__ = ["FILE", "Run", "learn"]

FILE = "dagger.json"
# Drives scored between two notes of how far the score has come.
_CHUNK = 4
# What may change when a run goes on, as it changes nothing that was done.
_FREE = ("rounds", "perfect")


def learn(
    recipe: DaggerRecipe,
    output: Path,
    work: Path,
    machine: Machine | None = None,
    engine: Engine = HERE,
) -> list[dict[str, Any]]:
    """Learn as `recipe` says, and write the best round's model into `output`.

    Args:
        recipe: what to learn, and how.
        output: folder of the model.
        work: folder for bags, checkpoints and the models of all rounds. What was begun there goes
            on.
        machine: what trainings run on.
        engine: where episodes are recorded and scored; the outcome is the same anywhere.

    Returns:
        The numbers of each whole round, the first model's in front, as in `dagger.json`.

    Raises:
        InputError: no such world, option, model or data, a folder with another recipe's run, one
            that another process fills, or one that cannot be written.
    """
    check_folder(output)
    run = Run(recipe, work, machine or Machine(), engine)
    with alone(work, "run of DAgger", "--work"):
        for number in range(recipe.rounds + 1):
            if run.over(number):
                break
            run.go_through(number)
            run.write(output)
    return run.scored


class Run:
    """What was reached in a folder, and the steps that go on from there.

    Args:
        recipe, work, machine, engine: as for `learn`.

    Attributes:
        rounds: the numbers of each round, the first model's in front.
    """

    def __init__(self, recipe: DaggerRecipe, work: Path, machine: Machine, engine: Engine) -> None:
        self.recipe, self.work = recipe, work
        self.machine, self.engine = machine, engine
        self.made, self.reset = split_options(recipe.world, parse_options(recipe.options))
        for root in recipe.train.data:
            # Before hours of driving, not after.
            find_bags(root)
        init = self._first_policy()
        pilot = Mixture(PolicyPilot(init), 0.0)
        check_world(recipe.world, self.reset, pilot, **self.made)
        self.rounds: list[dict[str, Any]] = self._begun()

    @property
    def scored(self) -> list[dict[str, Any]]:
        """The rounds that are over; the last one may have been broken off."""
        return [each for each in self.rounds if "score" in each]

    @property
    def best(self) -> int:
        """The round with the best score, of equal ones the first."""
        return int(np.argmax([each["score"]["value"] for each in self.scored]))

    def folder(self, number: int) -> Path:
        """Of a round: its training and its model."""
        return self.work / f"round_{number:02d}"

    def over(self, number: int) -> bool:
        """Whether the last rounds before `number` left nothing to learn."""
        wanted = self.recipe.perfect
        last = self.scored[max(0, number - wanted) : number]
        return 0 < wanted == len(last) and all(each["score"]["perfect"] for each in last)

    def go_through(self, number: int) -> None:
        """Do what is left of a round."""
        if number == len(self.rounds):
            self.rounds.append({"round": number})
        entry = self.rounds[number]
        for name in ("recording", "training", "score"):
            if name not in entry and (number or name != "recording"):
                started = time.perf_counter()
                found = getattr(self, f"_{name}")(number)
                entry[name] = found | {"minutes": (time.perf_counter() - started) / 60}
                self._keep()
                print(f"round {number}: {sentence(name, entry[name])}", flush=True)

    def write(self, output: Path) -> None:
        """Write the best model so far, and what is known of every round."""
        best = self.folder(self.best) / "model"
        policy = Policy.load(best)
        known = {"round": self.best, "score": self.rounds[self.best]["score"]["value"]}
        policy.save(output, {**policy.extra, "dagger": known})
        if (best / "training.json").is_file():
            replace_file(output / "training.json", (best / "training.json").read_bytes())
        replace_file(output / FILE, (self.work / FILE).read_bytes())

    def _first_policy(self) -> Policy:
        train = self.recipe.train
        if not self.recipe.init:
            return make_policy(train.circuit, train.spec, train.camera)
        policy = Policy.load(models.find(self.recipe.init))
        if (policy.spec.names, policy.camera) != (train.outputs, train.camera):
            gives, wants = ", ".join(policy.spec.names), ", ".join(train.outputs)
            raise InputError(
                f"{self.recipe.init} gives {gives} from {policy.camera}, the recipe wants {wants} "
                f"from {train.camera}; begin with another model or change the recipe."
            )
        return policy

    def _begun(self) -> list[dict[str, Any]]:
        file = self.work / FILE
        if not file.is_file():
            self.work.mkdir(parents=True, exist_ok=True)
            return []
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            # A setting that an older version did not have is as if it had been at its default.
            before = merged(_plain(DaggerRecipe(Recipe(data=(), model=""), "", "")), kept["recipe"])
            rounds = kept["rounds"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{file} cannot be read; remove {self.work} to begin again."
            ) from error
        now = _plain(self.recipe)
        if changed := sorted(name for name in now if _fixed(before, name) != _fixed(now, name)):
            raise InputError(
                f"{self.work} holds a run of DAgger with another {', '.join(changed)}; remove it, "
                "or give another --output or --work."
            )
        return rounds

    def _keep(self) -> None:
        scored = self.scored
        content = {
            "recipe": _plain(self.recipe),
            "best": self.best if scored else None,
            "rounds": self.rounds,
        }
        replace_file(self.work / FILE, json.dumps(content, indent=1) + "\n")

    def _driver(self, number: int) -> Path:
        """The model that drives in a round."""
        before = number - 1 if self.recipe.start != "best" else self.best
        return self.folder(before) / "model"

    def _bags(self, number: int) -> list[Recording]:
        """Settings, seed and folder of each bag of a round."""
        recipe = self.recipe
        settings = Settings(
            world=recipe.world,
            made=json.dumps(self.made, sort_keys=True),
            reset=json.dumps(self.reset, sort_keys=True),
            seconds=recipe.seconds,
            model=self._driver(number),
            mixture=(recipe.beta.at(number), recipe.segment, recipe.takeover),
            disturb=recipe.disturb,
        )
        first = recipe.seed + (number - 1) * recipe.episodes
        folder = self.work / "bags" / f"round_{number:02d}"
        return [
            (settings, seed, folder / f"{seed:06d}")
            for seed in range(first, first + recipe.episodes)
        ]

    def _recording(self, number: int) -> dict[str, Any]:
        jobs = self._bags(number)
        jobs[0][2].parent.mkdir(parents=True, exist_ok=True)
        todo = [job for job in jobs if not is_recorded(*job)]
        threads = torch.get_num_threads()
        try:
            with tqdm(
                total=len(jobs),
                initial=len(jobs) - len(todo),
                desc=f"round {number}",
                unit="episode",
                disable=None,
            ) as bar:
                for _ in record_episodes(todo, self.engine):
                    bar.update()
        finally:
            torch.set_num_threads(threads)
        found = [answers(folder) for _, _, folder in jobs]
        return {"beta": self.recipe.beta.at(number), **recording_summary(found)}

    def _training(self, number: int) -> dict[str, Any]:
        recipe, folder = self.recipe, self.folder(number)
        if not number and recipe.init:
            policy = Policy.load(models.find(recipe.init))
            policy.save(folder / "model", policy.extra)
            return {"init": recipe.init}
        train, init, drives = recipe.train, None, self._demonstrations
        if number:
            drives = choose(recipe, number, drives, [self._drives(k + 1) for k in range(number)])
            if not any(drive.weights.any() for drive in drives):
                raise InputError(
                    f"Round {number} has nothing to train on: no frame is left after `mistakes` "
                    "and `frames`; change one of them."
                )
            if recipe.start != "fresh":
                init = self._driver(number)
            data = (*train.data, str(self.work / "bags"))
            train = replace(train, data=data, seed=train.seed + number)
        fit(
            train,
            folder / "model",
            init,
            work=folder / "training",
            machine=self.machine,
            drives=drives,
        )
        told = json.loads((folder / "model" / "training.json").read_text(encoding="utf-8"))
        names = ("frames", "windows", "steps", "frames_per_second", "losses")
        return {"bags": len({drive.path for drive in drives}), **{x: told[x] for x in names}}

    def _score(self, number: int) -> dict[str, Any]:
        settings = self.recipe.closed_loop(self.engine.workers)
        file = self.folder(number) / "drives.json"
        done: list[Episode] = []
        if file.is_file():
            done = [Episode(**each) for each in json.loads(file.read_text(encoding="utf-8"))]
        chunk = max(_CHUNK, self.engine.workers)
        with self.engine.session():
            for first in range(len(done), settings.episodes, chunk):
                count = min(chunk, settings.episodes - first)
                some = replace(settings, seed=settings.seed + first, episodes=count)
                done += closed_loop.drive(self.folder(number) / "model", some, self.engine)
                replace_file(file, json.dumps([asdict(each) for each in done]) + "\n")
        return score_summary(done, settings)

    @functools.cached_property
    def _demonstrations(self) -> list[Drive]:
        train = self.recipe.train
        return load_drives(train.data, train.camera, train.outputs, train.labels)

    def _drives(self, number: int) -> list[Drive]:
        recipe = self.recipe
        train = recipe.train
        drives = load_drives(
            [folder for _, _, folder in self._bags(number)], train.camera, train.outputs
        )
        if not recipe.mistakes:
            return drives
        lead = train.length * max(train.strides)
        return [
            part
            for drive in drives
            for part in around_mistakes(
                drive, answers(drive.path), recipe.mistakes, recipe.around, lead
            )
        ]


def _plain(recipe: DaggerRecipe) -> dict[str, Any]:
    """A recipe as JSON gives it back."""
    return json.loads(json.dumps(recipe.to_dict()))


def _fixed(settings: dict[str, Any], name: str) -> Any:
    """A setting without what may change when a run goes on."""
    if name in _FREE:
        return None
    value = settings.get(name)
    if name == "train" and isinstance(value, dict):
        return {key: each for key, each in value.items() if key not in FREE}
    return value
