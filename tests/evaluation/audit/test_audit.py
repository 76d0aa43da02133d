"""An audit of a record: clean to the bit as it was made; what was changed is found and named.

`tests/ros/test_audit_run.py` audits what real nodes record.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_control.data import messages
from liquid_control.errors import InputError
from liquid_control.evaluation.audit import Audit, audit_bag
from liquid_control.policy import Policy

FRAMES = 12
PERIOD_NS = 33_333_333
PARAMETERS = {"nominal_period": 1 / 30, "max_gap": 0.2, "speed": 5.0}
IMAGE, DECISION, NEURONS = "/camera/image_raw", "/policy/decision", "/policy/neurons"
ATTENTION, COMMAND, FACTS = "/policy/attention", "/cmd_vel", "/policy/facts"


def failed(result: Audit) -> set[str]:
    """Which checks the first decision that differs has failed."""
    return {each.check for each in result.findings.first}


def test_a_record_as_it_was_made_is_equal_to_the_bit(records, sent, tmp_path):
    result = audit_bag(records.write(tmp_path / "bag", sent), attention=True)
    assert result.ok, result.sentence
    found = result.findings
    assert found.exact
    assert not found.unseen
    assert dict(found.resets) == {"start": 1, "gap": 1}
    for name in ("command", "state", "time constants", "attention", "frame", "published"):
        assert (found.compared[name], found.unequal[name]) == (FRAMES, 0)
    assert found.compared["chain"] == FRAMES
    assert set(found.largest.values()) == {0.0}
    assert "equal to the bit" in result.sentence


def set_pixel(message) -> None:
    message.data[4321] ^= 1


def set_value(name: str, value: float) -> Callable:
    def change(message) -> None:
        message.position[message.name.index(name)] = value

    return change


def next_double(name: str) -> Callable:
    def change(message) -> None:
        at = message.name.index(name)
        message.position[at] = np.nextafter(message.position[at], np.inf)

    return change


def set_speed(message) -> None:
    message.twist.linear.x = float(np.nextafter(message.twist.linear.x, 9.0))


def set_constant(message) -> None:
    message.velocity[7] = np.nextafter(message.velocity[7], 9.0)


@pytest.mark.parametrize(
    ("topic", "change", "check", "cause"),
    [
        (IMAGE, set_pixel, "frame", "camera image"),
        (DECISION, next_double("curvature"), "command", "recorded command was changed"),
        (DECISION, next_double("inter_3"), "chain", "state before it was changed"),
        (DECISION, set_value("motor_0", 0.5), "chain", "state before it was changed"),
        (DECISION, next_double("elapsed"), "elapsed", "elapsed time"),
        (DECISION, set_value("reset", 1.0), "chain", "state before"),
        (DECISION, set_value("number", 5.0), "sequence", "missing from the record"),
        (NEURONS, set_constant, "time constants", "time constants were changed"),
        (NEURONS, next_double("command_2"), "state", "neurons after it were changed"),
        (COMMAND, set_speed, "published", "not the one that was decided"),
        (ATTENTION, set_pixel, "attention", "saliency map was changed"),
    ],
)
def test_a_change_of_one_number_is_found_where_it_was_made(
    records, sent, tmp_path, topic, change, check, cause
):
    bag = records.write(tmp_path / "bag", records.changed(sent, topic, 6, change))
    result = audit_bag(bag, attention=True)
    assert not result.ok
    first = result.findings.first[0]
    assert (first.place, first.number) == (6, 5.0 if check == "sequence" else 6.0)
    assert first.seconds == pytest.approx(6 * PERIOD_NS / 1e9)
    assert check in failed(result)
    assert cause in result.findings.cause
    assert cause in result.sentence
    # Nothing is blamed on the decisions before, nor on those long after.
    assert result.findings.places <= {6, 7}


def test_a_parameter_that_was_changed_is_found(records, model, sent, tmp_path):
    text = records.facts_of(Policy.load(model), model, parameters=PARAMETERS | {"max_gap": 0.3})
    tampered = [records.Sent(FACTS, messages.string(text), records.stamp(0)), *sent[1:]]
    result = audit_bag(records.write(tmp_path / "bag", tampered))
    assert failed(result) == {"facts"}
    assert "a parameter" in result.findings.cause
    assert result.findings.unequal["facts"] == FRAMES


def test_a_parameter_that_does_not_fit_what_was_done_is_found(records, model, tmp_path):
    """Also where the message of facts is the one that the decisions name."""
    sent = records.drive(model, parameters=PARAMETERS | {"max_gap": 2.0, "nominal_period": 0.03})
    result = audit_bag(records.write(tmp_path / "bag", sent))
    assert failed(result) == {"elapsed"}
    assert result.findings.unequal["elapsed"] == 2


def test_a_model_with_one_weight_changed_by_one_ulp_is_found(records, model, sent, tmp_path):
    other = Policy.load(model)
    with torch.no_grad():
        weight = other.circuit.output_bias.view(-1)[:1]
        weight.copy_(torch.nextafter(weight, weight + 1))
    other.save(tmp_path / "other")
    result = audit_bag(records.write(tmp_path / "bag", sent), model=str(tmp_path / "other"))
    assert not result.ok
    assert "The weights of" in result.remarks[0]
    assert "weights" in failed(result)
    assert "not those that decided" in result.findings.cause
    assert result.findings.unequal["weights"] == FRAMES


def test_a_model_with_another_camera_setup_is_found(records, model, sent, tmp_path):
    shutil.copytree(model, tmp_path / "other")
    config = json.loads((model / "config.json").read_text())
    config["camera"]["top"] = 0.1
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    result = audit_bag(records.write(tmp_path / "bag", sent), model=str(tmp_path / "other"))
    assert "configuration" in result.remarks[0]
    assert "frame" in failed(result)


def test_the_model_is_found_by_its_weights_wherever_it_lies(
    records, model, sent, tmp_path, monkeypatch
):
    text = records.facts_of(Policy.load(model), Path("/nowhere/driver"))
    moved = [records.Sent(FACTS, messages.string(text), records.stamp(0)), *sent[1:]]
    bag = records.write(tmp_path / "bag", moved)
    with pytest.raises(InputError, match="--model"):
        audit_bag(bag)
    monkeypatch.setattr("liquid_control.models.folders", lambda: {"driver": model})
    # Only the hash of the facts differs, as their text was changed for this test.
    assert failed(audit_bag(bag)) == {"facts"}


def test_weights_that_changed_while_driving_are_followed(records, model, tmp_path):
    sent = records.drive(model, learns_after=4)
    result = audit_bag(records.write(tmp_path / "bag", sent))
    assert result.ok, result.sentence
    without = [each for each in sent if each.topic != "/policy/updates"]
    result = audit_bag(records.write(tmp_path / "bag", without))
    assert "weights" in failed(result)
    assert result.findings.places == set(range(5, FRAMES))
    place = records.nth(sent, "/policy/updates", 0)
    one_off = records.changed(sent, sent[place].topic, 0, next_double("output_bias[0]"))
    assert audit_bag(records.write(tmp_path / "bag", one_off)).ok  # the same float32
    far_off = records.changed(sent, sent[place].topic, 0, set_value("output_bias[0]", 0.5))
    result = audit_bag(records.write(tmp_path / "bag", far_off))
    assert "do not belong to this policy" in result.remarks[0]
    assert "weights" in failed(result)


@pytest.mark.parametrize("number", [1, 5, 8, 9, 10])
def test_a_decision_that_was_removed_is_found(records, sent, tmp_path, number):
    place = records.nth(sent, DECISION, number)
    result = audit_bag(records.write(tmp_path / "bag", sent[:place] + sent[place + 1 :]))
    assert failed(result) == {"sequence"}
    assert result.findings.first[0].number == number + 1
    assert result.findings.removed == 1
    assert "missing from the record" in result.sentence


def test_a_decision_that_was_recorded_twice_is_found(records, sent, tmp_path):
    place = records.nth(sent, DECISION, 4)
    result = audit_bag(records.write(tmp_path / "bag", sent[: place + 1] + sent[place:]))
    assert "sequence" in failed(result)
