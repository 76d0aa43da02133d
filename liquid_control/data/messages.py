"""Standard ROS 2 messages without ROS: constructors, and readers that also take rclpy's messages.

Messages are plain objects of the `rosbags` typestore `STORE`, so that bags, the simulator's
recorder and the report agree on them with no ROS installed. Stamps are integers [ns].
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from liquid_control.data.decoding import decode_image
from liquid_control.errors import InputError

__all__ = [
    "STORE",
    "camera_info",
    "compressed_image",
    "decode_image",
    "deserialize",
    "header",
    "image",
    "image_hash",
    "jpeg_image",
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
    stamp = getattr(getattr(message, "header", None), "stamp", None)
    if stamp is None:
        return -1
    return stamp.sec * _SECOND + stamp.nanosec


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


def jpeg_image(
    array: np.ndarray, stamp_ns: int, frame_id: str = "camera", quality: int = 95
) -> Any:
    """A sensor_msgs/CompressedImage that holds uint8 RGB `array` as JPEG of `quality` 1 to 100."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(array, cv2.COLOR_RGB2BGR), settings)
    if not ok:
        raise InputError(
            f"A frame of {array.dtype} {array.shape} cannot be written as JPEG; expected uint8 RGB."
        )
    return compressed_image(data, stamp_ns, frame_id, format="jpeg")


def camera_info(intrinsics: Mapping[str, Any], stamp_ns: int, frame_id: str = "camera") -> Any:
    """A sensor_msgs/CameraInfo of a pinhole camera with the lens model "plumb_bob".

    Args:
        intrinsics: width, height [px], focal lengths fx, fy [px], principal point cx, cy [px] and
            distortion (k1, k2, p1, p2, k3).
        stamp_ns: of the frame [ns].
        frame_id: of the frame.
    """
    fx, fy, cx, cy = (float(intrinsics[name]) for name in ("fx", "fy", "cx", "cy"))
    matrix = np.array([[fx, 0, cx, 0], [0, fy, cy, 0], [0, 0, 1, 0]])
    return _TYPES["sensor_msgs/msg/CameraInfo"](
        header=header(stamp_ns, frame_id),
        height=int(intrinsics["height"]),
        width=int(intrinsics["width"]),
        distortion_model="plumb_bob",
        d=np.asarray(intrinsics["distortion"], np.float64),
        k=matrix[:, :3].reshape(-1),
        r=np.eye(3).reshape(-1),
        p=matrix.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=_TYPES["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


def image_hash(message: Any) -> str:
    """64-bit BLAKE2b of all fields of an Image or CompressedImage, 16 hexadecimal digits.

    Also of rclpy's messages. A changed pixel is found that a camera setup would cut off.
    """
    digest = hashlib.blake2b(digest_size=8)
    if hasattr(message, "encoding"):
        described = (message.height, message.width, message.encoding, message.step)
        described += (int(message.is_bigendian),)
    else:
        described = (message.format,)
    digest.update(repr((stamp_of(message), message.header.frame_id, *described)).encode())
    digest.update(memoryview(message.data).cast("B"))
    return digest.hexdigest()


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
    *,
    z: float = 0.0,
    roll: float = 0.0,
    pitch: float = 0.0,
    vy: float = 0.0,
    vz: float = 0.0,
) -> Any:
    """A nav_msgs/Odometry of a pose [m, rad] and its twist in the body's frame [m/s, rad/s].

    `speed` is the velocity forward; `roll`, `pitch` and `yaw` turn about x, y and z in this order
    (REP-103: about fixed axes).
    """
    return _TYPES["nav_msgs/msg/Odometry"](
        header=header(stamp_ns, frame_id),
        child_frame_id=child_frame_id,
        pose=_TYPES["geometry_msgs/msg/PoseWithCovariance"](
            pose=_pose(x, y, yaw, z, roll, pitch), covariance=np.zeros(36)
        ),
        twist=_TYPES["geometry_msgs/msg/TwistWithCovariance"](
            twist=_twist(speed, yaw_rate, vy, vz), covariance=np.zeros(36)
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


def _twist(speed: float, yaw_rate: float, vy: float = 0.0, vz: float = 0.0) -> Any:
    return _TYPES["geometry_msgs/msg/Twist"](
        linear=_vector(speed, vy, vz), angular=_vector(0, 0, yaw_rate)
    )


def _pose(
    x: float, y: float, yaw: float, z: float = 0.0, roll: float = 0.0, pitch: float = 0.0
) -> Any:
    (sr, sp, sy), (cr, cp, cy) = (f(np.array([roll, pitch, yaw]) / 2) for f in (np.sin, np.cos))
    return _TYPES["geometry_msgs/msg/Pose"](
        position=_TYPES["geometry_msgs/msg/Point"](x=float(x), y=float(y), z=float(z)),
        orientation=_TYPES["geometry_msgs/msg/Quaternion"](
            x=float(sr * cp * cy - cr * sp * sy),
            y=float(cr * sp * cy + sr * cp * sy),
            z=float(cr * cp * sy - sr * sp * cy),
            w=float(cr * cp * cy + sr * sp * sy),
        ),
    )
