"""`liquid-control tune`: real trainings of seconds, pruned, killed, shared and driven."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import yaml

from liquid_control.errors import InputError
from liquid_control.training.imitation import fit
from liquid_control.training.recipe import ClosedLoop, read_recipe
from liquid_control.training.tune import trial as trials
from liquid_control.training.tune.command import _fill, _Slot, search
from liquid_control.training.tune.results import best_of, outcome
from liquid_control.training.tune.trial import validation_error

pytestmark = pytest.mark.usefixtures("one_thread")
RATES = "circuit_rate: {low: 1e-6, high: 5e-2, log: true}\n"


@pytest.fixture
def toy(tmp_path, small):
    """A recipe and a space as files."""

    def write(space: str = RATES, **changes) -> tuple[Path, Path]:
        recipe = small(validation=0.2, **changes).to_dict()
        (tmp_path / "toy.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(recipe))))
        (tmp_path / "tune_toy.yaml").write_text(space)
        return tmp_path / "toy.yaml", tmp_path / "tune_toy.yaml"

    return write


@pytest.mark.slow
def test_a_trial_lagging_behind_ends_and_the_best_is_a_recipe_that_trains_alike(
    toy, tmp_path, monkeypatch, capsys
):
    recipe, space = toy(test=0.1)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda self: self.number == 1)
    study = search(recipe, 3, space, tmp_path / "study", epochs=1)
    own, pruned, other = study.trials
    assert own.params == {"circuit_rate": 2e-2}
    assert list(own.intermediate_values) == [2, 4, 6, 8]  # of four steps
    assert own.value == own.intermediate_values[8]
    assert outcome(pruned) == "pruned"
    assert list(pruned.intermediate_values) == [2]
    assert outcome(other) == "complete"
    assert not list(tmp_path.rglob("last.ckpt"))
    told = json.loads((tmp_path / "study" / "trials" / "0000" / "model/training.json").read_text())
    assert told["test"] is None
    assert told["frames"]["test"] > 0
    assert "2 complete, 1 pruned" in capsys.readouterr().out
    for name in ("trials.csv", "study.json", "study.png"):
        assert (tmp_path / "study" / name).is_file()
    # The recipe's own number of epochs, not the trials'.
    best = read_recipe(tmp_path / "study" / "best.yaml")
    assert best.epochs == 2
    again = fit(replace(best, epochs=1), tmp_path / "model", work=tmp_path / "work")
    assert validation_error(again, best) == best_of(study).value


def test_trials_that_all_fail_end_the_search_with_the_reason(toy, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise InputError("The loss became nan at batch 4 of epoch 0.")

    monkeypatch.setattr(trials, "fit", broken)
    recipe, space = toy()
    with pytest.raises(InputError, match=r"All 3 trials so far have failed, .* loss became nan"):
        search(recipe, 9, space, tmp_path / "study")


def test_settings_that_do_not_go_together_cost_no_training(toy, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("trained")

    monkeypatch.setattr(trials, "fit", never)
    recipe, space = toy("length: [3, 8]\nburn_in: [2, 5]\n", length=8)
    monkeypatch.setattr(
        "liquid_control.training.tune.space.Space.own",
        lambda *_: {"length": 3, "burn_in": 5},
    )
    with pytest.raises(AssertionError, match="trained"):
        search(recipe, 30, space, tmp_path / "study")
    storage = f"sqlite:///{tmp_path}/study/study.db"
    first = optuna.load_study(study_name="tune", storage=storage).trials[0]
    assert outcome(first) == "failed"
    assert "burn_in < length" in first.user_attrs["error"]


def test_a_search_without_anything_to_measure_on_is_refused(toy, tmp_path):
    recipe, space = toy()
    text = recipe.read_text().replace("validation: 0.2", "validation: 0.0")
    recipe.write_text(text)
    with pytest.raises(InputError, match="holds no frame; raise it"):
        search(recipe, 3, space, tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_it_finds_a_better_rate_than_the_worst(toy, tmp_path):
    rates = "head_rate: {low: 1e-7, high: 2e-3, log: true}\n"
    recipe, space = toy(rates, head_rate=1e-7, circuit_rate=1e-6)
    study = search(recipe, 5, space, tmp_path / "study", pruner="none")
    scores = [trial.value for trial in study.trials]
    assert study.trials[0].params["head_rate"] == 1e-7
    assert best_of(study).params["head_rate"] > 1e-5
    assert min(scores) < 0.5 * scores[0]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_with_a_closed_loop_the_best_drive_is_the_score(toy, roads, tmp_path):
    loop = ClosedLoop("liquid_control/Driving-v1", episodes=1, seconds=1.0, every=3)
    recipe, space = toy(data=(str(roads),), closed_loop=loop, epochs=1)
    study = search(recipe, 2, space, tmp_path / "study", pruner="none")
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    for trial in study.trials:
        told = tmp_path / "study" / "trials" / f"{trial.number:04d}" / "model" / "training.json"
        history = [score for _, score in json.loads(told.read_text())["closed_loop"]]
        assert trial.value == max(history)
        assert max(trial.intermediate_values.values()) == trial.value
        assert set(trial.intermediate_values) <= set(range(1, 9))


def start(folder: Path, output: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "liquid_control", "tune", "toy.yaml", "--output", output]
    with (folder / f"{output}.log").open("a") as log:
        return subprocess.Popen(
            [*command, "--threads", "1", *options],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_killed_amid_a_trial_ends_with_the_same_numbers(toy, tmp_path):
    toy(epochs=3, checkpoint=2)
    whole, killed = (start(tmp_path, name, "--trials", "2") for name in ("whole", "killed"))
    checkpoint = tmp_path / "killed" / "trials" / "0001" / "work" / "last.ckpt"
    while not checkpoint.exists():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert len(rows(tmp_path / "killed")) == 1
    assert start(tmp_path, "killed", "--trials", "2").wait() == 0
    assert "going on from" in (checkpoint.parents[1] / "log.txt").read_text()
    assert whole.wait() == 0
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_command_twice_shares_the_trials(toy, tmp_path):
    toy(epochs=1)
    both = [start(tmp_path, "study", "--trials", "4") for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    found = rows(tmp_path / "study")
    assert [row["number"] for row in found] == ["0", "1", "2", "3"]
    assert len({row["circuit_rate"] for row in found}) == 4
    assert (tmp_path / "study" / "study.png").is_file()
    read_recipe(tmp_path / "study" / "best.yaml")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_one_command_trains_several_trials_at_once(toy, tmp_path, engine):
    if engine == "ray":
        pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[scale]'")
    toy(epochs=1)
    options = ("--trials", "3", "--workers", "2", "--engine", engine)
    log = tmp_path / "study.log"
    assert start(tmp_path, "study", *options).wait() == 0, log.read_text()[-3000:]
    found = rows(tmp_path / "study")
    assert [row["number"] for row in found] == ["0", "1", "2"]
    assert len({row["circuit_rate"] for row in found}) == 3
    assert (tmp_path / "study" / "study.png").is_file()
    # Nothing is left to do.
    assert start(tmp_path, "study", *options).wait() == 0, log.read_text()[-3000:]
    assert rows(tmp_path / "study") == found


def test_a_machine_that_does_not_see_the_study_is_told_what_to_share(toy, tmp_path):
    slot = _Slot(tmp_path, tmp_path / "elsewhere", (), 1, None, {}, 0)
    with pytest.raises(InputError, match="a folder that all machines share"):
        _fill(slot)
    assert not (tmp_path / "elsewhere").exists()
