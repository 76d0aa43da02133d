"""Training: a policy learns what a bag shows, and bad recipes are refused."""

import json

import cv2
import numpy as np
import pytest
import torch

from liquid_control.data.bag import BagWriter
from liquid_control.data.drive import load_drives
from liquid_control.data.messages import named_vector, png_image
from liquid_control.errors import InputError
from liquid_control.evaluation.open_loop import open_loop
from liquid_control.policy import Policy
from liquid_control.training.augment import augment
from liquid_control.training.imitation import fit
from liquid_control.training.module import weighted_loss
from liquid_control.training.recipe import Augmentation, Recipe, read_recipe
from liquid_control.training.split import split_by_time


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """120 frames at 30 Hz in which a bright post stands where to steer: left is positive."""
    folder = tmp_path_factory.mktemp("data") / "posts"
    rng = np.random.default_rng(0)
    with BagWriter(folder) as writer:
        for index in range(120):
            stamp = 1_000_000_000 + index * 33_333_333
            left = (index // 8) % 2 == 0
            frame = rng.integers(0, 60, (78, 200, 3), np.uint8)
            cv2.rectangle(
                frame, (40 if left else 140, 20), (60 if left else 160, 70), [220] * 3, -1
            )
            writer.write("/camera/image_raw/compressed", png_image(frame, stamp), stamp)
            label = named_vector(["curvature"], [0.03 if left else -0.03], stamp)
            writer.write("/expert/command", label, stamp)
    return folder


def small(bag, **changes):
    settings = {
        "data": (str(bag),),
        "model": "posts",
        "length": 4,
        "shift": 2,
        "epochs": 6,
        "batch": 8,
        "validation": 0.2,
        "test": 0.2,
        "head_rate": 2e-3,
        "circuit_rate": 2e-2,
        "warmup": 5,
    }
    return Recipe(**(settings | changes))


def test_a_policy_learns_to_steer_where_the_post_stands(bag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    fit(small(bag), tmp_path / "posts")
    results = json.loads((tmp_path / "posts" / "training.json").read_text())
    test = results["test"]["curvature"]
    assert test["mse"] < 0.3 * test["mse_of_zero"]
    assert test["correlation"] > 0.8
    assert results["frames"] == {"training": 72, "validation": 24, "test": 24}
    # What was saved is what was measured.
    loaded = Policy.load(tmp_path / "posts")
    _, _, held_back = split_by_time(load_drives([bag], outputs=("curvature",)), 0.2, 0.2)
    assert open_loop(loaded, held_back).summary["curvature"]["mse"] == pytest.approx(test["mse"])


def test_the_same_seed_trains_the_same_weights(bag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    recipe = small(bag, epochs=1, augmentation=Augmentation(noise=0.1, gamma=0.3, shadow=0.5))
    first, second = (fit(recipe, tmp_path / name) for name in ("first", "second"))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_latest_part_is_held_back_and_nothing_is_used_twice(bag):
    drives = load_drives([bag, bag], outputs=("curvature",))
    parts = split_by_time(drives, 0.25, 0.15)
    assert [sum(map(len, part)) for part in parts] == [144, 60, 36]
    stamps = np.concatenate([drive.stamps for part in parts for drive in part])
    assert np.array_equal(stamps, np.concatenate([drive.stamps for drive in drives]))


def test_the_loss_weighs_large_commands_more():
    labels = torch.tensor([[0.0], [1.0]])
    near_zero = weighted_loss(torch.tensor([[0.1], [1.0]]), labels, alpha=1.0)
    at_limit = weighted_loss(torch.tensor([[0.0], [0.9]]), labels, alpha=1.0)
    assert at_limit / near_zero == pytest.approx(np.e)
    assert weighted_loss(labels + 0.1, labels, alpha=1.0) == pytest.approx(0.01)


def test_mirroring_turns_the_picture_and_the_command():
    frames = np.zeros((2, 78, 200, 3), np.uint8)
    frames[:, :, :20] = 255
    varied, sign = augment(frames, Augmentation(mirror=1.0), np.random.default_rng(0))
    assert sign == -1.0
    assert varied[:, :, -20:].min() == 255
    assert varied[:, :, :20].max() == 0


def test_augmentation_of_nothing_is_nothing():
    frames = np.random.default_rng(0).integers(0, 255, (2, 78, 200, 3), np.uint8)
    varied, sign = augment(frames, Augmentation(), np.random.default_rng(0))
    assert sign == 1.0
    assert np.array_equal(varied, frames)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data: [x]\nmodel: m\nlenght: 4\n", "unknown keys lenght"),
        ("model: m\n", "lacks a value"),
        ("data: [x]\nmodel: m\noutputs: [wings]\n", "outputs wings; known are curvature"),
        ("data: [x]\nmodel: m\nburn_in: 20\n", "burn_in < length"),
        ("data: [x]\nmodel: m\nvalidation: 0.6\ntest: 0.5\n", r"validation \+ test < 1"),
        ("data: [x]\nmodel: m\nepochs: many\n", "whole numbers"),
        ("- a\n- b\n", "must hold `key: value` lines"),
        ("data: [x\n", "not valid YAML"),
    ],
)
def test_a_bad_recipe_is_refused_with_a_reason(tmp_path, text, sentence):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_recipe(tmp_path / "recipe.yaml")


def test_the_shipped_recipes_are_valid(pytestconfig):
    for name in ("driving", "rc_track"):
        assert read_recipe(pytestconfig.rootpath / "config" / f"{name}.yaml").model
