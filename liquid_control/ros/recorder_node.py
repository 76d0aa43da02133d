"""Recorder node: topics into a rosbag2 bag (MCAP), as they come off the wire.

Topics may appear later, or never. Messages are not decoded, so the bag holds the bytes that were
sent; a killed recorder leaves a bag that `liquid_control.data.bag` still reads. `~/record` ends a
bag and begins the next one beside it.
"""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from std_srvs.srv import SetBool

from liquid_control.data import qos as bag_qos
from liquid_control.data.bag import BagWriter
from liquid_control.errors import InputError
from liquid_control.ros.diagnostics import ERROR, OK, WARN, Diagnostics
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import Stop, every, leave, run

__all__ = ["TOPICS", "RecorderNode", "main"]

# The policy may see these pictures instead of the raw ones. A camera makes them while somebody
# listens, so they are recorded only where another node does.
_COMPRESSED = "camera/image_raw/compressed"
# What a run's report is made from; relative, so that a namespace applies.
TOPICS = [
    "camera/image_raw",
    _COMPRESSED,
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
    Service `~/record` (SetBool): false finishes the bag and unsubscribes; true begins another, with
    "-2", "-3" behind its name.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__("recorder")
        self._stop = stop
        self._folder = declare(self, "bag", "", "folder of the bag, which must not exist yet")
        if not self._folder:
            raise InputError("The recorder needs a folder for its bag; set the parameter `bag`.")
        topics = declare(self, "topics", TOPICS, "names of the topics; the others are not recorded")
        self._topics = self._resolved(topics)
        compression = declare(self, "compression", "zstd", "of the bag: zstd, lz4 or none")
        if compression not in ("zstd", "lz4", "none"):
            raise InputError(
                f"Parameter compression must be zstd, lz4 or none, got {compression!r}."
            )
        self._compression = compression.removeprefix("none")
        at_once = declare(self, "at_once", True, "record from the start; false: wait for ~/record")
        self._bag: BagWriter | None = None
        self._heard: list[Subscription] = []
        self._counts: Counter[str] = Counter()
        self._bytes = 0
        self._wanted: set[str] = set()
        # Who names the topics gets them.
        self._if_heard = self.resolve_topic_name(_COMPRESSED) if list(topics) == TOPICS else ""
        self._trouble = self._ended = ""
        if at_once:
            self._begin(Path(self._folder))
        every(self, 0.1, self._look)
        self.create_service(SetBool, "~/record", self._on_record)
        Diagnostics(self, self._folder)

    def _resolved(self, topics: Sequence[str]) -> set[str]:
        """Their full names; raises InputError where there is none, or one that can be none."""
        if not topics:
            raise InputError("The parameter topics is empty; name a topic, or leave it out.")
        try:
            return {self.resolve_topic_name(topic) for topic in topics}
        except (RuntimeError, ValueError) as error:
            reason = str(error).partition(", at ")[0]
            raise InputError(
                f"The parameter topics must hold names of topics, got {list(topics)} ({reason}); "
                "correct them."
            ) from error

    def _begin(self, folder: Path) -> None:
        """Raises InputError where there can be no bag."""
        self._bag = BagWriter(folder, self._compression)
        self._wanted = set(self._topics)
        self._counts.clear()
        self._bytes = 0
        self._trouble = self._ended = ""
        self._look()
        self.get_logger().info(f"Recording into {folder}.")

    def _finish(self) -> None:
        """Close the bag, and listen to nothing: a topic may cost whoever publishes it."""
        for subscription in self._heard:
            self.destroy_subscription(subscription)
        self._heard.clear()
        bag, self._bag = self._bag, None
        try:
            bag.close()
        except InputError as error:
            self._end(str(error))
        self.get_logger().info(
            f"Recorded {self._counts.total()} messages ({self._bytes / 1e6:.1f} MB before "
            f"compression) into {bag.path}."
        )

    def _on_record(self, request: SetBool.Request, reply: SetBool.Response) -> SetBool.Response:
        reply.success = True
        if request.data and self._bag is not None and not self._ended:
            reply.message = f"recording into {self._bag.path} already"
            return reply
        reply.message = "nothing is being recorded"
        if self._bag is not None:
            reply.message = f"recorded into {self._bag.path}"
            self._finish()
        if not request.data:
            reply.success, reply.message = not self._ended, self._ended or reply.message
            return reply
        try:
            self._begin(self._free())
            reply.message = f"recording into {self._bag.path}"
        except InputError as error:
            reply.success, reply.message = False, str(error)
        return reply

    def _free(self) -> Path:
        """The first of bag, bag-2, bag-3, ... that does not exist."""
        first = Path(self._folder)
        names = chain([first], (first.with_name(f"{first.name}-{n}") for n in count(2)))
        return next(name for name in names if not name.exists())

    def _look(self) -> None:
        """Subscribe to every wanted topic that somebody publishes by now."""
        if self._bag is None or self._ended:
            return
        for topic in sorted(self._wanted):
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers or (topic == self._if_heard and not self.count_subscribers(topic)):
                continue
            self._wanted.remove(topic)
            profiles = [publisher.qos_profile for publisher in publishers]
            try:
                self._subscribe(topic, publishers[0].topic_type, profiles)
            except (InputError, RuntimeError) as error:
                # RuntimeError: the middleware refuses, as under SROS2 without the right to listen.
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

        bag = self._bag

        def write(message: bytes) -> None:
            if self._ended or self._bag is not bag:
                return
            try:
                bag.write_raw(topic, typename, message, time.time_ns())
            except InputError as error:
                self._end(str(error))
                return
            self._counts[topic] += 1
            self._bytes += len(message)

        self._heard += [
            self.create_subscription(_message_class(typename), topic, write, qos, raw=True)
        ]

    def _end(self, reason: str) -> None:
        """Record no more, but say so for as long as the drive goes on: it needs no recorder."""
        self._ended = f"{reason.rstrip('.')}; nothing more is recorded."
        self.get_logger().error(self._ended)

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        values = {
            "recording": self._bag is not None and not self._ended,
            "bag": "" if self._bag is None else self._bag.path,
            "messages": self._counts.total(),
            "bytes": self._bytes,
            **self._counts,
        }
        if self._ended:
            return ERROR, self._ended, values
        if self._bag is None:
            return OK, "not recording; ~/record begins", values
        if self._trouble:
            return WARN, self._trouble, values
        if missing := sorted(self._wanted - {self._if_heard}):
            return OK, f"recording; nobody publishes {', '.join(missing)}", values
        return OK, "recording", values

    def close(self) -> None:
        if self._bag is not None:
            self._finish()
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
