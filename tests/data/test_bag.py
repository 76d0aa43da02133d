"""Bags come back as they were written, other tools open them, and killed writers lose little."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore
from rosbags.typesys.stores import Stores

from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter, repair
from liquid_control.data.qos import LATCHED, SENSOR_DATA
from liquid_control.errors import InputError

MS = 1_000_000


def write_bag(path: Path, count: int = 30, flush_interval_s: float = 0.5, **options) -> Path:
    with BagWriter(path, flush_interval_s=flush_interval_s, **options) as bag:
        road = messages.path(np.array([[0, 0], [1, 0]]), 0)
        bag.write("/simulator/road", road, 0, LATCHED)
        for number in range(count):
            frame = np.full((8, 10, 3), number, np.uint8)
            stamp_ns = number * 33 * MS
            bag.write("/camera/image_raw", messages.image(frame, stamp_ns), stamp_ns, SENSOR_DATA)
            bag.write("/odom", messages.odometry(number, 0, 0, 1, 0, stamp_ns), stamp_ns)
    return path


@pytest.mark.parametrize("compression", ["zstd", "lz4", ""])
def test_messages_come_back_in_order_and_equal(tmp_path: Path, compression: str) -> None:
    path = write_bag(tmp_path / "runs" / "bag", compression=compression)
    assert sorted(file.name for file in path.iterdir()) == ["bag_0.mcap", "metadata.yaml"]
    with BagReader(path) as bag:
        assert not bag.recovered
        assert bag.topics == {
            "/simulator/road": ("nav_msgs/msg/Path", 1),
            "/camera/image_raw": ("sensor_msgs/msg/Image", 30),
            "/odom": ("nav_msgs/msg/Odometry", 30),
        }
        frames = list(bag.messages(["/camera/image_raw"]))
        assert [stamp for _, stamp, _ in frames] == [n * 33 * MS for n in range(30)]
        assert [messages.decode_image(x)[0, 0, 0] for _, _, x in frames] == list(range(30))
        stamps = [stamp for _, stamp, _ in bag.messages()]
        assert stamps == sorted(stamps)
        assert len(stamps) == 61


def test_rosbags_itself_opens_the_bag_with_types_and_quality_of_service(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    # No default typestore: the definitions come from the bag; hashes are checked on opening.
    with AnyReader([path]) as reader:
        assert reader.message_count == 61
        assert reader.duration == 29 * 33 * MS + 1
        qos = {x.topic: x.ext.offered_qos_profiles[0] for x in reader.connections}
        for connection, _, raw in reader.messages():
            assert reader.deserialize(raw, connection.msgtype).header.stamp.sec == 0
    assert qos["/simulator/road"].durability == QosDurability.TRANSIENT_LOCAL
    assert qos["/odom"].durability == QosDurability.VOLATILE
    with AnyReader([path / "bag_0.mcap"]) as reader:
        assert reader.message_count == 61


def test_messages_that_come_late_are_read_in_order_of_time(tmp_path: Path) -> None:
    order = [5, 1, 4, 0, 3, 2]
    with BagWriter(tmp_path / "bag") as bag:
        for number in order:
            bag.write("/odom", messages.odometry(number, 0, 0, 0, 0, number), number)
            bag.flush()
    for cut in (False, True):
        if cut:
            cut_off(tmp_path / "bag" / "bag_0.mcap", 40)
        stamps = [stamp for _, stamp, _ in BagReader(tmp_path / "bag").messages()]
        assert stamps == sorted(order)


def test_a_recorder_that_heard_nothing_leaves_an_empty_bag(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/odom", "nav_msgs/msg/Odometry")
    with BagReader(tmp_path / "bag") as bag:
        assert bag.topics == {"/odom": ("nav_msgs/msg/Odometry", 0)}
        assert list(bag.messages()) == []
        with pytest.raises(InputError, match="no message at all"):
            bag.require("/odom")


def test_an_existing_bag_is_never_written_over(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    before = (path / "bag_0.mcap").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        BagWriter(path)
    assert (path / "bag_0.mcap").read_bytes() == before


def test_a_topic_keeps_its_type_and_types_must_be_known(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/a", messages.string("x"), 0)
        with pytest.raises(InputError, match="one topic holds one type"):
            bag.write("/a", messages.twist_stamped(1, 0, 0), 0)
        with pytest.raises(InputError, match="not among ROS 2's common interfaces"):
            bag.write_raw("/b", "my_msgs/msg/Thing", b"", 0)
    assert BagReader(tmp_path / "bag").topics == {"/a": ("std_msgs/msg/String", 1)}


def test_what_was_written_before_an_error_is_kept(tmp_path: Path) -> None:
    def fail() -> None:
        with BagWriter(tmp_path / "bag") as bag:
            bag.write("/a", messages.string("x"), 0)
            raise RuntimeError("the simulator died")

    with pytest.raises(RuntimeError, match="the simulator died"):
        fail()
    with BagReader(tmp_path / "bag") as bag:
        assert not bag.recovered
        assert len(list(bag.messages())) == 1


WRITER = """
import itertools, sys, time
from liquid_control.data import messages
from liquid_control.data.bag import BagWriter

bag = BagWriter(sys.argv[1])
for number in itertools.count():
    stamp_ns = time.monotonic_ns()
    bag.write("/odom", messages.odometry(number, 0, 0, 0, 0, stamp_ns), stamp_ns)
    print(stamp_ns, flush=True)
    time.sleep(0.01)
"""


def test_a_killed_writer_loses_at_most_a_second_and_its_bag_can_be_repaired(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        first = int(writer.stdout.readline())
        time.sleep(1.7)
        writer.send_signal(signal.SIGKILL)
        written = [first, *map(int, writer.stdout.read().split())]
    assert writer.returncode == -signal.SIGKILL
    assert not (path / "metadata.yaml").exists()

    with BagReader(path) as bag:
        assert bag.recovered
        read = [stamp for _, stamp, _ in bag.messages(["/odom"])]
        assert bag.topics == {"/odom": ("nav_msgs/msg/Odometry", len(read))}
    assert read == written[: len(read)]
    assert written[-1] - read[-1] < 1_000 * MS
    assert read[-1] - read[0] > 500 * MS

    assert repair(path) == len(read)
    assert sorted(file.name for file in path.iterdir()) == ["bag_0.mcap", "metadata.yaml"]
    with BagReader(path) as bag:
        assert not bag.recovered
        assert [stamp for _, stamp, _ in bag.messages()] == read
    with AnyReader([path]) as reader:
        assert reader.message_count == len(read)


def cut_off(file: Path, end: int) -> None:
    """Remove the last bytes of a file."""
    file.write_bytes(file.read_bytes()[:-end])


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1), with_metadata=st.booleans())
@pytest.mark.lengthy
def test_a_bag_cut_anywhere_yields_its_beginning(
    tmp_path: Path, share: float, with_metadata: bool
) -> None:
    path = tmp_path / "bag"
    if not path.exists():
        write_bag(path, flush_interval_s=0.0)
        (tmp_path / "whole").write_bytes((path / "bag_0.mcap").read_bytes())
        (tmp_path / "metadata.yaml").write_bytes((path / "metadata.yaml").read_bytes())
    whole = (tmp_path / "whole").read_bytes()
    (path / "bag_0.mcap").write_bytes(whole[: int(share * len(whole))])
    (path / "metadata.yaml").unlink(missing_ok=True)
    if with_metadata:
        (path / "metadata.yaml").write_bytes((tmp_path / "metadata.yaml").read_bytes())
    with BagReader(path) as bag:
        stamps = [stamp for topic, stamp, _ in bag.messages(["/odom"])]
    assert stamps == [n * 33 * MS for n in range(len(stamps))]
    if share == 1:
        assert len(stamps) == 30
    assert repair(path) >= len(stamps)
    with BagReader(path) as bag:
        assert not bag.recovered
        assert [stamp for _, stamp, _ in bag.messages(["/odom"])] == stamps


def test_a_damaged_chunk_is_left_out_by_repair_and_the_rest_kept(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", flush_interval_s=0.0, compression="")
    file = path / "bag_0.mcap"
    data = bytearray(file.read_bytes())
    # The pixels of frame 7: 240 bytes of value 7.
    place = data.index(bytes([7] * 240))
    data[place] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged.*repair"), BagReader(path) as bag:
        list(bag.messages())
    assert repair(path) == 60
    with BagReader(path) as bag:
        frames = [
            messages.decode_image(x)[0, 0, 0] for _, _, x in bag.messages(["/camera/image_raw"])
        ]
    assert frames == [n for n in range(30) if n != 7]


def test_repair_leaves_a_whole_bag_alone(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    assert repair(path) == 61
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_split_recording_without_metadata_is_read_as_one(tmp_path: Path) -> None:
    parts = [write_bag(tmp_path / name) for name in ("first", "second")]
    path = tmp_path / "bag"
    path.mkdir()
    for number, part in zip((2, 10), parts, strict=True):
        (part / f"{part.name}_0.mcap").rename(path / f"bag_{number}.mcap")
    (path / "bag_11.mcap").touch()
    assert BagReader(path).topics["/odom"][1] == 60
    assert repair(path) == 122
    with AnyReader([path]) as reader:
        assert reader.message_count == 122


@pytest.mark.parametrize("plugin", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize("mode", list(CompressionMode)[:3])
def test_bags_of_other_writers_are_read(
    tmp_path: Path, plugin: StoragePlugin, mode: CompressionMode
) -> None:
    path = tmp_path / "bag"
    writer = Writer(path, version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    store = get_typestore(Stores.ROS2_HUMBLE)
    with writer:
        connection = writer.add_connection("/odom", "nav_msgs/msg/Odometry", typestore=store)
        for number in range(5):
            cdr = messages.serialize(messages.odometry(number, 0, 0, 0, 0, number))
            writer.write(connection, number, bytes(cdr))
    with BagReader(path) as bag:
        read = [message.pose.pose.position.x for _, _, message in bag.messages()]
    assert read == [0, 1, 2, 3, 4]


def test_types_that_only_the_bag_describes_are_read(tmp_path: Path) -> None:
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg("float32 angle\nstring name", "my_msgs/msg/Servo"))
    servo = store.types["my_msgs/msg/Servo"]
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/servo", "my_msgs/msg/Servo", typestore=store)
        cdr = store.serialize_cdr(servo(angle=0.5, name="front"), "my_msgs/msg/Servo")
        writer.write(connection, 3, bytes(cdr))
    with BagReader(path) as bag:
        ((topic, stamp_ns, message),) = bag.messages()
    assert (topic, stamp_ns, message.angle, message.name) == ("/servo", 3, 0.5, "front")
    cut_off(path / "bag.mcap", 30)
    (path / "metadata.yaml").unlink()
    assert repair(path) == 1
    with AnyReader([path]) as reader:
        assert reader.topics["/servo"].msgtype == "my_msgs/msg/Servo"


def one_sentence(error: pytest.ExceptionInfo) -> bool:
    text = str(error.value)
    return text.endswith(".") and "\n" not in text and not re.search(r"\. [A-Z]", text)


def test_what_is_no_bag_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mcap").write_text("this is no recording at all")
    (tmp_path / "text.txt").write_text("nor is this")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken_0.db3").write_text("no database")
    (tmp_path / "broken" / "metadata.yaml").write_text("{")
    for name in ("missing", "empty", "text.mcap", "text.txt", "broken"):
        with pytest.raises(InputError) as error:
            BagReader(tmp_path / name)
        assert one_sentence(error), error.value
        with pytest.raises(InputError) as error:
            repair(tmp_path / name)
        assert one_sentence(error), error.value


def test_a_missing_topic_is_named_with_what_there_is(tmp_path: Path) -> None:
    with BagReader(write_bag(tmp_path / "bag")) as bag:
        bag.require("/odom")
        with pytest.raises(InputError, match=r"no message on /cmd_vel; it holds .*/odom"):
            bag.require("/odom", "/cmd_vel")
