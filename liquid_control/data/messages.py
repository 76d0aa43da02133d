"""Standard ROS 2 messages without ROS: constructors, and readers that also take rclpy's messages.

Messages are plain objects of the `rosbags` typestore `STORE`, so that bags, the simulator's
recorder and the report agree on them with no ROS installed. Stamps are integers [ns].
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from liquid_control.errors import InputError

__all__ = [
    "STORE",
    "compressed_image",
    "decode_image",
    "deserialize",
    "header",
    "image",
    "named_vector",
    "odometry",
    "path",
    "png_image",
    "read_named_vector",
    "serialize",
    "stamp_of",
    "string",
    "twist_stamped",
]

# Kilted's definitions equal Jazzy's for every message used here (same type hashes).
STORE = get_typestore(Stores.ROS2_KILTED)
_TYPES = STORE.types
_SECOND = 1_000_000_000

# encoding: channels, OpenCV conversion to RGB (None: already RGB)
_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}


def serialize(message: Any) -> memoryview:
    """CDR bytes of a message that a constructor of this file made."""
    return STORE.serialize_cdr(message, message.__msgtype__)


def deserialize(typename: str, cdr: bytes | memoryview, store: Any = STORE) -> Any:
    """The message of a type ("sensor_msgs/msg/Image") from its CDR bytes.

    Raises:
        SerdeError: the bytes are no such message.
    """
    try:
        return store.deserialize_cdr(cdr, typename)
    except SerdeError:
        # rclpy's serialize_message leaves up to 8 unused bytes behind a message that ends with an
        # empty list (a JointState without effort); rosbags takes at most 3.
        for unused in (4, 8):
            with suppress(SerdeError):
                return store.deserialize_cdr(cdr[:-unused], typename)
        raise


def header(stamp_ns: int, frame_id: str = "") -> Any:
    """A std_msgs/Header."""
    return _TYPES["std_msgs/msg/Header"](stamp=_time(stamp_ns), frame_id=frame_id)


def stamp_of(message: Any) -> int:
    """The header stamp [ns] of a message with a header; -1 without one."""
    head = getattr(message, "header", None)
    if head is None:
        return -1
    return head.stamp.sec * _SECOND + head.stamp.nanosec


def image(array: np.ndarray, stamp_ns: int, frame_id: str = "camera") -> Any:
    """A sensor_msgs/Image of uint8 `array`: (rows, columns, 3) rgb8 or (rows, columns) mono8."""
    encoding = "mono8" if array.ndim == 2 else "rgb8"
    if array.dtype != np.uint8 or (array.ndim == 3 and array.shape[2] != 3) or array.ndim > 3:
        raise InputError(
            "An image message needs uint8 of shape (rows, columns, 3) or (rows, columns), got "
            f"{array.dtype} {array.shape}; convert it first."
        )
    return _TYPES["sensor_msgs/msg/Image"](
        header=header(stamp_ns, frame_id),
        height=array.shape[0],
        width=array.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=array.shape[1] * (3 if encoding == "rgb8" else 1),
        data=np.ascontiguousarray(array).reshape(-1),
    )


def compressed_image(
    data: bytes | np.ndarray, stamp_ns: int, frame_id: str = "camera", format: str = "png"
) -> Any:
    """A sensor_msgs/CompressedImage of encoded `data` (the bytes of a PNG or JPEG file)."""
    return _TYPES["sensor_msgs/msg/CompressedImage"](
        header=header(stamp_ns, frame_id),
        format=format,
        data=np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data.reshape(-1),
    )


def png_image(array: np.ndarray, stamp_ns: int, frame_id: str = "camera") -> Any:
    """A sensor_msgs/CompressedImage that holds uint8 RGB `array` (rows, columns, 3) without loss.

    OpenCV's own settings (run-length strategy) take 0.7 ms for a photograph of 78 x 200, against
    1.1 ms for zlib level 1 and 3.3 ms for level 6, for sizes within 8 %.
    """
    ok, data = cv2.imencode(".png", cv2.cvtColor(array, cv2.COLOR_RGB2BGR))
    if not ok:
        raise InputError(
            f"A frame of {array.dtype} {array.shape} cannot be written as PNG; expected uint8 RGB."
        )
    return compressed_image(data, stamp_ns, frame_id, format="png")


def decode_image(message: Any) -> np.ndarray:
    """uint8 RGB (rows, columns, 3) of an Image or CompressedImage, also of rclpy's.

    The array may be a read-only view of the message.

    Raises:
        InputError: an encoding that is not known, or data that does not fit its description.
    """
    data = np.frombuffer(message.data, np.uint8)
    if not hasattr(message, "encoding"):
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if decoded is None:
            raise InputError(
                f"A compressed image ({message.format!r}, {data.size} bytes) cannot be decoded; "
                "expected PNG or JPEG, so the frame is probably damaged: leave it out."
            )
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=decoded)
    if message.encoding not in _ENCODINGS:
        raise InputError(
            f"Image encoding {message.encoding!r} is not supported; publish the camera as one of "
            f"{', '.join(_ENCODINGS)}, or compressed."
        )
    channels, conversion = _ENCODINGS[message.encoding]
    rows, columns, step = message.height, message.width, message.step
    if data.size != rows * step or step < columns * channels or not rows or not columns:
        raise InputError(
            f"An image of {rows} x {columns} {message.encoding} with step {step} needs "
            f"{rows * max(step, columns * channels)} bytes, got {data.size}; check the camera."
        )
    # A row may be padded up to `step`.
    pixels = data.reshape(rows, step)[:, : columns * channels].reshape(rows, columns, channels)
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def named_vector(
    names: Sequence[str],
    values: Sequence[float] | np.ndarray,
    stamp_ns: int,
    frame_id: str = "",
    velocity: Sequence[float] | np.ndarray | None = None,
) -> Any:
    """Named numbers as a sensor_msgs/JointState, which plotting tools open without a plug-in.

    float32 values come back exactly: the message carries float64.
    """
    if len(names) != len(values) or (velocity is not None and len(names) != len(velocity)):
        raise InputError(
            f"A named vector needs one value per name, got {len(names)} names and {len(values)} "
            "values; check the names."
        )
    return _TYPES["sensor_msgs/msg/JointState"](
        header=header(stamp_ns, frame_id),
        name=list(names),
        position=np.asarray(values, np.float64),
        velocity=np.asarray([] if velocity is None else velocity, np.float64),
        effort=np.zeros(0),
    )


def read_named_vector(message: Any) -> dict[str, float]:
    """The named numbers of a JointState; also of rclpy's."""
    return dict(zip(message.name, map(float, message.position), strict=True))


def twist_stamped(speed: float, yaw_rate: float, stamp_ns: int, frame_id: str = "base_link") -> Any:
    """A geometry_msgs/TwistStamped of forward `speed` [m/s] and `yaw_rate` [rad/s, left > 0]."""
    return _TYPES["geometry_msgs/msg/TwistStamped"](
        header=header(stamp_ns, frame_id), twist=_twist(speed, yaw_rate)
    )


def odometry(
    x: float,
    y: float,
    yaw: float,
    speed: float,
    yaw_rate: float,
    stamp_ns: int,
    frame_id: str = "odom",
    child_frame_id: str = "base_link",
) -> Any:
    """A nav_msgs/Odometry of a pose in the plane [m, rad] and its twist [m/s, rad/s]."""
    return _TYPES["nav_msgs/msg/Odometry"](
        header=header(stamp_ns, frame_id),
        child_frame_id=child_frame_id,
        pose=_TYPES["geometry_msgs/msg/PoseWithCovariance"](
            pose=_pose(x, y, yaw), covariance=np.zeros(36)
        ),
        twist=_TYPES["geometry_msgs/msg/TwistWithCovariance"](
            twist=_twist(speed, yaw_rate), covariance=np.zeros(36)
        ),
    )


def path(points: np.ndarray, stamp_ns: int, frame_id: str = "map") -> Any:
    """A nav_msgs/Path through `points` (N, 2) [m]; each pose looks to the next point."""
    points = np.asarray(points, np.float64)
    steps = np.diff(points, axis=0, append=points[-1:])
    if len(points) > 1:
        steps[-1] = steps[-2]
    yaws = np.arctan2(steps[:, 1], steps[:, 0])
    poses = [
        _TYPES["geometry_msgs/msg/PoseStamped"](
            header=header(stamp_ns, frame_id), pose=_pose(x, y, yaw)
        )
        for (x, y), yaw in zip(points, yaws, strict=True)
    ]
    return _TYPES["nav_msgs/msg/Path"](header=header(stamp_ns, frame_id), poses=poses)


def string(text: str) -> Any:
    """A std_msgs/String."""
    return _TYPES["std_msgs/msg/String"](data=text)


def _time(stamp_ns: int) -> Any:
    seconds, nanoseconds = divmod(int(stamp_ns), _SECOND)
    return _TYPES["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)


def _vector(x: float, y: float, z: float) -> Any:
    return _TYPES["geometry_msgs/msg/Vector3"](x=float(x), y=float(y), z=float(z))


def _twist(speed: float, yaw_rate: float) -> Any:
    return _TYPES["geometry_msgs/msg/Twist"](
        linear=_vector(speed, 0, 0), angular=_vector(0, 0, yaw_rate)
    )


def _pose(x: float, y: float, yaw: float) -> Any:
    return _TYPES["geometry_msgs/msg/Pose"](
        position=_TYPES["geometry_msgs/msg/Point"](x=float(x), y=float(y), z=0.0),
        orientation=_TYPES["geometry_msgs/msg/Quaternion"](
            x=0.0, y=0.0, z=float(np.sin(yaw / 2)), w=float(np.cos(yaw / 2))
        ),
    )
