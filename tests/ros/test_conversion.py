"""Images and vectors survive the way through ROS messages, and are refused when they make none."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import TwistStamped
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState

from liquid_control.camera import intrinsics
from liquid_control.data import messages
from liquid_control.errors import InputError
from liquid_control.ros import conversion

STAMP = 1_795_319_438_180_744_491
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (7, 5, 3), np.uint8)


def through_a_bag(message: object, typename: str) -> object:
    return messages.deserialize(typename, serialize_message(message))


def test_a_picture_comes_back_to_the_bit_from_ros_and_from_a_bag():
    message = conversion.image(PICTURE, STAMP, "camera")
    assert np.array_equal(conversion.decode_image(message), PICTURE)
    stored = through_a_bag(message, "sensor_msgs/msg/Image")
    assert np.array_equal(conversion.decode_image(stored), PICTURE)
    assert messages.stamp_of(stored) == conversion.nanoseconds(message.header.stamp) == STAMP


def test_a_picture_that_is_not_contiguous_comes_back_too():
    view = PICTURE[::2, ::-1]
    assert np.array_equal(conversion.decode_image(conversion.image(view, 0, "")), view)


@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb8", PICTURE, PICTURE),
        ("bgr8", PICTURE, PICTURE[..., ::-1]),
        ("mono8", PICTURE[..., 0], np.repeat(PICTURE[..., :1], 3, axis=2)),
    ],
)
@pytest.mark.parametrize("padding", [0, 3])
def test_encodings_and_padded_rows_are_honoured(encoding, pixels, expected, padding):
    rows, columns = pixels.shape[:2]
    flat = pixels.reshape(rows, -1)
    padded = np.pad(flat, ((0, 0), (0, padding)), constant_values=99)
    message = Image(height=rows, width=columns, encoding=encoding, step=padded.shape[1])
    message.data = array("B", padded.tobytes())
    assert np.array_equal(conversion.decode_image(message), expected)


@pytest.mark.parametrize("change", [{"encoding": "16UC1"}, {"height": 8}, {"step": 14}])
def test_an_image_that_makes_no_sense_is_refused_in_one_sentence(change):
    message = conversion.image(PICTURE, 0, "")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InputError, match=r"supported|needs"):
        conversion.decode_image(message)


def test_a_float_array_is_no_image():
    with pytest.raises(InputError, match="uint8"):
        conversion.image(np.zeros((4, 4, 3)), 0, "")


def test_float32_numbers_come_back_exactly_with_their_names():
    values = RNG.normal(size=22).astype(np.float32)
    names = [f"inter_{index}" for index in range(22)]
    sent = conversion.named_vector(names, values, STAMP, "hash", velocity=values[::-1])
    stored = deserialize_message(serialize_message(sent), JointState)
    assert messages.read_named_vector(stored) == dict(zip(names, map(float, values), strict=True))
    assert np.array_equal(np.asarray(stored.velocity, np.float32), values[::-1])
    assert stored.header.frame_id == "hash"


def test_a_turn_to_the_left_is_positive_about_z():
    message = conversion.twist_stamped(2.0, 0.5, STAMP)
    assert isinstance(message, TwistStamped)
    assert (message.twist.linear.x, message.twist.angular.z) == (2.0, 0.5)


def test_an_odometry_carries_place_attitude_and_velocity():
    message = conversion.odometry((1, 2, 3), (0, 0, 0.6, 0.8), (4, 5, 6), 0.7, STAMP, "odom")
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    assert (place.x, place.y, place.z) == (1.0, 2.0, 3.0)
    assert (turn.x, turn.y, turn.z, turn.w) == (0.0, 0.0, 0.6, 0.8)
    twist = message.twist.twist
    assert (twist.linear.x, twist.linear.y, twist.linear.z) == (4.0, 5.0, 6.0)
    assert twist.angular.z == 0.7
    assert message.header.frame_id == "odom"


def test_the_poses_of_a_path_look_along_it():
    corner = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    for pose in conversion.path(corner, STAMP).poses:
        assert pose.pose.orientation.z == pytest.approx(np.sqrt(0.5))


def test_the_camera_matrix_has_square_pixels_and_the_view_that_was_asked_for():
    pinhole = intrinsics(200, 78, float(np.deg2rad(37.0))).to_dict()
    info = conversion.camera_info(pinhole, STAMP, "camera")
    assert info.k[0] == info.k[4]
    assert 2 * np.arctan(78 / 2 / info.k[4]) == pytest.approx(np.deg2rad(37.0))
