"""One trial: a training with scores in between, which may end it early."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightning
import optuna
from lightning.pytorch.callbacks import Timer
from optuna.trial import TrialState

from liquid_control.data.drive import load_drives
from liquid_control.errors import InputError
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.policy import Policy
from liquid_control.training.closed_loop import ClosedLoopScore
from liquid_control.training.imitation import Machine, fit
from liquid_control.training.recipe import Recipe
from liquid_control.training.split import split_by_time
from liquid_control.training.tune.study import CHECKS, Claim

__all__ = ["Intermediate", "run_trial", "tell", "validation_error"]


def validation_error(policy: Policy, recipe: Recipe) -> float:
    """Mean squared error on the validation part, as a share of the limits, mean of all outputs.

    The policy runs through the recordings as a node would. Unlike the loss this does not depend on
    what a search varies (window length, burn-in, alpha, weights).

    Raises:
        InputError: the validation part holds no frames.
    """
    drives = load_drives(recipe.data, recipe.camera, recipe.outputs, recipe.labels)
    held_back = split_by_time(drives, recipe.validation, recipe.test)[1]
    if not held_back:
        raise InputError(
            f"The score of a search without a closed loop is the error on the validation part, but "
            f"validation: {recipe.validation} of these recordings holds no frame; raise it."
        )
    policy = copy.deepcopy(policy).cpu().eval()
    summary = open_loop(policy, held_back).summary
    limits = {output.name: output.high for output in recipe.spec.outputs}
    return sum(each["mse"] / limits[name] ** 2 for name, each in summary.items()) / len(summary)


class Intermediate(lightning.Callback):
    """Reports a trial's score at eighths of its training, and ends it where it lags behind.

    Args:
        trial: to report to.
        recipe: of the trial.
        progress: called with the share that is done, 0 to 1, and the last score.

    Raises:
        optuna.TrialPruned: out of the training, when the pruner gives the trial up.
    """

    def __init__(
        self, trial: optuna.Trial, recipe: Recipe, progress: Callable[[float, float], None]
    ) -> None:
        self.trial, self.recipe, self.progress = trial, recipe, progress
        storage = trial.study.get_trials(deepcopy=False)[trial.number]
        self.scores: dict[int, float] = dict(storage.intermediate_values)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        share = _share(trainer, pl_module.steps, self.recipe.minutes)
        score = self._score(trainer, pl_module, share)
        last = self.scores[max(self.scores)] if self.scores else math.nan
        self.progress(share, last)
        if score is None:
            return
        check, value = score
        if check in self.scores:
            return  # reported before a kill
        self.scores[check] = value
        self.trial.report(value, check)
        self.progress(share, value)
        if share < 1 and self.trial.should_prune():
            raise optuna.TrialPruned

    def _score(self, trainer, module, share: float) -> tuple[int, float] | None:
        """The check that has been reached and its score, or None between two of them."""
        if self.recipe.closed_loop.world:
            history = _loop(trainer).history
            if not history or history[-1][0] != trainer.global_step:
                return None
            return max(1, math.ceil(CHECKS * share)), max(value for _, value in history)
        check = math.floor(CHECKS * share + 1e-9)
        if check == 0 or check <= max(self.scores, default=0):
            return None
        return check, validation_error(module.best, self.recipe)


def _loop(trainer: lightning.Trainer) -> ClosedLoopScore:
    return next(each for each in trainer.callbacks if isinstance(each, ClosedLoopScore))


def _share(trainer: lightning.Trainer, steps: int, minutes: float) -> float:
    """How much of a training is done, 0 to 1, by steps or by time."""
    share = trainer.global_step / steps
    if minutes:
        timer = next(each for each in trainer.callbacks if isinstance(each, Timer))
        share = max(share, timer.time_elapsed() / (60 * minutes))
    return min(share, 1.0)


def run_trial(
    claim: Claim, recipe: Recipe, folder: Path, threads: int, progress: Callable
) -> TrialState:
    """Train what a claimed trial says and tell its study the outcome.

    A training that its recipe or a broken number ended counts as pruned, so that the sampler keeps
    away from there; the reason is the trial's attribute `error`.

    Args:
        claim: of the trial.
        recipe: with the trial's settings.
        folder: of the trial, for its log, its model and, until it ends, its checkpoint.
        threads: of torch; 0 leaves the choice to it.
        progress: called with the share that is done, 0 to 1, and the last score.
    """
    trial, work = claim.trial, folder / "work"
    # A trial is short: what a kill loses should be shorter.
    recipe = replace(recipe, checkpoint=min(recipe.checkpoint, 50))
    started = time.perf_counter()
    value, error = None, None
    try:
        with (folder / "log.txt").open("a") as log, contextlib.redirect_stdout(log):
            policy = fit(
                recipe,
                folder / "model",
                work=work,
                # Several processes would start the whole search again.
                machine=Machine(devices=1, threads=threads),
                callbacks=[Intermediate(trial, recipe, progress)],
                test=False,
            )
        value = _value(policy, recipe, folder)
    except optuna.TrialPruned:
        pass
    except InputError as refused:
        error = str(refused)
    return tell(claim, value, error, time.perf_counter() - started, work)


def tell(
    claim: Claim, value: float | None, error: str | None, seconds: float, work: Path | None = None
) -> TrialState:
    """Write a trial's end into its study: complete with a value, pruned without."""
    trial = claim.trial
    if value is not None and not math.isfinite(value):
        value, error = None, f"The score became {value}."
    if error is not None:
        trial.set_user_attr("error", error)
    trial.set_user_attr("seconds", trial.user_attrs.get("seconds", 0.0) + round(seconds, 1))
    state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    trial.study.tell(trial, value, state)
    if work is not None:
        # Nothing goes on from here.
        (work / "last.ckpt").unlink(missing_ok=True)
    claim.lock.close()
    return state


def _value(policy: Policy, recipe: Recipe, folder: Path) -> float:
    if not recipe.closed_loop.world:
        return validation_error(policy, recipe)
    results = json.loads((folder / "model" / "training.json").read_text(encoding="utf-8"))
    return max(score for _, score in results["closed_loop"])
