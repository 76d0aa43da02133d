"""`liquid-control explain`: one decision taken apart, and checked against what was recorded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_control.analysis.explain import explain
from liquid_control.analysis.explain_decision import take_apart
from liquid_control.cli import main
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.errors import InputError
from liquid_control.policy import Driver, Policy
from liquid_control.training.networks import make_policy

SPEC = CommandSpec((CURVATURE,))
CHAIN = {"sensory 0 to inter 0", "inter 0 to command 0", "command 0 to motor 0"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_synapses_of_the_only_path_matter_most(chain, training_bag):
    told = take_apart(Policy(SPEC, circuit=chain).eval(), training_bag(), 1.2, since=0.5)
    assert {cut.synapses[0].text for cut in told.cuts[:3]} == CHAIN
    effects = [cut.effect for cut in told.cuts[:-1]]
    assert effects == sorted(effects, reverse=True)
    assert len(told.cuts[-1].synapses) == 5
    assert told.since_s == pytest.approx(0.5, abs=0.02)


def test_a_decision_is_that_of_a_driver_that_saw_everything_before(
    policy, training_bag, picture_of
):
    told = take_apart(policy, training_bag(), 1.1)
    driver = Driver(policy)
    for number in range(told.moment.row + 1):
        expected = driver.step(picture_of(number), 1 / 30)
    assert told.moment.row == 33
    np.testing.assert_allclose(told.moment.decision.command, expected.command, atol=1e-6)
    np.testing.assert_allclose(told.moment.hidden, expected.state, atol=1e-5)
    assert told.label[0] == pytest.approx(0.03 * np.sin(33 / 5), abs=1e-6)
    assert told.earlier.row == 3
    assert -1 <= told.alike <= 1
    total = sum(part.values for part in told.parts)
    np.testing.assert_allclose(policy.spec.clip(total), expected.command, atol=1e-5)
    assert told.agrees is None


def test_a_recorded_decision_is_compared_bit_by_bit(policy, run_bag, capsys):
    run = run_bag(policy)
    told = take_apart(policy, run / "bag", 1.0)
    assert told.agrees is True
    assert "equal to the bit to decision 30" in told.recorded
    assert explain(run, "1.0s") == 0
    said = capsys.readouterr().out
    assert "At 1.00 s driver asked for curvature" in said
    assert "equal to the bit" in said
    page = (run / "explain-1.00s.html").read_text()
    assert "The five synapses that mattered most" in page
    assert "The wiring at this moment" in page


def test_a_decision_that_was_not_made_so_is_told(policy, run_bag):
    told = take_apart(policy, run_bag(policy, lie=0.01) / "bag", 26 / 30)
    assert told.moment.row == 26
    assert told.agrees is False
    assert "differs from the record (command" in told.recorded


@pytest.mark.slow
def test_another_model_is_asked_about_a_run_without_a_comparison(policy, run_bag):
    other = make_policy("ncp-ltc", SPEC).eval()
    told = take_apart(other, run_bag(policy) / "bag", 1.0)
    assert told.agrees is None
    assert "another model" in told.recorded


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "cnn", "ncp-cfc-mixed"])
def test_networks_are_explained_as_far_as_they_go(name, save, training_bag, tmp_path):
    model = save(make_policy(name, SPEC), name)
    page = tmp_path / "pages" / "told.html"
    assert explain(training_bag(frames=36), "1.1", str(model), output=page) == 0
    text = page.read_text()
    assert "What curvature was built from" in text
    wired = name == "ncp-cfc-mixed"
    assert ("The five synapses that mattered most" in text) == wired
    assert ("has no wiring: no synapse was cut" in text) != wired


def test_the_first_frame_has_nothing_before_it(policy, training_bag, save):
    bag = training_bag(frames=8)
    told = take_apart(policy, bag, 0.0)
    assert told.earlier is None
    assert told.since_s == 0
    for each in told.cuts:
        np.testing.assert_array_equal(each.since, each.once)
    assert explain(bag, "0", str(save(policy, "liquid"))) == 0


def test_bad_input_is_answered_in_one_sentence(policy, save, training_bag, tmp_path, capsys):
    bag, model = training_bag(frames=12, gap_after=8), str(save(policy, "liquid"))
    blind = tmp_path / "blind"
    with BagWriter(blind) as writer:
        writer.write("/expert/command", messages.named_vector(["curvature"], [0.0], 1), 1)
    drone = str(Path(__file__).resolve().parents[2] / "models" / "drone_ncp")
    cases = {
        ("99s", bag, model): "the last one before is at 1.37 s",
        ("-1", bag, model): "--at is a time of 0 s or more",
        ("0.8", bag, model): "no frame that the policy saw within 0.25 s of 0.8 s",
        ("soon", bag, model): "--at is a time in seconds",
        ("nan", bag, model): "--at is a time in seconds",
        ("0.1", blind, model): "has 0 image topics",
        ("0.1", tmp_path / "none", model): "none",
        ("0.1", bag, drone): "take a model for this vehicle",
    }
    for (at, path, which), told in cases.items():
        assert main(["explain", str(path), f"--at={at}", "--model", which]) == 2
        said = capsys.readouterr().err
        assert told in said
        assert said.strip().count("\n") == 0
    with pytest.raises(InputError, match="--since is a time of 0 s or more"):
        explain(bag, "0.1", model, since=-1.0)
