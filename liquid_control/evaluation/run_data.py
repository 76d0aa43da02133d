"""A run's bag as arrays: what the results, the video and the report page are made from.

Vectors are read into memory; images stay in the bag and are streamed by `run_views`, because an
hour of frames does not fit. Everything is joined by the header stamp of the camera frame.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from liquid_control.data.bag import BagReader
from liquid_control.data.messages import stamp_of
from liquid_control.errors import InputError

__all__ = ["RunData", "Series", "message_stamp", "read_run", "trim"]

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA = ("/camera/image_raw", "/camera/image_raw/compressed")
OVERLAY = ("/policy/attention/overlay/compressed", "/policy/attention/overlay")
SALIENCY = ("/policy/attention",)
VECTORS = {
    "decision": "/policy/decision",
    "neurons": "/policy/neurons",
    "latency": "/policy/latency",
    "state": "/simulator/state",
    "expert": "/expert/command",
}
TOLD = ("speed", "yaw_rate", "left", "up")
TWISTS = {"asked": "/cmd_vel", "safe": "/cmd_vel_safe"}
ROAD = {
    "centre": "/simulator/road",
    "left": "/simulator/road/left",
    "right": "/simulator/road/right",
}


@dataclass(frozen=True)
class Series:
    """A named vector over time: stamps int64 (N,) [ns], values float64 (N, names)."""

    stamps: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> np.ndarray:
        """Values (N,) of one name; KeyError where there is none."""
        values = self.get(name)
        if values is None:
            raise KeyError(name)
        return values

    def get(self, name: str) -> np.ndarray | None:
        """Values (N,) of one name, None where there is none."""
        return self.values[:, self.names.index(name)] if name in self.names else None

    def between(self, first: int, last: int) -> Series | None:
        """The rows with stamps in [first, last], None if there is none."""
        inside = (self.stamps >= first) & (self.stamps <= last)
        return Series(self.stamps[inside], self.names, self.values[inside]) if any(inside) else None

    def at(self, stamps: np.ndarray) -> Series:
        """The rows with exactly these stamps, NaN where there is none."""
        rows = {int(stamp): row for row, stamp in enumerate(self.stamps)}
        index = np.array([rows.get(int(stamp), -1) for stamp in stamps], np.int64)
        values = np.full((len(stamps), len(self.names)), np.nan)
        values[index >= 0] = self.values[index[index >= 0]]
        return Series(np.asarray(stamps, np.int64), self.names, values)


@dataclass(frozen=True)
class RunData:
    """Everything of a run but its pixels. A series is None where its topic was not recorded.

    Args:
        bag: the bag that was read.
        camera: name of the camera topic.
        frames: header stamps int64 (N,) [ns] of the camera frames, in recorded order; a frame that
            was sent again while nobody answered counts once.
        commands: what the policy asked for, by output name.
        resets: stamps of the decisions whose hidden state was fresh.
        neurons: hidden states by neuron name.
        time_constants: effective time constants [s] by neuron name.
        latency: "age" (frame to command) and "inference" [s].
        state: the simulator's info by name.
        expert: the command of the human or expert, by output name.
        asked: "speed", "left" and "up" [m/s] and "yaw_rate" [rad/s] of `/cmd_vel`.
        safe: the same of `/cmd_vel_safe`.
        odometry: "x", "y" [m] and "speed" [m/s].
        roads: per stamp [ns] of its start, the lines (K, 2) [m] "centre", "left" and "right" of a
            road in the map frame; after the car has left a road the simulator goes on with another.
        overlay: name of the topic with overlay images, or None.
        saliency: name of the topic with saliency maps, or None.
        absent: recorded topics that this run lacks.
        before: frames cut off at the start, as the policy was not at work yet (see `trim`).
        after: frames cut off at the end.
    """

    bag: Path
    camera: str
    frames: np.ndarray
    commands: Series | None = None
    resets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    neurons: Series | None = None
    time_constants: Series | None = None
    latency: Series | None = None
    state: Series | None = None
    expert: Series | None = None
    asked: Series | None = None
    safe: Series | None = None
    odometry: Series | None = None
    roads: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
    overlay: str | None = None
    saliency: str | None = None
    absent: frozenset[str] = frozenset()
    before: int = 0
    after: int = 0

    @property
    def kind(self) -> str:
        """ "drive" (closed loop), "replay" (policy beside a recording) or "recording"."""
        if self.expert is None:
            return "drive"
        if self.commands is None:
            return "recording"
        return "replay" if self.state is None else "drive"

    @property
    def flies(self) -> bool:
        """Whether the vehicle flies to targets, instead of along a road."""
        return self.state is not None and "target_distance" in self.state

    @property
    def crash(self) -> str:
        """The flag of the simulator's state that says that an episode ended in a crash."""
        return "crashed" if self.state is not None and "crashed" in self.state else "off_road"

    def seconds(self, stamps: np.ndarray) -> np.ndarray:
        """Time since the first stamp of the run [s], float64 (N,)."""
        return (np.asarray(stamps, np.int64) - self.origin) / 1e9

    def episodes(self) -> list[Series]:
        """The simulator's state cut where its time starts again, on a new road."""
        if self.state is None:
            return []
        clock = self.state.get("time")
        clock = self.state.stamps if clock is None else clock
        cuts = [0, *(np.flatnonzero(np.diff(clock) < 0) + 1), len(self.state)]
        return [
            Series(self.state.stamps[a:b], self.state.names, self.state.values[a:b])
            for a, b in pairwise(cuts)
        ]

    @property
    def origin(self) -> int:
        """The stamp that is time 0 of the report [ns]."""
        if len(self.frames):
            return int(self.frames[0])
        firsts = [int(s.stamps[0]) for s in (self.commands, self.state, self.expert) if s]
        return min(firsts, default=0)


def read_run(bag: str | Path) -> RunData:
    """Read a run's bag.

    Raises:
        InputError: no bag there, or a bag without a camera topic.
    """
    bag = Path(bag)
    if not bag.exists():
        raise InputError(
            f"No bag at {bag}: expected a rosbag2 folder with metadata.yaml and an .mcap file; "
            "give the folder of a run or of a bag."
        )
    with BagReader(bag) as reader:
        return _read(bag, reader)


def _read(bag: Path, reader: BagReader) -> RunData:
    types = {topic: kind for topic, (kind, _) in reader.topics.items()}
    camera = _camera_topic(bag, types)
    vectors = {key: _topic(types, name) for key, name in VECTORS.items()}
    twists = {key: _topic(types, name) for key, name in TWISTS.items()}
    lines = {key: _topic(types, name) for key, name in ROAD.items()}
    odometry = _topic(types, "/odom")

    frames: list[int] = []
    rows: dict[str, list] = defaultdict(list)
    roads: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    roles = {topic: key for key, topic in {**vectors, **twists, **lines}.items() if topic}
    wanted = [camera, *roles, *([odometry] if odometry else [])]
    for topic, logged, message in reader.messages(wanted):
        stamp = message_stamp(message, logged)
        if topic == camera:
            frames.append(stamp)
        elif topic == odometry:
            place = message.pose.pose.position
            rows["odometry"].append((stamp, (place.x, place.y, message.twist.twist.linear.x)))
        elif roles[topic] in VECTORS:
            rows[roles[topic]].append(
                (stamp, tuple(message.name), message.position, message.velocity)
            )
        elif roles[topic] in TWISTS:
            twist = getattr(message, "twist", message)
            told = twist.linear.x, twist.angular.z, twist.linear.y, twist.linear.z
            rows[roles[topic]].append((stamp, told))
        else:
            points = [(p.pose.position.x, p.pose.position.y) for p in message.poses]
            roads[stamp][roles[topic]] = np.array(points, float).reshape(-1, 2)

    commands, resets = _decisions(rows["decision"])
    expected = (*VECTORS.values(), *TWISTS.values(), *ROAD.values(), "/odom")
    filled = {topic: kind for topic, (kind, count) in reader.topics.items() if count}
    absent = {name for name in expected if not _topic(filled, name)}
    absent |= {group[0] for group in (OVERLAY, SALIENCY) if not _first(filled, group)}
    return RunData(
        bag=bag,
        camera=camera,
        frames=np.array(list(dict.fromkeys(frames)), np.int64),
        commands=commands,
        resets=resets,
        neurons=_vector(rows["neurons"], 2),
        time_constants=_vector(rows["neurons"], 3),
        latency=_vector(rows["latency"], 2),
        state=_vector(rows["state"], 2),
        expert=_vector(rows["expert"], 2),
        asked=_table(rows["asked"], TOLD),
        safe=_table(rows["safe"], TOLD),
        odometry=_table(rows["odometry"], ("x", "y", "speed")),
        roads=dict(sorted(roads.items())),
        overlay=_first(filled, OVERLAY),
        saliency=_first(filled, SALIENCY),
        absent=frozenset(absent),
    )


def trim(run: RunData, to_end: bool = False) -> RunData:
    """The part in which the policy was at work: from its first decision to its last.

    Before, nodes start and the car waits; after, they are stopped one by one. `to_end` keeps what
    came after the last decision, which shows how a vehicle stopped whose policy had died.
    """
    if run.commands is None:
        return run
    first, last = int(run.commands.stamps.min()), int(run.commands.stamps.max())
    if to_end:
        last = max([last, *map(int, run.frames)])
    cut = {
        key: value.between(first, last)
        for key, value in vars(run).items()
        if isinstance(value, Series)
    }
    inside = (run.frames >= first) & (run.frames <= last)
    before, after = int((run.frames < first).sum()), int((run.frames > last).sum())
    return replace(run, frames=run.frames[inside], before=before, after=after, **cut)


def _topic(types: dict[str, str], name: str) -> str | None:
    """`name` itself, or the first topic that ends with it: a robot may have a namespace."""
    if name in types:
        return name
    return next((topic for topic in sorted(types) if topic.endswith(name)), None)


def _first(types: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := _topic(types, name))), None)


def _camera_topic(bag: Path, types: dict[str, str]) -> str:
    known = _first(types, CAMERA)
    images = [t for t, kind in types.items() if kind in IMAGE_TYPES and "/attention" not in t]
    if known in images:
        return known
    if len(images) == 1:
        return images[0]
    came = ", ".join(sorted(images or types)) or "no topic at all"
    raise InputError(
        f"The bag {bag} has no camera topic: expected {' or '.join(CAMERA)}, or exactly one image "
        f"topic under another name, found {came}; record the camera with the run."
    )


def message_stamp(message: object, logged: int) -> int:
    """Header stamp [ns]; the time of recording for messages without one (Twist)."""
    stamp = stamp_of(message)
    return logged if stamp < 0 else stamp


def _table(rows: list[tuple[int, tuple]], names: tuple[str, ...]) -> Series | None:
    if not rows:
        return None
    stamps = np.array([row[0] for row in rows], np.int64)
    return Series(stamps, names, np.array([row[1] for row in rows], float))


def _vector(rows: list[tuple], part: int) -> Series | None:
    """The positions (part 2) or velocities (part 3) of named vectors; NaN where a row has none."""
    if not rows:
        return None
    names = rows[0][1]
    values = np.full((len(rows), len(names)), np.nan)
    for row, entry in enumerate(rows):
        if entry[1] == names and len(entry[part]) == len(names):
            values[row] = entry[part]
    if np.isnan(values).all():
        return None
    return Series(np.array([entry[0] for entry in rows], np.int64), names, values)


def _decisions(rows: list[tuple]) -> tuple[Series | None, np.ndarray]:
    """Split the audit vector: states before, "elapsed", "reset", then the command's outputs."""
    audit = _vector(rows, 2)
    if audit is None or "reset" not in audit:
        return None, np.zeros(0, np.int64)
    first = audit.names.index("reset") + 1
    commands = Series(audit.stamps, audit.names[first:], audit.values[:, first:])
    return commands, audit.stamps[audit["reset"] > 0.5]
