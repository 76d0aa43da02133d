"""Recorder node: topics into a rosbag2 bag (MCAP), as they come off the wire.

Topics may appear later, or never. Messages are not decoded, so the bag holds the bytes that were
sent; a killed recorder leaves a bag that `liquid_control.data.bag` still reads.
"""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Mapping

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from liquid_control.data import qos as bag_qos
from liquid_control.data.bag import BagWriter
from liquid_control.errors import InputError
from liquid_control.ros.diagnostics import ERROR, OK, WARN, Diagnostics
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import Stop, every, leave, run

__all__ = ["TOPICS", "RecorderNode", "main"]

# What a run's report is made from; relative, so that a namespace applies.
TOPICS = [
    "camera/image_raw",
    "camera/camera_info",
    "odom",
    "cmd_vel",
    "cmd_vel_safe",
    "intervention",
    "emergency_stop",
    "safety/state",
    "safety/emergency_stopped",
    "policy/facts",
    "policy/decision",
    "policy/neurons",
    "policy/latency",
    "policy/watch",
    "policy/updates",
    "policy/attention",
    "policy/attention/overlay/compressed",
    "simulator/state",
    "simulator/road",
    "simulator/road/left",
    "simulator/road/right",
    "simulator/target",
    "expert/command",
    "/diagnostics",
    "/clock",
]
# Three seconds of a 30 Hz topic may wait while the disk is busy.
_DEPTH = 90


class RecorderNode(Node):
    """Writes the topics of the parameter `topics` into the new bag `bag`.

    Messages are logged at the wall-clock time of their arrival; their own stamps stay as they are.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__("recorder")
        self._stop = stop
        folder = declare(self, "bag", "", "folder of the bag, which must not exist yet")
        if not folder:
            raise InputError("The recorder needs a folder for its bag; set the parameter `bag`.")
        topics = declare(self, "topics", TOPICS, "names of the topics; the others are not recorded")
        compression = declare(self, "compression", "zstd", "of the bag: zstd, lz4 or none")
        if compression not in ("zstd", "lz4", "none"):
            raise InputError(
                f"Parameter compression must be zstd, lz4 or none, got {compression!r}."
            )
        self._bag = BagWriter(folder, compression.removeprefix("none"))
        self._wanted = {self.resolve_topic_name(topic) for topic in topics}
        self._counts: Counter[str] = Counter()
        self._bytes = 0
        self._trouble = self._ended = ""
        self._look()
        every(self, 0.1, self._look)
        Diagnostics(self, folder)
        self.get_logger().info(f"Recording into {folder}.")

    def _look(self) -> None:
        """Subscribe to every wanted topic that somebody publishes by now."""
        if self._ended:
            return
        for topic in sorted(self._wanted):
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            self._wanted.remove(topic)
            profiles = [publisher.qos_profile for publisher in publishers]
            try:
                self._subscribe(topic, publishers[0].topic_type, profiles)
            except InputError as error:
                self._trouble = str(error)
                self.get_logger().error(self._trouble)

    def _subscribe(self, topic: str, typename: str, profiles: list[QoSProfile]) -> None:
        # Asking for more than a publisher offers would hear nothing at all.
        reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
        latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles)
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=(DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE),
        )
        offered = bag_qos.DEFAULT if reliable else bag_qos.SENSOR_DATA
        self._bag.add_topic(topic, typename, bag_qos.LATCHED if latched else offered)

        def write(message: bytes) -> None:
            if self._ended:
                return
            try:
                self._bag.write_raw(topic, typename, message, time.time_ns())
            except InputError as error:
                self._end(str(error))
                return
            self._counts[topic] += 1
            self._bytes += len(message)

        self.create_subscription(_message_class(typename), topic, write, qos, raw=True)

    def _end(self, reason: str) -> None:
        """Record no more, but say so for as long as the drive goes on: it needs no recorder."""
        self._ended = f"{reason.rstrip('.')}; nothing more is recorded."
        self.get_logger().error(self._ended)

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        values = {"messages": self._counts.total(), "bytes": self._bytes, **self._counts}
        if self._ended:
            return ERROR, self._ended, values
        if self._trouble:
            return WARN, self._trouble, values
        if self._wanted:
            return OK, f"recording; nobody publishes {', '.join(sorted(self._wanted))}", values
        return OK, "recording", values

    def close(self) -> None:
        try:
            self._bag.close()
        except InputError as error:
            self._end(str(error))
        self.get_logger().info(
            f"Recorded {self._counts.total()} messages ({self._bytes / 1e6:.1f} MB before "
            f"compression) into {self._bag.path}."
        )
        if self._ended:
            self.get_logger().error(self._ended)
            self._stop.code = 1


def _message_class(typename: str) -> type:
    """The class of "package/msg/Name"."""
    package, _, name = typename.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise InputError(
            f"Messages of type {typename} cannot be recorded: the package {package} is not "
            "installed; install it or leave the topic out."
        ) from error


def main(arguments: list[str] | None = None) -> int:
    return run(RecorderNode, arguments)


if __name__ == "__main__":
    leave(main())
