"""A bag as training reads it: frames as the policy sees them, each with its label.

Decoded frames are kept in a memory-mapped file in the bag's `.cache` folder, named after the bag's
bytes and the camera setup: a changed bag is decoded again, and deleting `.cache` loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np
from tqdm import tqdm

from liquid_control.camera import CameraSetup
from liquid_control.data.alignment import breaks, forward
from liquid_control.data.bag import BagReader
from liquid_control.data.frame_cache import FrameCache, build, open_cache
from liquid_control.data.interventions import MIN_SPEED, Interventions, Labels, topic_of
from liquid_control.data.messages import decode_image, stamp_of
from liquid_control.data.recorded_labels import EXPERT, VELOCITY, Recorded
from liquid_control.data.source import ENDINGS, refuse_ros1
from liquid_control.errors import InputError

__all__ = [
    "MAX_GAP_S",
    "SESSION_TOPIC",
    "Drive",
    "camera_topic_of",
    "find_bags",
    "load_drive",
    "load_drives",
    "stamp_or_log_time",
]

# std_msgs/String, written where a recording was interrupted: no window crosses it.
SESSION_TOPIC = "/recording/session"
MAX_GAP_S = 0.2
_CAMERA_TOPICS = ("/camera/image_raw/compressed", "/camera/image_raw")
_IMAGE_TYPES = ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")


@dataclass(eq=False)
class Drive:
    """One recording: N frames in order of time, each with a label or with the weight 0.

    Args:
        path: the bag.
        stamps: int64 (N,), header stamps of the frames [ns], strictly increasing.
        frames: uint8 (N, height, width, 3) RGB as `camera` prepares them; read-only.
        labels: float32 (N, outputs) in the outputs' units.
        sessions: int64 (N,), number of the recording session that each frame belongs to.
        outputs: names of the labels.
        label_topic: where they come from.
        skipped: how many frames were left out, by reason.
        weights: float32 (N,), how much each frame counts in a loss; all 1 by default. A frame of
            weight 0 has no label that means anything, it only builds up a circuit's state.
    """

    path: Path
    stamps: np.ndarray
    frames: np.ndarray
    labels: np.ndarray
    sessions: np.ndarray
    outputs: tuple[str, ...]
    label_topic: str
    skipped: dict[str, int]
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.weights is None:
            self.weights = np.ones(len(self.stamps), np.float32)

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def gaps(self) -> np.ndarray:
        """int64 (gaps,): frames that do not continue the one before (0.2 s, or a new session)."""
        return breaks(self.stamps, self.sessions, MAX_GAP_S)

    @property
    def period(self) -> float:
        """Median time between frames that follow one another [s]; 0 for a single frame."""
        follows = np.ones(max(len(self) - 1, 0), bool)
        follows[self.gaps - 1] = False
        steps = np.diff(self.stamps)
        steps = steps[follows] if follows.any() else steps
        return float(np.median(steps)) * 1e-9 if len(steps) else 0.0

    def runs(self, max_gap_s: float = MAX_GAP_S) -> list[tuple[int, int]]:
        """[start, stop) of every stretch without a gap of more than `max_gap_s` [s]."""
        if not len(self):
            return []
        starts = breaks(self.stamps, self.sessions, max_gap_s).tolist()
        return list(zip([0, *starts], [*starts, len(self)], strict=True))

    def __getstate__(self) -> dict:
        # A pickled memory map would carry every frame to each data loader worker.
        state = self.__dict__.copy()
        if isinstance(self.frames, np.memmap):
            state["frames"] = Path(self.frames.filename)
        return state

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        if isinstance(self.frames, Path):
            self.frames = np.load(self.frames, mmap_mode="r")


def load_drive(
    bag: str | Path,
    camera: CameraSetup | None = None,
    outputs: Sequence[str] = ("curvature", "speed"),
    cache: bool = True,
    topic: str | None = None,
    labels: Labels = "expert",
) -> Drive:
    """Frames and labels of a bag.

    Labels come from `/expert/command` (named vector), else from `/cmd_vel` (TwistStamped, or Twist
    at its log time): speed and curvature = yaw rate / speed. A frame's label is the one with its
    header stamp, else the nearest within half a period of the slower of the two, at most 0.1 s.
    Frames without a label or that cannot be decoded are left out and counted.

    With `labels` "interventions" or "driven" they come from a person who took over now and then,
    see `interventions.Interventions`; the frames that lead up to an intervention are kept with
    weight 0.

    Args:
        bag: rosbag2 folder or storage file.
        camera: how frames are cropped and resized; by default to 78 x 200.
        outputs: names of the labels, in the order of the columns.
        cache: keep decoded frames on disk; otherwise all are in memory.
        topic: the camera; by default /camera/image_raw[/compressed], or the only one.
        labels: whose.

    Raises:
        InputError: no bag, no camera, no label, or labels without a wanted output.
    """
    camera = CameraSetup() if camera is None else camera
    with BagReader(bag) as reader:
        camera_topic = topic or camera_topic_of(reader)
        source = Recorded(reader) if labels == "expert" else Interventions(reader, labels)
        reader.require(camera_topic, source.topics[0])
        stored = open_cache(reader, camera, camera_topic, source.name) if cache else None
        if stored is None:
            stored = _decode(reader, camera, camera_topic, source, cache)
    if missing := [name for name in outputs if name not in stored.label_names]:
        raise InputError(
            f"The labels of {bag} on {source.name} are {', '.join(stored.label_names)}, not "
            f"{', '.join(missing)}; train for outputs that the recording holds."
        )
    columns = [stored.label_names.index(name) for name in outputs]
    found = np.ascontiguousarray(stored.labels[:, columns], np.float32)
    known = np.isfinite(found).all(axis=1) | (labels == "expert")
    if not known.any():
        raise InputError(
            f"The interventions of {bag} say no {', '.join(outputs)}: the vehicle went no faster "
            f"than {MIN_SPEED} m/s, where a yaw rate tells no path; leave this bag out."
        )
    return Drive(
        path=Path(bag),
        stamps=stored.stamps,
        frames=stored.frames,
        labels=np.where(known[:, None], found, np.float32(0)),
        sessions=stored.sessions,
        outputs=tuple(outputs),
        label_topic=source.name,
        skipped=stored.skipped,
        weights=known.astype(np.float32),
    )


def find_bags(root: str | Path) -> list[Path]:
    """Bag folders at or below `root`, sorted.

    Raises:
        InputError: there is none.
    """
    root = Path(root)
    folders = {file.parent for end in ENDINGS for file in root.rglob(f"*{end}")}
    found = sorted(x for x in folders if not any(p.startswith(".") for p in _below(x, root)))
    if not found and (root / "manifest.json").is_file():
        raise InputError(
            f"{root} is a Donkeycar tub, no bag; make one of it first: `liquid-control import "
            f"donkeycar {quote(str(root))} BAG`."
        )
    if not found:
        refuse_ros1(root)
        raise InputError(
            f"There is no bag at or below {root}; expected folders with metadata.yaml and .mcap "
            "files, so check the path or record some first."
        )
    return found


def load_drives(
    roots: Sequence[str | Path],
    camera: CameraSetup | None = None,
    outputs: Sequence[str] = ("curvature", "speed"),
    labels: Labels = "expert",
) -> list[Drive]:
    """Every bag at or below `roots`; bags decoded before an interruption are not decoded again.

    With other labels than the expert's, demonstrations may lie beside robots' drives: a bag without
    an intervention has its expert's labels, or, for "driven", those on `/cmd_vel`; one that has
    neither is left out, which is said.

    Raises:
        InputError: as `load_drive`, or no bag holds an intervention.
    """
    bags = [bag for root in roots for bag in find_bags(root)]
    sources = _sources(bags, labels)
    return [
        load_drive(bag, camera, outputs, labels=sources[bag])
        for bag in tqdm(sources, desc="bags", unit="bag", delay=1, disable=None)
    ]


def _sources(bags: Sequence[Path], labels: Labels) -> dict[Path, Labels]:
    """Whose labels each bag is read with; bags with none are left out."""
    if labels == "expert":
        return dict.fromkeys(bags, labels)
    sources: dict[Path, Labels] = {}
    for bag in bags:
        with BagReader(bag) as reader:
            if topic_of(reader, "intervention"):
                sources[bag] = labels
            elif EXPERT in reader.topics or (labels == "driven" and VELOCITY in reader.topics):
                sources[bag] = "expert"
    if labels not in sources.values():
        raise InputError(
            f"None of {len(bags)} bags holds an intervention (geometry_msgs/TwistStamped on "
            f"`intervention`), the first is {bags[0]}; record drives in which a person took over, "
            "or take other labels."
        )
    if without := [bag.name for bag in bags if bag not in sources]:
        print(
            f"{len(without)} of {len(bags)} bags are left out, as nobody intervened there: "
            f"{', '.join(without)}"
        )
    return sources


def _decode(
    reader: BagReader,
    camera: CameraSetup,
    camera_topic: str,
    source: Recorded | Interventions,
    cache: bool,
) -> FrameCache:
    """Match frames with labels by their stamps, then decode only those that are of use."""
    stamps, sessions, session = [], [], 0
    for topic, log_time, message in reader.messages([camera_topic, SESSION_TOPIC, *source.topics]):
        if topic == camera_topic:
            stamps.append(stamp_or_log_time(message, log_time))
            sessions.append(session)
        elif topic == SESSION_TOPIC:
            session += 1
        else:
            source.add(topic, stamp_or_log_time(message, log_time), message)
    stamps = np.array(stamps, np.int64)
    ordered = forward(stamps, reader.path)
    labels, useful = source.match(stamps)
    wanted = ordered & useful
    skipped = {
        "out of order": int((~ordered).sum()),
        "without label": int((ordered & ~useful).sum()),
    }

    def frames():
        messages = reader.messages([camera_topic])
        total = int(wanted.sum())
        bar = tqdm(total=total, desc=f"decoding {reader.path.name}", delay=1, disable=None)
        with bar:
            for keep, (_, _, message) in zip(wanted, messages, strict=True):
                if keep:
                    bar.update()
                    yield _prepare(message, camera)

    rest = FrameCache(
        *(None, stamps[wanted], labels[wanted], np.array(sessions)[wanted]), source.names, skipped
    )
    return build(reader, camera, (camera_topic, source.name), frames(), rest, cache)


def _prepare(message, camera: CameraSetup) -> np.ndarray | None:
    """The frame, or None for one that is damaged."""
    try:
        return camera.apply(decode_image(message))
    except InputError:
        return None


def camera_topic_of(reader: BagReader) -> str:
    """The camera of a bag: /camera/image_raw[/compressed], or the only one.

    Raises:
        InputError: there is none, or there are several.
    """
    cameras = [
        name for name, (kind, count) in reader.topics.items() if count and kind in _IMAGE_TYPES
    ]
    for name in _CAMERA_TOPICS:
        # A vehicle may have a namespace: /car/camera/image_raw.
        found = [name] if name in cameras else [each for each in cameras if each.endswith(name)]
        if len(found) == 1:
            return found[0]
    if len(cameras) != 1:
        raise InputError(
            f"The bag {reader.path} has {len(cameras)} image topics ({', '.join(cameras)}) and "
            f"none is called {' or '.join(_CAMERA_TOPICS)}; name the camera's topic."
        )
    return cameras[0]


def stamp_or_log_time(message, log_time: int) -> int:
    """Header stamp [ns]; log time where there is no header or its stamp was never set."""
    stamp_ns = stamp_of(message)
    return stamp_ns if stamp_ns > 0 else log_time


def _below(folder: Path, root: Path) -> tuple[str, ...]:
    return folder.relative_to(root).parts
