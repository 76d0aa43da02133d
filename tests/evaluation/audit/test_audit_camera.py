"""The audit repeats a robot's camera setup from the raw frame, and finds one that was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.data import messages
from liquid_control.evaluation.audit import audit_bag
from liquid_control.evaluation.audit_motion import motion_asked
from liquid_control.policy.fingerprint import Hashes, text_hash

FRAMES = 12
DECISION, FACTS = "/policy/decision", "/policy/facts"
PARAMETERS = {
    "nominal_period": 1 / 30,
    "max_gap": 0.2,
    "speed": 5.0,
    "speed_from": "auto",
    "roi_top": 0.1,
    "roi_bottom": 55.0,
    "roi_left": 4.0,
    "roi_right": 0.95,
    "flip": "both",
    "undistort": True,
    "horizon": -1.0,
}
LENS = {
    "width": 90,
    "height": 60,
    "model": "rational_polynomial",
    "d": [0.4, 0.1, 0.001, -0.001, 0.02, 0.6, 0.2, 0.03],
    "k": [70.0, 0.0, 44.0, 0.0, 71.0, 30.0, 0.0, 0.0, 1.0],
    "r": [0.0] * 9,
    "p": [0.0] * 12,
}


@pytest.fixture(scope="module")
def seen(records, model) -> list:
    return records.drive(model, parameters=PARAMETERS, camera_info=LENS)


def told_otherwise(sent: list, change: Callable[[dict], None], resealed: bool) -> list:
    """The record with other facts; `resealed`: its decisions name them, as a forger would do."""
    place = next(number for number, each in enumerate(sent) if each.topic == FACTS)
    facts = json.loads(sent[place].message.data)
    change(facts)
    text = json.dumps(facts)
    found = [replace(each) for each in sent]
    found[place].message = messages.string(text)
    for each in found if resealed else []:
        if each.topic == DECISION:
            told = each.message
            hashes = replace(Hashes.parse(told.header.frame_id), facts=text_hash(text))
            hashes = hashes.sealed(messages.stamp_of(told), told.name, told.position)
            each.message = messages.named_vector(
                told.name, told.position, messages.stamp_of(told), str(hashes)
            )
    return found


def test_a_camera_setup_is_repeated_to_the_bit(records, seen, tmp_path):
    result = audit_bag(records.write(tmp_path / "bag", seen), attention=True)
    assert result.ok, result.sentence
    assert result.findings.exact
    for name in ("command", "state", "attention", "frame"):
        assert (result.findings.compared[name], result.findings.unequal[name]) == (FRAMES, 0)


def further_lens(facts: dict) -> None:
    facts["camera_info"]["d"][0] += 0.01


def other_row(facts: dict) -> None:
    facts["parameters"]["roi_top"] = 0.15


def straight(facts: dict) -> None:
    facts["camera_info"], facts["parameters"]["undistort"] = None, False


def no_camera(facts: dict) -> None:
    facts["camera_info"] = None


@pytest.mark.slow
@pytest.mark.parametrize("change", [further_lens, other_row, straight, no_camera])
def test_another_camera_setup_is_found(records, seen, tmp_path, change):
    bag = records.write(tmp_path / "bag", told_otherwise(seen, change, resealed=False))
    first = audit_bag(bag).findings.first
    assert "facts" in {each.check for each in first}


@pytest.mark.parametrize(
    "change",
    [further_lens, *(pytest.param(each, marks=pytest.mark.slow) for each in (other_row, straight))],
)
def test_another_camera_setup_is_found_by_the_pixels_where_the_hashes_were_made_to_fit(
    records, seen, tmp_path, change
):
    bag = records.write(tmp_path / "bag", told_otherwise(seen, change, resealed=True))
    checks = {each.check for each in audit_bag(bag).findings.first}
    assert "frame" in checks
    assert "facts" not in checks
    assert "record" not in checks


def test_a_camera_info_of_one_ulp_more_is_found(records, seen, tmp_path):
    def change(facts: dict) -> None:
        facts["camera_info"]["k"][2] = float(np.nextafter(facts["camera_info"]["k"][2], 99))

    bag = records.write(tmp_path / "bag", told_otherwise(seen, change, resealed=False))
    assert not audit_bag(bag).ok


OUTPUTS, COMMAND = ("curvature", "speed"), np.array([0.02, 7.0], np.float32)


@pytest.mark.parametrize(
    ("parameters", "speed"),
    [
        ({"speed": 3.0}, 7.0),
        ({"speed": 3.0, "speed_from": "auto"}, 7.0),
        ({"speed": 3.0, "speed_from": "model"}, 7.0),
        ({"speed": 3.0, "speed_from": "fixed"}, 3.0),
    ],
)
def test_the_speed_that_was_sent_follows_from_where_it_was_taken(parameters, speed):
    forward, left, up, rate = motion_asked(OUTPUTS, COMMAND, parameters)
    assert (forward, left, up) == (speed, 0.0, 0.0)
    assert rate == pytest.approx(speed * 0.02)
    node = {"wheelbase": 2.7, "max_wheel_angle": 0.4, "speed_from": "auto", **parameters}
    pytest.importorskip("rclpy")
    from liquid_control.ros.policy_parameters import vehicle_of

    driven = vehicle_of(node).motion(CommandSpec((CURVATURE, SPEED)), COMMAND)
    assert (driven.speed, driven.yaw_rate) == (forward, rate)
