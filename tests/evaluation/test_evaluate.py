"""Closed-loop evaluation: repeatable, resumable, with honest intervals."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.errors import InputError
from liquid_control.evaluation.evaluate import evaluate
from liquid_control.evaluation.open_loop import OpenLoop
from liquid_control.evaluation.statistics import bootstrap_interval, wilson_interval
from liquid_control.policy import Policy


def run(output, **changes):
    settings = {"model": "expert", "episodes": 2, "seed": 7, "seconds": 1.0, "output": output}
    evaluate(**(settings | changes))
    return json.loads((output / "results.json").read_text())


def test_workers_and_interruptions_change_nothing(tmp_path):
    whole = run(tmp_path / "whole")
    assert run(tmp_path / "two", workers=2) == whole
    run(tmp_path / "parts", episodes=1)
    with (tmp_path / "parts" / "episodes.csv").open("a") as file:
        file.write("8,0.3")  # A kill leaves half a row.
    assert run(tmp_path / "parts") == whole
    for name in ("two", "parts"):
        rows = (tmp_path / name / "episodes.csv").read_text()
        assert rows == (tmp_path / "whole" / "episodes.csv").read_text()


def test_results_say_what_the_episodes_say(tmp_path):
    results = run(tmp_path / "run")
    with (tmp_path / "run" / "episodes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["7", "8"]
    assert results["crash_free"]["count"] == 2
    mean = np.mean([float(row["lateral_error"]) for row in rows])
    assert results["figures"]["lateral_error"]["mean"] == pytest.approx(mean)


def test_a_policy_that_does_not_steer_crashes(tmp_path):
    policy = Policy(CommandSpec((CURVATURE,)))
    policy.save(tmp_path / "model")
    results = run(tmp_path / "run", model=str(tmp_path / "model"), episodes=1, seconds=30.0)
    assert results["crash_free"]["count"] == 0
    assert results["crashed_seeds"] == [7]


def test_other_settings_do_not_mix_with_finished_episodes(tmp_path):
    run(tmp_path / "run", episodes=1)
    with pytest.raises(InputError, match="another noise"):
        run(tmp_path / "run", episodes=1, noise=0.1)


def test_nothing_is_written_for_a_model_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="No model 'nobody'"):
        run(tmp_path / "run", model="nobody")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "surroundings", [{"__EGL_VENDOR_LIBRARY_FILENAMES": "/dev/null"}, {"MUJOCO_GL": "osmesa"}]
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
