"""`liquid-control tune RECIPE --trials N`: search a recipe's settings."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import optuna
import torch
import tyro
from optuna.trial import TrialState
from tqdm import tqdm

from liquid_control.errors import InputError
from liquid_control.files import check_folder
from liquid_control.rollout import check_world, parse_options, split_options
from liquid_control.rollout.engine import HERE, Engine
from liquid_control.training.networks import make_policy
from liquid_control.training.recipe import Recipe, build_recipe
from liquid_control.training.tune.results import (
    Search,
    best_of,
    outcome,
    settings_of,
    write_results,
)
from liquid_control.training.tune.space import changed, read_settings, read_space
from liquid_control.training.tune.study import (
    Claim,
    Pruner,
    ended,
    locked,
    next_trial,
    open_study,
)
from liquid_control.training.tune.trial import run_trial, tell, validation_error

__all__ = ["search", "tune"]

# So many failures with nothing else mean that the recipe is wrong, not a trial.
FAILURES = 3


def tune(
    recipe: Path,
    /,
    trials: int = 30,
    space: Path | None = None,
    output: Path | None = None,
    epochs: int = 0,
    minutes: float = 0.0,
    pruner: Pruner = "median",
    seed: int = 0,
    threads: int = 0,
    engine: Annotated[Engine, tyro.conf.arg(name="")] = HERE,
) -> int:
    """Search the settings of a training recipe; run the same command again to go on.

    Each trial is a training with settings drawn by a tree-structured Parzen estimator, the first
    one with the recipe's own. The score is that of the closed loop if the recipe has one, else the
    mean squared error on the validation part; the test part is never looked at. Started several
    times, the processes share the trials. Writes best.yaml (a recipe for `liquid-control train`),
    trials.csv, study.json and study.png into the output folder.

    Args:
        recipe: YAML file of an imitation training, config/driving_v1.yaml.
        trials: how many in all, of all processes and earlier runs together.
        space: YAML file that says what is searched; by default tune_NAME.yaml beside NAME.yaml.
        output: folder of the study instead of runs/tune-NAME.
        epochs: of a trial, instead of the recipe's.
        minutes: end a trial after this time; 0 is no limit but the recipe's.
        pruner: what ends a trial early: median, asha (successive halving) or none.
        seed: of the search; trainings keep the recipe's.
        threads: CPU threads of torch; 0 leaves the choice to it, or is 1 with several workers.
        engine: where trials are trained. The machines of a cluster need the recipe's data and the
            output folder at the same path, in a shared folder with file locks.
    """
    space = space or recipe.with_name(f"tune_{recipe.name}")
    output = output or Path("runs") / f"tune-{recipe.stem}"
    try:
        search(
            *(recipe, trials, space, output),
            epochs=epochs,
            minutes=minutes,
            pruner=pruner,
            seed=seed,
            threads=threads,
            engine=engine,
        )
    except KeyboardInterrupt:
        print(
            "liquid-control: interrupted; run the same command again to go on from the last "
            "checkpoint of the trial that was running.",
            file=sys.stderr,
        )
        return 130
    return 0


def search(
    recipe: Path,
    trials: int,
    space: Path,
    output: Path,
    *,
    epochs: int = 0,
    minutes: float = 0.0,
    pruner: Pruner = "median",
    seed: int = 0,
    threads: int = 0,
    engine: Engine = HERE,
) -> optuna.Study:
    """Search as `tune` says.

    Raises:
        InputError: a recipe, space or budget that does not fit, no validation part, a study of
            another search in the folder, one that cannot be written, or trials that all fail.
    """
    if trials < 1 or epochs < 0 or not 0 <= minutes < 1e6 or seed < 0:
        raise InputError(
            "tune needs trials of at least 1 and epochs, minutes and a seed of 0 or more, got "
            f"{trials}, {epochs}, {minutes} and {seed}."
        )
    check_folder(output)
    settings = read_settings(recipe, "config/driving_v1.yaml")
    if "env" in settings and "data" not in settings:
        raise InputError(
            f"{recipe} is a recipe of `liquid-control rl`; tune searches those of "
            "`liquid-control train`, such as config/driving_v1.yaml."
        )
    build_recipe(settings, str(recipe))
    varied = read_space(space, settings)
    budget = {"epochs": epochs} if epochs else {}
    budget |= {"minutes": minutes} if minutes else {}
    if clash := [each.name for each in varied.dimensions if each.name in budget]:
        raise InputError(f"{space} searches {clash[0]}, so leave out --{clash[0]}.")
    base = build_recipe(changed(settings, {**varied.fixed, **budget}), str(recipe))
    if threads:
        torch.set_num_threads(threads)
    _check_score(base)
    closed = bool(base.closed_loop.world)
    facts = {
        "recipe": {k: v for k, v in base.to_dict().items() if k not in ("checkpoint", "precision")},
        "space": varied.to_dict(),
    }
    told = Search(
        recipe,
        settings,
        varied,
        f"closed-loop {base.closed_loop.score}" if closed else "validation MSE",
        f"{base.epochs} epochs" + (f", at most {base.minutes:g} min" if base.minutes else ""),
    )
    begun = (json.loads(json.dumps(facts)), closed, seed, pruner, varied.own(base))
    study = open_study(output, *begun)
    if engine == HERE:
        _run_all(study, output, trials, told, budget, threads)
    else:
        slot = _Slot(Path.cwd(), output.resolve(), begun, trials, told, budget, threads)
        _spread_all(study, slot, engine)
    _finish(study, output, told)
    return study


def _check_score(recipe: Recipe) -> None:
    """Score an untrained network: what would fail in every trial should fail before the first."""
    if recipe.closed_loop.world:
        made, reset = split_options(
            recipe.closed_loop.world, parse_options(recipe.closed_loop.options)
        )
        check_world(recipe.closed_loop.world, reset, **made)
    else:
        validation_error(make_policy(recipe.circuit, recipe.spec, recipe.camera), recipe)


def _run_all(
    study: optuna.Study, output: Path, trials: int, told: Search, budget: dict, threads: int
) -> None:
    """Trials until `trials` have begun, here or in other processes."""
    form = "{l_bar}{bar}| {n:.2f}/{total} trials [{elapsed}<{remaining}{postfix}]"
    with tqdm(total=trials, initial=len(ended(study)), bar_format=form) as bar:
        while claim := next_trial(study, output, trials):
            number = claim.trial.number
            if claim.resumed:
                bar.write(f"trial {number} goes on where a process that is gone left it")
            _run(study, output, claim, told, budget, threads, bar)
            with locked(output):
                write_results(study, output, told)
            bar.n = len(ended(study))
            bar.write(_line(study, number))
            bar.refresh()
            _stop_if_all_fail(study)


@dataclass(frozen=True)
class _Slot:
    """Room for one trial in some process: whatever trial is next.

    Args:
        place: the working folder, which relative paths of the recipe start from.
        output: of the study.
        begun: what the study was opened with.
        trials, told, budget, threads: of the search.
        number: of the slot.
    """

    place: Path
    output: Path
    begun: tuple
    trials: int
    told: Search
    budget: dict
    threads: int
    number: int = 0


def _spread_all(study: optuna.Study, slot: _Slot, engine: Engine) -> None:
    """As `_run_all`, with each trial in a process of the engine.

    What a process leaves behind when it goes down is the next one's trial.
    """
    left = range(slot.trials - len(ended(study)))
    with tqdm(total=slot.trials, initial=len(ended(study)), unit="trial") as bar:
        for _, number in engine.spread(_fill, [replace(slot, number=each) for each in left]):
            if number is not None:
                bar.write(_line(study, number))
                _stop_if_all_fail(study)
            bar.n = len(ended(study))
            bar.refresh()


def _fill(slot: _Slot) -> int | None:
    """Train the next trial; its number, or None where none is left.

    Raises:
        InputError: this machine does not see the study.
    """
    if not (slot.output / "study.db").is_file() or not slot.place.is_dir():
        raise InputError(
            f"The machine {socket.gethostname()} does not see the study in {slot.output}; put "
            "--output and the recipe's data into a folder that all machines share at this path."
        )
    with contextlib.chdir(slot.place):
        study = open_study(slot.output, *slot.begun)
        claim = next_trial(study, slot.output, slot.trials)
        if claim is None:
            return None
        number = claim.trial.number
        with tqdm(disable=True) as bar:
            _run(study, slot.output, claim, slot.told, slot.budget, slot.threads, bar)
        with locked(slot.output):
            write_results(study, slot.output, slot.told)
    return number


def _finish(study: optuna.Study, output: Path, told: Search) -> None:
    best = best_of(study)
    with locked(output):
        write_results(study, output, told)
        if best is not None and find_spec("matplotlib") is not None:
            from liquid_control.training.tune.plot import draw_study

            title = f"{told.recipe.name}: {len(ended(study))} trials of {told.budget}"
            draw_study(study, told.space, told.score, title, output / "study.png")
    _summarise(study, output, told)


def _run(
    study: optuna.Study,
    output: Path,
    claim: Claim,
    told: Search,
    budget: dict,
    threads: int,
    bar: tqdm,
) -> None:
    """Train one trial; settings that do not go together end it at once."""
    number, done, shown = claim.trial.number, len(ended(study)), 0.0

    def progress(share: float, score: float) -> None:
        nonlocal shown
        if time.monotonic() - shown > 1:
            shown = time.monotonic()
            bar.n = done + share
            bar.set_postfix_str(f"trial {number}" + (f": {score:.4g}" if score == score else ""))

    values = {**told.space.suggest(claim.trial), **budget}
    try:
        recipe = build_recipe(changed(told.settings, values), f"trial {number}")
    except InputError as error:
        tell(claim, None, str(error), 0.0)
        return
    run_trial(claim, recipe, output / "trials" / f"{number:04d}", threads, progress)


def _line(study: optuna.Study, number: int) -> str:
    """How a trial ended, and the best so far."""
    trial, best = study.get_trials(deepcopy=False)[number], best_of(study)
    seconds = trial.user_attrs.get("seconds", 0.0)
    said = f"trial {number} {outcome(trial)}"
    said += f", {trial.value:.5g}" if trial.value is not None else ""
    said += f", {seconds:.0f} s"
    if best is not None:
        said += f"; best {best.value:.5g} (trial {best.number})"
    return said + (f": {trial.user_attrs['error']}" if "error" in trial.user_attrs else "")


def _stop_if_all_fail(study: optuna.Study) -> None:
    over = ended(study)
    if len(over) >= FAILURES and all(outcome(each) == "failed" for each in over):
        last = over[-1].user_attrs.get("error", "its process died")
        raise InputError(
            f"All {len(over)} trials so far have failed, the last one with: {last} Mend the recipe "
            "or the search space."
        )


def _summarise(study: optuna.Study, output: Path, told: Search) -> None:
    counts = Counter(map(outcome, ended(study)))
    print(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    best, first = best_of(study), study.get_trials(deepcopy=False)[0]
    if best is None:
        print("No trial was completed, so there is no best recipe.")
        return
    own = "" if first.value is None else f"; trial 0: {first.value:.5g}"
    print(f"best {told.score} {best.value:.5g}, trial {best.number}{own}")
    for name, value in settings_of(best, told.space).items():
        print(f"  {name}: {value}")
    if elsewhere := study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        print(f"{len(elsewhere)} trials still run in another process, which will write the end.")
    print(f"liquid-control train {output / 'best.yaml'} --output ...")
