"""What a policy learnt while it drove, as its node publishes it on `policy/updates`.

A record is a named vector (sensor_msgs/JointState): header stamp = stamp of the last frame that was
decided with the weights before, frame_id = "before=HASH after=HASH", which recorded decisions name,
too (`policy.fingerprint.weights_hash`). Its names are those of `FIGURES`, then every number of the
circuit with its value (position) and how much it has changed (velocity).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liquid_control.data.bag import BagReader
from liquid_control.data.messages import stamp_of
from liquid_control.errors import InputError

__all__ = ["FIGURES", "FORGOTTEN", "LEARNT", "SHIPPED", "TOPIC", "Record", "read", "read_records"]

TOPIC = "policy/updates"
# What a record says: the weights that the node began with, an update, or the former are back.
SHIPPED, LEARNT, FORGOTTEN = range(3)
# See `Update` of `liquid_control.training.online`; "distance" is a share of the trust region.
FIGURES = ("kind", "number", "loss_before", "loss_after", "own_before", "own_after", "distance")


@dataclass(frozen=True)
class Record:
    """One message of the topic.

    Args:
        stamp: of the last frame before it [ns].
        before, after: hashes of the policy's weights.
        weights: all numbers of the circuit from then on, float32 (numbers,).
        change: by how much they changed, float64 (numbers,).
        figures: those of `FIGURES`; NaN where there is none.
    """

    stamp: int
    before: str
    after: str
    weights: np.ndarray
    change: np.ndarray
    figures: dict[str, float]

    @property
    def kind(self) -> int:
        """SHIPPED, LEARNT or FORGOTTEN."""
        return int(self.figures["kind"])

    def frame_id(self) -> str:
        return f"before={self.before} after={self.after}"

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities of the message."""
        figures = [self.figures.get(name, np.nan) for name in FIGURES]
        return (
            np.concatenate([figures, self.weights.astype(np.float64)]),
            np.concatenate([np.zeros(len(FIGURES)), self.change]),
        )


def read(message: Any) -> Record:
    """The record of a message, of rosbags or of rclpy.

    Raises:
        InputError: the message is no such record.
    """
    hashes = re.fullmatch("before=([0-9a-f]{16}) after=([0-9a-f]{16})", message.header.frame_id)
    position, change = np.asarray(message.position), np.asarray(message.velocity)
    count = len(FIGURES)
    if hashes is None or tuple(message.name[:count]) != FIGURES or len(position) != len(change):
        raise InputError(
            f"A message on {TOPIC} is no record of what was learnt (frame_id "
            f"{message.header.frame_id[:100]!r}, {len(position)} numbers); it was changed, or "
            "another version recorded it."
        )
    figures = dict(zip(FIGURES, position[:count].tolist(), strict=True))
    weights = position[count:].astype(np.float32)
    return Record(stamp_of(message), *hashes.groups(), weights, change[count:], figures)


def read_records(bag: str | Path) -> list[Record]:
    """All records of a bag, in the order in which they came into force.

    Raises:
        InputError: the bag has none.
    """
    with BagReader(bag) as reader:
        held = {name: count for name, (_, count) in reader.topics.items() if count}
        topics = [name for name in held if name.endswith(f"/{TOPIC}")]
        if len(topics) != 1:
            raise InputError(
                f"The bag {bag} needs one topic {TOPIC} with what was learnt, got "
                f"{', '.join(topics) or 'none'}; record a drive whose policy node has adapt:=true."
            )
        return [read(message) for _, _, message in reader.messages(topics)]
