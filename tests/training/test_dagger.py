"""DAgger: the policy learns where it gets to, and a run that breaks off goes on to the same end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from post_world import WORLD

from liquid_control.camera import CameraSetup
from liquid_control.cli import main
from liquid_control.data.bag import BagReader
from liquid_control.errors import InputError
from liquid_control.evaluation.output import alone
from liquid_control.policy import Policy
from liquid_control.rollout import recording
from liquid_control.rollout.engine import Engine
from liquid_control.rollout.record import record
from liquid_control.training import closed_loop
from liquid_control.training.dagger import rounds as rounds_module
from liquid_control.training.dagger.recipe import Beta, DaggerRecipe, Score
from liquid_control.training.dagger.report import draw, show
from liquid_control.training.dagger.rounds import learn
from liquid_control.training.module import Imitation
from liquid_control.training.recipe import Recipe

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.one_worker]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> DaggerRecipe:
    """Demonstrations in which no wind blows; the world has one."""
    torch.set_num_threads(1)
    data = tmp_path_factory.mktemp("demonstrations")
    record(WORLD, data, episodes=4, seconds=3.0, disturb=0.0, option=("wind=0.0",))
    train = Recipe(
        data=(str(data),),
        model="post",
        camera=CameraSetup(height=39, width=100),
        length=4,
        shift=2,
        epochs=2,
        batch=8,
        validation=0.0,
        head_rate=2e-3,
        circuit_rate=2e-2,
        warmup=3,
        checkpoint=2,
    )
    return DaggerRecipe(
        *(train, "post", WORLD),
        rounds=2,
        episodes=4,
        seconds=3.0,
        score=Score(episodes=6, seconds=4.0),
        perfect=0,
    )


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory) -> Path:
    """A whole run: `out` and `work`."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    learn(recipe, folder / "out", folder / "work")
    return folder


def told(folder: Path) -> dict:
    """What a run says, but how long it took."""
    kept = json.loads((folder / "out" / "dagger.json").read_text())
    for entry in kept["rounds"]:
        for phase in ("recording", "training", "score"):
            entry.get(phase, {}).pop("minutes", None)
        entry["training"].pop("frames_per_second", None)
    return kept


def messages(bags: Path) -> dict[str, list]:
    found = {}
    for file in sorted(bags.rglob("*.mcap")):
        with BagReader(file.parent) as reader:
            found[str(file.parent.relative_to(bags))] = list(reader.raw_messages())
    return found


def weights(folder: Path) -> list:
    return [value.tolist() for value in Policy.load(folder).state_dict().values()]


@pytest.mark.lengthy
def test_the_policy_learns_what_its_demonstrations_do_not_show(run, recipe):
    kept = told(run)
    first, *others = kept["rounds"]
    assert "recording" not in first
    best = kept["rounds"][kept["best"]]
    assert best["score"]["value"] > first["score"]["value"] + 0.03
    assert best["score"]["without_crash"] == best["score"]["episodes"] == 6
    assert [entry["recording"]["beta"] for entry in others] == [0.5, 0.25]
    errors = [entry["recording"]["error"]["curvature"] for entry in others]
    assert errors[1] < 0.7 * errors[0]
    # Old and new bags: 4 demonstrations, 4 of each round.
    assert [entry["training"]["bags"] for entry in kept["rounds"]] == [4, 8, 12]
    assert [entry["training"]["frames"]["training"] for entry in kept["rounds"]] == [120, 240, 360]
    assert kept["recipe"]["episodes"] == recipe.episodes


def test_the_best_round_is_what_is_written(run, tmp_path):
    kept = told(run)
    model = run / "work" / f"round_{kept['best']:02d}" / "model"
    assert weights(run / "out") == weights(model)
    assert Policy.load(run / "out").extra["dagger"]["round"] == kept["best"]
    assert (run / "out" / "training.json").read_bytes() == (model / "training.json").read_bytes()
    settings = closed_loop.ClosedLoop(WORLD, episodes=6, seconds=4.0, seed=950_000)
    again = closed_loop.score(closed_loop.drive(model, settings), settings)
    assert again == kept["rounds"][kept["best"]]["score"]["value"]


def test_rounds_are_a_table_and_a_picture(run, tmp_path, capsys):
    rounds = told(run)["rounds"]
    show(rounds)
    assert f"{told(run)['best']} *" in capsys.readouterr().out
    draw(rounds, tmp_path / "dagger.png", "post")
    assert (tmp_path / "dagger.png").read_bytes()[:4] == b"\x89PNG"


def breaking(function, at: int):
    """`function`, but its call number `at` breaks; `calls` tells how often it was called."""

    def broken(*args, **more):
        broken.calls += 1
        if broken.calls == at:
            raise OSError("the machine is gone")
        return function(*args, **more)

    broken.calls = 0
    return broken


# The whole run: 8 recorded episodes, 14 + 28 + 42 steps, 3 scores of 2 parts.
@pytest.mark.parametrize(
    ("module", "name", "at", "left"),
    [
        pytest.param(
            *(recording, "record_episode", 6, 3), id="amid a recording", marks=pytest.mark.slow
        ),
        pytest.param(
            *(Imitation, "training_step", 30, 84 - 14 - 14),
            id="amid a training",
            marks=pytest.mark.slow,
        ),
        pytest.param(closed_loop, "drive", 4, 3, id="amid a score", marks=pytest.mark.slow),
        pytest.param(
            *(rounds_module, "choose", 2, 1),
            id="between recording and training",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_that_breaks_off_goes_on_to_the_same_end(
    recipe, run, tmp_path, monkeypatch, module, name, at, left
):
    whole = getattr(module, name)
    monkeypatch.setattr(module, name, breaking(whole, at))
    with pytest.raises(OSError, match="gone"):
        learn(recipe, tmp_path / "out", tmp_path / "work")
    monkeypatch.setattr(module, name, counted := breaking(whole, 0))
    learn(recipe, tmp_path / "out", tmp_path / "work")
    assert counted.calls == left
    mine, theirs = told(tmp_path), told(run)
    for each in (mine, theirs):
        # A training that goes on logs no loss of steps that it did not take.
        for entry in each["rounds"]:
            entry["training"].pop("losses")
    assert mine == theirs
    assert weights(tmp_path / "out") == weights(run / "out")
    assert messages(tmp_path / "work" / "bags") == messages(run / "work" / "bags")


@pytest.mark.lengthy
def test_a_round_that_breaks_off_amid_its_training_goes_on_to_the_same_end(
    recipe, run, tmp_path, monkeypatch
):
    short = replace(
        recipe,
        init=str(run / "out"),
        rounds=1,
        episodes=2,
        seconds=1.5,
        frames=100,
        score=Score(episodes=2, seconds=1.0),
    )
    learn(short, tmp_path / "whole" / "out", tmp_path / "whole" / "work")
    step = Imitation.training_step
    monkeypatch.setattr(Imitation, "training_step", breaking(step, 6))
    with pytest.raises(OSError, match="gone"):
        learn(short, tmp_path / "parts" / "out", tmp_path / "parts" / "work")
    monkeypatch.setattr(Imitation, "training_step", counted := breaking(step, 0))
    monkeypatch.setattr(recording, "record_episode", breaking(record, 1))
    learn(short, tmp_path / "parts" / "out", tmp_path / "parts" / "work")
    whole, parts = told(tmp_path / "whole"), told(tmp_path / "parts")
    # A checkpoint is written every second step, so one step of five is taken again.
    assert counted.calls == whole["rounds"][1]["training"]["steps"] - 4 > 0
    for each in (whole, parts):
        each["rounds"][1]["training"].pop("losses")
    assert whole == parts
    assert weights(tmp_path / "whole" / "work" / "round_01" / "model") == weights(
        tmp_path / "parts" / "work" / "round_01" / "model"
    )


def test_more_rounds_may_follow_and_nothing_else_may_change(recipe, run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "run")
    work = tmp_path / "run" / "work"
    with pytest.raises(InputError, match="another beta, episodes;"):
        learn(replace(recipe, beta=Beta(first=1.0), episodes=5), tmp_path / "out", work)
    # As an older version left it, which did not have these settings.
    kept = json.loads((work / "dagger.json").read_text())
    del kept["recipe"]["newest"], kept["recipe"]["train"]["labels"]
    (work / "dagger.json").write_text(json.dumps(kept))
    monkeypatch.setattr(recording, "record_episode", counted := breaking(record, 0))
    learn(replace(recipe, rounds=1), tmp_path / "out", work)
    assert counted.calls == 0
    (work / "dagger.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        learn(recipe, tmp_path / "out", work)


def test_a_round_that_was_broken_off_is_no_result_where_fewer_are_wanted(
    recipe, tmp_path, monkeypatch, capsys
):
    score = {"value": 0.5, "perfect": False, "without_crash": 1, "episodes": 2}
    seen = {"beta": 0.5, "frames": 9, "crashes": 0, "bags": 1, "error": {}, "expert_share": 0.5}
    first, second = {"training": {}, "score": score}, {"recording": seen}
    kept = {"recipe": recipe.to_dict(), "rounds": [first, second | first, second]}
    (tmp_path / "dagger.json").write_text(json.dumps(kept))
    monkeypatch.setattr(rounds_module.Run, "write", lambda *_: None)
    rounds = learn(replace(recipe, rounds=1), tmp_path / "out", tmp_path)
    assert rounds == [first, second | first]
    show(rounds)
    assert "0 *" in capsys.readouterr().out


def test_two_runs_at_a_time_do_not_share_their_bags(recipe, tmp_path):
    (tmp_path / "work").mkdir()
    with (
        alone(tmp_path / "work"),
        pytest.raises(InputError, match=r"another run of DAgger writes into .*another --work"),
    ):
        learn(recipe, tmp_path / "out", tmp_path / "work")
    assert not list((tmp_path / "work").iterdir())


def test_a_policy_that_never_crashes_ends_the_rounds(recipe, run, tmp_path):
    calm = replace(recipe, options=("wind=0.0",), init=str(run / "out"), rounds=5, perfect=1)
    rounds = learn(calm, tmp_path / "out", tmp_path / "work")
    assert len(rounds) == 1
    assert rounds[0]["training"]["init"] == str(run / "out")
    assert rounds[0]["score"]["perfect"]
    assert weights(tmp_path / "out") == weights(run / "out")
    assert not (tmp_path / "work" / "bags").exists()


def test_what_does_not_fit_is_refused_before_anything_is_recorded(recipe, run, tmp_path):
    out, work = tmp_path / "out", tmp_path / "work"
    speed = replace(recipe, train=replace(recipe.train, outputs=("speed",)))
    for wrong, message in (
        (replace(speed, init=str(run / "out")), "gives curvature from"),
        (speed, "speed has no place"),
        (replace(recipe, world="post_world:liquid_control/Posts-v0"), "No world"),
        (replace(recipe, options=("wind",)), "is NAME=VALUE"),
        (replace(recipe, init="nobody"), "No model 'nobody'"),
        (replace(speed, train=replace(recipe.train, data=(str(out),))), "There is no bag"),
    ):
        with pytest.raises(InputError, match=message):
            learn(wrong, out, work)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", [Engine(3), Engine(2, "ray")], ids=["processes", "ray"])
def test_bags_and_models_are_the_same_on_any_engine(engine, recipe, run, tmp_path, monkeypatch):
    if engine.engine == "ray":
        pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[scale]'")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    learn(recipe, tmp_path / "out", tmp_path / "work", engine=engine)
    assert told(tmp_path) == told(run)
    assert messages(tmp_path / "work" / "bags") == messages(run / "work" / "bags")
    assert weights(tmp_path / "out") == weights(run / "out")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_process_goes_on_to_the_same_end(recipe, run, tmp_path):
    entries = json.loads(json.dumps(recipe.to_dict()))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(entries))
    command = [
        *(sys.executable, "-m", "liquid_control", "dagger", "recipe.yaml", "--threads", "1"),
        *("--output", "out", "--work", "work"),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}

    def start() -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        )

    work = tmp_path / "work"
    for seen in (
        work / "bags" / "round_01" / ".500001.partial",
        work / "round_01" / "training" / "last.ckpt",
        work / "round_02" / "drives.json",
    ):
        process = start()
        while not seen.exists() and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = start()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert weights(tmp_path / "out") == weights(run / "out")
    assert messages(work / "bags") == messages(run / "work" / "bags")


def test_dagger_trains_in_one_process(recipe, tmp_path, capsys):
    entries = json.loads(json.dumps(recipe.to_dict()))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(entries))
    assert main(["dagger", str(tmp_path / "recipe.yaml"), "--devices", "2"]) == 2
    assert "trains in one process, got --devices 2" in capsys.readouterr().err
