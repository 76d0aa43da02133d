"""Reading MCAP files that were never finished: what a killed recorder left behind.

An MCAP file ends with an index. Without it a file is still a sequence of whole records up to the
last flush, which is scanned here once; damaged chunks are counted and left out.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Message, Metadata, Schema
from mcap.stream_reader import CRCValidationError, breakup_chunk

from liquid_control.errors import InputError

__all__ = ["MAGIC", "RecoveredMessage", "UnfinishedMcap", "is_finished"]

MAGIC = b"\x89MCAP0\r\n"
_PREFIX = struct.Struct("<BQ")
_READ = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE, Opcode.CHUNK, Opcode.METADATA)
# What reading a damaged record raises; the last come from lengths and texts that make no sense.
_DAMAGE = (
    CRCValidationError,
    McapError,
    zstandard.ZstdError,
    RuntimeError,
    struct.error,
    ValueError,
    OverflowError,
    MemoryError,
)


class RecoveredMessage(NamedTuple):
    """One message with its channel; orders by log time [ns], then by place in the file."""

    log_time: int
    place: tuple[int, int, int]
    channel: Channel
    data: bytes


@dataclass(frozen=True)
class _Block:
    """A chunk, or one message outside of chunks: where it lies and its first log time [ns]."""

    start_time: int
    file: int
    offset: int
    length: int
    opcode: int


def is_finished(path: Path) -> bool:
    """Whether an MCAP file ends the way a closed one does."""
    with path.open("rb") as file:
        file.seek(0, 2)
        if file.tell() < 2 * len(MAGIC):
            return False
        file.seek(-len(MAGIC), 2)
        return file.read() == MAGIC


class UnfinishedMcap:
    """Whole records of one bag's MCAP files, finished or not, in order of log time.

    Args:
        paths: the MCAP files of one bag, oldest first.

    Attributes:
        channels: (file, id) -> channel.
        schemas: (file, id) -> schema.
        counts: (file, channel id) -> number of readable messages.
        metadata: name -> content of metadata records; of one name the last.
        damaged: number of chunks left out as they do not match their checksum.

    Raises:
        InputError: a file is not MCAP.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.channels: dict[tuple[int, int], Channel] = {}
        self.schemas: dict[tuple[int, int], Schema] = {}
        self.counts: dict[tuple[int, int], int] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.damaged = 0
        self._blocks: list[_Block] = []
        for number, path in enumerate(paths):
            with path.open("rb") as file:
                self._scan(number, path, file)
        self._blocks.sort(key=lambda block: block.start_time)

    def messages(self, channels: Collection[tuple[int, int]]) -> Iterator[RecoveredMessage]:
        """Messages of the (file, id) `channels` in order of log time."""
        files = [path.open("rb") for path in self.paths]
        try:
            # Chunks overlap a little in time: a message may leave once no later block starts
            # before it, so that only overlapping chunks are in memory.
            waiting: list[RecoveredMessage] = []
            for block in self._blocks:
                while waiting and waiting[0].log_time <= block.start_time:
                    yield heapq.heappop(waiting)
                for message in self._read(files[block.file], block):
                    if (block.file, message.channel.id) in channels:
                        heapq.heappush(waiting, message)
            while waiting:
                yield heapq.heappop(waiting)
        finally:
            for file in files:
                file.close()

    def _scan(self, number: int, path: Path, file: IO[bytes]) -> None:
        size = path.stat().st_size
        # A recorder that died at once leaves less than the first bytes, even none: no message.
        start = file.read(len(MAGIC))
        if size < len(MAGIC) and MAGIC.startswith(start):
            return
        if start != MAGIC:
            raise InputError(
                f"{path} is not an MCAP file (its first bytes differ); expected a rosbag2 bag, so "
                "check the path."
            )
        while True:
            offset = file.tell()
            prefix = file.read(_PREFIX.size)
            if len(prefix) < _PREFIX.size:
                return
            opcode, length = _PREFIX.unpack(prefix)
            # A record that runs past the end was being written when the recorder died.
            if opcode in (0, Opcode.DATA_END, Opcode.FOOTER) or offset + 9 + length > size:
                return
            if opcode in _READ:
                self._index(number, offset, opcode, length, file.read(length))
            else:
                file.seek(length, 1)

    def _index(self, number: int, offset: int, opcode: int, length: int, body: bytes) -> None:
        try:
            records, start_time = _parse(opcode, length, body)
        except _DAMAGE:
            self.damaged += 1
            return
        for record in records:
            if isinstance(record, Schema):
                self.schemas[number, record.id] = record
            elif isinstance(record, Channel):
                self.channels[number, record.id] = record
            elif isinstance(record, Message):
                key = (number, record.channel_id)
                self.counts[key] = self.counts.get(key, 0) + 1
            elif isinstance(record, Metadata):
                self.metadata[record.name] = record.metadata
        if opcode in (Opcode.CHUNK, Opcode.MESSAGE):
            self._blocks.append(_Block(start_time, number, offset + 9, length, opcode))

    def _read(self, file: IO[bytes], block: _Block) -> Iterator[RecoveredMessage]:
        file.seek(block.offset)
        records, _ = _parse(block.opcode, block.length, file.read(block.length))
        for index, record in enumerate(records):
            key = (block.file, getattr(record, "channel_id", -1))
            if isinstance(record, Message) and key in self.channels:
                place = (block.file, block.offset, index)
                yield RecoveredMessage(record.log_time, place, self.channels[key], record.data)


def _parse(opcode: int, length: int, body: bytes) -> tuple[list, int]:
    """The records of one top-level record, and its first log time [ns]."""
    stream = ReadDataStream(BytesIO(body))
    if opcode == Opcode.CHUNK:
        chunk = Chunk.read(stream)
        return breakup_chunk(chunk, validate_crc=True), chunk.message_start_time
    if opcode == Opcode.MESSAGE:
        message = Message.read(stream, length)
        return [message], message.log_time
    kinds = {Opcode.SCHEMA: Schema, Opcode.CHANNEL: Channel, Opcode.METADATA: Metadata}
    return [kinds[opcode].read(stream)], 0
