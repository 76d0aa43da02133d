"""The policy process: every decision can be recomputed, every fault of the camera is survived."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_srvs.srv import SetBool, Trigger

from liquid_control.data.messages import stamp_of
from liquid_control.policy import Decision, Policy, frame_hash, recompute
from liquid_control.policy.fingerprint import Hashes, weights_hash
from liquid_control.ros import conversion
from liquid_control.ros.runtime import SENSOR

pytestmark = pytest.mark.ros

RNG = np.random.default_rng(1)
SMALL = RNG.integers(0, 256, (78, 200, 3), np.uint8)
LARGE = RNG.integers(0, 256, (240, 320, 3), np.uint8)
MS = 1_000_000


@pytest.fixture(scope="module")
def policy(start_shared, model):
    return start_shared("policy", "-p", f"model:={model}", "-p", "speed:=4.0")


@pytest.fixture
def camera(camera_of, probe, policy) -> Iterator:
    """Every test's stamps begin anew, and its frames may have another size."""
    made = camera_of(probe)
    assert probe.call(Trigger, "policy/reset", Trigger.Request()).success
    yield made
    assert policy.code is None, policy.last_words()


def test_every_decision_can_be_recomputed_from_what_was_published(camera, model):
    loaded = Policy.load(model)
    commands = camera.probe.listen(TwistStamped, "cmd_vel")
    neurons = camera.probe.listen(JointState, "policy/neurons")
    for number, frame in enumerate([LARGE, LARGE[::-1].copy(), LARGE]):
        values = camera.show(frame)
        message = camera.decisions[-1]
        prepared = loaded.camera.apply(frame)
        hashes = Hashes.parse(message.header.frame_id)
        assert hashes.frame == frame_hash(prepared)
        assert hashes.weights == weights_hash(loaded)
        names = loaded.wiring.names
        before = np.array([values[name] for name in names], np.float32)
        told = np.array([values["curvature"]], np.float32)
        decision = Decision(told, before, before, before, values["elapsed"], False, hashes.frame)
        assert recompute(loaded, prepared, decision) == pytest.approx(told, abs=1e-7)
        assert bool(values["reset"]) == (number == 0)
        assert values["elapsed"] == pytest.approx(0.0333 if number == 0 else 0.033, abs=1e-4)
        camera.probe.wait(lambda: commands and stamp_of(commands[-1]) == camera.stamp)
        assert commands[-1].twist.linear.x == 4.0
        assert commands[-1].twist.angular.z == pytest.approx(4.0 * values["curvature"], rel=1e-5)
        camera.probe.wait(lambda: neurons and len(neurons[-1].velocity) == 19)
        assert min(neurons[-1].velocity) > 0.0


def test_a_second_camera_on_the_topic_is_left_out_and_named(camera):
    probe = camera.probe
    camera.show(LARGE)
    other = probe.create_publisher(Image, "image", SENSOR)
    probe.wait(lambda: other.get_subscription_count())
    reports = probe.listen(DiagnosticArray, "/diagnostics")
    turned = LARGE[::-1].copy()

    def named() -> bool:
        # Of the same size, and stamped in order with the first one's.
        other.publish(conversion.image(turned, camera.stamp + 16 * MS, "rear"))
        camera.show(LARGE)
        texts = [status.message for each in reports for status in each.status]
        return any("image has several publishers: /probe is obeyed" in text for text in texts)

    probe.wait(named)
    stamps = {stamp_of(each) for each in camera.decisions}
    assert all((camera.stamp - stamp) % (33 * MS) == 0 for stamp in stamps)
    # A camera that is started anew, or that a person chooses, drives.
    assert probe.call(Trigger, "policy/reset", Trigger.Request()).success
    camera.stamp += 16 * MS

    def driven() -> bool:
        other.publish(conversion.image(turned, camera.stamp, "rear"))
        return stamp_of(camera.decisions[-1]) == camera.stamp

    probe.wait(driven)


def test_attention_is_there_for_whoever_looks(camera):
    camera.show(LARGE)
    kinds = {"": Image, "/overlay": Image, "/overlay/compressed": CompressedImage}
    heard = {
        name: camera.probe.listen(kind, f"policy/attention{name}", SENSOR)
        for name, kind in kinds.items()
    }

    def all_seen() -> bool:
        camera.show(LARGE)
        return all(heard.values())

    camera.probe.wait(all_seen)
    pictures = {name: messages[-1] for name, messages in heard.items()}
    assert pictures[""].encoding == "mono8"
    assert pictures["/overlay"].encoding == "rgb8"
    assert "jpeg" in pictures["/overlay/compressed"].format
    for picture in pictures.values():
        assert conversion.decode_image(picture).shape == (78, 200, 3)


def test_a_gap_a_clock_set_back_and_the_service_start_afresh(camera):
    assert camera.show()["reset"] == 1.0
    assert camera.show()["reset"] == 0.0
    assert camera.show(step_ms=900)["reset"] == 1.0
    assert camera.show()["reset"] == 0.0
    assert camera.show(step_ms=-5_000)["reset"] == 1.0
    assert camera.show()["reset"] == 0.0
    assert camera.probe.call(Trigger, "policy/reset", Trigger.Request()).success
    assert camera.show()["reset"] == 1.0


def test_a_wrong_encoding_is_said_once_stops_the_vehicle_and_is_survived(camera):
    probe = camera.probe
    camera.show()
    health = probe.listen(DiagnosticArray, "/diagnostics")
    commands = probe.listen(TwistStamped, "cmd_vel")
    depth = conversion.image(SMALL, 0, "camera")
    depth.encoding = "16UC1"

    def reported() -> bool:
        camera.stamp += 33 * MS
        depth.header.stamp = conversion.time_message(camera.stamp)
        probe.out(Image, "image", SENSOR).publish(depth)
        return any(
            report.status[0].level == DiagnosticStatus.ERROR and "16UC1" in report.status[0].message
            for report in health
        )

    probe.wait(reported)
    probe.wait(lambda: commands and commands[-1].twist.linear.x == 0.0)
    camera.show()
    probe.wait(lambda: commands[-1].twist.linear.x == 4.0)


def test_a_speed_takes_effect_at_once_and_the_view_stays_while_driving(camera):
    """The rest of the parameters: `test_policy_parameters.py`."""
    probe = camera.probe
    commands = probe.listen(TwistStamped, "cmd_vel")
    kind, service = SetParametersAtomically, "policy/set_parameters_atomically"

    def asked(**values: object) -> str:
        news = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        return probe.call(kind, service, kind.Request(parameters=news)).result.reason

    for speed in (2.5, 4.0):
        assert asked(speed=speed) == ""
        camera.show()
        probe.wait(lambda: commands and stamp_of(commands[-1]) == camera.stamp)
        assert commands[-1].twist.linear.x == speed
    assert "roi_top changes only while the node is not active" in asked(roi_top=0.2)
    assert "gives curvature and no speed" in asked(speed_from="model")


def test_disabling_stops_the_vehicle_and_enabling_goes_on_afresh(camera):
    probe = camera.probe
    camera.show()
    commands = probe.listen(TwistStamped, "cmd_vel")
    assert probe.call(SetBool, "policy/enable", SetBool.Request(data=False)).success
    probe.wait(lambda: commands and commands[-1].twist.linear.x == 0.0)
    count = len(camera.decisions)
    for _ in range(5):
        camera.stamp += 33 * MS
        probe.send_frame(SMALL, camera.stamp)
    assert probe.call(SetBool, "policy/enable", SetBool.Request(data=True)).success
    assert len(camera.decisions) == count
    assert camera.show()["reset"] == 1.0


def test_nothing_is_learnt_unless_it_is_asked_for(camera):
    probe = camera.probe
    camera.show(SMALL, step_ms=900)
    before = [camera.show(SMALL)["curvature"] for _ in range(5)]
    weights = Hashes.parse(camera.decisions[-1].header.frame_id).weights
    person = probe.create_publisher(TwistStamped, "intervention", 10)
    for _ in range(40):
        person.publish(conversion.twist_stamped(4.0, 0.2, camera.stamp))
        camera.show(SMALL)
    answer = probe.call(Trigger, "policy/forget", Trigger.Request())
    assert not answer.success
    assert "adapt is false" in answer.message
    assert probe.count_publishers("policy/updates") == 0
    camera.show(SMALL, step_ms=900)
    assert [camera.show(SMALL)["curvature"] for _ in range(5)] == before
    assert Hashes.parse(camera.decisions[-1].header.frame_id).weights == weights
