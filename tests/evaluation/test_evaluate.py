"""Closed-loop evaluation: repeatable, resumable, with honest intervals."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_world import WORLD

from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.errors import InputError
from liquid_control.evaluation import suite_run
from liquid_control.evaluation.episodes import read_episodes, read_rows
from liquid_control.evaluation.evaluate import evaluate
from liquid_control.evaluation.open_loop import OpenLoop
from liquid_control.evaluation.output import alone
from liquid_control.evaluation.statistics import bootstrap_interval, wilson_interval
from liquid_control.policy import Policy
from liquid_control.rollout import Engine

SUITE = """
worlds: [liquid_control/Driving-v1]
seconds: 5
conditions:
  clean: {levels: {0: }}
  noise: {levels: {0.1: {noise: 0.1}, 0.2: {noise: 0.2}}}
  latency: {unit: ms, levels: {100: {latency: 0.1}}}
"""


def run(output, **changes):
    settings = {"model": "expert", "episodes": 2, "seed": 7, "seconds": 1.0, "output": output}
    settings["report"] = False
    assert evaluate(**(settings | changes)) == 0
    return json.loads((output / "results.json").read_text())


def save_model(folder, seed=0):
    torch.manual_seed(seed)
    Policy(CommandSpec((CURVATURE,))).save(folder)
    return str(folder)


@pytest.mark.slow
def test_workers_and_interruptions_change_nothing(tmp_path):
    whole = run(tmp_path / "whole")
    assert run(tmp_path / "two", engine=Engine(2)) == whole
    run(tmp_path / "parts", episodes=1)
    with (tmp_path / "parts" / "episodes.csv").open("a") as file:
        file.write("8,0.3")  # A kill leaves half a row.
    assert run(tmp_path / "parts") == whole
    for name in ("two", "parts"):
        rows = (tmp_path / name / "episodes.csv").read_text()
        assert rows == (tmp_path / "whole" / "episodes.csv").read_text()


def test_results_say_what_the_episodes_say(tmp_path):
    results = run(tmp_path / "run", env=WORLD)
    with (tmp_path / "run" / "episodes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["7", "8"]
    (group,) = results["groups"]
    assert (group["model"], group["condition"], group["episodes"]) == ("expert", "clean", 2)
    assert group["crash_free"]["count"] == 2
    mean = np.mean([float(row["lateral_error"]) for row in rows])
    assert group["figures"]["lateral_error"]["mean"] == pytest.approx(mean)


def test_a_policy_that_does_not_steer_crashes(tmp_path):
    model = save_model(tmp_path / "model")
    (group,) = run(tmp_path / "run", model=model, episodes=1, seconds=30.0)["groups"]
    assert group["crash_free"]["count"] == 0
    assert group["crashed_seeds"] == [7]
    # It left its lane before it left the road: one intervention.
    distance = group["figures"]["distance"]["mean"]
    assert group["figures"]["distance_per_intervention"]["mean"] == pytest.approx(distance)


def test_other_settings_do_not_mix_with_finished_episodes(tmp_path):
    small = {"env": WORLD, "episodes": 1}
    run(tmp_path / "run", **small)
    with pytest.raises(InputError, match="another options, seconds"):
        run(tmp_path / "run", **small, seconds=2.0, option=("wide=3",))
    with pytest.raises(InputError, match="another suite"):
        run(tmp_path / "run", **small, suite="paper")
    model = save_model(tmp_path / "model")
    run(tmp_path / "run", **small, model=model)
    save_model(tmp_path / "model", seed=1)
    with pytest.raises(InputError, match="another model of the name model"):
        run(tmp_path / "run", **small, model=model)


def test_an_evaluation_grows_and_loses_nothing(tmp_path):
    """Models, conditions and seeds that come later join those that are there."""
    model = save_model(tmp_path / "steers")
    both = {"env": WORLD, "model": ("expert", model)}
    suite = tmp_path / "suite.yaml"
    suite.write_text(SUITE)
    at_once = run(tmp_path / "at_once", **both, suite=str(suite), episodes=3)
    grown = tmp_path / "grown"
    run(grown, env=WORLD, suite=str(suite), conditions=("latency",), episodes=3)
    run(grown, **both, suite=str(suite), conditions=("noise=0.2", "clean"), episodes=2)
    run(grown, **both, suite=str(suite), episodes=1)
    assert run(grown, **both, suite=str(suite), episodes=3) == at_once
    again = (grown / "episodes.csv").read_text()
    assert again == (tmp_path / "at_once" / "episodes.csv").read_text()
    names = [(e["model"], e["condition"], e["level"]) for e in at_once["groups"]]
    conditions = [("clean", 0.0), ("noise", 0.1), ("noise", 0.2), ("latency", 100.0)]
    assert names == [(who, *each) for each in conditions for who in ("expert", "steers")]


def test_models_are_compared_on_the_seeds_that_both_have_driven(tmp_path):
    model = save_model(tmp_path / "steers")
    small = {"env": WORLD, "option": ("wide=0.6",)}
    run(tmp_path / "run", **small, episodes=6)
    results = run(tmp_path / "run", **small, model=model, episodes=4, seed=9)
    found = next(each for each in results["paired"] if each["figure"] == "lateral_error")
    assert (found["reference"], found["model"], found["pairs"]) == ("expert", "steers", 4)
    rows = {(row.model, row.episode.seed): row.episode for row in read_rows(tmp_path / "run")}
    differences = [
        rows["steers", seed].lateral_error - rows["expert", seed].lateral_error
        for seed in range(9, 13)
    ]
    assert found["difference"] == pytest.approx(np.mean(differences))
    low, high = found["interval"]
    assert low <= found["difference"] <= high


@pytest.mark.lengthy
def test_broken_episodes_are_reported_and_never_averaged(tmp_path, capsys):
    broken = {"env": WORLD, "option": ("raises=8", "nan=9"), "episodes": 4}
    settings = {"model": "expert", "seed": 7, "seconds": 1.0, "output": tmp_path / "run"}
    settings["report"] = False
    assert evaluate(**settings, **broken) == 1
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    (group,) = results["groups"]
    assert (group["episodes"], group["broken"], group["broken_seeds"]) == (4, 2, [8, 9])
    assert group["crash_free"]["count"] == 2
    assert group["figures"]["seconds"] == {"mean": 1.0, "interval": [1.0, 1.0]}
    errors = {each.seed: each.error for each in read_episodes(tmp_path / "run")}
    assert errors == {
        7: None,
        8: "RuntimeError: the wheel, it came off",
        9: "lateral_error is not finite after 0.60 s",
        10: None,
    }
    assert "seed 8: RuntimeError: the wheel, it came off" in capsys.readouterr().out
    # Another number of processes breaks the same episodes and no others.
    assert evaluate(**settings | {"output": tmp_path / "two"}, **broken, engine=Engine(2)) == 1
    rows = (tmp_path / "two" / "episodes.csv").read_text()
    assert rows == (tmp_path / "run" / "episodes.csv").read_text()


@pytest.mark.lengthy
def test_a_killed_evaluation_goes_on_where_it_was(tmp_path):
    whole = run(tmp_path / "whole", env=WORLD, episodes=40, seed=0)
    folder, table = tmp_path / "run", tmp_path / "run" / "episodes.csv"
    command = [sys.executable, "-m", "liquid_control", "evaluate", "--model", "expert"]
    command += ["--env", WORLD, "--episodes", "40", "--seed", "0", "--seconds", "1"]
    command += ["--option", "pause=0.01", "--output", str(folder)]
    path = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, env=path, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and (not table.is_file() or table.read_text().count("\n") < 6):
            time.sleep(0.01)
        process.kill()
    before = read_rows(folder)
    assert 5 <= len(before) < 40
    with table.open("a") as file:
        file.write("expert,small_w")  # A kill may leave half a row.
    driven = []
    drive = suite_run.run

    def counted(job):
        driven.append(job.seed)
        return drive(job)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite_run, "run", counted)
        again = run(folder, env=WORLD, episodes=40, seed=0, option=("pause=0.01",))
    assert sorted(driven) == sorted(set(range(40)) - {row.episode.seed for row in before})
    assert again["groups"] == whole["groups"]
    assert table.read_text() == (tmp_path / "whole" / "episodes.csv").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"suite": "papr"}, "No suite 'papr': expected one of paper"),
        ({"suite": "paper", "conditions": ("nois",)}, "no condition 'nois'; it has noise"),
        ({"suite": "paper", "conditions": ("noise=0.7",)}, "it has noise=0.3, noise=0.2"),
        ({"suite": "paper", "noise": 0.1}, "leave --noise out"),
        ({"conditions": ("noise",)}, "give a --suite"),
        ({"metrics": ("lateral_eror",)}, "no metric 'lateral_eror'; those there are: lateral_err"),
        ({"model": ("expert", "expert")}, "Two models are called 'expert'"),
        ({"model": ()}, "Nobody to drive"),
        ({"episodes": 0}, "at least 1 episode"),
        ({"seconds": 0.0}, "more than 0 s"),
        ({"seconds": float("nan")}, "has an end, got nan"),
        ({"noise": 2.0}, "'noise' is a number from 0 to 1"),
        ({"option": ("long=3",)}, "no option"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "run", **({"env": WORLD} | changes))
    assert not (tmp_path / "run").exists()


def test_after_a_refused_option_the_same_process_evaluates_on(tmp_path):
    small = {"env": WORLD, "episodes": 1, "seconds": 0.7}
    with pytest.raises(InputError, match="no option"):
        run(tmp_path / "run", **small, option=("long=3",))
    assert run(tmp_path / "run", **small)["groups"][0]["broken"] == 0


def test_two_evaluations_cannot_fill_one_folder_at_once(tmp_path):
    small = {"env": WORLD, "episodes": 1}
    run(tmp_path / "run", **small)
    before = (tmp_path / "run" / "episodes.csv").read_text()
    with (
        alone(tmp_path / "run"),
        pytest.raises(InputError, match="another evaluation writes into"),
    ):
        run(tmp_path / "run", **small, model=save_model(tmp_path / "steers"))
    assert (tmp_path / "run" / "episodes.csv").read_text() == before
    run(tmp_path / "run", **small, model=str(tmp_path / "steers"))


def test_nothing_is_written_for_a_model_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="No model 'nobody'"):
        run(tmp_path / "run", model="nobody")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "surroundings",
    [
        {"__EGL_VENDOR_LIBRARY_FILENAMES": "/dev/null"},
        pytest.param({"MUJOCO_GL": "osmesa"}, marks=pytest.mark.slow),
    ],
)
def test_without_opengl_one_sentence_says_what_to_install(tmp_path, surroundings):
    command = [sys.executable, "-m", "liquid_control", "evaluate", "--model", "expert"]
    command += ["--episodes", "1", "--output", str(tmp_path / "run")]
    command += ["--seconds", "1"]
    done = subprocess.run(command, env=os.environ | surroundings, capture_output=True, text=True)
    if done.returncode == 0 and "MUJOCO_GL" in surroundings:
        pytest.skip("OSMesa is installed here")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "libegl1" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_wilson_interval_gives_the_textbook_values():
    # Brown, Cai and DasGupta (2001) tabulate the Wilson interval.
    assert wilson_interval(95, 100) == pytest.approx([0.8882, 0.9785], abs=1e-4)
    low, high = wilson_interval(100, 100)
    assert low == pytest.approx(0.9630, abs=1e-4)
    assert high == 1.0


def test_bootstrap_interval_covers_the_mean_of_its_sample():
    values = np.random.default_rng(1).normal(3, 1, 400)
    low, high = bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_open_loop_figures():
    human = np.array([[0.5], [-0.5], [0.25], [0.0]], np.float32)
    figures = OpenLoop(("steering",), human * 0.5, human).summary["steering"]
    assert figures["mse"] == pytest.approx(figures["mse_of_zero"] / 4)
    assert figures["correlation"] == pytest.approx(1.0)
    assert figures["frames"] == 4


def test_a_model_for_another_world_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="curvature has no place"):
        run(tmp_path / "run", model="driving_ncp", env="liquid_control/Drone-v0")
    assert not (tmp_path / "run").exists()
