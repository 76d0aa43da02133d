"""DAgger's settings, its schedules, and what a round trains on."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.data.drive import Drive
from liquid_control.errors import InputError
from liquid_control.models import share
from liquid_control.training.dagger.recipe import Beta, DaggerRecipe, read_dagger_recipe
from liquid_control.training.dagger.select import Answers, around_mistakes, choose
from liquid_control.training.recipe import Recipe, read_recipe

RECIPE = DaggerRecipe(Recipe(data=("bags",), model="m"), "m", "liquid_control/Driving-v1")


@given(
    st.sampled_from(["exponential", "linear", "constant"]),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 10),
)
def test_beta_begins_at_the_first_value_and_never_rises(schedule, first, decay, fade):
    beta = Beta(schedule, first, decay, fade)
    values = [beta.at(number) for number in range(1, 15)]
    assert values[0] == pytest.approx(first)
    assert all(0 <= later <= earlier <= 1 for earlier, later in pairwise(values))
    if schedule == "linear":
        assert values[fade] == 0
    if schedule == "constant":
        assert set(values) == {first}


def test_the_schedules_of_the_paper():
    assert [Beta(first=1.0, decay=0.5).at(k) for k in (1, 2, 3)] == [1.0, 0.5, 0.25]
    # Its parameter-free choice: the expert drives the first round, then the policy alone.
    assert [Beta("linear", 1.0, fade=1).at(k) for k in (1, 2, 3)] == [1.0, 0.0, 0.0]


def test_the_shipped_recipe_changes_its_base_where_it_says_so():
    recipe = read_dagger_recipe(share() / "config" / "dagger_driving_v1.yaml")
    base = read_recipe(share() / "config" / "driving_v1.yaml")
    assert recipe.train.augmentation == base.augmentation
    assert recipe.train.closed_loop.world == ""
    assert recipe.train.closed_loop.every == base.closed_loop.every
    assert (recipe.train.epochs, recipe.train.model) == (1, "driving_ncp_dagger")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"round": 3}, "unknown key 'round', the nearest known one is 'rounds'"),
        ({"train": {"epoch": 3}}, "train has the unknown key 'epoch', the nearest .* 'epochs'"),
        ({"train": {"data": ["x"], "epochs": 0}}, "train needs epochs of 1 or more, got 0"),
        ({"train": 3}, "train must hold `key: value` lines, got 3"),
        ({"beta": {"first": 1.5}}, "beta: first from 0 to 1, got 1.5"),
        ({"beta": {"schedule": "cosine"}}, "one of exponential, linear, constant, got 'cosine'"),
        ({"rounds": 0}, "rounds of 1 or more, got 0"),
        ({"seed": 949_990}, "other seeds for recording than for the score"),
        ({"score": {"seed": -1}}, r"seeds of 0 or more, got \(500000, -1\)"),
        ({"start": "first"}, "one of last, best, fresh"),
        ({"base": "nowhere.yaml"}, "No recipe .*nowhere.yaml"),
        ({"world": ""}, "needs world"),
        ({"data": ["bags"]}, "is a training's recipe; expected one of DAgger"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message, tmp_path):
    content = {"train": {"data": ["bags"]}, "model": "m", "world": "w"} | changes
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=message):
        read_dagger_recipe(tmp_path / "recipe.yaml")


def drive_of(frames: int, name: str = "made") -> Drive:
    """10 frames per second, numbered by their labels."""
    return Drive(
        path=Path(name),
        stamps=np.arange(frames) * 100_000_000,
        frames=np.zeros((frames, 1, 1, 3), np.uint8),
        labels=np.arange(frames, dtype=np.float32)[:, None],
        sessions=np.zeros(frames, np.int64),
        outputs=("curvature",),
        label_topic="/expert/command",
        skipped={},
    )


def answers_of(drive: Drive, wrong: list[int]) -> Answers:
    """The policy is right but at some frames, where it is off by half the half range."""
    expert = np.zeros((len(drive), 1))
    policy = expert.copy()
    policy[wrong] = 0.03
    driven = np.zeros(len(drive), bool)
    return Answers(("curvature",), drive.stamps, policy, expert, driven, np.array([0.06]), {})


def test_only_what_is_near_a_mistake_is_kept():
    drive = drive_of(100)
    parts = around_mistakes(drive, answers_of(drive, [30, 35, 80]), 0.4, around=0.5, lead=4)
    numbers = [part.labels[:, 0].astype(int).tolist() for part in parts]
    assert numbers == [list(range(21, 41)), list(range(71, 86))]
    # What leads up to a stretch only builds up the state.
    counted = [part.labels[part.weights > 0, 0].astype(int).tolist() for part in parts]
    assert counted == [list(range(25, 41)), list(range(75, 86))]
    assert around_mistakes(drive, answers_of(drive, [30]), 0.6, around=0.5, lead=4) == []


def test_a_round_takes_its_newest_bags_and_no_more_frames_than_it_may():
    demonstrations = [drive_of(50, f"old {k}") for k in range(20)]
    rounds = [[drive_of(40, f"first {k}") for k in range(5)], [drive_of(60, "new")]]
    everything = choose(RECIPE, 2, demonstrations, rounds)
    assert len(everything) == 26
    assert everything[0].path.name == "new"
    bounded = replace(RECIPE, frames=400, newest=3.0)
    taken = choose(bounded, 2, demonstrations, rounds)
    assert taken[0].path.name == "new"
    assert np.all(taken[0].weights == 3)
    assert all(np.all(drive.weights == 1) for drive in taken[1:])
    assert 400 - 50 < sum(map(len, taken)) <= 400
    names = {drive.path.name for drive in taken}
    assert names == {drive.path.name for drive in choose(bounded, 2, demonstrations, rounds)}
    assert names != {drive.path.name for drive in choose(bounded, 3, demonstrations, rounds)}
