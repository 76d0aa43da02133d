"""`liquid-control neurons`: a page and results for every network, one sentence for bad input."""

import json
import re

import pytest

from liquid_control.analysis.neurons import neurons
from liquid_control.cli import main
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.training.networks import make_policy

SPEC = CommandSpec((CURVATURE,))


def test_a_liquid_circuit_is_shown_with_all_that_it_has(policy, save, training_bag, capsys):
    bag = training_bag()
    assert neurons((bag,), (str(save(policy, "liquid")),)) == 0
    output = bag.with_name("000001-neurons")
    results = json.loads((output / "results.json").read_text())
    found = results["models"]["liquid"]
    assert results["frames"] == 45
    assert found["network"] == "LTC, 19 neurons, 253 synapses"
    assert sum(found["components"]["shares"]) == pytest.approx(1, abs=1e-3)
    assert len(found["time_constants_s"]["neurons"]) == 19
    assert len(found["influence"]) == 253
    shares = [each["share_of_full_command"] for each in found["influence"]]
    assert shares == sorted(shares, reverse=True)
    assert found["missing"] == []
    page = (output / "neurons.html").read_text()
    for title in (
        "The wiring of liquid",
        "Principal components",
        "Time constants and the command",
        "What each synapse does",
        "Curvature beside the recording",
    ):
        assert title in page
    assert "NCP 92 %, CNN 83 %, CT-RNN 60 %, LSTM 51 %" in page
    # One file that fetches nothing.
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    said = capsys.readouterr().out
    assert "LTC, 19" in said
    assert "without the synapse" in said


@pytest.mark.slow
def test_models_are_compared_and_what_they_lack_is_said(save, training_bag, tmp_path):
    names = ("lstm", "cnn", "ncp-cfc-mixed")
    folders = [str(save(make_policy(name, SPEC), name)) for name in names]
    bag = training_bag(frames=40)
    neurons((bag.parent,), tuple(folders), tmp_path / "out")
    results = json.loads((tmp_path / "out" / "results.json").read_text())["models"]
    assert list(results) == list(names)
    for name in ("lstm", "cnn"):
        assert results[name]["time_constants_s"] is None
        assert results[name]["influence"] is None
    assert any("has no wiring" in sentence for sentence in results["lstm"]["missing"])
    assert any("no state" in sentence for sentence in results["cnn"]["missing"])
    assert len(results["cnn"]["components"]["shares"]) == 100
    assert len(results["ncp-cfc-mixed"]["influence"]) == 253
    page = (tmp_path / "out" / "neurons.html").read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("What this network does not have") == 3


def test_a_run_knows_its_model(policy, run_bag, capsys):
    run = run_bag(policy)
    assert main(["neurons", str(run)]) == 0
    results = json.loads((run / "neurons" / "results.json").read_text())
    assert list(results["models"]) == ["driver"]
    assert str(run / "neurons" / "neurons.html") in capsys.readouterr().out.replace("\n", "")


def test_bad_input_is_answered_in_one_sentence(policy, save, training_bag, tmp_path, capsys):
    bag, model = training_bag(frames=12), save(policy, "liquid")
    cases = {
        (str(bag),): "says of no model that it decided; name one with --model",
        (str(bag), "--model", "nobody"): "No model 'nobody'",
        (str(tmp_path / "none"), "--model", str(model)): "There is no bag at or below",
        (str(bag), "--model", str(model)): "is shorter than 1 s",
        ("--model", str(model)): "Neurons need a bag",
    }
    for arguments, told in cases.items():
        assert main(["neurons", *arguments]) == 2
        said = capsys.readouterr().err
        assert told in said
        assert said.strip().count("\n") == 0
    assert not (bag.with_name("000001-neurons")).exists()
