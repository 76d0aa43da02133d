"""Parameters of a policy that drives: what may change does so at once, the rest is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rcl_interfaces.srv import DescribeParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from std_msgs.msg import String

from liquid_control.camera import CameraSetup
from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import Hashes, text_hash
from liquid_control.ros.parameters import Item
from liquid_control.ros.policy_parameters import ITEMS, unfit
from liquid_control.ros.runtime import LATCHED

ROOT = Path(__file__).parents[2]
GREY = np.full((78, 200, 3), 128, np.uint8)
DEFAULTS = {item.name: item.default for item in ITEMS}


@pytest.fixture(scope="module")
def policy(start_shared, driver_with_speed):
    return start_shared("policy", "-p", f"model:={driver_with_speed}")


@pytest.fixture
def camera(camera_of, probe, policy) -> Iterator:
    yield camera_of(probe)
    assert policy.code is None, policy.last_words()


def asked(probe, node: str = "policy", **values: object) -> str:
    """What the node says of new values: "" when it takes them."""
    request = SetParametersAtomically.Request(
        parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
    )
    kind, service = SetParametersAtomically, f"{node}/set_parameters_atomically"
    result = probe.call(kind, service, request).result
    assert result.successful == (not result.reason)
    return result.reason


def change(probe, transition: int, node: str = "policy") -> None:
    request = ChangeState.Request(transition=Transition(id=transition))
    assert probe.call(ChangeState, f"{node}/change_state", request).success


@pytest.mark.ros
@pytest.mark.slow
def test_what_may_change_while_driving_takes_effect_with_the_next_frame(camera):
    probe = camera.probe
    commands = probe.listen(TwistStamped, "cmd_vel")
    told = probe.listen(String, "policy/facts", LATCHED)

    def driven() -> tuple[float, dict[str, float]]:
        count, values = len(commands), camera.show()
        probe.wait(lambda: len(commands) > count)
        return commands[-1].twist.linear.x, values

    speed, values = driven()
    assert speed == values["speed"]
    assert asked(probe, speed=3.25, speed_from="fixed") == ""
    assert driven()[0] == 3.25
    assert asked(probe, speed=1.5) == ""
    assert driven()[0] == 1.5
    assert asked(probe, speed_from="model") == ""
    speed, values = driven()
    assert speed == values["speed"]
    assert camera.show(step_ms=150)["reset"] == 0.0
    assert asked(probe, max_gap=0.1, nominal_period=0.05) == ""
    values = camera.show(step_ms=150)
    assert (values["reset"], values["elapsed"]) == (1.0, 0.05)
    # Every decision names the parameters that it rests on.
    camera.show()
    hashes = Hashes.parse(camera.decisions[-1].header.frame_id)
    probe.wait(lambda: told and text_hash(told[-1].data) == hashes.facts)
    parameters = json.loads(told[-1].data)["parameters"]
    assert (parameters["speed"], parameters["speed_from"]) == (1.5, "model")


@pytest.mark.ros
@pytest.mark.slow
def test_diagnostics_say_why_frames_are_left_out_and_how_long_the_others_took(camera):
    probe = camera.probe
    reports = probe.listen(DiagnosticArray, "/diagnostics")
    # The stamps lie decades back.
    assert asked(probe, max_frame_age=60.0) == ""

    def told() -> dict[str, str]:
        camera.stamp += 33_000_000
        probe.send_frame(GREY, camera.stamp)
        values = {pair.key: pair.value for report in reports for pair in report.status[0].values}
        return values if float(values.get("refused_too_old", 0)) > 0 else {}

    probe.wait(told)
    values = told()
    assert int(values["refused_frames"]) >= int(values["refused_too_old"])
    assert 0.0 < float(values["left_out_ratio"]) < 1.0
    assert asked(probe, max_frame_age=0.0) == ""
    reports.clear()

    def measured() -> bool:
        camera.show()
        return bool(reports and float(reports[-1].status[0].values[0].value) > 0)

    probe.wait(measured)
    values = {
        pair.key: float(pair.value)
        for pair in reports[-1].status[0].values
        if pair.key[-3:] == "_ms"
    }
    for name in ("frame_to_command", "inference", "frame_age"):
        middle, late, latest = (values[f"{name}_p{part}_ms"] for part in (50, 95, 99))
        assert 0 < middle <= late <= latest


@pytest.mark.ros
@pytest.mark.slow
def test_what_may_not_change_is_refused_with_a_reason_and_nothing_changes(camera):
    probe = camera.probe
    camera.show()
    for values, reason in (
        ({"autostart": False}, "read-only"),
        ({"roi_top": 0.2}, "roi_top changes only while the node is not active, and it is active"),
        ({"undistort": True}, "undistort changes only while the node is not active"),
        ({"model": "driving_ncp"}, "model changes only while the node is unconfigured"),
        ({"wheelbase": 1.0}, "deactivate it and clean it up first"),
        ({"speed": 61.0}, "out of range"),
        ({"speed": float("nan")}, "out of range"),
        ({"speed": 3}, "Wrong parameter type"),
        ({"max_gap": -1.0}, "out of range"),
        ({"speed_from": "gps"}, "must be auto or model or fixed, got 'gps'"),
        ({"speed": 4.0, "speed_from": "gps"}, "'gps'"),
    ):
        assert reason in asked(probe, **values), values
    # Of values that come together none is taken where one is refused.
    assert camera.show()["reset"] == 0.0


@pytest.mark.ros
@pytest.mark.slow
def test_while_the_node_is_inactive_its_camera_may_change(camera):
    probe = camera.probe
    camera.show()
    change(probe, Transition.TRANSITION_DEACTIVATE)
    assert asked(probe, roi_top=0.25, roi_right=150.0, flip="both") == ""
    assert "0 <= roi_top < roi_bottom, got 0.25 and 0.1" in asked(probe, roi_bottom=0.1)
    assert "does not say at which row" in asked(probe, roi_top=0.0, horizon=0.4)
    assert "unconfigured" in asked(probe, stamped=False)
    change(probe, Transition.TRANSITION_ACTIVATE)
    probe.wait(lambda: probe.count_subscribers("image"))
    camera.show()
    change(probe, Transition.TRANSITION_DEACTIVATE)
    assert asked(probe, roi_top=0.0, roi_right=1.0, flip="none") == ""
    change(probe, Transition.TRANSITION_ACTIVATE)
    probe.wait(lambda: probe.count_subscribers("image"))


@pytest.mark.ros
@pytest.mark.slow
def test_every_parameter_describes_itself(probe, policy):
    request = DescribeParameters.Request(names=[item.name for item in ITEMS])
    found = probe.call(DescribeParameters, "policy/describe_parameters", request).descriptors
    for item, said in zip(ITEMS, found, strict=True):
        assert item.text in said.description, item.name
        assert said.read_only == (item.when == "never"), item.name
        assert bool(said.floating_point_range) == (said.type == ParameterType.PARAMETER_DOUBLE)
        if said.floating_point_range:
            assert ends(said) == (item.low, item.high)


def ends(said: ParameterDescriptor) -> tuple[float, float]:
    (interval,) = said.floating_point_range
    return interval.from_value, interval.to_value


CURVED, WITH_SPEED = CommandSpec((CURVATURE,)), CommandSpec((CURVATURE, SPEED))


@pytest.mark.parametrize(
    ("values", "spec", "text"),
    [
        ({}, CURVED, ""),
        ({"speed_from": "fixed"}, CURVED, ""),
        ({"speed_from": "model"}, WITH_SPEED, ""),
        ({"speed_from": "model"}, CURVED, "gives curvature and no speed; set speed_from to fixed"),
        ({"horizon": 0.4}, CURVED, "does not say at which row"),
        ({"horizon": 0.4, "roi_top": 0.1}, CURVED, "leave roi_top at 0"),
        ({"roi_left": 1.0}, CURVED, "0 <= roi_left < roi_right"),
        ({"ackermann": True}, CURVED, "ROS package ackermann_msgs"),
    ],
)
def test_values_that_exclude_one_another_are_said_in_one_sentence(values, spec, text, monkeypatch):
    monkeypatch.setattr("liquid_control.ros.ackermann.message_type", lambda: None)
    said = unfit(DEFAULTS | values, Policy(spec))
    assert text in said
    assert bool(said) == bool(text)
    assert unfit(DEFAULTS | {"horizon": 0.4}, Policy(spec, CameraSetup(horizon=0.2))) == ""


def row(item: Item) -> str:
    """A parameter as docs/policy_node.md shows it."""
    interval = " or ".join(item.choices)
    if item.low is not None:
        interval = f"{item.low:g} to {item.high:g}"
    default = f"{item.default:.4g}" if isinstance(item.default, float) else item.default
    default = str(default).lower() if isinstance(default, bool) else default
    changes = {"never": "no", "unconfigured": "unconfigured", "inactive": "inactive"}
    change = changes.get(item.when, "yes")
    return f"| `{item.name}` | {default} | {interval} | {change} | {item.text} |"


def test_the_page_shows_every_parameter_as_it_is():
    text = (ROOT / "docs" / "policy_node.md").read_text(encoding="utf-8")
    shown = re.findall(
        r"^\| `\w+` \| .* \| .* \| (?:no|unconfigured|inactive|yes) \| .* \|$", text, re.M
    )
    wanted = [row(item) for item in ITEMS]
    assert shown == wanted, "docs/policy_node.md should have:\n" + "\n".join(wanted)


def policy_files() -> dict[str, dict[str, object]]:
    """What the files in config/ say of a policy node, by name of the file."""
    found = {}
    for path in sorted((ROOT / "config").glob("*.yaml")):
        entries = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("/**/policy")
        if entries is not None:
            found[path.name] = entries["ros__parameters"]
    return found


@pytest.mark.parametrize(("name", "given"), policy_files().items(), ids=list(policy_files()))
def test_parameter_files_name_parameters_that_there_are_and_that_fit(name, given):
    """A name that a node does not declare would be ignored without a word."""
    items = {item.name: item for item in ITEMS}
    given = {name: value for name, value in given.items() if not name.startswith("adapt")}
    assert given.keys() <= items.keys() | {"use_sim_time"}
    for name, value in given.items():
        assert type(value) is type(items[name].default), name
        if items[name].low is not None:
            assert items[name].low <= value <= items[name].high, name
        assert not items[name].choices or value in items[name].choices, name
    assert unfit(DEFAULTS | given) == ""


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("roi_top:=0.9", "roi_bottom:=0.1"), "0 <= roi_top < roi_bottom, got 0.9 and 0.1"),
        (("flip:=sideways",), "flip must be none or left_right or up_down or both"),
        (("speed:=-1.0",), "Parameter speed of node /policy must be a float from 0.0 to 60.0"),
    ],
)
def test_values_that_cannot_be_end_the_node_with_2_and_one_sentence(start, options, text):
    child = start("policy", *(part for option in options for part in ("-p", option)))
    assert child.process.wait(40) == 2
    assert text in child.last_words()
    assert "Traceback" not in child.log.read_text()


@pytest.mark.ros
@pytest.mark.slow
def test_another_model_is_loaded_by_parameter_and_must_fit_the_others(
    probe, start, model, driver_with_speed
):
    child = start(
        *("policy", "-p", "autostart:=false", "-p", f"model:={driver_with_speed}"),
        *("-p", "speed_from:=model", "-r", "__node:=another"),
    )
    told = probe.listen(String, "another/facts", LATCHED)
    change(probe, Transition.TRANSITION_CONFIGURE, "another")
    change(probe, Transition.TRANSITION_CLEANUP, "another")
    assert asked(probe, "another", model=str(model), wheelbase=0.3) == ""
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert not probe.call(ChangeState, "another/change_state", request).success
    assert "gives curvature and no speed" in child.log.read_text()
    assert asked(probe, "another", speed_from="auto") == ""
    change(probe, Transition.TRANSITION_CONFIGURE, "another")
    assert "gives curvature and no speed" in asked(probe, "another", speed_from="model")
    change(probe, Transition.TRANSITION_ACTIVATE, "another")
    probe.wait(lambda: told and json.loads(told[-1].data)["model"] == str(model.resolve()))
    assert json.loads(told[-1].data)["parameters"]["wheelbase"] == 0.3
