"""An audit of a record: clean to the bit as it was made, and no change of it goes unnoticed.

The record is made here as the policy node makes it; `tests/ros/test_audit_run.py` audits the node's
own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.cli import main
from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.data import messages, updates
from liquid_control.data.bag import BagWriter
from liquid_control.errors import InputError
from liquid_control.evaluation.audit import Audit, audit_bag
from liquid_control.policy import Driver, Policy
from liquid_control.policy.fingerprint import (
    Hashes,
    build_facts,
    configuration_hash,
    text_hash,
    weights_hash,
)

PERIOD_NS = 33_333_333
FRAMES = 12
PARAMETERS = {"nominal_period": 1 / 30, "max_gap": 0.2, "speed": 5.0}
IMAGE, DECISION, NEURONS = "/camera/image_raw", "/policy/decision", "/policy/neurons"
ATTENTION, COMMAND, FACTS = "/policy/attention", "/cmd_vel", "/policy/facts"


@dataclass
class Sent:
    """A message on its way into a bag."""

    topic: str
    message: object
    logged: int


def stamp(frame: int) -> int:
    # After frame 8 the camera is silent for a second, so that the state is fresh again.
    return 10**9 * (5 + (frame > 8)) + frame * PERIOD_NS


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("models") / "driver"
    Policy(CommandSpec((CURVATURE, SPEED))).save(folder)
    return folder


def facts_of(policy: Policy, model: Path, **changed: object) -> str:
    told = {
        "format": "liquid_control facts 1",
        "node": "/policy",
        "model": str(model),
        "weights": weights_hash(policy),
        "configuration": configuration_hash(policy),
        "image": IMAGE,
        "command": COMMAND,
        "parameters": PARAMETERS,
        "build": build_facts(),
    }
    return json.dumps(told | changed)


def drive(model: Path, learns_after: int = -1, **changed: object) -> list[Sent]:
    """What a policy node and its camera send; after a frame its weights may change."""
    policy = Policy.load(model)
    text = facts_of(policy, model, **changed)
    sent = [Sent(FACTS, messages.string(text), stamp(0))]
    driver, rng = Driver(policy), np.random.default_rng(5)
    weights, last = weights_hash(policy), None
    for number in range(FRAMES):
        at, frame = stamp(number), rng.integers(0, 256, (60, 90, 3), np.uint8)
        image = messages.image(frame, at)
        elapsed = PARAMETERS["nominal_period"] if last is None else (at - last) * 1e-9
        if elapsed > PARAMETERS["max_gap"]:
            driver.reset()
            elapsed = PARAMETERS["nominal_period"]
        made, last = driver.step(frame, elapsed), at
        names = [*policy.state_names, "number", "elapsed", "reset", *policy.spec.names]
        values = np.concatenate(
            [made.state_before, [number, made.elapsed, float(made.reset)], made.command]
        )
        hashes = Hashes(made.frame_hash, messages.image_hash(image), weights, text_hash(text))
        hashes = hashes.sealed(at, names, values)
        curvature, speed = map(float, made.command)
        neurons = messages.named_vector(
            policy.state_names, made.state, at, f"number={number}", made.time_constants
        )
        level = np.rint(driver.attention() * 255).astype(np.uint8)
        sent += [
            Sent(IMAGE, image, at),
            Sent(COMMAND, messages.twist_stamped(speed, curvature * speed, at), at + 1),
            Sent(DECISION, messages.named_vector(names, values, at, str(hashes)), at + 2),
            Sent(NEURONS, neurons, at + 3),
            Sent(ATTENTION, messages.image(level, at), at + 4),
        ]
        if number == learns_after:
            sent.append(Sent("/policy/updates", learn(policy, at), at + 5))
            driver.refresh()
            weights = weights_hash(policy)
    return sent


def learn(policy: Policy, at: int) -> object:
    """Change a policy's circuit; the message that tells of it."""
    from liquid_control.circuits.flat import flat, number_names, put

    before, old = weights_hash(policy), flat(policy.circuit)
    put(policy.circuit, old * 1.01)
    new = flat(policy.circuit).numpy()
    figures = {"kind": float(updates.LEARNT), "number": 1.0}
    told = updates.Record(at, before, weights_hash(policy), new, new - old.numpy(), figures)
    values, change = told.vectors()
    names = [*updates.FIGURES, *number_names(policy.circuit)]
    return messages.named_vector(names, values, at, told.frame_id(), change)


@pytest.fixture(scope="module")
def sent(model) -> list[Sent]:
    return drive(model)


def write(folder: Path, sent: list[Sent]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    with BagWriter(folder, "") as bag:
        for each in sent:
            bag.write(each.topic, each.message, each.logged)
    return folder


def nth(sent: list[Sent], topic: str, number: int) -> int:
    return [place for place, each in enumerate(sent) if each.topic == topic][number]


def changed(sent: list[Sent], topic: str, number: int, change: Callable[[object], None]) -> list:
    """The messages, with the `number`th of a topic replaced by a changed copy."""
    place = nth(sent, topic, number)
    each = sent[place]
    kind = each.message.__msgtype__
    copied = messages.deserialize(kind, bytes(messages.serialize(each.message)))
    for name in ("data", "position", "velocity"):
        if isinstance(getattr(copied, name, None), np.ndarray):
            setattr(copied, name, getattr(copied, name).copy())
    change(copied)
    return [*sent[:place], replace(each, message=copied), *sent[place + 1 :]]


def failed(result: Audit) -> set[str]:
    """Which checks the first decision that differs has failed."""
    return {each.check for each in result.findings.first}


def test_a_record_as_it_was_made_is_equal_to_the_bit(sent, tmp_path):
    result = audit_bag(write(tmp_path / "bag", sent), attention=True)
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
    sent, tmp_path, topic, change, check, cause
):
    bag = write(tmp_path / "bag", changed(sent, topic, 6, change))
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


def test_a_parameter_that_was_changed_is_found(model, sent, tmp_path):
    text = facts_of(Policy.load(model), model, parameters=PARAMETERS | {"max_gap": 0.3})
    tampered = [Sent(FACTS, messages.string(text), stamp(0)), *sent[1:]]
    result = audit_bag(write(tmp_path / "bag", tampered))
    assert failed(result) == {"facts"}
    assert "a parameter" in result.findings.cause
    assert result.findings.unequal["facts"] == FRAMES


def test_a_parameter_that_does_not_fit_what_was_done_is_found(model, tmp_path):
    """Also where the message of facts is the one that the decisions name."""
    sent = drive(model, parameters=PARAMETERS | {"max_gap": 2.0, "nominal_period": 0.03})
    result = audit_bag(write(tmp_path / "bag", sent))
    assert failed(result) == {"elapsed"}
    assert result.findings.unequal["elapsed"] == 2


def test_a_model_with_one_weight_changed_by_one_ulp_is_found(model, sent, tmp_path):
    other = Policy.load(model)
    with torch.no_grad():
        weight = other.circuit.output_bias.view(-1)[:1]
        weight.copy_(torch.nextafter(weight, weight + 1))
    other.save(tmp_path / "other")
    result = audit_bag(write(tmp_path / "bag", sent), model=str(tmp_path / "other"))
    assert not result.ok
    assert "The weights of" in result.remarks[0]
    assert "weights" in failed(result)
    assert "not those that decided" in result.findings.cause
    assert result.findings.unequal["weights"] == FRAMES


def test_a_model_with_another_camera_setup_is_found(model, sent, tmp_path):
    shutil.copytree(model, tmp_path / "other")
    config = json.loads((model / "config.json").read_text())
    config["camera"]["top"] = 0.1
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    result = audit_bag(write(tmp_path / "bag", sent), model=str(tmp_path / "other"))
    assert "configuration" in result.remarks[0]
    assert "frame" in failed(result)


def test_the_model_is_found_by_its_weights_wherever_it_lies(model, sent, tmp_path, monkeypatch):
    text = facts_of(Policy.load(model), Path("/nowhere/driver"))
    moved = [Sent(FACTS, messages.string(text), stamp(0)), *sent[1:]]
    bag = write(tmp_path / "bag", moved)
    with pytest.raises(InputError, match="--model"):
        audit_bag(bag)
    monkeypatch.setattr("liquid_control.models.folders", lambda: {"driver": model})
    # Only the hash of the facts differs, as their text was changed for this test.
    assert failed(audit_bag(bag)) == {"facts"}


def test_weights_that_changed_while_driving_are_followed(model, tmp_path):
    sent = drive(model, learns_after=4)
    result = audit_bag(write(tmp_path / "bag", sent))
    assert result.ok, result.sentence
    without = [each for each in sent if each.topic != "/policy/updates"]
    result = audit_bag(write(tmp_path / "bag", without))
    assert "weights" in failed(result)
    assert result.findings.places == set(range(5, FRAMES))
    place = nth(sent, "/policy/updates", 0)
    one_off = changed(sent, sent[place].topic, 0, next_double("output_bias[0]"))
    assert audit_bag(write(tmp_path / "bag", one_off)).ok  # the same float32
    far_off = changed(sent, sent[place].topic, 0, set_value("output_bias[0]", 0.5))
    result = audit_bag(write(tmp_path / "bag", far_off))
    assert "do not belong to this policy" in result.remarks[0]
    assert "weights" in failed(result)


@pytest.mark.parametrize("number", [1, 5, 8, 9, 10])
def test_a_decision_that_was_removed_is_found(sent, tmp_path, number):
    place = nth(sent, DECISION, number)
    result = audit_bag(write(tmp_path / "bag", sent[:place] + sent[place + 1 :]))
    assert failed(result) == {"sequence"}
    assert result.findings.first[0].number == number + 1
    assert result.findings.removed == 1
    assert "missing from the record" in result.sentence


def test_a_decision_that_was_recorded_twice_is_found(sent, tmp_path):
    place = nth(sent, DECISION, 4)
    result = audit_bag(write(tmp_path / "bag", sent[: place + 1] + sent[place:]))
    assert "sequence" in failed(result)


def test_frames_that_the_recorder_missed_are_counted_and_nothing_else_suffers(sent, tmp_path):
    missed = {nth(sent, IMAGE, number) for number in (2, 3, 11)}
    kept = [each for place, each in enumerate(sent) if place not in missed]
    result = audit_bag(write(tmp_path / "bag", kept))
    assert result.ok
    assert result.findings.unseen == [2, 3, 11]
    assert result.findings.compared["command"] == FRAMES - 3
    # Their states are linked all the same, by the neurons that were recorded.
    assert result.findings.compared["chain"] == FRAMES
    assert "missed the frames of the other 3" in result.sentence
    assert result.to_dict()["without_frame"] == [2.0, 3.0, 11.0]


def test_without_the_neurons_a_missed_frame_breaks_no_chain(sent, tmp_path):
    missed = nth(sent, IMAGE, 3)
    kept = [x for place, x in enumerate(sent) if place != missed and x.topic != NEURONS]
    result = audit_bag(write(tmp_path / "bag", kept))
    assert result.ok
    assert result.findings.compared["chain"] == FRAMES - 1


def test_a_record_may_begin_late_and_frames_may_go_undecided(sent, tmp_path):
    late = [x for x in sent if x.topic in (FACTS, IMAGE) or x.logged >= stamp(3)]
    result = audit_bag(write(tmp_path / "bag", late))
    assert result.ok
    assert result.findings.first_number == 3
    undecided = Sent(IMAGE, messages.image(np.zeros((60, 90, 3), np.uint8), stamp(4) + 9), stamp(5))
    assert audit_bag(write(tmp_path / "bag", [*sent, undecided])).idle == 1


def test_a_frame_that_was_sent_twice_is_no_difference(sent, tmp_path):
    place = nth(sent, IMAGE, 4)
    assert audit_bag(write(tmp_path / "bag", sent[: place + 1] + sent[place:])).ok


def test_a_bag_that_is_cut_off_is_audited_as_far_as_it_goes(sent, tmp_path):
    bag = write(tmp_path / "bag", sent)
    file = bag / "bag_0.mcap"
    # Chunks of this bag end at its flushes; a cut within the only one leaves nothing.
    with BagWriter(tmp_path / "cut", "") as writer:
        for each in sent:
            writer.write(each.topic, each.message, each.logged)
            writer.flush()
    cut = tmp_path / "cut" / "cut_0.mcap"
    cut.write_bytes(cut.read_bytes()[: file.stat().st_size * 2 // 3])
    result = audit_bag(tmp_path / "cut")
    assert result.ok, result.sentence
    assert not result.record.closed
    assert 4 < len(result.record.decisions) < FRAMES


def test_a_chunk_that_does_not_match_its_checksum_is_told_of(sent, tmp_path):
    with BagWriter(tmp_path / "bag", "") as writer:
        for each in sent:
            writer.write(each.topic, each.message, each.logged)
            writer.flush()
    file = tmp_path / "bag" / "bag_0.mcap"
    content = bytearray(file.read_bytes())
    at = content.index(sent[nth(sent, IMAGE, 5)].message.data.tobytes())
    content[at + 100] ^= 16
    file.write_bytes(content)
    result = audit_bag(tmp_path / "bag")
    assert not result.ok
    assert "1 chunks of the bag do not match their checksum" in result.sentence
    assert 5 in result.findings.unseen


# What of a decision may be flipped, and the check that must find it.
PARTS = (
    (IMAGE, "data", "frame"),
    (DECISION, "position", "record"),
    (NEURONS, "position", "state"),
    (NEURONS, "velocity", "time constants"),
)


def find_flips(sent: list[Sent], folder: Path, draws: list[tuple[int, int]]) -> None:
    """One bit of each decision is flipped; every flip is found where it was made."""
    expected, tampered = set(), sent
    for number, (part, place) in enumerate(draws):
        topic, name, check = PARTS[part]

        def flip(message, name=name, place=place) -> None:
            flat = getattr(message, name).view(np.uint8)
            bit = place % (8 * flat.size)
            flat[bit // 8] ^= 1 << (bit % 8)

        tampered = changed(tampered, topic, number, flip)
        expected.add((number, check))
    result = audit_bag(write(folder, tampered))
    assert not result.ok
    assert expected <= {(each.place, each.check) for each in result.findings.differences}


FLIPS = st.lists(
    st.tuples(st.integers(0, len(PARTS) - 1), st.integers(0, 2**32)),
    min_size=FRAMES,
    max_size=FRAMES,
)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(draws=FLIPS)
def test_every_flipped_bit_of_a_frame_a_command_or_a_state_is_found(sent, tmp_path_factory, draws):
    find_flips(sent, tmp_path_factory.getbasetemp() / "flipped", draws)


@pytest.mark.slow
@settings(max_examples=90, deadline=None, derandomize=True)
@given(draws=FLIPS)
def test_a_thousand_flipped_bits_are_found(sent, tmp_path_factory, draws):
    find_flips(sent, tmp_path_factory.getbasetemp() / "many_flipped", draws)


def test_the_command_writes_its_verdict_and_says_it_by_its_exit_code(sent, tmp_path, capsys):
    bag = write(tmp_path / "run" / "bag", sent)
    assert main(["audit", str(tmp_path / "run"), "--attention"]) == 0
    assert "12 of 12 decisions were recomputed and are equal to the bit" in capsys.readouterr().out
    told = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert told["ok"]
    assert told["checks"]["command"] == {"compared": FRAMES, "unequal": 0, "largest": 0.0}
    picture = (tmp_path / "run" / "audit.png").read_bytes()
    assert picture.startswith(b"\x89PNG")

    write(bag, changed(sent, DECISION, 6, set_value("inter_0", np.nan)))
    assert main(["audit", str(bag), "--output", str(tmp_path / "out")]) == 1
    assert "number 6 at 0.200 s" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert told["differences"][0]["place"] == 6
    assert (tmp_path / "out" / "audit.png").read_bytes() != picture


def without(sent: list[Sent], *topics: str) -> list[Sent]:
    return [each for each in sent if each.topic not in topics]


@pytest.mark.parametrize(
    ("topics", "word"),
    [((FACTS,), "facts"), ((DECISION,), "/policy/decision"), ((IMAGE,), "record the camera")],
)
def test_a_bag_that_cannot_be_audited_is_refused_in_one_sentence(
    sent, tmp_path, capsys, topics, word
):
    bag = write(tmp_path / "bag", without(sent, *topics))
    assert main(["audit", str(bag)]) == 2
    said = capsys.readouterr().err
    assert word in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "audit.json").exists()


def test_no_bag_and_no_such_node_are_refused(sent, tmp_path, capsys):
    assert main(["audit", str(tmp_path / "nothing")]) == 2
    bag = write(tmp_path / "bag", sent)
    assert main(["audit", str(bag), "--node", "/car1/policy"]) == 2
    assert "/policy" in capsys.readouterr().err


@pytest.mark.slow
def test_elsewhere_differences_stay_within_the_tolerance(sent, tmp_path):
    """Other instructions of the processor, and torch's operations in place of compiled ones."""
    bag = write(tmp_path / "bag", sent)
    code = "import sys; {}from liquid_control.cli import main; sys.exit(main(sys.argv[1:]))"
    for hide, capability in (("", "default"), ("sys.modules['numba'] = None; ", "avx2")):
        out = tmp_path / capability
        command = [sys.executable, "-c", code.format(hide), "audit", str(bag), "--attention"]
        environment = {"ATEN_CPU_CAPABILITY": capability}
        done = subprocess.run(
            [*command, "--output", str(out)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads((out / "audit.json").read_text())
        assert not told["exact"]
        assert told["build"]
        assert told["checks"]["state"]["largest"] < 1e-5
