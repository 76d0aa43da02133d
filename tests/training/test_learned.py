"""What was learnt on the road is kept in the bag, and becomes a model from there."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from liquid_control.circuits.flat import flat, number_names, put
from liquid_control.cli import main
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.data.bag import BagWriter
from liquid_control.data.messages import named_vector
from liquid_control.data.updates import FIGURES, FORGOTTEN, LEARNT, SHIPPED, Record, read_records
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import weights_hash
from liquid_control.policy.updated import updated
from liquid_control.training.learned import save_learned


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "shipped"
    Policy(CommandSpec((CURVATURE,))).save(folder)
    return folder


def write(bag, folder, kinds) -> list[Record]:
    """A bag with records of these kinds, each update a small step away from the one before."""
    policy, records = Policy.load(folder), []
    shipped = flat(policy.circuit)
    names = [*FIGURES, *number_names(policy.circuit)]
    with BagWriter(bag) as writer:
        for number, kind in enumerate(kinds):
            before, old = weights_hash(policy), flat(policy.circuit)
            put(policy.circuit, old + 1e-3 if kind == LEARNT else shipped)
            new = flat(policy.circuit)
            figures = {"kind": float(kind), "number": float(number), "distance": number / 10}
            change = (new.double() - old.double()).numpy()
            after = weights_hash(policy)
            record = Record(1000 + number, before, after, new.numpy(), change, figures)
            values, velocity = record.vectors()
            message = named_vector(names, values, record.stamp, record.frame_id(), velocity)
            writer.write("/car/policy/updates", message, record.stamp)
            records.append(record)
    return records


def test_records_come_back_from_a_bag_to_the_bit(folder, tmp_path):
    records = write(tmp_path / "bag", folder, [SHIPPED, LEARNT, LEARNT, FORGOTTEN])
    found = read_records(tmp_path / "bag")
    assert [each.kind for each in found] == [SHIPPED, LEARNT, LEARNT, FORGOTTEN]
    for one, other in zip(records, found, strict=True):
        assert one.weights.tobytes() == other.weights.tobytes()
        assert np.array_equal(one.change, other.change)
        assert (one.stamp, one.before, one.after) == (other.stamp, other.before, other.after)
        assert other.figures["distance"] == one.figures["distance"]
        assert np.isnan(other.figures["loss_before"])
    policy = Policy.load(folder)
    for record in found:
        assert weights_hash(updated(policy, record.weights, record.after)) == record.after
    assert weights_hash(policy) == found[0].after


def test_the_last_weights_of_a_bag_become_a_model(folder, tmp_path, capsys):
    records = write(tmp_path / "bag", folder, [SHIPPED, LEARNT, LEARNT])
    output = tmp_path / "learnt"
    arguments = ["--from-updates", str(tmp_path / "bag"), "--output", str(output)]
    assert main(["adapt", str(folder), *arguments]) == 0
    learnt = Policy.load(output)
    assert weights_hash(learnt) == records[-1].after
    facts = json.loads((output / "adapt.json").read_text())
    assert facts["updates"] == 2
    assert learnt.extra["adaptation"] == facts
    assert "2 updates, 20% of its trust region" in capsys.readouterr().out


def test_what_cannot_be_kept_is_said_in_one_sentence(folder, tmp_path, capsys):
    write(tmp_path / "forgotten", folder, [SHIPPED, LEARNT, FORGOTTEN])
    with pytest.raises(InputError, match="nothing was learnt, or it was forgotten"):
        save_learned(folder, tmp_path / "forgotten", tmp_path / "x")
    records = write(tmp_path / "bag", folder, [SHIPPED, LEARNT])
    torch.manual_seed(1)
    Policy(CommandSpec((CURVATURE,))).save(tmp_path / "other")
    with pytest.raises(InputError, match="give the model that drove"):
        save_learned(tmp_path / "other", tmp_path / "bag", tmp_path / "x")
    with pytest.raises(InputError, match="do not belong to this policy"):
        updated(Policy.load(tmp_path / "other"), records[-1].weights, records[-1].after)
    with pytest.raises(InputError, match="do not belong to this policy"):
        updated(Policy.load(folder), records[-1].weights[:-1], records[-1].after)
    with BagWriter(tmp_path / "empty") as writer:
        writer.write("/policy/decision", named_vector(["a"], [1.0], 5), 5)
    with pytest.raises(InputError, match="needs one topic policy/updates"):
        save_learned(folder, tmp_path / "empty", tmp_path / "x")
    with BagWriter(tmp_path / "damaged") as writer:
        writer.write("/policy/updates", named_vector(["a"], [1.0], 5, "before=1 after=2"), 5)
    with pytest.raises(InputError, match="no record of what was learnt"):
        save_learned(folder, tmp_path / "damaged", tmp_path / "x")
    both = ["--from-updates", str(tmp_path / "bag"), str(tmp_path / "bag")]
    assert main(["adapt", str(folder), *both]) == 2
    assert "got both" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
