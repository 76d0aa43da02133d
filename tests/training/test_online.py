"""Learning while driving: towards the person, within provable bounds, reversible, repeatable."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.circuits import CfC
from liquid_control.circuits.flat import flat
from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.training.online import OnlineAdaptation, Sample
from liquid_control.training.online_process import LearnerProcess
from liquid_control.training.online_settings import Settings
from liquid_control.training.trust_region import TrustRegion

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = Settings(every=10, steps=5, batch=8, blame=0.2)
KEEN = Settings(every=10, steps=20, rate=3e-3, blame=0.2)
PERIOD = 1 / 30
LIMIT = 0.06  # 1/m, of the curvature


def small_policy(outputs=(CURVATURE,)) -> Policy:
    torch.manual_seed(0)
    return Policy(CommandSpec(outputs)).eval()


@pytest.fixture(scope="module")
def policy() -> Policy:
    return small_policy()


@torch.no_grad()
def driven(policy: Policy, features: np.ndarray, person=None) -> list[Sample]:
    """What the policy does on features (frames, 32), in a person's hand where `person` says so."""
    state, samples = torch.zeros(1, policy.circuit.state_size), []
    for number, row in enumerate(features):
        outputs, after = policy.circuit.step(torch.from_numpy(row)[None], state, PERIOD)
        command = policy.spec.clip((outputs * policy.scale)[0].numpy())
        asked = None if person is None else person(number, command)
        before = state[0].numpy().copy()
        samples.append(Sample(row, before, PERIOD, number == 0, command, asked))
        state = after
    return samples


def commands(policy: Policy, weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Commands (frames, outputs) of the policy with other weights."""
    changed = small_policy(policy.spec.outputs)
    torch.nn.utils.vector_to_parameters(torch.from_numpy(weights), changed.circuit.parameters())
    return np.array([sample.command for sample in driven(changed, features)])


def wandering(frames: int, seed: int, around: float = 0.5) -> np.ndarray:
    """Features of a scene that changes slowly."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.05, (frames, 32)).cumsum(0)
    return np.clip(around + steps, 0, 2).astype(np.float32)


def learn(adaptation: OnlineAdaptation, samples: list[Sample]) -> list:
    updates = []
    for sample in samples:
        adaptation.add(sample)
        if (update := adaptation.update()) is not None:
            updates.append(update)
    return updates


def to_the_left(number: int, command: np.ndarray) -> np.ndarray:
    return command + 0.3 * LIMIT


def test_commands_move_to_the_persons_and_stay_elsewhere(policy):
    corrected, alone = wandering(240, 1, around=1.0), wandering(240, 2, around=0.1)
    adaptation = OnlineAdaptation(policy, KEEN)
    undisturbed, disturbed = driven(policy, alone), driven(policy, corrected, to_the_left)
    updates = learn(adaptation, [*undisturbed, *disturbed])
    assert sum(update.accepted for update in updates) >= 5
    wanted = np.array([sample.person for sample in disturbed])
    before = np.array([sample.command for sample in disturbed])
    after = commands(policy, adaptation.weights, corrected)
    assert ((after - wanted) ** 2).mean() < 0.25 * ((before - wanted) ** 2).mean()
    own = np.array([sample.command for sample in undisturbed])
    drift = (commands(policy, adaptation.weights, alone) - own) / LIMIT
    assert np.sqrt((drift**2).mean()) < 1.2 * KEEN.tolerance
    assert updates[-1].own_after <= KEEN.tolerance**2


numbers = st.one_of(
    st.floats(-0.06, 0.06), st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-38, 0.06])
)


@given(
    asked=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8),
    rate=st.sampled_from([1e-3, 0.1]),
    radius=st.sampled_from([0.0, 1e-3, 0.1, 0.5]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=12, deadline=None)
def test_no_corrections_whatever_lead_out_of_the_trust_region(asked, rate, radius, seed):
    """Commands of a person who is asleep on the wheel, wild, or not finite."""
    policy = small_policy((CURVATURE, SPEED))
    rng = np.random.default_rng(seed)
    features = (rng.normal(0, 1, (48, 32)) * 10.0 ** rng.integers(-2, 3)).astype(np.float32)

    def person(number: int, command: np.ndarray) -> np.ndarray:
        return np.array(asked[number // 7 % len(asked)], np.float32)

    choice = Settings(every=8, steps=2, batch=4, rate=rate, radius=radius, tolerance=1.0, blame=0)
    adaptation = OnlineAdaptation(policy, choice)
    region = TrustRegion(policy.circuit, radius)
    for update in learn(adaptation, driven(policy, features, person)):
        weights = torch.from_numpy(update.weights)
        assert region.holds(weights)
        assert 0 <= update.distance <= 1
        assert radius or not update.accepted
    check_bounds(policy, region, adaptation.weights, features)


def check_bounds(policy, region, weights, features) -> None:
    """Neurons keep their shipped intervals, and time constants the widened ones."""
    changed = small_policy(policy.spec.outputs)
    torch.nn.utils.vector_to_parameters(torch.from_numpy(weights), changed.circuit.parameters())
    state = torch.zeros(1, changed.circuit.state_size)
    with torch.no_grad():
        for row in torch.from_numpy(features):
            _, state = changed.circuit.step(row[None], state, PERIOD)
            assert (state[0] >= region.state_low - 1e-5).all()
            assert (state[0] <= region.state_high + 1e-5).all()
            constants = changed.circuit.time_constants(row[None], state)[0]
            assert (constants >= region.fastest * (1 - 1e-5)).all()
            assert (constants <= region.slowest * (1 + 1e-5)).all()


@given(scale=st.sampled_from([1e-3, 1.0, 1e3, 1e30]), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_the_region_takes_any_finite_row_in_and_leaves_what_is_inside(scale, seed):
    policy = small_policy()
    region = TrustRegion(policy.circuit, 0.1)
    rng = np.random.default_rng(seed)
    there = torch.from_numpy(rng.normal(0, scale, len(region.shipped)).astype(np.float32))
    inside = region.project(region.shipped + there)
    assert region.holds(inside)
    assert torch.equal(region.project(inside), inside)
    # Convex: so is everything between it and the centre.
    assert region.holds(region.shipped.lerp(inside, 0.5))
    assert not region.holds(torch.full_like(there, torch.nan))
    check_bounds(policy, region, inside.numpy(), wandering(20, 3, around=1.0))


def test_the_extremes_of_the_box_keep_the_bounds(policy):
    region = TrustRegion(policy.circuit, 0.1)
    for corner in (region.low, region.high):
        check_bounds(policy, region, corner.numpy(), wandering(30, 4, around=1.0))


def test_forgetting_brings_back_the_shipped_weights_to_the_bit_and_the_corrections_are_gone(policy):
    shipped = flat(policy.circuit).numpy()
    adaptation = OnlineAdaptation(policy, QUICK)
    samples = driven(policy, wandering(120, 5), to_the_left)
    first = learn(adaptation, samples)
    assert first[-1].accepted
    assert not np.array_equal(adaptation.weights, shipped)
    adaptation.forget()
    assert np.array_equal(adaptation.weights, shipped)
    assert adaptation.update() is None
    second = learn(adaptation, samples)
    assert [u.weights.tobytes() for u in first] == [u.weights.tobytes() for u in second]


def test_the_same_samples_give_the_same_updates_to_the_bit(policy):
    samples = driven(policy, wandering(150, 6), to_the_left)
    runs = [learn(OnlineAdaptation(policy, QUICK), samples) for _ in range(2)]
    assert len(runs[0]) > 5
    for one, other in zip(*runs, strict=True):
        assert one.weights.tobytes() == other.weights.tobytes()
        assert (one.loss_after, one.distance) == (other.loss_after, other.distance)


def test_without_corrections_nothing_changes_and_the_policy_itself_never_does(policy):
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    adaptation = OnlineAdaptation(policy, QUICK)
    assert learn(adaptation, driven(policy, wandering(200, 7))) == []
    assert np.array_equal(adaptation.weights, flat(policy.circuit).numpy())
    assert learn(adaptation, driven(policy, wandering(60, 7), to_the_left))
    assert all(torch.equal(before[name], value) for name, value in policy.state_dict().items())


def test_what_would_change_the_policys_own_driving_too_much_is_refused(policy):
    """The same scene is approved, and then corrected: both cannot be had."""
    features = wandering(150, 8)
    strict = Settings(every=10, steps=5, tolerance=0.0, anchor=0.0, blame=0.2)
    adaptation = OnlineAdaptation(policy, strict)
    approved, corrected = driven(policy, features), driven(policy, features, to_the_left)
    updates = learn(adaptation, [*approved, *corrected])
    assert updates
    assert not any(update.accepted for update in updates)
    assert adaptation.refused == len(updates)
    assert np.array_equal(adaptation.weights, flat(policy.circuit).numpy())


def test_what_led_to_an_intervention_is_not_held_on_to(policy):
    """The same corrections after the same own driving, which counts as bad or as approved."""
    samples = driven(policy, wandering(90, 9), lambda n, c: to_the_left(n, c) if n >= 48 else None)
    blamed, approved = (
        learn(OnlineAdaptation(policy, Settings(every=10, blame=blame)), samples)[-1]
        for blame in (10.0, 0.0)
    )
    assert np.isnan(blamed.own_after)
    assert approved.own_after > 0


def test_samples_that_are_not_finite_are_left_out(policy):
    samples = driven(policy, wandering(60, 10), to_the_left)
    broken = [
        samples[0]._replace(features=np.full(32, np.nan, np.float32)),
        samples[0]._replace(elapsed=-1.0),
        samples[0]._replace(state=np.full(19, np.inf, np.float32)),
    ]
    adaptation = OnlineAdaptation(policy, QUICK)
    assert learn(adaptation, [*broken * 20, *samples])[-1].accepted
    assert adaptation.ignored == 60


def test_circuits_without_bounds_and_settings_out_of_range_are_refused():
    torch.manual_seed(0)
    other = Policy(CommandSpec((CURVATURE,)), circuit=CfC(32, 8, proj_size=1))
    with pytest.raises(InputError, match="Only an LTC with the fused solver"):
        OnlineAdaptation(other)
    with pytest.raises(InputError, match="rate from"):
        Settings(rate=float("nan"))
    with pytest.raises(InputError, match="every from 1"):
        Settings(every=0)


@pytest.fixture(scope="module")
def folder(policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "untrained"
    policy.save(folder)
    return folder


@pytest.mark.slow
def test_the_process_learns_what_the_same_samples_teach_here(policy, folder):
    samples = driven(policy, wandering(96, 11), to_the_left)
    expected = learn_in_eights(OnlineAdaptation(policy, QUICK), samples)
    process = LearnerProcess(folder, QUICK)
    try:
        for sample in samples:
            process.add(sample)
        got = updates_of(process, len(expected))
        assert [u.weights.tobytes() for u in got] == [u.weights.tobytes() for u in expected]
        # What is under way when all is forgotten never arrives.
        for sample in samples[:64]:
            process.add(sample)
        process.forget()
        for sample in samples:
            process.add(sample)
        got = updates_of(process, len(expected))
        assert [u.weights.tobytes() for u in got] == [u.weights.tobytes() for u in expected]
        # One that hangs, or dies, is no trouble to who drives.
        process._process.send_signal(signal.SIGSTOP)
        for sample in samples * 20:
            process.add(sample)
        assert process.dropped > 0
    finally:
        process.close()
    assert not process.alive
    process.add(samples[0])
    assert process.updates() == []


def updates_of(process: LearnerProcess, count: int) -> list:
    """Wait for so many."""
    got = []
    while len(got) < count:
        assert process.alive
        process._reader.join(0.05)
        got += process.updates()
    return got


def learn_in_eights(adaptation: OnlineAdaptation, samples: list[Sample]) -> list:
    """As the process does, to which eight samples go at a time."""
    updates = []
    for first in range(0, len(samples), 8):
        for sample in samples[first : first + 8]:
            adaptation.add(sample)
        updates.append(adaptation.update())
    return [update for update in updates if update is not None]
