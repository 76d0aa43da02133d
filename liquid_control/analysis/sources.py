"""Frames from anywhere, as one stream: bags, tubs, videos, images, worlds, a live topic.

`open_source("runs/2026-11-22-055921-drive")` gives a `Source`; iterating it yields `Shot`s in the
order of time, one drive after another. Nothing is held in memory but the shot in hand.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np

from liquid_control.data.bag import BagReader
from liquid_control.data.drive import (
    MAX_GAP_S,
    SESSION_TOPIC,
    camera_topic_of,
    find_bags,
    stamp_or_log_time,
)
from liquid_control.data.importers.tub import Tub
from liquid_control.data.messages import decode_image, read_named_vector
from liquid_control.data.recorded_labels import EXPERT
from liquid_control.data.source import storage_files
from liquid_control.errors import InputError

__all__ = ["KINDS", "Raw", "Shot", "Source", "open_source"]

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp")
TOPIC = "topic:"
KINDS = (
    "a bag, a folder of bags, a run's folder, a Donkeycar tub, a video, an image or a folder of "
    "them, a world (Driving-v1), or topic:/camera/image_raw"
)
# Where a stream tells no time.
PERIOD_S = 1 / 30


class Raw(NamedTuple):
    """One picture as a reader finds it: time [ns], which drive it is of, and what came with it."""

    stamp: int
    drive: int
    image: np.ndarray
    given: Mapping[str, float] = MappingProxyType({})
    road: np.ndarray | None = None


@dataclass(frozen=True)
class Shot:
    """One frame of a stream.

    Args:
        stamp: its time [ns]; whose clock, the source knows.
        image: uint8 RGB (rows, columns, 3), as the camera gave it.
        elapsed: time since the frame before [s]; the usual one where none came before.
        begins: no frame came before that this one continues, so that a state starts afresh.
        given: what a person or expert commanded here, by output name.
        road: bool (rows, columns), the pixels of the road, where a world says it.
    """

    stamp: int
    image: np.ndarray
    elapsed: float
    begins: bool
    given: Mapping[str, float] = field(default_factory=dict)
    road: np.ndarray | None = None


class Source:
    """Frames in order; iterate it once.

    Attributes:
        kind: "bag", "tub", "video", "images", "world" or "topic".
        name: for titles.
        count: how many frames will come, or None where nobody knows.
        skipped: frames left out, by reason; filled while iterating.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        read: Callable[[Counter[str]], Iterator[Raw]],
        count: int | None = None,
    ) -> None:
        self.kind, self.name, self.count = kind, name, count
        self.skipped: Counter[str] = Counter()
        self._read = read

    def __iter__(self) -> Iterator[Shot]:
        before: Raw | None = None
        usual = PERIOD_S
        for raw in self._read(self.skipped):
            apart = (raw.stamp - before.stamp) / 1e9 if before is not None else np.inf
            same = before is not None and raw.drive == before.drive
            if same and -1.0 < apart <= 0:
                self.skipped["out of order or sent twice"] += 1
                continue
            begins = not same or not 0 < apart <= MAX_GAP_S
            usual = usual if begins else apart
            yield Shot(raw.stamp, raw.image, usual, begins, raw.given, raw.road)
            before = raw


def open_source(
    text: str,
    *,
    topic: str | None = None,
    rate: float = 1 / PERIOD_S,
    world: Callable[[str], Source] | None = None,
) -> Source:
    """The frames behind what a user named.

    Args:
        text: a path, "topic:NAME" or the name of a world.
        topic: the camera of bags; by default /camera/image_raw[/compressed], or the only one.
        rate: of an image folder [1/s].
        world: makes the source of a world from its name, see `worlds.world_source`.

    Raises:
        InputError: there is nothing of this name, or nothing in it that can be read.
    """
    if not 0 < rate < np.inf:
        raise InputError(f"The rate of images must be finite and above 0 Hz, got {rate}.")
    if text.startswith(TOPIC):
        return _live(text.removeprefix(TOPIC))
    path = Path(text)
    if path.is_dir():
        return _folder(path, topic, rate)
    if path.is_file():
        return _file(path, topic, rate)
    if world is None:
        raise InputError(f"There is nothing at {text!r}; give {KINDS}.")
    return world(text)


def _folder(path: Path, topic: str | None, rate: float) -> Source:
    if (path / "bag").is_dir():
        return _bags([path / "bag"], path.resolve().name, topic)
    if storage_files(path):
        return _bags([path], path.resolve().name, topic)
    if (path / "manifest.json").is_file():
        tub = Tub.open(path)
        return Source("tub", path.resolve().name, lambda skipped: _tub(tub, skipped), tub.size)
    pictures = [one for one in path.iterdir() if one.suffix.lower() in IMAGES]
    pictures.sort(key=_numbered)
    if pictures:
        return _pictures(pictures, path.resolve().name, rate)
    try:
        bags = find_bags(path)
    except InputError as error:
        raise InputError(
            f"The folder {path} holds no bag, no tub and no images; give {KINDS}."
        ) from error
    return _bags(bags, path.resolve().name, topic)


def _numbered(path: Path) -> list[tuple[int, str]]:
    """Sorts 10.png behind 9.png: a policy's state needs frames in the order of time."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _file(path: Path, topic: str | None, rate: float) -> Source:
    kind = path.suffix.lower()
    if kind in VIDEOS:
        return _video(path)
    if kind in IMAGES:
        return _pictures([path], path.name, rate)
    if storage_files(path):
        return _bags([path], path.stem, topic)
    raise InputError(
        f"{path} is neither a bag nor a video ({', '.join(VIDEOS)}) nor an image "
        f"({', '.join(IMAGES)}); give {KINDS}."
    )


def _bags(bags: list[Path], name: str, topic: str | None) -> Source:
    count = 0
    for bag in bags:
        with BagReader(bag) as reader:
            camera = topic or camera_topic_of(reader)
            reader.require(camera)
            count += reader.topics[camera][1]

    def read(skipped: Counter[str]) -> Iterator[Raw]:
        drive = 0
        for bag in bags:
            with BagReader(bag) as reader:
                camera = topic or camera_topic_of(reader)
                held = [EXPERT] if EXPERT in reader.topics else []
                commands = {
                    stamp_or_log_time(message, logged): read_named_vector(message)
                    for _, logged, message in reader.messages(held)
                }
                drive += 1
                for found, logged, message in reader.messages([camera, SESSION_TOPIC]):
                    if found == SESSION_TOPIC:
                        drive += 1
                        continue
                    try:
                        image = decode_image(message)
                    except InputError:
                        skipped["damaged"] += 1
                        continue
                    stamp = stamp_or_log_time(message, logged)
                    yield Raw(stamp, drive, image, commands.get(stamp, {}))

    return Source("bag", name, read, count)


def _tub(tub: Tub, skipped: Counter[str]) -> Iterator[Raw]:
    sessions: dict[str, int] = {}
    for record in tub.records():
        image = _decoded(record.image)
        drive = sessions.setdefault(record.session, len(sessions))
        # Donkeycar's sign is the other one: right positive.
        given = {"steering": -record.angle, "throttle": record.throttle}
        yield Raw(record.stamp_ms * 1_000_000, drive, image, given)
    skipped.update(tub.skipped)


def _pictures(files: list[Path], name: str, rate: float) -> Source:
    def read(skipped: Counter[str]) -> Iterator[Raw]:
        for place, file in enumerate(files):
            image = _decoded(file.read_bytes())
            if image is None:
                skipped["damaged"] += 1
            else:
                yield Raw(round(place * 1e9 / rate), 0, image)

    return Source("images", name, read, len(files))


def _decoded(content: bytes) -> np.ndarray | None:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _video(path: Path) -> Source:
    import av

    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                raise InputError(f"{path} has no picture in it; give a video with a video stream.")
            count = file.streams.video[0].frames or None
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as a video ({error}); record it again or convert it to MP4."
        ) from error

    def read(skipped: Counter[str]) -> Iterator[Raw]:
        with av.open(str(path)) as file:
            frames = iter(file.decode(video=0))
            while True:
                try:
                    frame = next(frames)
                except StopIteration:
                    return
                except av.FFmpegError:
                    # What follows damage cannot be trusted to continue what came before.
                    skipped["damaged end of the video"] += 1
                    return
                yield Raw(round((frame.time or 0.0) * 1e9), 0, frame.to_ndarray(format="rgb24"))

    return Source("video", path.name, read, count)


def _live(topic: str) -> Source:
    if not topic.startswith("/") or topic.endswith("/"):
        raise InputError(f"A live camera is given as topic:/its/name, got {TOPIC}{topic!r}.")

    def read(skipped: Counter[str]) -> Iterator[Raw]:
        # By name: the room of ROS 2 comes after this one, and is loaded when a topic is asked for.
        live = importlib.import_module("liquid_control.ros.frame_source")
        for stamp, image in live.frames(topic):
            yield Raw(stamp, 0, image)

    return Source("topic", topic, read)
