"""Every circuit of a recipe becomes a policy that drives, is saved, and is found again."""

import numpy as np
import pytest
import torch

from liquid_control.circuits import LTC, ODELSTM, flagship_wiring
from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.errors import InputError
from liquid_control.policy import Driver, Policy, recompute
from liquid_control.training.networks import CIRCUITS, make_policy

pytestmark = pytest.mark.usefixtures("one_thread")
SPEC = CommandSpec((CURVATURE, SPEED))


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (5, 78, 200, 3), dtype=np.uint8)


def same(first, second):
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize("name", CIRCUITS)
def test_a_driver_gives_what_the_policy_gives_also_from_its_files(name, frames, tmp_path):
    torch.manual_seed(0)
    policy = make_policy(name, SPEC).eval()
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path)
    assert same(policy, loaded)
    assert (type(loaded.circuit), loaded.tick) == (type(policy.circuit), policy.tick)
    elapsed = np.array([0.03, 0.05, 0.02, 0.03, 0.03])
    with torch.no_grad():
        commands, _ = policy(torch.from_numpy(frames)[None], None, torch.from_numpy(elapsed)[None])
    driver = Driver(loaded)
    decisions = [driver.step(*given) for given in zip(frames, elapsed, strict=True)]
    expected = SPEC.clip(commands[0].numpy())
    np.testing.assert_allclose([d.command for d in decisions], expected, rtol=1e-3, atol=1e-4)
    for frame, decision in zip(frames, decisions, strict=True):
        assert np.array_equal(recompute(loaded, frame, decision), decision.command)
        assert len(decision.state) == len(decision.time_constants) == len(policy.state_names)
    assert driver.attention().shape == (78, 200)
    assert len(set(policy.state_names)) == len(policy.state_names)


def test_the_baseline_has_the_published_number_of_parameters():
    policy = make_policy("cnn", CommandSpec((CURVATURE,)))
    assert sum(p.numel() for p in policy.parameters()) == 5_068_900


def test_the_baselines_have_the_published_sizes():
    sizes = {
        name: sum(
            p.numel()
            for part, p in make_policy(name, CommandSpec((CURVATURE,))).circuit.named_parameters()
            if p.requires_grad and "readout" not in part
        )
        for name in ("lstm-64", "ctrnn-64")
    }
    assert sizes == {"lstm-64": 24_832, "ctrnn-64": 6_208}
    # The paper counts 65 more each: their readout of one output.
    assert [size + 65 for size in sizes.values()] == [24_897, 6_273]


def test_the_flagship_keeps_its_files_and_its_wiring():
    policy = make_policy("ncp-ltc", SPEC)
    assert policy.tick == 1.0
    assert policy.wiring == flagship_wiring(2)
    assert policy.state_names == list(policy.wiring.names)


def test_any_circuit_of_the_library_is_kept(tmp_path):
    for circuit in (
        ODELSTM(32, 8, 2),
        LTC(32, flagship_wiring(2), mixed_memory=True),
        LTC(flagship_wiring(2), solver="rk4"),
    ):
        policy = Policy(SPEC, circuit=circuit, tick=0.1)
        policy.save(tmp_path)
        assert same(policy, Policy.load(tmp_path))


@pytest.mark.parametrize("name", ["lstm-0", "lstm64", "transformer", "cnn-3", ""])
def test_a_circuit_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(InputError, match=r"There is no circuit .* choose one of ncp-ltc"):
        make_policy(name, SPEC)


def test_a_circuit_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="needs a circuit with 32 inputs"):
        Policy(SPEC, circuit=ODELSTM(31, 8, 2))


def test_loading_draws_no_random_numbers(tmp_path):
    make_policy("lstm-8", SPEC).save(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Policy.load(tmp_path)
    assert torch.equal(torch.rand(1), expected)
