"""Looks at every frame for what no decision may rest on: black, frozen, disordered, resized.

The rules are in `liquid_control.camera.health`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node

from liquid_control.camera.health import Frozen, StampOrder, is_black
from liquid_control.ros.frames import Frame
from liquid_control.ros.runtime import NEWEST

__all__ = ["CameraWatch"]

# Slower than this, a picture may stay the same [m/s], [rad/s].
_MOVING, _TURNING = 0.5, 0.2
# A pose that has stayed the same for so long says that the vehicle stands, whatever its speed is
# said to be: a simulator that waits for its first command has its speed already [s].
_SAME_PLACE = 0.1
# An older measurement says nothing [s].
_FRESH = 0.5
# After such a silence another camera may have taken over [s].
_SILENCE = 0.5


class CameraWatch:
    """Frame checks of the policy node; each gives one sentence where a frame is unfit, else "".

    Args:
        node: gets a subscription to `odom`, which alone can tell a frozen camera from a standing
            vehicle: speed and pose must both say that it moves. Without odometry no camera counts
            as frozen.
        parameters: "frozen_frames" and "black_frames", looked up at each frame.
    """

    def __init__(self, node: Node, parameters: Mapping[str, Any]) -> None:
        self._node, self._parameters = node, parameters
        self._frozen, self._order = Frozen(), StampOrder()
        self._pose: tuple[float, ...] | None = None
        self._placed_at = self._moved_at = self._looked_at = -math.inf
        self._subscription = node.create_subscription(Odometry, "odom", self._on_odometry, NEWEST)
        self.forget()

    @property
    def checks(self) -> dict[str, Callable[[Frame], str]]:
        """By the reason to count by, what each looks at; to be called in this order."""
        return {
            "size": self._other_size,
            "disordered": self._disordered,
            "black": self._black,
            "frozen": self._stands_still,
        }

    def forget(self) -> None:
        """The next frame follows no other: the node was reset, or begins to listen."""
        self._size: tuple[int, int] | None = None
        self._frozen.forget()
        self._order.forget()

    def destroy(self) -> None:
        self._node.destroy_subscription(self._subscription)

    def _on_odometry(self, message: Odometry) -> None:
        now, pose, twist = time.monotonic(), message.pose.pose, message.twist.twist
        place, turn = pose.position, pose.orientation
        seen = (place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w)
        if self._pose is not None and seen != self._pose:
            self._placed_at = now
        self._pose = seen
        speed = math.hypot(twist.linear.x, twist.linear.y, twist.linear.z)
        moves = speed >= _MOVING or abs(twist.angular.z) >= _TURNING
        self._moved_at = now if moves and now - self._placed_at < _SAME_PLACE else -math.inf

    def _other_size(self, frame: Frame) -> str:
        now = time.monotonic()
        if now - self._looked_at > _SILENCE:
            self.forget()
        self._looked_at = now
        rows, columns = frame.pixels.shape[:2]
        self._size = self._size or (rows, columns)
        if self._size == (rows, columns):
            return ""
        return (
            f"Frames of {self._size[0]} x {self._size[1]} were followed by one of {rows} x "
            f"{columns}; set the camera right, or call ~/reset to go on with this one."
        )

    def _disordered(self, frame: Frame) -> str:
        if not self._order.look(frame.stamp, time.monotonic()):
            return ""
        return "The frames' stamps jump back again and again; look for a second camera or clock."

    def _black(self, frame: Frame) -> str:
        if not (self._parameters["black_frames"] and is_black(frame.pixels)):
            return ""
        return "The camera's frames are black; look for a cap, its exposure or a dead sensor."

    def _stands_still(self, frame: Frame) -> str:
        now = time.monotonic()
        frozen = self._frozen.look(frame.pixels, now, now - self._moved_at < _FRESH)
        if not (self._parameters["frozen_frames"] and frozen):
            return ""
        return "The camera repeats one picture although the vehicle moves; start its driver anew."
