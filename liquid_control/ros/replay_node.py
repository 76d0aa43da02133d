"""Replay node: the frames of a bag, with their own stamps, for the real policy node.

The human's or expert's commands of the bag are published beside them as `expert/command`, so that
what the policy asks can be compared. The node ends when the bag does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState

from liquid_control.command import curvature_from_yaw_rate
from liquid_control.data.bag import BagReader
from liquid_control.data.messages import read_named_vector, stamp_of
from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.diagnostics import OK, WARN, Diagnostics
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import SENSOR, Stop, every, leave, run

__all__ = ["Moment", "ReplayNode", "camera_topic", "main", "moments", "period"]

_CAMERAS = ("/camera/image_raw", "/camera/image_raw/compressed")
_INFO = "/camera/camera_info"
_COMMANDS = ("/expert/command", "/cmd_vel")
# How often the first frame is repeated until a policy answers, and lockstep looks at the time [s].
_AGAIN, _LOOK = 0.25, 0.02
# How long the second frame waits after the first was answered [s].
_HOLD = 0.5
# Frames that the period of a bag is taken from.
_SAMPLE = 200
# A command without the frame's own stamp still says what was done then [ns].
_RECENT = 100_000_000


@dataclass(frozen=True)
class Moment:
    """A frame (rows, columns, 3) uint8 RGB of a bag, its stamp [ns], and the command given then."""

    stamp: int
    frame: np.ndarray
    frame_id: str
    command: dict[str, float] | None


class ReplayNode(Node):
    """Publishes `camera/image_raw`, `expert/command` and `/clock`, and `camera/camera_info` where
    the bag has one; subscribes `policy/decision`.

    Modes: "lockstep" goes on when the decision on a frame has come, as fast as the policy is;
    "realtime" keeps the frames' own pace. Both begin half a second after the first frame was
    answered, when recorders have found the policy's topics: only that first decision may be
    missing in a recording.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__("replay")
        bag = declare(self, "bag", "", "folder of the bag to replay")
        mode = declare(self, "mode", "lockstep", "realtime or lockstep")
        self._patience = declare(
            self, "lockstep_timeout", 1.0, "longest wait for a decision [s]", 0.05, 60.0
        )
        seconds = declare(self, "seconds", 0.0, "of the bag to replay; 0: all", 0.0, 1e6)
        if mode not in ("realtime", "lockstep"):
            raise InputError(f"Parameter mode must be realtime or lockstep, got {mode!r}.")
        if not bag:
            raise InputError("The replay needs a bag; set the parameter `bag` to its folder.")
        self._stop, self._lockstep = stop, mode == "lockstep"
        self._reader = BagReader(bag)
        self._moments = moments(self._reader, seconds)
        first = next(self._moments, None)
        if first is None:
            raise InputError(
                f"The bag {bag} has no camera frame that can be decoded; choose another bag."
            )
        self._moment, self._upcoming = first, next(self._moments, None)
        self._answered = False
        self._frames, self._unanswered = 1, 0
        self._first_stamp = first.stamp
        # Steady time at which the replay begins, once the policy has answered [s].
        self._begin: float | None = None
        self._sent_at = 0.0
        self._clock_out = self.create_publisher(Clock, "/clock", 10)
        self._image_out = self.create_publisher(Image, "camera/image_raw", SENSOR)
        self._info = _first_info(self._reader)
        if self._info is not None:
            self._info_out = self.create_publisher(CameraInfo, "camera/camera_info", SENSOR)
        self._expert_out = self.create_publisher(JointState, "expert/command", 10)
        self.create_subscription(JointState, "policy/decision", self._on_decision, 15)
        every(self, _LOOK if self._lockstep else 0.005, self._on_time)
        Diagnostics(self, bag)
        self.get_logger().info(f"Replaying {bag} in {mode}.")

    def _on_decision(self, message: JointState) -> None:
        if conversion.nanoseconds(message.header.stamp) != self._moment.stamp:
            return
        self._answered = True
        if self._begin is None:
            # Recorders still look for the topics of the node that has just answered.
            self._begin = time.monotonic() + _HOLD
        elif self._upcoming is None or (self._lockstep and self._frames > 1):
            self._next()

    def _on_time(self) -> None:
        now = time.monotonic()
        if self._begin is None:
            # A policy that is configured may not be active yet: the first frame is repeated.
            if now - self._sent_at > _AGAIN and self.count_publishers("policy/decision"):
                self._send()
        elif now >= self._due():
            self._next()

    def _due(self) -> float:
        """When to go on even without a decision, on the steady clock [s]."""
        if self._upcoming is None:
            return self._sent_at + self._patience
        if not self._lockstep:
            return self._begin + (self._upcoming.stamp - self._first_stamp) * 1e-9
        return self._begin if self._frames == 1 else self._sent_at + self._patience

    def _next(self) -> None:
        self._unanswered += not self._answered
        if self._upcoming is None:
            self.get_logger().info(
                f"Replayed {self._frames} frames; {self._unanswered} had no decision in time."
            )
            self._stop()
            return
        self._moment = self._upcoming
        self._frames += 1
        self._send()
        # Decoding the next frame now costs nothing: the policy is at work.
        self._upcoming = next(self._moments, None)

    def _send(self) -> None:
        moment, self._answered = self._moment, False
        self._clock_out.publish(conversion.clock(moment.stamp))
        if self._info is not None:
            self._info.header.stamp = conversion.time_message(moment.stamp)
            self._info_out.publish(self._info)
        if moment.command is not None:
            names, values = list(moment.command), list(moment.command.values())
            self._expert_out.publish(conversion.named_vector(names, values, moment.stamp))
        self._sent_at = time.monotonic()
        self._image_out.publish(conversion.image(moment.frame, moment.stamp, moment.frame_id))

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        values = {"frames": self._frames, "unanswered": self._unanswered}
        if self._begin is None:
            return WARN, "waiting for a policy", values
        return OK, "replaying", values

    def close(self) -> None:
        self._reader.close()


def moments(reader: BagReader, seconds: float = 0.0) -> Iterator[Moment]:
    """The frames of a bag in order, the first `seconds` [s] of them (0: all).

    Frames that cannot be decoded are left out.

    Raises:
        InputError: the bag has no camera topic.
    """
    camera = camera_topic(reader)
    commands = next((topic for topic in _COMMANDS if topic in reader.topics), None)
    waiting: Moment | None = None
    end: int | None = None
    latest: tuple[int, dict[str, float]] | None = None
    for topic, logged, message in reader.messages([t for t in (camera, commands) if t]):
        stamp = stamp_of(message)
        stamp = logged if stamp < 0 else stamp
        if topic == commands:
            latest = (stamp, _values(message))
            # A frame's command may be written just after the frame.
            if waiting is not None and stamp == waiting.stamp:
                waiting = replace(waiting, command=latest[1])
            continue
        try:
            frame = conversion.decode_image(message)
        except InputError:
            continue
        if waiting is not None:
            yield waiting
        end = stamp + round(seconds * 1e9) if end is None else end
        if seconds and stamp > end:
            return
        recent = latest is not None and 0 <= stamp - latest[0] <= _RECENT
        waiting = Moment(stamp, frame, message.header.frame_id, latest[1] if recent else None)
    if waiting is not None:
        yield waiting


def camera_topic(reader: BagReader) -> str:
    """The topic that the frames of a bag come from.

    Raises:
        InputError: there is none with a frame.
    """
    held = [topic for topic, (_, count) in reader.topics.items() if count]
    camera = next((topic for topic in _CAMERAS if topic in held), None)
    if camera is None:
        raise InputError(
            f"The bag {reader.path} has no camera frame: expected {' or '.join(_CAMERAS)}, got "
            f"{', '.join(held) or 'no message at all'}; record the camera, too."
        )
    return camera


def _first_info(reader: BagReader) -> CameraInfo | None:
    """The calibration of a bag's camera."""
    first = next(reader.raw_messages([_INFO]), None) if _INFO in reader.topics else None
    return None if first is None else deserialize_message(bytes(first[3]), CameraInfo)


def period(reader: BagReader) -> float:
    """Median time between the first frames of a bag [s]; 1/30 where it has less than two."""
    camera = reader.messages([camera_topic(reader)])
    stamps = [stamp_of(message) for _, _, message in islice(camera, _SAMPLE)]
    steps = np.diff(stamps)
    return float(np.median(steps)) * 1e-9 if len(steps) and np.median(steps) > 0 else 1 / 30


def _values(message: Any) -> dict[str, float]:
    if hasattr(message, "position"):
        return read_named_vector(message)
    twist = getattr(message, "twist", message)
    speed, rate = twist.linear.x, twist.angular.z
    return {"curvature": curvature_from_yaw_rate(rate, speed), "speed": speed}


def main(arguments: list[str] | None = None) -> int:
    return run(ReplayNode, arguments)


if __name__ == "__main__":
    leave(main())
