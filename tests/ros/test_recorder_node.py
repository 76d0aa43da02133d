"""A bag is readable however its recorder ended."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import SetBool

from liquid_control.data.bag import BagReader
from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.recorder_node import RecorderNode
from liquid_control.ros.runtime import COMMAND, LATCHED, SENSOR

pytestmark = pytest.mark.ros

FRAME = np.random.default_rng(2).integers(0, 256, (78, 200, 3), np.uint8)
MS = 1_000_000


def record(probe, start, bag, enough):
    """A recorder that has heard frames, commands and a road that was published before it came."""
    road = probe.create_publisher(PathMessage, "simulator/road", LATCHED)
    road.publish(conversion.path(np.array([[0.0, 0.0], [1.0, 0.0]]), 5))
    child = start("recorder", "-p", f"bag:={bag}")
    stamp = 0
    file = bag / f"{bag.name}_0.mcap"

    def written() -> bool:
        nonlocal stamp
        stamp += 33 * MS
        probe.send_frame(FRAME, stamp, "camera/image_raw")
        probe.send_command(1.0, 0.0, stamp)
        by_hand = conversion.twist_stamped(0.5, 0.0, stamp)
        probe.out(TwistStamped, "intervention", COMMAND).publish(by_hand)
        return file.is_file() and file.stat().st_size > enough

    probe.wait(written, 40.0)
    return child


def check(bag, recovered: bool) -> None:
    with BagReader(bag) as reader:
        assert reader.recovered == recovered
        counts = {topic: count for topic, (_, count) in reader.topics.items()}
        assert counts["/camera/image_raw"] > 0
        assert counts["/cmd_vel"] > 0
        assert counts["/intervention"] > 0
        assert counts["/simulator/road"] == 1
        for topic, _, message in reader.messages():
            if topic == "/camera/image_raw":
                assert np.array_equal(conversion.decode_image(message), FRAME)
                # The same moment's command carries the same stamp.
                assert message.header.stamp.nanosec % MS == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recorder_that_is_asked_to_end_leaves_a_finished_bag(probe, start, end, tmp_path, number):
    child = record(probe, start, tmp_path / "bag", 100_000)
    assert end(child, number, number) == 0
    assert (tmp_path / "bag" / "metadata.yaml").is_file()
    check(tmp_path / "bag", recovered=False)


def test_compressed_pictures_are_recorded_where_somebody_drives_by_them(
    probe, start, end, tmp_path
):
    topic = "camera/image_raw/compressed"
    camera = probe.create_publisher(CompressedImage, topic, SENSOR)
    child = start("recorder", "-p", f"bag:={tmp_path / 'bag'}")
    probe.send_frame(FRAME, MS, "camera/image_raw")
    # A camera compresses only while somebody listens, and so far nobody needs it to.
    assert not probe.count_subscribers(topic)
    heard = probe.listen(CompressedImage, topic, SENSOR)
    probe.wait(lambda: probe.count_subscribers(topic) == 2)
    probe.wait(lambda: camera.get_subscription_count() == 2)
    file = tmp_path / "bag" / "bag_0.mcap"

    def written() -> bool:
        camera.publish(conversion.jpeg_image(FRAME, MS, "camera"))
        return heard and file.stat().st_size > 50_000

    probe.wait(written)
    assert end(child, signal.SIGINT) == 0
    with BagReader(tmp_path / "bag") as reader:
        assert reader.topics[f"/{topic}"][1] > 0


def test_a_topic_that_may_not_be_heard_is_said_and_the_others_are_recorded(probe, tmp_path):
    heard: list[str] = []

    def subscribe(topic: str, *_: object) -> None:
        if topic == "/cmd_vel":
            raise RuntimeError("failed to create subscription: permission denied")
        heard.append(topic)

    recorder = SimpleNamespace(
        _bag=tmp_path,
        _ended="",
        _wanted={"/cmd_vel", "/odom"},
        _if_heard="",
        _subscribe=subscribe,
        get_publishers_info_by_topic=lambda topic: [SimpleNamespace(qos_profile=1, topic_type="")],
        get_logger=probe.get_logger,
    )
    RecorderNode._look(recorder)
    assert heard == ["/odom"]
    assert "permission denied" in recorder._trouble


def test_a_killed_recorder_leaves_a_bag_that_can_be_read(probe, start, end, tmp_path):
    child = record(probe, start, tmp_path / "bag", 200_000)
    assert end(child, signal.SIGKILL) == -signal.SIGKILL
    check(tmp_path / "bag", recovered=True)


def test_a_bag_that_exists_already_is_not_touched(start, tmp_path):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "precious.txt").write_text("data")
    child = start("recorder", "-p", f"bag:={tmp_path / 'bag'}")
    assert child.process.wait(20) == 2
    assert "exists already" in child.last_words()
    assert [path.name for path in (tmp_path / "bag").iterdir()] == ["precious.txt"]


@pytest.mark.slow
def test_a_service_ends_a_bag_and_begins_the_next(probe, start, end, tmp_path):
    child = start("recorder", "-p", f"bag:={tmp_path / 'bag'}")

    def ask(wish: bool) -> tuple[bool, str]:
        reply = probe.call(SetBool, "recorder/record", SetBool.Request(data=wish))
        return reply.success, reply.message

    def frame() -> int:
        probe.send_frame(FRAME, probe.get_clock().now().nanoseconds, "camera/image_raw")
        return probe.count_subscribers("camera/image_raw")

    assert ask(True) == (True, f"recording into {tmp_path / 'bag'} already")
    probe.wait(frame)
    assert ask(False) == (True, f"recorded into {tmp_path / 'bag'}")
    # What nobody records may cost nobody anything.
    probe.wait(lambda: not probe.count_subscribers("camera/image_raw"))
    assert (tmp_path / "bag" / "metadata.yaml").is_file()
    assert ask(False) == (True, "nothing is being recorded")
    assert ask(True) == (True, f"recording into {tmp_path / 'bag-2'}")
    probe.wait(frame)
    (tmp_path / "bag-3").write_text("in the way")
    assert ask(False)[0]
    assert ask(True) == (True, f"recording into {tmp_path / 'bag-4'}")
    assert end(child, signal.SIGINT) == 0
    assert (tmp_path / "bag-4" / "metadata.yaml").is_file()


@pytest.mark.parametrize(
    ("topics", "word"), [("[]", "topics is empty"), ("['a b']", "a b"), ("['']", "empty string")]
)
def test_topics_that_cannot_be_are_refused_before_there_is_a_bag(tmp_path, topics, word):
    bag = tmp_path / "bag"
    rclpy.init(args=["--ros-args", "-p", f"bag:={bag}", "-p", f"topics:={topics}"])
    try:
        with pytest.raises(InputError, match=word):
            RecorderNode(None)
    finally:
        rclpy.try_shutdown()
    assert not bag.exists()
