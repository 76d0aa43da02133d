"""Bags: rosbag2 folders (MCAP) written and read in pure Python.

`ros2 bag play`, Foxglove and `rosbags` open what `BagWriter` writes; `BagReader` opens what they
and `ros2 bag record` write (MCAP and SQLite), and also what a killed recorder left behind.

    with BagWriter("runs/first/bag") as bag:
        bag.write("/camera/image_raw", messages.image(frame, stamp_ns), stamp_ns)
    with BagReader("runs/first/bag") as bag:
        for topic, stamp_ns, message in bag.messages(["/camera/image_raw"]):
            ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from liquid_control.data.mcap_file import Compression, McapFile, standard_topic
from liquid_control.data.messages import serialize
from liquid_control.data.metadata import Topic, write_metadata
from liquid_control.data.qos import DEFAULT, Qos
from liquid_control.data.repair import repair
from liquid_control.data.source import Decoder, Source, open_source
from liquid_control.errors import InputError

__all__ = ["BagReader", "BagWriter", "repair"]


class BagWriter:
    """Writes a rosbag2 bag, from one thread.

    A killed writer leaves a bag that `BagReader` reads and `repair` finishes: it lacks at most the
    messages of the last `flush_interval_s`.

    Args:
        path: folder to create; it may exist if it is empty.
        compression: of the chunks: "zstd" (smallest), "lz4" or "" (fastest).
        flush_interval_s: longest time between two flushes while messages come [s].
        name: of the bag, if the folder will be renamed; the folder's by default.
        facts: about the recording as a whole, text by name (rosbag2's custom data). They are
            written at once, and again as they are then when the bag is closed.

    Attributes:
        facts: see above; may be added to until the bag is closed.

    Raises:
        InputError: the folder exists and holds something, or cannot be made. From any method: the
            disk is full; what was flushed before stays readable.
    """

    def __init__(
        self,
        path: str | Path,
        compression: Compression = "zstd",
        flush_interval_s: float = 0.5,
        name: str = "",
        facts: dict[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.facts = dict(facts or {})
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise InputError(
                f"{self.path} exists already; a bag is written into a new folder, so give another "
                "path or remove it."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._file = McapFile(
                self.path / f"{name or self.path.name}_0.mcap",
                compression,
                flush_interval_s,
                facts=self.facts,
            )
        except OSError as error:
            raise InputError(
                f"The bag {self.path} cannot be created ({error.strerror}); give a folder that "
                "can be written to."
            ) from error
        self._closed = False

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What was recorded before an error is worth keeping, and the first error worth telling.
        if isinstance(error, InputError):
            with suppress(InputError):
                self.close()
        else:
            self.close()

    def add_topic(self, topic: str, typename: str, qos: Qos = DEFAULT) -> None:
        """Announce a topic before its first message.

        Args:
            topic: full name ("/odom").
            typename: "package/msg/Name", one of ROS 2's common interfaces.
            qos: what `ros2 bag play` shall offer: `qos.DEFAULT`, `qos.SENSOR_DATA`, `qos.LATCHED`.

        Raises:
            InputError: the topic has another type already, or the type is not known.
        """
        self._file.add_topic(standard_topic(topic, typename, qos))

    def write(self, topic: str, message: Any, stamp_ns: int, qos: Qos = DEFAULT) -> None:
        """Append a message of `data.messages` at `stamp_ns` [ns].

        The first message of a topic announces it with `qos`.
        """
        self.write_raw(topic, message.__msgtype__, serialize(message), stamp_ns, qos)

    def write_raw(
        self,
        topic: str,
        typename: str,
        cdr: bytes | memoryview,
        stamp_ns: int,
        qos: Qos = DEFAULT,
    ) -> None:
        """Append serialised bytes, as `rclpy`'s raw subscriptions deliver them."""
        if self._file.type_of(topic) != typename:
            self.add_topic(topic, typename, qos)
        with self._on_disk():
            self._file.write(topic, cdr, stamp_ns)

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        with self._on_disk():
            self._file.flush()

    def close(self) -> None:
        """Write the index and metadata.yaml; a second call does nothing."""
        if not self._closed:
            self._closed = True
            with self._on_disk():
                write_metadata(self.path, [self._file.finish(self.facts)], self.facts)

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Nothing more is written behind the record that did not fit: it would be misread.
            self._closed = True
            self._file.abandon()
            raise InputError(
                f"The bag {self.path} cannot be written on ({error.strerror}); make room and run "
                "the same command again."
            ) from error


class BagReader:
    """Reads a rosbag2 bag: a folder, or one of its .mcap or .db3 files.

    Attributes:
        path: the bag.
        files: its storage files, oldest first.
        recovered: the bag lacks its index (its recorder was killed), so it was scanned.
        damaged: number of chunks left out of a scanned bag as their checksum does not fit.
        facts: about the recording as a whole, text by name (rosbag2's custom data).

    Args:
        path: of the bag.
        scan: read MCAP files without their index: slower to open, but damaged chunks are left out
            and counted instead of refused.

    Raises:
        InputError: there is no bag, or it cannot be read.
    """

    def __init__(self, path: str | Path, scan: bool = False) -> None:
        self.path = Path(path)
        self._source: Source = open_source(self.path, scan)
        self._decode = Decoder(self._source.topics)
        self.files = self._source.files
        self.recovered = self._source.recovered
        self.damaged = self._source.damaged
        self.facts = self._source.facts

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the files; reading fails from then on."""
        self._source.close()

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        """Topic -> (type, number of messages)."""
        return {topic.name: (topic.type, topic.count) for topic in self._source.topics}

    @property
    def topic_details(self) -> list[Topic]:
        """Every topic with its quality of service and message definition."""
        return list(self._source.topics)

    def require(self, *topics: str) -> None:
        """Check that every topic has a message.

        Raises:
            InputError: one has none; the sentence lists what the bag holds.
        """
        held = sorted(name for name, (_, count) in self.topics.items() if count)
        if missing := [topic for topic in topics if topic not in held]:
            raise InputError(
                f"The bag {self.path} has no message on {', '.join(missing)}; it holds "
                f"{', '.join(held) or 'no message at all'}."
            )

    def messages(self, topics: Collection[str] | None = None) -> Iterator[tuple[str, int, Any]]:
        """Messages of `topics` (all by default) as (topic, log time [ns], message), oldest first.

        Raises:
            InputError: while iterating: damage, or a type that cannot be decoded.
        """
        for topic, _, stamp_ns, cdr in self.raw_messages(topics):
            yield topic, stamp_ns, self.decode(topic, cdr)

    def decode(self, topic: str, cdr: bytes) -> Any:
        """The message of `topic` with these bytes.

        Raises:
            InputError: its type is not known, or the bytes do not fit it.
        """
        return self._decode(topic, cdr)

    def raw_messages(
        self, topics: Collection[str] | None = None
    ) -> Iterator[tuple[str, str, int, bytes]]:
        """Messages of `topics` as (topic, type, log time [ns], CDR bytes), oldest first."""
        return self._source.raw_messages(None if topics is None else set(topics))
