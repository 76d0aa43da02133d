"""DAgger's driver: expert and policy take turns, by a coin and where the policy errs by much."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_world import COMMAND, WORLD, FakeEnv

from liquid_control.command import CommandSpec
from liquid_control.data.bag import BagReader
from liquid_control.data.messages import read_named_vector
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.rollout import Mixture, PolicyPilot, make_world, run_episode
from liquid_control.rollout.episode_bag import Settings, record_episode, same_settings

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SPEC = CommandSpec(COMMAND.outputs[:2])


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A policy that gives vx and vy, but no yaw rate."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("model") / "untrained"
    Policy(SPEC).save(folder)
    return folder


def vectors(bag: Path, topic: str) -> np.ndarray:
    with BagReader(bag) as reader:
        found = [read_named_vector(message) for _, _, message in reader.messages([topic])]
    return np.array([[row[name] for name in SPEC.names] for row in found])


def turns(model: Path, seed: int, seconds: float = 12.0, **settings) -> tuple[list[bool], Mixture]:
    """Who drove each frame of an episode; the goal is out of reach."""
    env = make_world(WORLD, goal=1e9)
    mixture = Mixture(PolicyPilot(Policy.load(model)), **settings)
    who = []
    run_episode(
        env, mixture, seed, seconds=seconds, on_moment=lambda _: who.append(mixture.expert_drives)
    )
    return who, mixture


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_without_a_coin_one_of_them_drives(beta: float, model: Path, tmp_path: Path) -> None:
    settings = Settings(WORLD, seconds=2.0, model=model, mixture=(beta, 0.5, 0.0))
    record_episode(settings, 7, tmp_path / "bag")
    expert, policy, done = (
        vectors(tmp_path / "bag", topic)
        for topic in ("/expert/command", "/policy/command", "/command")
    )
    assert len(expert) == len(policy) == len(done) == 20
    assert np.abs(expert - policy).min(axis=0).max() > 0
    assert np.array_equal(done, expert if beta else policy)


def test_with_beta_of_0_the_policy_drives_as_it_does_alone(model: Path, tmp_path: Path) -> None:
    for name, mixture in (("mixed", (0.0, 1.0, 0.0)), ("alone", None)):
        record_episode(
            Settings(WORLD, seconds=2.0, model=model, mixture=mixture), 3, tmp_path / name
        )
    mixed, alone = (vectors(tmp_path / name, "/command") for name in ("mixed", "alone"))
    assert np.array_equal(mixed, alone)


def test_a_coin_is_thrown_for_each_stretch(model: Path) -> None:
    # The world has 10 frames per second.
    stretches = []
    for seed in range(4):
        who, _ = turns(model, seed, seconds=14.0, beta=0.3, segment=0.7)
        changes = [k for k, (a, b) in enumerate(pairwise(who), 1) if a != b]
        assert all(change % 7 == 0 for change in changes)
        stretches += who[::7]
    assert 0.15 < np.mean(stretches) < 0.45
    again, _ = turns(model, 3, seconds=14.0, beta=0.3, segment=0.7)
    assert again == who


def test_a_coin_for_every_frame(model: Path) -> None:
    who, _ = turns(model, 5, beta=0.5, segment=0.0)
    assert 0.35 < np.mean(who) < 0.65
    assert np.mean(np.diff(np.array(who, int)) != 0) > 0.3


def test_the_expert_takes_over_where_the_policy_errs_by_much(model: Path) -> None:
    who, mixture = turns(model, 0, beta=0.0, takeover=1e-3, segment=0.5)
    assert all(who)
    assert mixture.given.tolist() == [True, True, False]
    who, _ = turns(model, 0, beta=0.0, takeover=10.0)
    assert not any(who)


def test_bags_of_another_mixture_are_not_mixed_in(model: Path, tmp_path: Path) -> None:
    settings = Settings(WORLD, seconds=0.5, model=model, mixture=(0.5, 1.0, 0.0))
    record_episode(settings, 0, tmp_path / "bag")
    assert same_settings(tmp_path / "bag", settings.facts(0)) == ""
    other = Settings(WORLD, seconds=0.5, model=model, mixture=(0.25, 1.0, 0.0))
    assert same_settings(tmp_path / "bag", other.facts(0)) == "mixture"


def test_a_world_without_an_expert_is_refused(model: Path, monkeypatch) -> None:
    monkeypatch.delattr(FakeEnv, "expert_action")
    with pytest.raises(InputError, match="has no expert"):
        Mixture(PolicyPilot(Policy.load(model)), 0.5).reset(make_world(WORLD), 0)
