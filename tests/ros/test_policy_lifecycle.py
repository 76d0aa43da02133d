"""The policy process starts and ends as a lifecycle node should, and never without a stop."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import Twist, TwistStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage

from liquid_control.ros import conversion
from liquid_control.ros.frames import Refusal
from liquid_control.ros.policy_node import PolicyNode
from liquid_control.ros.runtime import SENSOR

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
def test_every_way_to_end_the_process_publishes_a_stop(
    probe, start, end, camera_of, model, signals
):
    child = start("policy", "-p", f"model:={model}", "-p", "speed:=4.0")
    commands = probe.listen(TwistStamped, "cmd_vel")
    camera_of(probe).show()
    probe.wait(lambda: commands and commands[-1].twist.linear.x == 4.0)
    assert end(child, *signals) == 0
    probe.wait(lambda: commands[-1].twist.linear.x == 0.0)
    assert "Traceback" not in child.log.read_text()


def test_the_lifecycle_goes_round_and_a_model_that_is_missing_keeps_it_unconfigured(
    probe, start, camera_of, model
):
    child = start("policy", "-p", "autostart:=false", "-p", f"model:={model}", "-p", "speed:=4.0")

    def change(transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return probe.call(ChangeState, "policy/change_state", request).success

    def state() -> int:
        return probe.call(GetState, "policy/get_state", GetState.Request()).current_state.id

    def listens() -> bool:
        return probe.count_subscribers("image") > 0

    assert state() == State.PRIMARY_STATE_UNCONFIGURED
    for _ in range(2):
        assert change(Transition.TRANSITION_CONFIGURE)
        assert state() == State.PRIMARY_STATE_INACTIVE
        assert not listens()
        assert change(Transition.TRANSITION_ACTIVATE)
        probe.wait(listens)
        commands = probe.listen(TwistStamped, "cmd_vel")
        camera_of(probe).show()
        probe.wait(lambda heard=commands: heard and heard[-1].twist.linear.x == 4.0)
        assert change(Transition.TRANSITION_DEACTIVATE)
        probe.wait(lambda heard=commands: heard[-1].twist.linear.x == 0.0)
        assert change(Transition.TRANSITION_CLEANUP)
        assert state() == State.PRIMARY_STATE_UNCONFIGURED
    (model / "config.json").rename(model / "hidden.json")
    try:
        assert not change(Transition.TRANSITION_CONFIGURE)
    finally:
        (model / "hidden.json").rename(model / "config.json")
    assert state() == State.PRIMARY_STATE_UNCONFIGURED
    assert child.code is None


def test_a_model_whose_folder_has_moved_since_it_was_loaded_drives(probe, model, tmp_path):
    folder = tmp_path / "driver"
    shutil.copytree(model, folder)
    node = PolicyNode()
    node.set_parameters([Parameter("model", value=str(folder))])
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    folder.rename(tmp_path / "elsewhere")
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    node.close()
    node.destroy_node()


@pytest.mark.parametrize(
    ("late_ms", "its_own"), [(0, True), (120, True), (-50, False), (60_000, False)]
)
def test_a_stop_has_the_stamp_of_its_frame_where_that_makes_sense(probe, late_ms, its_own):
    """Later than its frame, it would set the commands on the next ones out of order."""
    stops: list[tuple[int, bool]] = []
    now = 100_000_000_000
    node = SimpleNamespace(
        _frames=SimpleNamespace(refused=Counter()),
        _said_at={},
        _trouble="",
        get_logger=probe.get_logger,
        get_clock=lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=now)),
        _output=SimpleNamespace(stop=lambda stamp, last: stops.append((stamp, last))),
    )
    stamp = now - late_ms * 1_000_000
    PolicyNode._refuse(node, Refusal("picture", "It is cut off."), stamp)
    assert stops == [(stamp if its_own else now, False)]


def test_compressed_images_in_and_plain_twists_out(probe, start, model):
    """For a camera behind a slow network, and a base older than stamped commands."""
    picture = np.random.default_rng(3).integers(0, 256, (120, 160, 3), np.uint8)
    more = ["-p", "image_transport:=compressed", "-p", "stamped:=false", "-p", "speed:=2.5"]
    start("policy", "-p", f"model:={model}", *more)
    commands = probe.listen(Twist, "cmd_vel")
    stamp = 0

    def see() -> bool:
        nonlocal stamp
        stamp += 33_000_000
        message = conversion.jpeg_image(picture, stamp, "camera")
        probe.out(CompressedImage, "image/compressed", SENSOR).publish(message)
        return bool(commands)

    probe.wait(see, 40.0)
    assert commands[-1].linear.x == 2.5


def test_a_missing_model_ends_the_node_with_2_and_one_sentence(start):
    child = start("policy", "-p", "model:=/nowhere/at_all")
    assert child.process.wait(40) == 2
    assert "/nowhere/at_all" in child.last_words()
    assert "Traceback" not in child.log.read_text()
