"""Between arrays and rclpy's messages; signs and frames follow REP-103.

Image data is filled with an `array("B")` made from a memoryview (0.1 ms at 640 x 480): assigning
bytes or a list makes rclpy check every element, which costs up to 50 ms. Decoding is shared with
the bags: `decode_image` here is that of `liquid_control.data.messages`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Quaternion, Twist, TwistStamped
from nav_msgs.msg import Odometry, Path
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header

from liquid_control.data.messages import decode_image
from liquid_control.errors import InputError

__all__ = [
    "camera_info",
    "clock",
    "decode_image",
    "image",
    "jpeg_image",
    "named_vector",
    "nanoseconds",
    "odometry",
    "path",
    "pose",
    "time_message",
    "twist",
    "twist_stamped",
]

SECOND = 1_000_000_000
# Sharp enough that a saliency overlay shows no blocks; a 78 x 200 frame takes 6 kB.
JPEG_QUALITY = 90


def nanoseconds(time: Time) -> int:
    """A stamp as an integer [ns]."""
    return time.sec * SECOND + time.nanosec


def time_message(stamp_ns: int) -> Time:
    seconds, rest = divmod(int(stamp_ns), SECOND)
    return Time(sec=seconds, nanosec=rest)


def header(stamp_ns: int, frame_id: str = "") -> Header:
    return Header(stamp=time_message(stamp_ns), frame_id=frame_id)


def clock(stamp_ns: int) -> Clock:
    return Clock(clock=time_message(stamp_ns))


def image(pixels: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """An Image of uint8 `pixels`: (rows, columns, 3) as rgb8 or (rows, columns) as mono8.

    Raises:
        InputError: another type or shape.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise InputError(
            "An image message needs uint8 of shape (rows, columns, 3) or (rows, columns), got "
            f"{pixels.dtype} {pixels.shape}; convert it first."
        )
    colour = pixels.ndim == 3
    message = Image(
        header=header(stamp_ns, frame_id),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding="rgb8" if colour else "mono8",
        step=pixels.shape[1] * (3 if colour else 1),
    )
    message.data = _bytes(pixels)
    return message


def jpeg_image(pixels: np.ndarray, stamp_ns: int, frame_id: str) -> CompressedImage:
    """A CompressedImage of uint8 RGB `pixels` (rows, columns, 3), as image_transport names it."""
    ok, data = cv2.imencode(
        ".jpg",
        cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
    )
    if not ok:
        raise InputError(
            f"An image of {pixels.dtype} {pixels.shape} cannot be compressed; expected uint8 RGB."
        )
    # The name that image_transport's compressed plug-in gives such data.
    kind = "rgb8; jpeg compressed bgr8"
    message = CompressedImage(header=header(stamp_ns, frame_id), format=kind)
    message.data = _bytes(data)
    return message


def named_vector(
    names: Sequence[str],
    values: np.ndarray | Sequence[float],
    stamp_ns: int,
    frame_id: str = "",
    velocity: np.ndarray | None = None,
) -> JointState:
    """Named numbers that plotting tools open without a plug-in; float32 values stay exact."""
    message = JointState(header=header(stamp_ns, frame_id), name=list(names))
    message.position = array("d", np.asarray(values, np.float64).tobytes())
    if velocity is not None:
        message.velocity = array("d", np.asarray(velocity, np.float64).tobytes())
    return message


def twist(speed: float, yaw_rate: float, left: float = 0.0, up: float = 0.0) -> Twist:
    """Forward `speed`, `left` and `up` [m/s], and `yaw_rate` [rad/s, left positive]."""
    message = Twist()
    message.linear.x, message.linear.y, message.linear.z = float(speed), float(left), float(up)
    message.angular.z = float(yaw_rate)
    return message


def twist_stamped(
    speed: float,
    yaw_rate: float,
    stamp_ns: int,
    frame_id: str = "base_link",
    left: float = 0.0,
    up: float = 0.0,
) -> TwistStamped:
    return TwistStamped(header=header(stamp_ns, frame_id), twist=twist(speed, yaw_rate, left, up))


def pose(
    place: Sequence[float], turn: Sequence[float], stamp_ns: int, frame_id: str = "map"
) -> PoseStamped:
    """A pose at `place` (x, y, z) [m], turned by the quaternion `turn` (x, y, z, w)."""
    message = PoseStamped(header=header(stamp_ns, frame_id))
    position, orientation = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = map(float, place)
    orientation.x, orientation.y, orientation.z, orientation.w = map(float, turn)
    return message


def odometry(
    place: Sequence[float],
    turn: Sequence[float],
    velocity: Sequence[float],
    yaw_rate: float,
    stamp_ns: int,
    parent: str,
) -> Odometry:
    """Pose of base_link in `parent` and its twist in base_link.

    Args:
        place: x, y, z [m].
        turn: quaternion x, y, z, w.
        velocity: along base_link's own axes, forward, left, up [m/s].
        yaw_rate: [rad/s].
    """
    message = Odometry(header=header(stamp_ns, parent), child_frame_id="base_link")
    message.pose.pose = pose(place, turn, stamp_ns).pose
    speed, left, up = velocity
    message.twist.twist = twist(speed, yaw_rate, left, up)
    return message


def path(points: np.ndarray, stamp_ns: int, frame_id: str = "map") -> Path:
    """A Path through `points` (N, 2) [m]; each pose looks along the path."""
    tangents = np.gradient(np.asarray(points, np.float64), axis=0)
    message = Path(header=header(stamp_ns, frame_id))
    poses = []
    for (x, y), (dx, dy) in zip(points, tangents, strict=True):
        pose = PoseStamped(header=message.header)
        pose.pose.position.x = float(x)
        pose.pose.position.y = float(y)
        pose.pose.orientation = _heading(math.atan2(dy, dx))
        poses.append(pose)
    message.poses = poses
    return message


def camera_info(intrinsics: Mapping[str, Any], stamp_ns: int, frame_id: str) -> CameraInfo:
    """A pinhole camera with the lens model "plumb_bob".

    Args:
        intrinsics: width, height [px], focal lengths fx, fy [px], principal point cx, cy [px] and
            distortion (k1, k2, p1, p2, k3), as every world gives them.
    """
    fx, fy, x, y = (float(intrinsics[name]) for name in ("fx", "fy", "cx", "cy"))
    return CameraInfo(
        header=header(stamp_ns, frame_id),
        height=int(intrinsics["height"]),
        width=int(intrinsics["width"]),
        distortion_model="plumb_bob",
        d=[float(value) for value in intrinsics["distortion"]],
        k=[fx, 0.0, x, 0.0, fy, y, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[fx, 0.0, x, 0.0, 0.0, fy, y, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def _heading(yaw: float) -> Quaternion:
    return Quaternion(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))


def _bytes(values: np.ndarray) -> array:
    # `array("B", view)` would go through it element by element (25 ms at 640 x 480).
    data = array("B")
    data.frombytes(memoryview(np.ascontiguousarray(values)))
    return data
