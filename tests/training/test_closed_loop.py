"""Drives during a training pick the weights, and end a training that has stalled."""

import json
from dataclasses import replace

import pytest
import torch

from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.rollout import Episode
from liquid_control.training import closed_loop
from liquid_control.training.closed_loop import drive, score
from liquid_control.training.imitation import fit
from liquid_control.training.networks import make_policy
from liquid_control.training.recipe import ClosedLoop, Recipe

pytestmark = pytest.mark.usefixtures("one_thread")
LOOP = ClosedLoop(world="liquid_control/Driving-v1", episodes=2, seconds=1.0)


def episode(**changes) -> Episode:
    facts = dict.fromkeys(Episode.__dataclass_fields__, 0)
    return Episode(**(facts | {"seconds": 10.0, "crashed": False, "success": None} | changes))


def test_a_crash_costs_what_was_left_of_the_time_and_straying_a_little():
    settings = replace(LOOP, seconds=10.0)
    safe, late = episode(), episode(crashed=True, seconds=6.0)
    assert score([safe, late], settings) == pytest.approx(0.8)
    assert score([episode(lateral_error=0.5)], settings) == pytest.approx(0.95)
    assert score([episode(lateral_error=float("nan"))], settings) == 1.0
    assert score([episode(success=1.0), safe], replace(settings, score="success")) == 0.5
    assert score([episode(reward=3.0), safe], replace(settings, score="reward")) == 1.5


def test_a_world_that_knows_no_success_cannot_be_scored_by_it():
    with pytest.raises(InputError, match="does not say whether its task was done"):
        score([episode(), episode()], replace(LOOP, score="success"))


def test_drives_are_the_same_every_time_and_leave_the_threads_alone(tmp_path):
    torch.manual_seed(0)
    make_policy("ncp-ltc", Recipe(("x",), "m").spec).save(tmp_path)
    torch.set_num_threads(2)
    first, second = (drive(tmp_path, LOOP) for _ in range(2))
    assert torch.get_num_threads() == 2
    assert first == second
    assert [one.seed for one in first] == [900_000, 900_001]
    assert all(one.seconds == 1.0 for one in first)


def scripted(monkeypatch, scores):
    """Checks that give these scores, one after another."""
    left = iter(scores)
    monkeypatch.setattr(closed_loop, "drive", lambda folder, settings: [])
    monkeypatch.setattr(closed_loop, "score", lambda episodes, settings: next(left))


def test_the_weights_that_drove_best_are_kept_not_the_last_ones(small, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.2, 0.9, 0.4, 0.5])
    recipe = small(closed_loop=replace(LOOP, every=3))
    kept = fit(recipe, tmp_path / "model", work=tmp_path / "work")
    card = json.loads((tmp_path / "model" / "training.json").read_text())
    assert card["closed_loop"] == [[3, 0.2], [6, 0.9], [9, 0.4], [12, 0.5]]
    assert kept.extra == {"step": 6, "score": 0.9}
    saved = Policy.load(tmp_path / "model")
    assert saved.extra["closed_loop"] == {"step": 6, "score": 0.9}
    best = Policy.load(tmp_path / "work" / "best").state_dict()
    assert all(torch.equal(best[name], value) for name, value in saved.state_dict().items())


def test_of_weights_that_drive_alike_the_later_are_kept(small, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.9, 0.897, 0.894, 0.2])
    recipe = small(closed_loop=replace(LOOP, every=3))
    kept = fit(recipe, tmp_path / "model", work=tmp_path / "work")
    assert kept.extra == {"step": 6, "score": 0.897}


def test_a_training_that_has_stalled_ends_and_stays_ended(small, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.5, 0.4, 0.3])
    recipe = small(epochs=4, checkpoint=2, closed_loop=replace(LOOP, every=2, patience=2))
    fit(recipe, tmp_path / "model", work=tmp_path / "work")
    card = json.loads((tmp_path / "model" / "training.json").read_text())
    assert card["steps"] == 6
    fit(recipe, tmp_path / "model", work=tmp_path / "work")
    again = json.loads((tmp_path / "model" / "training.json").read_text())
    assert again["closed_loop"] == card["closed_loop"]


@pytest.mark.lengthy
def test_a_real_drive_scores_a_training_whose_end_is_checked(small, roads, tmp_path):
    recipe = small(data=(str(roads),), epochs=1, batch=8, closed_loop=replace(LOOP, every=1000))
    fit(recipe, tmp_path / "model", work=tmp_path / "work")
    ((step, reached),) = json.loads((tmp_path / "model" / "training.json").read_text())[
        "closed_loop"
    ]
    assert step == 3
    assert 0.5 < reached <= 1.0


def test_a_world_that_is_not_there_is_said_before_the_training(small, tmp_path):
    recipe = small(closed_loop=replace(LOOP, world="liquid_control/Nowhere-v0"))
    with pytest.raises(InputError, match="No world 'liquid_control/Nowhere-v0'"):
        fit(recipe, tmp_path / "model", work=tmp_path / "work")
    with pytest.raises(InputError, match="season"):
        fit(
            small(closed_loop=replace(LOOP, options=("saeson=winter",))),
            tmp_path / "model",
            work=tmp_path / "work",
        )
