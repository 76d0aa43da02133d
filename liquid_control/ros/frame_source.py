"""A live camera topic as an iterator of frames, for tools that are no nodes of a robot."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from liquid_control.errors import InputError, nearest_first
from liquid_control.ros import conversion, transport
from liquid_control.ros.runtime import NEWEST, begin

__all__ = ["frames"]

TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
PATIENCE_S = 10.0
_LOOK_S = 0.1


def frames(topic: str, patience: float = PATIENCE_S) -> Iterator[tuple[int, np.ndarray]]:
    """The newest frame of a topic whenever the last one is done with, until nobody sends any more.

    Frames that come while the caller works are left out, as a policy node leaves them out.

    Args:
        topic: full name, of an Image or a CompressedImage.
        patience: how long to wait for the topic, and for each frame [s].

    Yields:
        Header stamp [ns] and uint8 RGB (rows, columns, 3).

    Raises:
        InputError: nobody publishes images there within `patience`, or one cannot be decoded.
    """
    transport.choose(shared_memory=False)
    own = not rclpy.ok()
    if own:
        # Ctrl-C stays Python's, so that who iterates can finish its files.
        begin([])
    node = Node("attend", use_global_arguments=False)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    newest: deque = deque(maxlen=1)
    try:
        kind = _kind(node, executor, topic, patience)
        # Not `newest.append` itself: rclpy looks at the signature of a callback.
        node.create_subscription(kind, topic, lambda message: newest.append(message), NEWEST)
        heard = time.monotonic()
        while newest or time.monotonic() - heard < patience:
            executor.spin_once(timeout_sec=_LOOK_S)
            if newest:
                message = newest.popleft()
                stamp = conversion.nanoseconds(message.header.stamp)
                yield stamp, conversion.decode_image(message)
                heard = time.monotonic()
    finally:
        executor.shutdown()
        node.destroy_node()
        if own:
            rclpy.try_shutdown()


def _kind(node: Node, executor: SingleThreadedExecutor, topic: str, patience: float) -> type:
    """The message type of the topic, once somebody publishes it."""
    end = time.monotonic() + patience
    while True:
        found = dict(node.get_topic_names_and_types())
        for name in found.get(topic, ()):
            if name in TYPES and node.count_publishers(topic):
                return TYPES[name]
        if time.monotonic() > end:
            break
        executor.spin_once(timeout_sec=_LOOK_S)
    images = [name for name, kinds in found.items() if set(kinds) & set(TYPES)]
    there = f"image topics here: {nearest_first(topic, images)}" if images else "no image topic is"
    raise InputError(
        f"Nobody publishes images on {topic} ({there}); start the camera, and set ROS_DOMAIN_ID as "
        "it does."
    )
