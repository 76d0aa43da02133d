"""Trials in one SQLite file that several processes share and that a kill does not harm."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from liquid_control.errors import InputError

__all__ = ["CHECKS", "Claim", "Pruner", "ended", "locked", "next_trial", "open_study"]

Pruner = Literal["median", "asha", "none"]
CHECKS = 8  # intermediate scores of a trial
STARTUP = 8  # trials at random before the sampler has seen enough
ATTEMPTS = 3  # after which a trial that takes its process down every time is given up
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SeededByTrial(BaseSampler):
    """Tree-structured Parzen estimator (Bergstra et al. 2011) with a seed of its own per trial.

    What a trial draws follows from the seed, its number and the trials that have ended: a search
    that goes on draws on as if it had never stopped, and processes do not draw alike.

    Args:
        seed: of the search.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._number, self._sampler = -1, TPESampler()

    def _of(self, trial: FrozenTrial) -> TPESampler:
        if trial.number != self._number:
            seed = (self.seed * 1_000_003 + trial.number) % 2**32
            self._sampler = TPESampler(n_startup_trials=STARTUP, seed=seed)
            self._number = trial.number
        return self._sampler

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)


def make_pruner(name: Pruner) -> BasePruner:
    """What ends a trial early.

    "median" ends one whose best score so far is worse than the median of the others at the same
    check, from the fifth trial and the second check on; "asha" lets the best third of those that
    reached checks 1 and 3 go on (asynchronous successive halving, Li et al. 2020).
    """
    if name == "median":
        return MedianPruner(n_startup_trials=4, n_warmup_steps=1)
    if name == "asha":
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return NopPruner()


def open_study(
    folder: Path,
    facts: dict[str, Any],
    maximise: bool,
    seed: int,
    pruner: Pruner,
    first: dict[str, Any] | None,
) -> optuna.Study:
    """The study of a folder, made where there is none.

    Args:
        folder: of the study.
        facts: what identifies it, JSON-ready.
        maximise: whether a larger score is better.
        seed: of the sampler.
        pruner: what ends trials early.
        first: values of the first trial; None leaves them to the sampler.

    Raises:
        InputError: the folder holds a study with other facts, or a file that is no study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.db"
    with locked(folder):
        try:
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{file.resolve()}", engine_kwargs={"connect_args": {"timeout": 60}}
            )
            study = optuna.create_study(
                storage=storage,
                sampler=SeededByTrial(seed),
                pruner=make_pruner(pruner),
                study_name="tune",
                direction="maximize" if maximise else "minimize",
                load_if_exists=True,
            )
        except (optuna.exceptions.StorageInternalError, _database_error()) as error:
            raise InputError(
                f"{file} is no study that can be read ({type(error).__name__}); remove {folder} "
                "or give another --output."
            ) from error
        if (before := study.user_attrs.get("facts")) is None:
            if first is not None:
                study.enqueue_trial(first, skip_if_exists=True)
            # Last, so that a kill in between leaves a study that is set up again.
            study.set_user_attr("facts", facts)
        elif changes := sorted(key for key in facts if before.get(key) != facts[key]):
            raise InputError(
                f"{folder} holds a search with another {', '.join(changes)}; remove it, or give "
                "another --output."
            )
    return study


def _database_error() -> type[Exception]:
    from sqlalchemy.exc import DatabaseError

    return DatabaseError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time is in here; a process that dies gives the lock back."""
    with (folder / "study.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Claim:
    """A trial that this process works on.

    Args:
        trial: Optuna's.
        resumed: it was left by a process that is gone.
        lock: held as long as the process lives, so that others know the trial is in good hands.
    """

    trial: optuna.Trial
    resumed: bool
    lock: IO[str]


def next_trial(study: optuna.Study, folder: Path, trials: int) -> Claim | None:
    """A trial that a process left behind, else a new one; None where `trials` have begun."""
    with locked(folder):
        for frozen in study.get_trials(states=(TrialState.RUNNING,)):
            lock = _claim(folder, frozen.number)
            if lock is None:
                continue
            if study.get_trials(deepcopy=False)[frozen.number].state != TrialState.RUNNING:
                lock.close()  # ended after the list was read
                continue
            attempts = frozen.user_attrs.get("attempts", 1)
            if attempts >= ATTEMPTS:
                lock.close()
                study.tell(frozen.number, state=TrialState.FAIL)
                continue
            trial = optuna.Trial(study, frozen._trial_id)
            trial.set_user_attr("attempts", attempts + 1)
            return Claim(trial, True, lock)
        begun = study.get_trials(deepcopy=False, states=(*ENDED, TrialState.RUNNING))
        if len(begun) >= trials:
            return None
        trial = study.ask()
        lock = _claim(folder, trial.number)
        if lock is None:
            raise InputError(f"{folder} is being written to by something else; give another.")
        return Claim(trial, False, lock)


def _claim(folder: Path, number: int) -> IO[str] | None:
    """The trial's lock, or None where a living process has it."""
    place = folder / "trials" / f"{number:04d}"
    place.mkdir(parents=True, exist_ok=True)
    file = (place / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that are over, in order."""
    return study.get_trials(deepcopy=False, states=ENDED)
