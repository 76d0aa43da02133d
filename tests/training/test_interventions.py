"""A person's interventions train a policy; frames without a label only build up its state."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from liquid_control.camera import CameraSetup
from liquid_control.cli import main
from liquid_control.command import CURVATURE
from liquid_control.data.bag import BagWriter
from liquid_control.data.drive import load_drives
from liquid_control.data.messages import png_image, twist_stamped
from liquid_control.errors import InputError
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.policy import Policy
from liquid_control.training.batches import Windows
from liquid_control.training.imitation import fit
from liquid_control.training.module import weighted_loss
from liquid_control.training.networks import make_policy
from liquid_control.training.recipe import Recipe
from liquid_control.training.split import split_by_time
from liquid_control.training.tune.trial import validation_error

pytestmark = pytest.mark.usefixtures("one_thread")
CAMERA = CameraSetup(height=24, width=64)
PERIOD = 33_333_333


def robot_bag(folder: Path, frames: int = 160) -> Path:
    """The post's side changes every 10 frames; the policy steers away from it.

    In the second half of each stretch of 40 frames a person steers to where the post stands.
    """
    rng = np.random.default_rng(0)
    with BagWriter(folder) as bag:
        for number in range(frames):
            stamp = 1_000_000_000 + number * PERIOD
            # The last command holds for 7 frames more, in which the post must not change sides.
            left = ((number + 13) // 10) % 2 == 0
            frame = rng.integers(0, 60, (78, 200, 3), np.uint8)
            x = 40 if left else 140
            cv2.rectangle(frame, (x, 20), (x + 20, 70), [220] * 3, -1)
            bag.write("/camera/image_raw/compressed", png_image(frame, stamp), stamp)
            towards = 0.03 if left else -0.03
            bag.write("/cmd_vel", twist_stamped(8.0, -towards * 8.0, stamp), stamp)
            if number % 40 >= 20:
                bag.write("/intervention", twist_stamped(8.0, towards * 8.0, stamp), stamp)
    return folder


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return robot_bag(tmp_path_factory.mktemp("robot") / "bag")


@pytest.fixture(scope="module")
def recipe(bag) -> Recipe:
    return Recipe(
        data=(str(bag),),
        model="person",
        labels="interventions",
        camera=CAMERA,
        length=4,
        shift=2,
        burn_in=1,
        epochs=8,
        batch=6,
        validation=0.0,
        head_rate=2e-3,
        circuit_rate=2e-2,
        warmup=3,
    )


def drives_of(recipe: Recipe) -> list:
    return load_drives(recipe.data, recipe.camera, recipe.outputs, recipe.labels)


@pytest.mark.parametrize("mode", ["windows", pytest.param("stateful", marks=pytest.mark.slow)])
def test_a_policy_learns_what_the_person_did(recipe, tmp_path, mode):
    settings = replace(recipe, mode=mode, batch=6 if mode == "windows" else 2, epochs=10)
    policy = fit(settings, tmp_path / "model", work=tmp_path / "work")
    found = open_loop(policy, drives_of(recipe)).summary["curvature"]
    # The person's hand is on for 20 frames, and for 7 more as a command holds for 0.25 s.
    assert found["frames"] == 4 * 27 - 7
    assert found["correlation"] > 0.8


def test_labels_of_frames_that_do_not_count_change_nothing(recipe, tmp_path):
    short = replace(recipe, epochs=1)
    drives = drives_of(recipe)
    first = fit(short, tmp_path / "a", work=tmp_path / "one", drives=drives)
    for drive in drives:
        drive.labels[drive.weights == 0] = 0.06
    second = fit(short, tmp_path / "b", work=tmp_path / "two", drives=drives)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_windows_without_a_label_are_left_out_but_a_state_is_carried_through_them(recipe):
    drives = drives_of(recipe)
    windows = Windows(drives, recipe, varied=True)
    (found,) = windows.sets
    weights = [found[k]["weights"] for k in range(len(found))]
    assert all(weight[1:].any() for weight in weights)
    assert any(not weight.all() for weight in weights)
    stateful = replace(recipe, mode="stateful")
    frames = sum(
        found.length for found in Windows(drives, stateful, varied=True).sets for _ in found
    )
    assert frames == len(drives[0])
    for drive in drives:
        drive.weights[:] = 0
    with pytest.raises(InputError, match="has a labelled frame after its first 1"):
        Windows(drives, recipe, varied=True)


def test_the_loss_of_frames_that_do_not_count_is_nothing():
    commands = torch.ones(2, 3, 1, requires_grad=True)
    loss = weighted_loss(commands, torch.zeros(2, 3, 1), 0.1, torch.zeros(2, 3))
    loss.sum().backward()
    assert loss.item() == 0
    assert not commands.grad.any()


def test_parts_are_shares_of_the_labelled_frames(recipe):
    (drive,) = drives_of(recipe)
    parts = split_by_time([drive], 0.25, 0.25)
    labelled = [sum(int((each.weights > 0).sum()) for each in part) for part in parts]
    assert labelled == [50, 26, 25]
    assert sum(len(each) for part in parts for each in part) == len(drive)


def test_an_arc_tighter_than_the_policy_can_ask_for_is_its_limit(recipe):
    drives = drives_of(recipe)
    for drive in drives:
        drive.labels *= 100
    windows = Windows(drives, recipe, varied=False)
    (found,) = windows.sets
    assert max(float(found[k]["labels"].abs().max()) for k in range(len(found))) == pytest.approx(
        recipe.spec.high[0]
    )


def test_a_model_is_adapted_to_a_persons_corrections(recipe, bag, tmp_path):
    wrong = fit(
        replace(recipe, labels="expert", epochs=4), tmp_path / "wrong", work=tmp_path / "work"
    )
    command = ["adapt", str(tmp_path / "wrong"), str(bag), "--labels", "interventions"]
    options = ["--steps", "120", "--length", "8", "--batch", "16", "--rate", "1e-2", "--anchor"]
    output = ["0", "--output", str(tmp_path / "adapted"), "--threads", "1"]
    assert main([*command, *options, *output]) == 0
    told = json.loads((tmp_path / "adapted" / "adapt.json").read_text())
    assert told["new"]["after"]["curvature"] < 0.7 * told["new"]["before"]["curvature"]
    drives = drives_of(recipe)
    before, after = (
        open_loop(policy, drives).summary["curvature"]["mse"]
        for policy in (wrong, Policy.load(tmp_path / "adapted"))
    )
    assert after < 0.7 * before


def test_a_search_scores_by_the_labels_that_its_trials_learn(recipe):
    settings = replace(recipe, validation=0.25)
    torch.manual_seed(0)
    policy = make_policy(recipe.circuit, recipe.spec, recipe.camera).eval()
    held_back = split_by_time(drives_of(recipe), 0.25, 0.0)[1]
    mse = open_loop(policy, held_back).summary["curvature"]["mse"]
    assert validation_error(policy, settings) == pytest.approx(mse / CURVATURE.high**2)
