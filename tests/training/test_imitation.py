"""Training: a policy learns what a bag shows, to the same numbers, also after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from liquid_control.command import SPEED, CommandSpec
from liquid_control.data.drive import load_drives
from liquid_control.errors import InputError
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.evaluation.output import alone
from liquid_control.policy import Policy
from liquid_control.training.curves import read_logs
from liquid_control.training.imitation import Machine, fit, train
from liquid_control.training.module import Imitation
from liquid_control.training.networks import make_policy
from liquid_control.training.recipe import Augmentation
from liquid_control.training.split import split_by_time

pytestmark = pytest.mark.usefixtures("one_thread")
VARIED = Augmentation(noise=0.1, gamma=0.3, shadow=0.5, season=0.2, cut_out=0.3, shift=0.2)


def same(first: Policy, second: Policy) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_policy_learns_to_steer_where_the_post_stands(small, posts, tmp_path):
    recipe = small(shift=2, epochs=5, batch=6, validation=0.2, test=0.2)
    fit(recipe, tmp_path / "model", work=tmp_path / "work")
    results = json.loads((tmp_path / "model" / "training.json").read_text())
    test = results["test"]["curvature"]
    assert test["mse"] < 0.3 * test["mse_of_zero"]
    assert test["correlation"] > 0.8
    assert results["frames"] == {"training": 58, "validation": 19, "test": 19}
    assert results["frames_per_second"] > 0
    # What was saved is what was measured.
    loaded = Policy.load(tmp_path / "model")
    _, _, held_back = split_by_time(load_drives([posts], outputs=("curvature",)), 0.2, 0.2)
    assert open_loop(loaded, held_back).summary["curvature"]["mse"] == pytest.approx(test["mse"])
    # Logs for people: a picture, a table, and TensorBoard's file.
    assert (tmp_path / "model" / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    logs = read_logs(tmp_path / "work" / "csv")
    assert {"losses/train", "losses/validation", "lr-AdamW/head", "gradient_norm"} <= set(logs)
    assert list((tmp_path / "work" / "tensorboard").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("changes", "kill"),
    [
        ({"mode": "windows", "checkpoint": 2}, 5),
        ({"mode": "stateful", "checkpoint": 2}, 3),
        pytest.param(
            *({"mode": "windows", "checkpoint": 6, "circuit": "cnn"}, 7), marks=pytest.mark.slow
        ),
    ],
    ids=["amid an epoch", "amid a recording", "after an epoch, with dropout"],
)
def test_a_training_that_breaks_off_goes_on_to_the_same_weights(
    small, tmp_path, monkeypatch, changes, kill
):
    recipe = small(augmentation=VARIED, ema=0.9, validation=0.2, **changes)
    whole = fit(recipe, tmp_path / "whole", work=tmp_path / "one")
    step = Imitation.training_step

    def broken(module, batch, index):
        if module.global_step == kill:
            raise OSError("the machine is gone")
        return step(module, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Imitation, "training_step", broken)
        with pytest.raises(OSError, match="gone"):
            fit(recipe, tmp_path / "parts", work=tmp_path / "two")
    steps = []

    def counted(module, batch, index):
        steps.append(module.global_step)
        return step(module, batch, index)

    monkeypatch.setattr(Imitation, "training_step", counted)
    resumed = fit(recipe, tmp_path / "parts", work=tmp_path / "two")
    assert steps[0] == kill - kill % recipe.checkpoint > 0
    assert same(whole, resumed)
    assert same(whole, Policy.load(tmp_path / "parts"))
    both = [read_logs(tmp_path / name / "csv")["losses/validation"] for name in ("one", "two")]
    assert np.array_equal(*both)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_process_goes_on_to_the_same_weights(small, tmp_path):
    recipe = asdict(small(epochs=6, checkpoint=4, augmentation=VARIED))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(recipe))))
    command = [sys.executable, "-m", "liquid_control", "train", "../recipe.yaml", "--threads", "1"]

    def start(name: str) -> subprocess.Popen:
        (tmp_path / name).mkdir(exist_ok=True)
        return subprocess.Popen(
            [*command, "--output", "model"],
            cwd=tmp_path / name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )

    whole, killed = start("whole"), start("killed")
    checkpoint = tmp_path / "killed" / "checkpoints" / "model" / "last.ckpt"
    while not checkpoint.exists():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model").exists()
    assert start("killed").wait() == 0
    assert whole.wait() == 0
    first, second = (Policy.load(tmp_path / name / "model") for name in ("whole", "killed"))
    assert same(first, second)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", ["windows", "stateful"])
def test_two_processes_train_what_one_trains(small, tmp_path, mode):
    # Without weighting and dropout the mean of two halves is the mean of the whole.
    recipe = asdict(small(alpha=0.0, mode=mode, checkpoint=5, epochs=6, validation=0.2))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(recipe))))
    for processes in ("1", "2"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "liquid_control", "train", "recipe.yaml"),
                *("--devices", processes, "--accelerator", "cpu", "--threads", "1"),
                *("--output", f"model_{processes}"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (read_logs(tmp_path / "checkpoints" / f"model_{n}" / "csv") for n in "12")
    for name, points in (("losses/train", 2), ("gradient_norm", 2), ("losses/validation", 6)):
        assert len(one[name]) == points
        assert np.array_equal(one[name][:, 0], two[name][:, 0])
        assert two[name][:, 1] == pytest.approx(one[name][:, 1], rel=1e-2), name
    first, second = (Policy.load(tmp_path / f"model_{n}").state_dict() for n in "12")
    # Adam takes a full step also where a gradient is nothing but rounding, so single weights
    # differ; other batches would move whole tensors by a tenth of their norm.
    for name, value in first.items():
        assert (second[name] - value).norm() <= 5e-3 * value.norm() + 1e-4, name


def test_the_averaged_weights_are_what_is_saved(small, tmp_path):
    plain = fit(small(), tmp_path / "plain", work=tmp_path / "one")
    averaged = fit(small(ema=0.999), tmp_path / "averaged", work=tmp_path / "two")
    assert not same(plain, averaged)
    checkpoint = torch.load(tmp_path / "two" / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in averaged.state_dict().items():
        assert torch.equal(checkpoint[f"averaged.{name}"], value)
        assert torch.equal(checkpoint[f"policy.{name}"], plain.state_dict()[name])


def test_head_and_circuit_have_their_own_learning_rates(small, tmp_path):
    start = fit(small(epochs=1), tmp_path / "start", work=tmp_path / "one").state_dict()
    recipe = small(epochs=1, head_rate=0.0, warmup=0)
    end = fit(recipe, tmp_path / "end", tmp_path / "start", work=tmp_path / "two").state_dict()
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert moved
    assert all(name.startswith("circuit.") for name in moved)


def test_a_checkpoint_of_another_recipe_is_refused(small, tmp_path):
    fit(small(checkpoint=2), tmp_path / "model", work=tmp_path / "work")
    with pytest.raises(InputError, match="another batch, head_rate; remove it"):
        fit(small(batch=2, head_rate=1.0), tmp_path / "model", work=tmp_path / "work")
    (tmp_path / "work" / "last.ckpt").write_bytes(b"half a checkpoint")
    with pytest.raises(InputError, match="cannot be read"):
        fit(small(), tmp_path / "model", work=tmp_path / "work")


def test_a_checkpoint_of_something_else_is_refused(small, tmp_path):
    (tmp_path / "work").mkdir()
    # What Git LFS leaves where a file was not fetched.
    (tmp_path / "work" / "last.ckpt").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(InputError, match="cannot be read"):
        fit(small(), tmp_path / "model", work=tmp_path / "work")


def test_two_trainings_at_a_time_do_not_share_a_checkpoint(small, tmp_path):
    (tmp_path / "work").mkdir()
    with (
        alone(tmp_path / "work"),
        pytest.raises(InputError, match=r"another training writes into .*work.*another --output"),
    ):
        fit(small(), tmp_path / "model", work=tmp_path / "work")
    assert not list((tmp_path / "work").iterdir())
    assert not (tmp_path / "model").exists()


@pytest.mark.filterwarnings("error:invalid value")
def test_figures_that_are_unknown_are_null_in_its_json(small, tmp_path):
    # Of labels that are all the same there is no correlation.
    fit(small(epochs=1, test=0.05), tmp_path / "model", work=tmp_path / "work")
    text = (tmp_path / "model" / "training.json").read_text()
    results = json.loads(text, parse_constant=pytest.fail)
    assert results["test"]["curvature"]["correlation"] is None


def test_what_this_machine_cannot_do_is_said(small, tmp_path):
    wrong = {"--precision half": (small(precision="half"), Machine())}
    if not torch.cuda.is_available():
        wrong["--accelerator gpu"] = (small(), Machine(accelerator="gpu"))
    for option, (recipe, machine) in wrong.items():
        with pytest.raises(InputError, match="This machine cannot train with") as said:
            fit(recipe, tmp_path / "model", work=tmp_path / "work", machine=machine)
        assert option.split()[1] in str(said.value)
        assert "\n" not in str(said.value)
    with pytest.raises(InputError, match="0 or more devices, loaders and threads"):
        Machine(threads=-1)
    assert not (tmp_path / "model").exists()


def test_a_finished_training_is_not_done_again(small, tmp_path, monkeypatch):
    recipe = small(checkpoint=1)
    first = fit(recipe, tmp_path / "model", work=tmp_path / "work")

    def trained(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(Imitation, "training_step", trained)
    assert same(first, fit(recipe, tmp_path / "again", work=tmp_path / "work"))


def test_ctrl_c_is_said_and_goes_on(small, tmp_path, monkeypatch, capsys):
    step = Imitation.training_step

    def interrupted(module, batch, index):
        if module.global_step == 3:
            raise KeyboardInterrupt
        return step(module, batch, index)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Imitation, "training_step", interrupted)
        assert train(Path("recipe.yaml"), small(checkpoint=2), Machine(), Path("model")) == 130
    assert "run the same command again to go on" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
    assert train(Path("recipe.yaml"), small(checkpoint=2), Machine(), Path("model")) == 0
    said = capsys.readouterr().out
    assert "going on from checkpoints/model/last.ckpt" in said
    assert said.endswith("model holds the model, checkpoints/model its checkpoint and logs\n")


def test_a_model_that_does_not_fit_is_no_start(small, tmp_path):
    make_policy("ncp-ltc", CommandSpec((SPEED,))).save(tmp_path / "other")
    with pytest.raises(InputError, match=r"gives speed from .*, the recipe wants curvature"):
        fit(small(), tmp_path / "model", tmp_path / "other", work=tmp_path / "work")


def test_a_loss_that_is_no_number_says_where_and_keeps_the_last_checkpoint(
    small, posts, tmp_path, monkeypatch
):
    recipe = small(checkpoint=2)
    step = Imitation.training_step

    def poisoned(module, batch, index):
        if module.global_step == 4:
            module.policy.circuit.output_bias.data.fill_(float("nan"))
        return step(module, batch, index)

    monkeypatch.setattr(Imitation, "training_step", poisoned)
    with pytest.raises(InputError, match=r"loss became nan at batch 4 of epoch 0") as said:
        fit(recipe, tmp_path / "model", work=tmp_path / "work")
    assert f"{posts}, frames " in str(said.value)
    checkpoint = torch.load(tmp_path / "work" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
    assert not (tmp_path / "model").exists()


def test_a_gradient_that_is_no_number_never_reaches_the_weights(small, tmp_path, monkeypatch):
    policies = []
    step = Imitation.training_step

    def poisoned(module, batch, index):
        policies.append(module.policy)
        return step(module, batch, index) + torch.sqrt(0 * module.policy.circuit.output_bias).sum()

    monkeypatch.setattr(Imitation, "training_step", poisoned)
    with pytest.raises(InputError, match="gradient became nan at batch 0 of epoch 0"):
        fit(small(), tmp_path / "model", work=tmp_path / "work")
    assert all(value.isfinite().all() for value in policies[0].state_dict().values())
