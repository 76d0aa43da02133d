"""Audits of records with gaps, of damaged bags, with random flips, and by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.cli import main
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.errors import InputError
from liquid_control.evaluation.audit import audit_bag
from liquid_control.policy import Policy

FRAMES = 12
IMAGE, DECISION, NEURONS = "/camera/image_raw", "/policy/decision", "/policy/neurons"
COMMAND, FACTS = "/cmd_vel", "/policy/facts"


def test_frames_that_the_recorder_missed_are_counted_and_nothing_else_suffers(
    records, sent, tmp_path
):
    missed = {records.nth(sent, IMAGE, number) for number in (2, 3, 11)}
    kept = [each for place, each in enumerate(sent) if place not in missed]
    result = audit_bag(records.write(tmp_path / "bag", kept))
    assert result.ok
    assert result.findings.unseen == [2, 3, 11]
    assert result.findings.compared["command"] == FRAMES - 3
    # Their states are linked all the same, by the neurons that were recorded.
    assert result.findings.compared["chain"] == FRAMES
    assert "missed the frames of the other 3" in result.sentence
    assert result.to_dict()["without_frame"] == [2.0, 3.0, 11.0]


def test_without_the_neurons_a_missed_frame_breaks_no_chain(records, sent, tmp_path):
    missed = records.nth(sent, IMAGE, 3)
    kept = [x for place, x in enumerate(sent) if place != missed and x.topic != NEURONS]
    result = audit_bag(records.write(tmp_path / "bag", kept))
    assert result.ok
    assert result.findings.compared["chain"] == FRAMES - 1


def test_a_record_may_begin_late_and_frames_may_go_undecided(records, sent, tmp_path):
    late = [x for x in sent if x.topic in (FACTS, IMAGE) or x.logged >= records.stamp(3)]
    result = audit_bag(records.write(tmp_path / "bag", late))
    assert result.ok
    assert result.findings.first_number == 3
    undecided = records.Sent(
        IMAGE,
        messages.image(np.zeros((60, 90, 3), np.uint8), records.stamp(4) + 9),
        records.stamp(5),
    )
    assert audit_bag(records.write(tmp_path / "bag", [*sent, undecided])).idle == 1


def test_a_frame_that_was_sent_twice_is_no_difference(records, sent, tmp_path):
    place = records.nth(sent, IMAGE, 4)
    assert audit_bag(records.write(tmp_path / "bag", sent[: place + 1] + sent[place:])).ok


def test_a_stop_with_the_stamp_of_a_frame_is_no_difference_and_a_command_of_zero_is(
    records, sent, tmp_path
):
    stop = messages.twist_stamped(0.0, 0.0, records.stamp(11))
    halted = [*sent, records.Sent(COMMAND, stop, records.stamp(11) + 9)]
    assert audit_bag(records.write(tmp_path / "bag", halted)).ok
    place = records.nth(sent, COMMAND, 11)
    without_command = [*halted[:place], *halted[place + 1 :]]
    result = audit_bag(records.write(tmp_path / "bag", without_command))
    assert {each.check for each in result.findings.first} == {"published"}


def test_a_bag_that_is_cut_off_is_audited_as_far_as_it_goes(records, sent, tmp_path):
    bag = records.write(tmp_path / "bag", sent)
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


def test_a_chunk_that_does_not_match_its_checksum_is_told_of(records, sent, tmp_path):
    with BagWriter(tmp_path / "bag", "") as writer:
        for each in sent:
            writer.write(each.topic, each.message, each.logged)
            writer.flush()
    file = tmp_path / "bag" / "bag_0.mcap"
    content = bytearray(file.read_bytes())
    at = content.index(sent[records.nth(sent, IMAGE, 5)].message.data.tobytes())
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


def find_flips(records, sent: list, folder: Path, draws: list[tuple[int, int]]) -> None:
    """One bit of each decision is flipped; every flip is found where it was made."""
    expected, tampered = set(), sent
    for number, (part, place) in enumerate(draws):
        topic, name, check = PARTS[part]

        def flip(message, name=name, place=place) -> None:
            flat = getattr(message, name).view(np.uint8)
            bit = place % (8 * flat.size)
            flat[bit // 8] ^= 1 << (bit % 8)

        tampered = records.changed(tampered, topic, number, flip)
        expected.add((number, check))
    result = audit_bag(records.write(folder, tampered))
    assert not result.ok
    assert expected <= {(each.place, each.check) for each in result.findings.differences}


FLIPS = st.lists(
    st.tuples(st.integers(0, len(PARTS) - 1), st.integers(0, 2**32)),
    min_size=FRAMES,
    max_size=FRAMES,
)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(draws=FLIPS)
def test_every_flipped_bit_of_a_frame_a_command_or_a_state_is_found(
    records, sent, tmp_path_factory, draws
):
    find_flips(records, sent, tmp_path_factory.getbasetemp() / "flipped", draws)


@pytest.mark.slow
@settings(max_examples=90, deadline=None, derandomize=True)
@given(draws=FLIPS)
def test_a_thousand_flipped_bits_are_found(records, sent, tmp_path_factory, draws):
    find_flips(records, sent, tmp_path_factory.getbasetemp() / "many_flipped", draws)


def test_the_command_writes_its_verdict_and_says_it_by_its_exit_code(
    records, sent, tmp_path, capsys
):
    bag = records.write(tmp_path / "run" / "bag", sent)
    assert main(["audit", str(tmp_path / "run"), "--attention"]) == 0
    assert "12 of 12 decisions were recomputed and are equal to the bit" in capsys.readouterr().out
    told = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert told["ok"]
    assert told["checks"]["command"] == {"compared": FRAMES, "unequal": 0, "largest": 0.0}
    picture = (tmp_path / "run" / "audit.png").read_bytes()
    assert picture.startswith(b"\x89PNG")

    records.write(bag, records.changed(sent, DECISION, 6, forget))
    assert main(["audit", str(bag), "--output", str(tmp_path / "out")]) == 1
    assert "number 6 at 0.200 s" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert told["differences"][0]["place"] == 6
    assert (tmp_path / "out" / "audit.png").read_bytes() != picture


def forget(message) -> None:
    message.position[0] = np.nan


def without(sent: list, *topics: str) -> list:
    return [each for each in sent if each.topic not in topics]


@pytest.mark.parametrize(
    ("topics", "word"),
    [((FACTS,), "facts"), ((DECISION,), "/policy/decision"), ((IMAGE,), "record the camera")],
)
def test_a_bag_that_cannot_be_audited_is_refused_in_one_sentence(
    records, sent, tmp_path, capsys, topics, word
):
    bag = records.write(tmp_path / "bag", without(sent, *topics))
    assert main(["audit", str(bag)]) == 2
    said = capsys.readouterr().err
    assert word in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "audit.json").exists()


def test_no_bag_and_no_such_node_are_refused(records, sent, tmp_path, capsys):
    assert main(["audit", str(tmp_path / "nothing")]) == 2
    bag = records.write(tmp_path / "bag", sent)
    assert main(["audit", str(bag), "--node", "/car1/policy"]) == 2
    assert "/policy" in capsys.readouterr().err


@pytest.mark.slow
def test_elsewhere_differences_stay_within_the_tolerance(records, sent, tmp_path):
    """Other instructions of the processor, and torch's operations in place of compiled ones."""
    bag = records.write(tmp_path / "bag", sent)
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
        assert told["checks"]["state"]["largest"] < 2e-6


@pytest.mark.parametrize(
    "changed",
    [
        {"parameters": 3},
        {"parameters": {"max_gap": 0.2}},
        {"parameters": {"max_gap": "long", "nominal_period": 0.03}},
        {"parameters": {"max_gap": 0.2, "nominal_period": 0.03, "speed": None}},
        {"build": "torch"},
        {"node": 5},
        {"image": ["/camera"]},
        {"format": "liquid_control facts 0"},
        {"more": 1},
    ],
)
def test_facts_of_another_kind_are_refused(records, model, sent, tmp_path, changed):
    text = records.facts_of(Policy.load(model), model, **changed)
    bag = records.write(
        tmp_path / "bag", [records.Sent(FACTS, messages.string(text), records.stamp(0)), *sent[1:]]
    )
    with pytest.raises(InputError, match="No message on /policy/facts"):
        audit_bag(bag)


def test_a_model_with_other_outputs_is_no_crash(records, sent, tmp_path):
    Policy(CommandSpec((CURVATURE,))).save(tmp_path / "other")
    result = audit_bag(records.write(tmp_path / "bag", sent), model=str(tmp_path / "other"))
    assert len(result.findings.places) == FRAMES
    assert "configuration" in " ".join(result.remarks)
    assert "not the names" in result.sentence
