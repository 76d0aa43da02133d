"""metadata.yaml of a rosbag2 folder (version 9, what Jazzy and Kilted write)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from rosbags.interfaces import MessageDefinition

from liquid_control.data import qos as qos_profiles
from liquid_control.data.qos import Qos
from liquid_control.files import replace_file

__all__ = ["FileSummary", "Topic", "bag_information", "write_metadata"]

_VERSION = 9


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    Args:
        name: full name ("/odom").
        type: "package/msg/Name".
        definition: the type's text, which MCAP files carry.
        qos: what was offered when it was recorded.
        digest: the type's REP-2011 hash, "" where it is not known.
        count: number of messages.
    """

    name: str
    type: str
    definition: MessageDefinition
    qos: tuple[Qos, ...] = ()
    digest: str = ""
    count: int = 0


@dataclass
class FileSummary:
    """What one storage file holds; times are log times [ns], 0 without a message."""

    name: str
    first: int = 0
    last: int = 0
    topics: dict[str, Topic] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(topic.count for topic in self.topics.values())


def bag_information(files: list[FileSummary], facts: dict[str, str] | None = None) -> dict:
    """The content of `rosbag2_bagfile_information` for the files of one bag, oldest first.

    Args:
        files: what each storage file holds.
        facts: about the recording as a whole; rosbag2 calls them custom data.
    """
    topics: dict[str, Topic] = {}
    for file in files:
        for topic in file.topics.values():
            before = topics.get(topic.name)
            topics[topic.name] = (
                replace(before, count=before.count + topic.count) if before else topic
            )
    filled = [file for file in files if file.count]
    first = min((file.first for file in filled), default=0)
    last = max((file.last for file in filled), default=0)
    return {
        "version": _VERSION,
        "storage_identifier": "mcap",
        "relative_file_paths": [file.name for file in files],
        **_span(first, last, sum(file.count for file in files)),
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.type,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": qos_profiles.to_dicts(list(topic.qos)),
                    "type_description_hash": topic.digest,
                },
                "message_count": topic.count,
            }
            for topic in topics.values()
        ],
        # Compression lies inside the MCAP file, where every reader finds it by itself.
        "compression_format": "",
        "compression_mode": "",
        "files": [
            {"path": file.name, **_span(file.first, file.last, file.count)} for file in files
        ],
        "custom_data": dict(facts) if facts else None,
        "ros_distro": "kilted",
    }


def write_metadata(
    folder: Path, files: list[FileSummary], facts: dict[str, str] | None = None
) -> None:
    """Write `folder`/metadata.yaml in one step; see `bag_information`."""
    text = qos_profiles.yaml({"rosbag2_bagfile_information": bag_information(files, facts)})
    replace_file(folder / "metadata.yaml", text)


def _span(first: int, last: int, count: int) -> dict:
    return {
        "starting_time": {"nanoseconds_since_epoch": first},
        "duration": {"nanoseconds": last - first},
        "message_count": count,
    }
