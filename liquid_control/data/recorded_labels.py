"""Labels of whoever drove while a bag was recorded: an expert, or the sender of `cmd_vel`."""

from __future__ import annotations

from typing import Any

import numpy as np

from liquid_control.command import curvature_from_yaw_rate
from liquid_control.data.alignment import match
from liquid_control.data.bag import BagReader
from liquid_control.data.messages import read_named_vector
from liquid_control.errors import InputError

__all__ = ["EXPERT", "VELOCITY", "Recorded"]

EXPERT = "/expert/command"
VELOCITY = "/cmd_vel"


class Recorded:
    """One label for each frame that is kept, as `Interventions` gives them.

    Args:
        reader: the bag.

    Attributes:
        topics: to be read.
        name: of the source of the labels.
        names: of the columns of the labels, once a message has come.

    Raises:
        InputError: the bag holds no label.
    """

    def __init__(self, reader: BagReader) -> None:
        self._reader, self.name = reader, _label_topic(reader)
        self.topics = (self.name,)
        self.names: list[str] = []
        self._stamps: list[int] = []
        self._rows: list[list[float]] = []

    def add(self, topic: str, stamp: int, message: Any) -> None:
        """Take in a message; one that is not finite or has other names is left out."""
        vector = _label(message)
        self.names = self.names or list(vector)
        if list(vector) == self.names and np.isfinite(list(vector.values())).all():
            self._stamps.append(stamp)
            self._rows.append(list(vector.values()))

    def match(self, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels (N, columns) of frames and bool (N,) which have one."""
        if not self._rows:
            raise InputError(
                f"The bag {self._reader.path} holds no finite label on {self.name}; record it "
                "again."
            )
        label_of = match(stamps, np.array(self._stamps, np.int64))
        if not (label_of >= 0).any():
            raise InputError(
                f"No frame of {self._reader.path} has a label on {self.name} near its stamp; check "
                f"that both use the same clock (first frame {stamps[0]} ns, first label "
                f"{self._stamps[0]} ns)."
            )
        return np.array(self._rows)[label_of], label_of >= 0


def _label_topic(reader: BagReader) -> str:
    expert_type, expert_count = reader.topics.get(EXPERT, ("", 0))
    if expert_count and expert_type == "sensor_msgs/msg/JointState":
        return EXPERT
    velocity_type, velocity_count = reader.topics.get(VELOCITY, ("", 0))
    if velocity_count and velocity_type.startswith("geometry_msgs/msg/Twist"):
        return VELOCITY
    raise InputError(
        f"The bag {reader.path} holds no label: expected {EXPERT} (sensor_msgs/JointState) or "
        f"{VELOCITY} (geometry_msgs/TwistStamped or Twist), got "
        f"{', '.join(sorted(reader.topics)) or 'no topic'}."
    )


def _label(message) -> dict[str, float]:
    if hasattr(message, "position"):
        return read_named_vector(message)
    twist = getattr(message, "twist", message)
    speed = twist.linear.x
    return {"curvature": curvature_from_yaw_rate(twist.angular.z, speed), "speed": speed}
