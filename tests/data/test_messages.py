"""Messages survive serialisation, and bad images are refused."""

import subprocess
import sys
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from liquid_control.data import messages
from liquid_control.errors import InputError

RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (20, 30, 3), np.uint8)


def travel(message):
    """The message as another process gets it."""
    return messages.deserialize(message.__msgtype__, messages.serialize(message))


@pytest.mark.parametrize("shape", [(78, 200, 3), (78, 200)])
def test_an_image_comes_back_to_the_bit(shape: tuple) -> None:
    array = RNG.integers(0, 256, shape, np.uint8)
    message = travel(messages.image(array, 12_345_678_901, "front"))
    expected = array if len(shape) == 3 else np.stack([array] * 3, axis=-1)
    assert np.array_equal(messages.decode_image(message), expected)
    assert messages.stamp_of(message) == 12_345_678_901
    assert message.header.frame_id == "front"


def test_a_png_image_comes_back_to_the_bit_also_from_a_view() -> None:
    mirrored = FRAME[:, ::-1]
    assert np.array_equal(messages.decode_image(travel(messages.png_image(mirrored, 0))), mirrored)


@pytest.mark.parametrize(
    ("encoding", "conversion"),
    [
        ("bgr8", cv2.COLOR_RGB2BGR),
        ("rgba8", cv2.COLOR_RGB2RGBA),
        ("bgra8", cv2.COLOR_RGB2BGRA),
    ],
)
def test_other_channel_orders_are_understood(encoding: str, conversion: int) -> None:
    pixels = cv2.cvtColor(FRAME, conversion)
    message = messages.image(FRAME, 0)
    message.encoding, message.step, message.data = encoding, pixels[0].size, pixels.reshape(-1)
    assert np.array_equal(messages.decode_image(message), FRAME)


def test_rows_may_be_padded() -> None:
    padded = np.zeros((20, 96), np.uint8)
    padded[:, :90] = FRAME.reshape(20, 90)
    message = messages.image(FRAME, 0)
    message.step, message.data = 96, padded.reshape(-1)
    assert np.array_equal(messages.decode_image(message), FRAME)


@pytest.mark.parametrize(
    "change",
    [
        {"encoding": "16UC1"},
        {"height": 21},
        {"step": 10},
        {"data": np.zeros(0, np.uint8)},
        {"height": 0, "data": np.zeros(0, np.uint8)},
    ],
)
def test_an_image_that_does_not_fit_its_description_is_refused(change: dict) -> None:
    message = messages.image(FRAME, 0)
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InputError):
        messages.decode_image(message)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_compressed_data_that_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        messages.decode_image(messages.compressed_image(data, 0))


def test_float32_values_of_a_named_vector_come_back_exactly() -> None:
    values = RNG.normal(size=19).astype(np.float32)
    names = [f"inter_{i}" for i in range(19)]
    message = travel(messages.named_vector(names, values, 5, velocity=values + 1))
    assert np.array_equal(np.float32(list(messages.read_named_vector(message).values())), values)
    assert np.array_equal(np.float32(message.velocity), values + 1)
    assert list(messages.read_named_vector(message)) == names


def test_a_named_vector_needs_a_value_per_name() -> None:
    with pytest.raises(InputError, match="one value per name"):
        messages.named_vector(["a", "b"], [1.0], 0)


def test_a_path_looks_along_its_points() -> None:
    message = travel(messages.path(np.array([[0, 0], [1, 1], [1, 2]]), 0))
    yaws = [2 * np.arctan2(p.pose.orientation.z, p.pose.orientation.w) for p in message.poses]
    assert yaws == pytest.approx([np.pi / 4, np.pi / 2, np.pi / 2])


@pytest.mark.skipif(find_spec("rclpy") is None, reason="rclpy is not installed")
def test_ros_itself_reads_the_serialised_messages() -> None:
    """In a process of its own: the ROS wheels start Python again when they are imported."""
    code = """
import importlib
from liquid_control.data import messages
import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

frame = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
for ours in (messages.image(frame, 7), messages.png_image(frame, 7),
             messages.named_vector(["a", "b"], [1, 2], 7), messages.twist_stamped(1, 2, 7),
             messages.odometry(1, 2, 3, 4, 5, 7), messages.path(np.eye(2), 7)):
    package, _, name = ours.__msgtype__.split("/")
    kind = getattr(importlib.import_module(f"{package}.msg"), name)
    theirs = deserialize_message(bytes(messages.serialize(ours)), kind)
    assert messages.stamp_of(theirs) == 7
    back = messages.deserialize(ours.__msgtype__, serialize_message(theirs))
    assert bytes(messages.serialize(back)) == bytes(messages.serialize(ours))
    if hasattr(theirs, "data"):
        assert np.array_equal(messages.decode_image(theirs), frame)
print("all read")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "all read" in done.stdout, done.stderr
