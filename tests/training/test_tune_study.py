"""Studies: a kill loses no trial, processes share them, and the same seed draws the same."""

import csv
import json
import math
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import sqlalchemy
import yaml
from optuna.trial import TrialState

from liquid_control.errors import InputError
from liquid_control.training.recipe import build_recipe, read_recipe
from liquid_control.training.tune.plot import draw_study
from liquid_control.training.tune.results import Search, best_of, outcome, write_results
from liquid_control.training.tune.space import changed, read_space
from liquid_control.training.tune.study import ATTEMPTS, ended, next_trial, open_study
from liquid_control.training.tune.trial import tell

SETTINGS = {"data": ["x"], "model": "m", "epochs": 7, "alpha": 0.4}
SPACE = """
head_rate: {low: 1e-5, high: 1e-1, log: true}
batch: {low: 2, high: 40}
strides: [[1], [1, 2]]
clip: 3
"""


@pytest.fixture(autouse=True)
def unsynced():
    """A killed process loses nothing without syncs either, only a machine without power does."""

    def connected(connection, _):
        connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", connected)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", connected)


@pytest.fixture
def space(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    return read_space(tmp_path / "space.yaml", SETTINGS)


def begin(folder: Path, seed: int = 0, first: dict | None = None, pruner="none", facts=None):
    return open_study(folder, facts or {"a": 1}, False, seed, pruner, first)


def error(values: dict) -> float:
    """Best at a head rate of 1e-3 and large batches."""
    return (math.log10(values["head_rate"]) + 3) ** 2 + 0.01 * (40 - values["batch"])


def work(folder: Path, space, trials: int, **options) -> None:
    study = begin(folder, **options)
    while claim := next_trial(study, folder, trials):
        tell(claim, error(space.suggest(claim.trial)), None, 1.0)


def in_process(function, *arguments) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


def test_a_search_that_breaks_off_goes_on_as_if_it_had_never_stopped(tmp_path, space):
    work(tmp_path / "one", space, 11)
    for trials in (3, 11):
        work(tmp_path / "two", space, trials)
    values = [
        [(trial.params, trial.value) for trial in ended(begin(tmp_path / name))]
        for name in ("one", "two")
    ]
    assert values[0] == values[1]
    assert len(values[0]) == 11
    work(tmp_path / "three", space, 1, seed=1)
    assert ended(begin(tmp_path / "three"))[0].params != values[0][0][0]


@pytest.mark.slow
def test_it_finds_what_is_best(tmp_path, space):
    work(tmp_path / "study", space, 40)
    scores = [trial.value for trial in ended(begin(tmp_path / "study"))]
    assert min(scores) < 0.1 * sorted(scores[:8])[4]  # the first eight are drawn at random
    assert min(scores[8:]) < min(scores[:8])


def test_a_trial_that_a_killed_process_left_is_taken_over_with_its_settings(tmp_path, space):
    def killed():
        claim = next_trial(begin(tmp_path / "study"), tmp_path / "study", 5)
        space.suggest(claim.trial)
        claim.trial.report(0.5, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    process = in_process(killed)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    study = begin(tmp_path / "study")
    (left,) = study.trials
    claim = next_trial(study, tmp_path / "study", 5)
    assert claim.resumed
    assert claim.trial.number == left.number == 0
    assert space.suggest(claim.trial) == {
        **left.params,
        "strides": json.loads(left.params["strides"]),
        "clip": 3,
    }
    # It is in good hands now: the next one is another.
    other = next_trial(study, tmp_path / "study", 5)
    assert (other.trial.number, other.resumed) == (1, False)
    tell(claim, 0.25, None, 1.0)
    assert study.trials[0].value == 0.25
    assert study.trials[0].intermediate_values == {1: 0.5}


@pytest.mark.slow
def test_a_trial_that_kills_its_process_every_time_is_given_up(tmp_path, space):
    def killed():
        space.suggest(next_trial(begin(tmp_path / "study"), tmp_path / "study", 2).trial)
        os.kill(os.getpid(), signal.SIGKILL)

    for _ in range(ATTEMPTS):
        in_process(killed).join()
    study = begin(tmp_path / "study")
    claim = next_trial(study, tmp_path / "study", 2)
    assert (claim.trial.number, claim.resumed) == (1, False)
    assert study.trials[0].state == TrialState.FAIL
    tell(claim, 1.0, None, 1.0)
    assert next_trial(study, tmp_path / "study", 2) is None


def test_two_processes_share_the_trials_and_draw_different_ones(tmp_path, space):
    both = [in_process(work, tmp_path / "study", space, 8) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    trials = ended(begin(tmp_path / "study"))
    assert [trial.number for trial in trials] == list(range(8))
    assert len({trial.params["head_rate"] for trial in trials}) == 8


def test_the_first_trial_is_the_recipes_own(tmp_path, space):
    own = space.own(build_recipe(changed(SETTINGS, space.fixed), "here"))
    work(tmp_path / "study", space, 1, first=own)
    (trial,) = ended(begin(tmp_path / "study"))
    assert trial.params == {"head_rate": 5e-4, "batch": 32, "strides": "[1]"}


@pytest.mark.parametrize(
    "pruner",
    [
        "median",
        pytest.param("asha", marks=pytest.mark.slow),
        pytest.param("none", marks=pytest.mark.slow),
    ],
)
def test_a_trial_that_lags_behind_is_ended(tmp_path, space, pruner):
    study = begin(tmp_path / "study", pruner=pruner)
    stopped = []
    for number in range(12):
        claim = next_trial(study, tmp_path / "study", 12)
        space.suggest(claim.trial)
        for check in range(1, 9):
            claim.trial.report(number / check, check)  # each worse than the one before
            if claim.trial.should_prune():
                stopped.append(number)
                break
        tell(claim, None if number in stopped else number / 8, None, 1.0)
    assert 0 not in stopped
    assert len(stopped) >= 7 if pruner != "none" else not stopped
    assert best_of(study).number == 0
    assert [outcome(each) for each in study.trials].count("pruned") == len(stopped)


def test_a_study_of_another_search_or_a_broken_one_is_refused(tmp_path, space):
    begin(tmp_path / "study", facts={"recipe": 1, "space": 2})
    with pytest.raises(InputError, match="holds a search with another space; remove it"):
        begin(tmp_path / "study", facts={"recipe": 1, "space": 3})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "study.db").write_bytes(b"no data base" * 100)
    with pytest.raises(InputError, match="is no study that can be read"):
        begin(tmp_path / "other")


def test_what_is_written_is_a_recipe_a_table_and_a_picture(tmp_path, space):
    study = begin(tmp_path / "study", seed=3)
    while claim := next_trial(study, tmp_path / "study", 10):
        values = space.suggest(claim.trial)
        number = claim.trial.number
        scores = {4: None, 5: float("nan")}
        failed = "the loss became nan" if number == 6 else None
        tell(claim, scores.get(number, error(values)) if not failed else None, failed, 2.0)
    search = Search(Path("r.yaml"), SETTINGS, space, "validation MSE", "1 epochs")
    write_results(study, tmp_path, search)
    best = best_of(study)
    assert best.value == min(trial.value for trial in study.trials if trial.value is not None)
    recipe = read_recipe(tmp_path / "best.yaml")
    assert recipe.head_rate == best.params["head_rate"]
    assert (recipe.clip, recipe.epochs, recipe.alpha) == (3.0, 7, 0.4)
    assert recipe.strides == tuple(json.loads(best.params["strides"]))
    assert f"trial {best.number} of 10" in (tmp_path / "best.yaml").read_text()
    assert yaml.safe_load((tmp_path / "best.yaml").read_text())["data"] == ["x"]
    with (tmp_path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows[4:7]] == ["pruned", "failed", "failed"]
    assert float(rows[best.number]["score"]) == best.value
    told = json.loads((tmp_path / "study.json").read_text())
    assert told["best"] == best.number
    assert told["trials"][6]["error"] == "the loss became nan"
    assert max(told["importances"], key=told["importances"].get) == "head_rate"
    draw_study(study, space, "validation MSE", "title", tmp_path / "study.png")
    assert (tmp_path / "study.png").read_bytes()[:4] == b"\x89PNG"
