"""Adaptation: the circuit learns new bags; head and old model stay; both scores are said."""

import json

import numpy as np
import pytest
import torch

from liquid_control.cli import main
from liquid_control.data.drive import load_drives
from liquid_control.errors import InputError
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.policy import Policy
from liquid_control.training.adapt import Settings, adapt, adapt_policy
from liquid_control.training.features import features_of
from liquid_control.training.imitation import fit
from liquid_control.training.split import split_by_time

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.one_worker]
QUICK = Settings(steps=80, length=8, batch=16, rate=1e-2, anchor=0.0)


@pytest.fixture(scope="module")
def model(small, posts, tmp_path_factory):
    """A policy that steers to where the post stands."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("model")
    fit(small(epochs=6, shift=2), folder / "posts", work=folder / "work")
    return folder / "posts"


@pytest.fixture(scope="module")
def weaker(posts):
    """The same frames on a vehicle that wants half the curvature."""
    (drive,) = load_drives([posts], outputs=("curvature",))
    drive.labels = drive.labels / 2
    return drive


@pytest.mark.lengthy
def test_a_circuit_learns_new_bags_and_nothing_else_moves(model, weaker):
    policy = Policy.load(model)
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    adapted, results = adapt_policy(policy, [weaker], [], QUICK)
    assert results["new"]["after"]["curvature"] < 0.5 * results["new"]["before"]["curvature"]
    assert results["old"] is None
    assert results["parameters"] == 1069 + 64 + 2
    after = adapted.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith("circuit.") for name in moved)
    assert all(torch.equal(before[name], value) for name, value in policy.state_dict().items())


def test_what_would_forget_the_old_bags_is_not_kept(model, posts, weaker):
    """The same frames cannot be answered in both ways."""
    policy = Policy.load(model)
    (old,) = load_drives([posts], outputs=("curvature",))
    alone, _ = adapt_policy(policy, [weaker], [], QUICK)
    _, bound = adapt_policy(policy, [weaker], [old], QUICK)
    (_, _, test) = split_by_time([old], 0.2, 0.2)
    first, forgetful = (
        open_loop(each, test).summary["curvature"]["mse"] for each in (policy, alone)
    )
    assert forgetful > 2 * first
    assert bound["old"]["before"]["curvature"] == pytest.approx(first, rel=1e-3)
    assert bound["old"]["after"]["curvature"] <= 1.1 * first + 1e-6


def test_the_errors_are_those_of_a_node_on_the_held_back_part(model, weaker):
    policy = Policy.load(model)
    _, results = adapt_policy(policy, [weaker], [], Settings(steps=1, length=8))
    (_, _, test) = split_by_time([weaker], 0.2, 0.2)
    measured = open_loop(policy, test).summary["curvature"]["mse"]
    assert results["new"]["before"]["curvature"] == pytest.approx(measured, rel=1e-3)


def test_features_are_computed_once(model, posts, monkeypatch):
    policy = Policy.load(model)
    drives = load_drives([posts], outputs=("curvature",))
    (first,) = features_of(policy, drives)
    assert first.shape == (96, 32)

    def computed(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(Policy, "features", computed)
    (second,) = features_of(policy, drives)
    assert np.array_equal(first, second)
    monkeypatch.undo()
    with torch.no_grad():
        policy.head.dense_bias += 0.1
    (other,) = features_of(policy, drives)
    assert not np.array_equal(first, other)


def test_the_command_writes_a_new_model_and_keeps_the_old_one(model, posts, tmp_path, capsys):
    files = {path: path.read_bytes() for path in model.iterdir() if path.is_file()}
    output = tmp_path / "adapted"
    options = ["--steps", "5", "--length", "8", "--old", str(posts), "--output", str(output)]
    assert main(["adapt", str(model), str(posts), *options]) == 0
    assert {path: path.read_bytes() for path in files} == files
    said = json.loads((output / "adapt.json").read_text())
    assert said["adapted_from"] == "posts"
    assert set(said["new"]) == set(said["old"]) == {"before", "after"}
    assert Policy.load(output).extra["adaptation"]["bags"] == [str(posts)]
    assert "mean squared error" in capsys.readouterr().out


def test_an_adaptation_without_time_says_that_the_weights_are_what_they_were(
    model, posts, tmp_path, capsys
):
    output = tmp_path / "adapted"
    options = ["--seconds", "1e-9", "--steps", "5", "--length", "8", "--output", str(output)]
    assert main(["adapt", str(model), str(posts), *options]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "none of 0 steps of 5, as 1e-09 s were over (--seconds), was better" in said
    before, after = (Policy.load(each).state_dict() for each in (model, output))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_bad_input_is_refused_with_a_sentence(model, posts, tmp_path):
    with pytest.raises(InputError, match="is the model to be adapted, which is kept"):
        adapt(str(model), (posts,), output=model)
    with pytest.raises(InputError, match="needs new bags"):
        adapt(str(model), ())
    with pytest.raises(InputError, match="no window of 200 frames to train on"):
        adapt(str(model), (posts,), output=tmp_path / "x", settings=Settings(length=200))
    with pytest.raises(InputError, match="steps, length and batch of 1 or more"):
        Settings(steps=0)
    with pytest.raises(InputError, match="alpha and seed of 0 or more"):
        Settings(seed=-1)
    with pytest.raises(InputError, match="alpha and seed of 0 or more, got nan"):
        Settings(rate=float("nan"))
    assert not (tmp_path / "x").exists()
