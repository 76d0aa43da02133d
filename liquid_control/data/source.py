"""The storage behind a `bag.BagReader`: a whole bag through `rosbags`, a broken one by a scan."""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any, Protocol

import apsw
from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.storage_mcap import zstd
from rosbags.serde import SerdeError
from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_control.data import qos as qos_profiles
from liquid_control.data.mcap_file import FACTS
from liquid_control.data.messages import STORE, deserialize
from liquid_control.data.metadata import Topic
from liquid_control.data.recovery import UnfinishedMcap
from liquid_control.errors import InputError

__all__ = ["ENDINGS", "Decoder", "Scanned", "Source", "open_source", "refuse_ros1", "storage_files"]

# What rosbags lets through when a storage file or metadata.yaml is cut or damaged.
_DAMAGE = (
    ReaderError,
    zstd.ZstdError,
    sqlite3.Error,
    apsw.Error,
    RuntimeError,
    struct.error,
    OSError,
    AssertionError,
    TypeError,
    LookupError,
    ValueError,
    OverflowError,
    MemoryError,
)
_STORAGE = (".mcap", ".db3")
# With `ros2 bag record --compression-mode file`.
_COMPRESSED = (".mcap.zstd", ".db3.zstd")
ENDINGS = (*_STORAGE, *_COMPRESSED)

# Steering commands of many robots, which SQLite bags before ROS 2 Iron do not describe.
_DRIVE = """float32 steering_angle
float32 steering_angle_velocity
float32 speed
float32 acceleration
float32 jerk
"""
_RULE = "=" * 80
_ACKERMANN = {
    "ackermann_msgs/msg/AckermannDrive": _DRIVE,
    "ackermann_msgs/msg/AckermannDriveStamped": f"""std_msgs/Header header
ackermann_msgs/AckermannDrive drive
{_RULE}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
{_RULE}
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
{_RULE}
MSG: ackermann_msgs/AckermannDrive
{_DRIVE}""",
}


class Source(Protocol):
    """What a reader needs from a storage."""

    files: list[Path]
    recovered: bool
    damaged: int
    topics: list[Topic]
    facts: dict[str, str]

    def raw_messages(self, topics: set[str] | None) -> Iterator[tuple[str, str, int, bytes]]: ...

    def close(self) -> None: ...


def open_source(path: Path, scan: bool = False) -> Source:
    """Open a bag folder or storage file.

    Args:
        path: of the bag.
        scan: read MCAP files without their index, which leaves damaged chunks out.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    if not path.exists():
        raise InputError(f"There is no bag at {path}; give the folder that holds metadata.yaml.")
    files = storage_files(path)
    if not files:
        refuse_ros1(path)
        raise InputError(
            f"{path} holds no bag (no .mcap or .db3 file); give the folder of a rosbag2 recording."
        )
    if scan and all(file.suffix == ".mcap" for file in files):
        return Scanned(files)
    whole = path.is_file() or (path / "metadata.yaml").exists()
    target = path if whole else files[0] if len(files) == 1 else None
    reason = "metadata.yaml is missing"
    if target is not None and (whole or target.suffix == ".db3"):
        try:
            return _Whole(target, files)
        except _DAMAGE as error:
            reason = _one_line(error)
    if all(file.suffix == ".mcap" for file in files):
        return Scanned(files)
    raise InputError(f"The bag {path} cannot be read ({reason}); try `ros2 bag reindex` on it.")


def refuse_ros1(path: Path) -> None:
    """Say how a recording of ROS 1, at or in `path`, becomes one of ROS 2.

    Raises:
        InputError: there is one.
    """
    file = path if path.suffix == ".bag" else next(iter(sorted(path.glob("*.bag"))), None)
    if file is not None and file.is_file():
        paths = f"--src {quote(str(file))} --dst {quote(str(file.with_suffix('')))}"
        raise InputError(
            f"{file} is a recording of ROS 1; make one of ROS 2 of it first: `rosbags-convert "
            f"{paths} --dst-storage mcap`."
        )


def storage_files(path: Path) -> list[Path]:
    """The storage files of a bag, oldest first; compressed ones (.mcap.zstd) too."""
    if path.is_file():
        return [path] if path.suffix in _STORAGE else []
    found = [
        file
        for file in path.iterdir()
        if file.is_file() and not file.name.startswith(".") and file.name.endswith(ENDINGS)
    ]
    # rosbag2 numbers its files name_0, name_1, ... name_10.
    return sorted(found, key=lambda file: [int(n) for n in re.findall(r"\d+", file.stem)[-1:]])


class Decoder:
    """CDR to messages; types that ROS 2's own definitions lack or define otherwise come from the
    bag's definitions."""

    def __init__(self, topics: list[Topic]) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._stores: dict[str, Any] = {}

    def __call__(self, topic: str, cdr: bytes) -> Any:
        """The message of `topic` with these bytes.

        Raises:
            InputError: its type is not known, or the bytes do not fit it.
        """
        typename = self._topics[topic].type
        if typename not in self._stores:
            self._stores[typename] = self._store(self._topics[topic])
        try:
            return deserialize(typename, cdr, self._stores[typename])
        except (SerdeError, struct.error, ValueError, LookupError) as error:
            raise InputError(
                f"A message on {topic} is no valid {typename} ({_one_line(error)}); the bag is "
                "damaged: record it again or leave the topic out."
            ) from error

    @staticmethod
    def _store(topic: Topic) -> Any:
        standard = topic.type in STORE.fielddefs
        format, text = topic.definition
        if standard and (format == MessageDefinitionFormat.NONE or _agrees(topic)):
            return STORE
        try:
            if format == MessageDefinitionFormat.MSG:
                types = get_types_from_msg(text, topic.type)
            elif format == MessageDefinitionFormat.IDL:
                types = {}
                for part in text.split("=" * 80 + "\n"):
                    types.update(get_types_from_idl(re.sub(r"\AIDL: .*\n", "", part)))
            elif topic.type in _ACKERMANN:
                types = get_types_from_msg(_ACKERMANN[topic.type], topic.type)
            else:
                raise InputError(
                    f"Topic {topic.name} has the type {topic.type}, which is not known here and "
                    "not described in the bag; record it as MCAP, which carries descriptions."
                )
            store = get_typestore(Stores.EMPTY)
            store.register(types)
        except TypesysError as error:
            if standard:
                return STORE
            raise InputError(
                f"The bag's description of {topic.type} cannot be read ({_one_line(error)}); leave "
                f"topic {topic.name} out."
            ) from error
        return store


def _agrees(topic: Topic) -> bool:
    """Whether the bag means by a type what ROS 2 means today."""
    if topic.digest:
        return topic.digest == STORE.hash_rihs01(topic.type)
    return _squeeze(topic.definition.data) == _squeeze(
        STORE.generate_msgdef(topic.type, ros_version=2)[0]
    )


def _offered(text: str) -> tuple[qos_profiles.Qos, ...]:
    """What a channel offered; nothing where its description is damaged, which costs no message."""
    try:
        return tuple(qos_profiles.from_yaml(text))
    except (*_DAMAGE, YAMLError, AttributeError):
        return ()


def _one_line(error: Exception) -> str:
    """An error's text for use in a sentence; YAML's take several lines."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _squeeze(text: str) -> list[str]:
    """A definition's lines without comments and blanks, which recorders keep and we do not."""
    lines = (re.sub(r"\s+", " ", line.split("#")[0]).strip() for line in text.splitlines())
    return [line for line in lines if line]


class _Whole:
    """A finished bag of any rosbag2 writer."""

    recovered = False
    damaged = 0

    def __init__(self, path: Path, files: list[Path]) -> None:
        self.files = files
        self._path = path
        self._reader = Reader(path)
        self._reader.open()
        self._connections: list[Connection] = list(self._reader.connections)
        if not all(isinstance(one.topic, str) for one in self._connections):
            raise ReaderError("a topic has no name")
        self.topics = [
            Topic(
                name=connection.topic,
                type=connection.msgtype,
                definition=connection.msgdef,
                qos=tuple(connection.ext.offered_qos_profiles),
                digest=connection.digest,
                count=connection.msgcount,
            )
            for connection in self._connections
        ]
        # A storage file that is opened without its folder has no such description.
        described = getattr(self._reader.storage, "metadata", None)
        self.facts = dict((described and described.custom) or {})

    def raw_messages(self, topics: set[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
        wanted = [x for x in self._connections if topics is None or x.topic in topics]
        if not wanted:
            return
        try:
            for connection, stamp_ns, cdr in self._reader.messages(wanted):
                yield connection.topic, connection.msgtype, stamp_ns, cdr
        except _DAMAGE as error:
            raise InputError(
                f"The bag {self._path} is damaged ({_one_line(error)}); keep what is whole with "
                f"`liquid-control data repair {self._path}`."
            ) from error

    def close(self) -> None:
        if self._reader.is_open:
            self._reader.close()


class Scanned:
    """MCAP files without an index or metadata.yaml."""

    recovered = True

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self._scan = UnfinishedMcap(files)
        self.damaged = self._scan.damaged
        self.facts = self._facts()
        found: dict[str, Topic] = {}
        for key, channel in self._scan.channels.items():
            schema = self._scan.schemas.get((key[0], channel.schema_id))
            before = found.get(channel.topic)
            count = self._scan.counts.get(key, 0) + (before.count if before else 0)
            formats = {
                "ros2msg": MessageDefinitionFormat.MSG,
                "ros2idl": MessageDefinitionFormat.IDL,
            }
            found[channel.topic] = Topic(
                name=channel.topic,
                type=schema.name if schema else "",
                definition=MessageDefinition(
                    formats.get(schema.encoding, MessageDefinitionFormat.NONE)
                    if schema
                    else MessageDefinitionFormat.NONE,
                    schema.data.decode(errors="replace") if schema else "",
                ),
                qos=_offered(channel.metadata.get("offered_qos_profiles", "")),
                digest=channel.metadata.get("topic_type_hash", ""),
                count=count,
            )
        self.topics = list(found.values())
        self._types = {topic.name: topic.type for topic in self.topics}

    def raw_messages(self, topics: set[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
        wanted = {
            key
            for key, channel in self._scan.channels.items()
            if topics is None or channel.topic in topics
        }
        for message in self._scan.messages(wanted):
            topic = message.channel.topic
            yield topic, self._types[topic], message.log_time, message.data

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _facts(self) -> dict[str, str]:
        """What the recorder said at the end, else at the beginning."""
        text = self._scan.metadata.get("rosbag2", {}).get("serialized_metadata", "")
        try:
            information = YAML(typ="safe").load(text) or {}
            # Other recorders wrap it as metadata.yaml does.
            information = information.get("rosbag2_bagfile_information", information)
            if text:
                return dict(information.get("custom_data") or {})
        except (YAMLError, AttributeError, TypeError, ValueError):
            # A damaged description costs no message.
            pass
        return dict(self._scan.metadata.get(FACTS, {}))
