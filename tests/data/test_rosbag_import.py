"""Any robot's rosbag2 recording becomes a bag for training, by a topic map."""

import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags import rosbag1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from liquid_control.camera import Calibration, CameraSetup, RobotCamera, View
from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.data.drive import find_bags, load_drive
from liquid_control.data.importers.rosbag import import_rosbag
from liquid_control.data.messages import decode_image
from liquid_control.errors import InputError

MS = 1_000_000
START = 1_700_000_000_000 * MS
DRIVE = """std_msgs/Header header
ackermann_msgs/AckermannDrive drive
================================================================================
MSG: ackermann_msgs/AckermannDrive
float32 steering_angle
float32 steering_angle_velocity
float32 speed
float32 acceleration
float32 jerk
"""


def store_with_ackermann():
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg(DRIVE, "ackermann_msgs/msg/AckermannDriveStamped"))
    return store


def twist(store, index: int, stamp: int):
    vector = store.types["geometry_msgs/msg/Vector3"]
    return store.types["geometry_msgs/msg/Twist"](
        linear=vector(x=2.0, y=0.0, z=0.0), angular=vector(x=0.0, y=0.0, z=0.1 * index)
    )


def twist_stamped(store, index: int, stamp: int):
    return messages.twist_stamped(2.0, 0.1 * index, stamp)


def ackermann(store, index: int, stamp: int):
    drive = store.types["ackermann_msgs/msg/AckermannDrive"](
        steering_angle=0.1,
        steering_angle_velocity=0.0,
        speed=float(index),
        acceleration=0.0,
        jerk=0.0,
    )
    kind = store.types["ackermann_msgs/msg/AckermannDriveStamped"]
    return kind(header=messages.header(stamp), drive=drive)


def joints(store, index: int, stamp: int):
    return messages.named_vector(["servo", "motor"], [0.1 * index, 0.5], stamp)


@pytest.fixture
def make_robot_bag() -> Callable[..., Path]:
    """make(path, plugin, command): raw frames at 20 Hz, commands at 50 Hz, odometry at 10 Hz."""

    def make(path: Path, plugin: StoragePlugin, command: Callable, frames: int = 20) -> Path:
        store = store_with_ackermann()
        sample = command(store, 0, START)
        with Writer(path, version=9, storage_plugin=plugin) as writer:
            camera = writer.add_connection("/eye", "sensor_msgs/msg/Image", typestore=store)
            drive = writer.add_connection("/drive", sample.__msgtype__, typestore=store)
            odom = writer.add_connection("/pose", "nav_msgs/msg/Odometry", typestore=store)
            for ms in range(0, frames * 50, 10):
                stamp = START + ms * MS
                if ms % 20 == 0:
                    message = command(store, ms // 20, stamp)
                    writer.write(drive, stamp, store.serialize_cdr(message, message.__msgtype__))
                if ms % 50 == 0:
                    picture = np.full((8, 10, 3), ms // 50, np.uint8)
                    writer.write(camera, stamp, messages.serialize(messages.image(picture, stamp)))
                if ms % 100 == 0:
                    pose = messages.odometry(ms, 0, 0, 2, 0, stamp)
                    writer.write(odom, stamp, messages.serialize(pose))
        return path

    return make


# What does not grow with the number of the command.
CONSTANT = {
    *(("speed", twist), ("vx", twist_stamped), ("wheel_angle", ackermann)),
    *(("curvature", ackermann), ("throttle", joints)),
}


def topic_map(folder: Path, more: str = "") -> Path:
    path = folder / "map.yaml"
    path.write_text(f"camera: /eye\ncommand: /drive\n{more}")
    return path


@pytest.mark.parametrize("plugin", list(StoragePlugin))
@pytest.mark.parametrize(
    ("command", "more", "expected"),
    [
        (twist, "", {"curvature": 0.05, "speed": 2.0}),
        (twist_stamped, "outputs: [vx, yaw_rate]", {"vx": 2.0, "yaw_rate": 0.1}),
        (ackermann, "", {"speed": 1.0, "wheel_angle": 0.1}),
        (ackermann, "wheelbase: 0.5", {"curvature": np.tan(0.1) / 0.5, "speed": 1.0}),
        (
            joints,
            "outputs: {steering: {from: servo, scale: -2}, throttle: motor}",
            {"steering": -0.2, "throttle": 0.5},
        ),
    ],
)
def test_commands_of_every_kind_become_labels(
    tmp_path: Path,
    make_robot_bag: Callable,
    plugin: StoragePlugin,
    command: Callable,
    more: str,
    expected: dict,
) -> None:
    source = make_robot_bag(tmp_path / "robot", plugin, command)
    report = import_rosbag(source, tmp_path / "bag", topic_map(tmp_path, more), progress=False)
    assert report.frames == 20
    assert report.skipped == {}
    assert report.rate_hz == pytest.approx(20)
    drive = load_drive(tmp_path / "bag", outputs=list(expected))
    # Every other frame has the stamp of a command, by turns the 5th next.
    index = np.arange(0, 50, 5)
    for name, column in zip(expected, drive.labels[::2].T, strict=True):
        constant = (name, command) in CONSTANT
        assert column == pytest.approx(expected[name] * (1 if constant else index), rel=1e-5)
    # Commands without a header are placed by their log time, and that is said.
    assert bool(report.notes) == (command is twist)
    with BagReader(tmp_path / "bag") as bag:
        frames = [
            decode_image(m)[0, 0, 0] for *_, m in bag.messages(["/camera/image_raw/compressed"])
        ]
    assert frames == list(range(20))


def test_a_sqlite_bag_that_does_not_describe_its_types_is_read(
    tmp_path: Path, make_robot_bag: Callable, look: Callable
) -> None:
    source = make_robot_bag(tmp_path / "robot", StoragePlugin.SQLITE3, ackermann)
    with sqlite3.connect(source / "robot.db3") as database:
        database.execute("DELETE FROM message_definitions")
    report = import_rosbag(source, tmp_path / "bag", topic_map(tmp_path), progress=False)
    assert report.names == ("speed", "wheel_angle")
    assert report.frames == 20
    look(tmp_path / "bag", 20)


def test_frames_are_thinned_and_other_topics_come_along(
    tmp_path: Path, make_robot_bag: Callable
) -> None:
    source = make_robot_bag(tmp_path / "robot", StoragePlugin.MCAP, twist_stamped)
    chosen = topic_map(tmp_path, "rate: 10\nodom: /pose\n")
    report = import_rosbag(source, tmp_path / "bag", chosen, progress=False)
    assert report.frames == 10
    assert report.skipped == {"frame beyond 10 Hz": 10}
    assert set(np.diff(report.stamps)) == {100 * MS}
    with BagReader(tmp_path / "bag") as bag:
        poses = [m.pose.pose.position.x for *_, m in bag.messages(["/odom"])]
    assert poses == [100.0 * k for k in range(10)]


def test_damaged_images_messages_and_commands_are_left_out_and_counted(tmp_path: Path) -> None:
    png = bytes(messages.png_image(np.zeros((8, 10, 3), np.uint8), 0).data)
    with BagWriter(tmp_path / "robot", compression="") as bag:
        for index in range(10):
            stamp = START + index * 50 * MS
            data = png[: len(png) // 2] if index == 2 else png
            image = messages.compressed_image(data, stamp)
            cdr = bytes(messages.serialize(image))
            kind = "sensor_msgs/msg/CompressedImage"
            bag.write_raw("/eye", kind, cdr[:10] if index == 4 else cdr, stamp)
            speed = np.nan if index == 6 else 1.0
            # The last frames have no command anywhere near.
            if index < 8:
                bag.write("/drive", messages.twist_stamped(speed, 0, stamp), stamp)
    report = import_rosbag(
        tmp_path / "robot", tmp_path / "bag", topic_map(tmp_path), progress=False
    )
    assert report.skipped == {
        "image damaged": 1,
        "message damaged": 1,
        "command that is not finite": 1,
        "frame without a command": 3,
    }
    assert report.frames == 5


@pytest.mark.parametrize("undistort", [False, True])
def test_frames_are_imported_as_a_policy_is_to_see_them(tmp_path: Path, undistort: bool) -> None:
    """By the same settings, and to the bit as the policy node shows them."""
    lens = {"width": 40, "height": 30, "fx": 25.0, "fy": 25.0, "cx": 19.5, "cy": 14.5}
    lens["distortion"] = (-0.2, 0.03, 0.0, 0.0, 0.0)
    frames = np.random.default_rng(4).integers(0, 256, (5, 30, 40, 3), np.uint8)
    info = messages.camera_info(lens, START)
    with BagWriter(tmp_path / "robot") as bag:
        for index, frame in enumerate(frames):
            stamp = START + index * 50 * MS
            bag.write("/info", messages.camera_info(lens, stamp), stamp)
            bag.write("/eye", messages.jpeg_image(frame, stamp), stamp)
            bag.write("/drive", messages.twist_stamped(1, 0, stamp), stamp)
    settings = {"flip": "both", "roi_top": 0.2, "roi_right": 30, "undistort": undistort}
    view = ", ".join(f"{name}: {str(value).lower()}" for name, value in settings.items())
    chosen = topic_map(tmp_path, f"camera_info: /info\nview: {{{view}}}\n")
    import_rosbag(tmp_path / "robot", tmp_path / "bag", chosen, progress=False)
    camera = RobotCamera(View.of(settings), CameraSetup(), Calibration.of(info))
    with BagReader(tmp_path / "bag") as bag:
        shown = list(bag.messages(["/camera/image_raw/compressed"]))
        # The camera's own calibration does not describe these frames.
        assert "/camera/camera_info" not in bag.topics
    for frame, (_, _, message) in zip(frames, shown, strict=True):
        sent = decode_image(messages.jpeg_image(frame, START))
        assert np.array_equal(decode_image(message), camera.apply(sent))
        assert decode_image(message).shape == (24, 30, 3)


def test_a_killed_or_damaged_recording_is_imported_as_far_as_it_goes(
    tmp_path: Path, make_robot_bag: Callable
) -> None:
    with BagWriter(tmp_path / "robot", compression="", flush_interval_s=0.0) as bag:
        for index in range(20):
            stamp = START + index * 50 * MS
            picture = np.full((8, 10, 3), 7 * index, np.uint8)
            bag.write("/eye", messages.image(picture, stamp), stamp)
            bag.write("/drive", messages.twist_stamped(1, 0, stamp), stamp)
    file = tmp_path / "robot" / "robot_0.mcap"
    data = bytearray(file.read_bytes())
    data[data.index(bytes([49] * 240))] ^= 0xFF
    file.write_bytes(data)
    report = import_rosbag(tmp_path / "robot", tmp_path / "a", topic_map(tmp_path), progress=False)
    assert report.skipped == {"damaged chunk of the file": 1}
    assert report.frames == 19
    (tmp_path / "robot" / "metadata.yaml").unlink()
    file.write_bytes(data[: len(data) // 2])
    report = import_rosbag(tmp_path / "robot", tmp_path / "b", topic_map(tmp_path), progress=False)
    assert 5 <= report.frames < 19


@pytest.mark.parametrize("source", ["robot", "robot/robot.mcap"])
def test_a_recording_is_never_replaced_by_what_was_made_of_it(
    tmp_path: Path, make_robot_bag: Callable, source: str
) -> None:
    bag = make_robot_bag(tmp_path / "robot", StoragePlugin.MCAP, twist, frames=4)
    before = {file: file.read_bytes() for file in bag.iterdir()}
    with pytest.raises(InputError, match="is never overwritten; give another destination"):
        import_rosbag(tmp_path / source, bag, topic_map(tmp_path), overwrite=True)
    assert {file: file.read_bytes() for file in bag.iterdir()} == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("camera: [", "is no YAML"),
        ("camera: /eye\n", "needs a topic's name for 'command'"),
        ("camera: /eye\ncommand: /drive\ncolour: red\n", "holds colour"),
        ("camera: /eye\ncommand: /drive\nrate: fast\n", "needs rate above 0, got 'fast'"),
        ("camera: /eye\ncommand: /drive\nview: {horizon: 0.4}\n", "a mapping of roi_top"),
        ("camera: /eye\ncommand: /drive\nview: {flip: 1}\n", "another kind of value"),
        ("camera: /eye\ncommand: /drive\nview: {roi_top: 1.0}\n", "0 <= roi_top < roi_bottom"),
        ("camera: /eye\ncommand: /drive\nview: {undistort: true}\n", "topic for camera_info"),
        ("camera: /eye\ncommand: /drive\noutputs: 3\n", "names no output"),
        ("camera: /eye\ncommand: /drive\noutputs: {a: {of: b}}\n", "among its outputs"),
        ("camera: /eye\ncommand: /wheel\n", "no message on /wheel; it holds"),
        ("camera: /eye\ncommand: /eye\n", "cannot be the command too"),
        ("camera: /eye\ncommand: /drive\noutputs: [lift]\n", "gives vx, .*, not lift"),
    ],
)
def test_a_topic_map_that_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, make_robot_bag: Callable, text: str, said: str
) -> None:
    source = make_robot_bag(tmp_path / "robot", StoragePlugin.MCAP, twist, frames=4)
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(InputError, match=said) as error:
        import_rosbag(source, tmp_path / "bag", tmp_path / "map.yaml")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "bag").exists()


@pytest.fixture
def duckiebot(tmp_path: Path) -> Path:
    """What `rosbag record` of ROS 1 leaves on a Duckiebot."""
    store = get_typestore(Stores.ROS1_NOETIC)
    kind = "duckietown_msgs/msg/Twist2DStamped"
    store.register(get_types_from_msg("Header header\nfloat32 v\nfloat32 omega\n", kind))
    time, head = store.types["builtin_interfaces/msg/Time"], store.types["std_msgs/msg/Header"]
    image = store.types["sensor_msgs/msg/CompressedImage"]
    with rosbag1.Writer(tmp_path / "lane 1.bag") as writer:
        eye = writer.add_connection("/eye", image.__msgtype__, typestore=store)
        drive = writer.add_connection("/drive", kind, typestore=store)
        for index in range(20):
            stamp = START + 50 * index * MS
            header = head(index, time(stamp // 10**9, stamp % 10**9), "")
            picture = messages.png_image(np.full((8, 10, 3), index, np.uint8), stamp).data
            frame = store.serialize_ros1(image(header, "png", picture), image.__msgtype__)
            writer.write(eye, stamp, frame)
            command = store.types[kind](header, v=0.5, omega=0.1 * index)
            writer.write(drive, stamp, store.serialize_ros1(command, kind))
    return tmp_path / "lane 1.bag"


def test_a_recording_of_ros_1_is_told_how_to_become_one_of_ros_2(
    tmp_path: Path, duckiebot: Path
) -> None:
    mapped = topic_map(tmp_path)
    for call in (
        lambda: import_rosbag(duckiebot, tmp_path / "bag", mapped),
        lambda: import_rosbag(tmp_path, tmp_path / "bag", mapped),
        lambda: find_bags(tmp_path),
    ):
        with pytest.raises(InputError, match="recording of ROS 1") as refused:
            call()
    command = re.search("`rosbags-convert (.*)`", str(refused.value))[1]
    convert = Path(sys.executable).with_name("rosbags-convert")
    subprocess.run([convert, *shlex.split(command)], check=True)
    import_rosbag(tmp_path / "lane 1", tmp_path / "bag", mapped, progress=False)
    drive = load_drive(tmp_path / "bag")
    assert drive.labels[:, 0] == pytest.approx(0.2 * np.arange(20))
    assert drive.labels[:, 1] == pytest.approx(0.5)
