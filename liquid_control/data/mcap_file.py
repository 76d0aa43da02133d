"""One MCAP file as rosbag2 writes it: CDR messages, ros2msg schemas, offered quality of service."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mcap.writer import CompressionType, Writer
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from liquid_control.data import qos as qos_profiles
from liquid_control.data.messages import STORE
from liquid_control.data.metadata import FileSummary, Topic, bag_information
from liquid_control.errors import InputError

__all__ = ["FACTS", "Compression", "McapFile", "standard_topic"]

# Name of the metadata record that holds the facts about a recording, also of a killed one.
FACTS = "liquid_control"
Compression = Literal["zstd", "lz4", ""]
_COMPRESSION = {
    "zstd": CompressionType.ZSTD,
    "lz4": CompressionType.LZ4,
    "": CompressionType.NONE,
}


def standard_topic(name: str, typename: str, qos: qos_profiles.Qos) -> Topic:
    """A topic of one of ROS 2's own message types.

    Raises:
        InputError: the type is none of them.
    """
    if typename not in STORE.fielddefs:
        raise InputError(
            f"Topic {name} has the type {typename!r}, which is not among ROS 2's common "
            "interfaces; leave it out of the recording or record it with `ros2 bag record`."
        )
    text, _ = STORE.generate_msgdef(typename, ros_version=2)
    definition = MessageDefinition(MessageDefinitionFormat.MSG, text)
    return Topic(name, typename, definition, (qos,), STORE.hash_rihs01(typename))


class McapFile:
    """Appends messages to a new MCAP file and flushes it often; see `bag.BagWriter`.

    Args:
        path: the file to create; raises OSError where that fails.
        compression: of the chunks.
        flush_interval_s: longest time between two flushes while messages come [s].
        name: the file's name in metadata, if it will be renamed.
        facts: about the recording, written first so that a killed recorder leaves them too.
    """

    def __init__(
        self,
        path: Path,
        compression: Compression,
        flush_interval_s: float,
        name: str = "",
        facts: dict[str, str] | None = None,
    ) -> None:
        self._file = path.open("xb")
        self._writer = Writer(self._file, compression=_COMPRESSION[compression])
        self._writer.start(profile="ros2", library="liquid_control")
        if facts:
            self._writer.add_metadata(FACTS, facts)
        self._file.flush()
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._topics: dict[str, Topic] = {}
        self._name = name or path.name
        self._first: int | None = None
        self._last = 0
        self._flush_interval_s = flush_interval_s
        self._flushed_at = time.monotonic()

    def add_topic(self, topic: Topic) -> None:
        """Announce a topic; one that is announced already must have the same type."""
        known = self._topics.get(topic.name)
        if known is not None:
            if known.type != topic.type:
                raise InputError(
                    f"Topic {topic.name} of this bag holds {known.type}, got {topic.type}; one "
                    "topic holds one type."
                )
            return
        if topic.type not in self._schemas:
            text = topic.definition.data
            encoding = {
                MessageDefinitionFormat.MSG: "ros2msg",
                MessageDefinitionFormat.IDL: "ros2idl",
                MessageDefinitionFormat.NONE: "",
            }[topic.definition.format]
            self._schemas[topic.type] = self._writer.register_schema(
                topic.type, encoding, text.encode()
            )
        self._channels[topic.name] = self._writer.register_channel(
            topic.name,
            "cdr",
            self._schemas[topic.type],
            {
                "offered_qos_profiles": qos_profiles.to_yaml(list(topic.qos)),
                "topic_type_hash": topic.digest,
            },
        )
        self._topics[topic.name] = topic
        self._counts[topic.name] = 0

    def type_of(self, topic: str) -> str | None:
        """The type of an announced topic."""
        known = self._topics.get(topic)
        return known.type if known else None

    def write(self, topic: str, cdr: bytes | memoryview, stamp_ns: int) -> None:
        """Append a message to an announced topic."""
        self._writer.add_message(
            self._channels[topic],
            log_time=stamp_ns,
            data=cdr,
            publish_time=stamp_ns,
            sequence=self._counts[topic],
        )
        self._counts[topic] += 1
        self._first = stamp_ns if self._first is None else min(self._first, stamp_ns)
        self._last = max(self._last, stamp_ns)
        # Messages that wait came within one interval, so a kill loses no more than that.
        if time.monotonic() - self._flushed_at > self._flush_interval_s:
            self.flush()

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        self._writer.flush()
        self._flushed_at = time.monotonic()

    def abandon(self) -> None:
        """Close the file as it is: what was flushed stays readable without an index."""
        # Closing writes what is left in the buffer, which a full disk refuses once more.
        with suppress(OSError):
            self._file.close()

    def finish(self, facts: dict[str, str] | None = None) -> FileSummary:
        """Write the index and `facts`, close the file and tell what it holds."""
        topics = {
            name: replace(topic, count=self._counts[name]) for name, topic in self._topics.items()
        }
        summary = FileSummary(self._name, self._first or 0, self._last, topics)
        # Lets `ros2 bag` open the file without its folder.
        self._writer.add_metadata(
            "rosbag2",
            {"serialized_metadata": qos_profiles.yaml(bag_information([summary], facts))},
        )
        self._writer.finish()
        self._file.close()
        return summary
