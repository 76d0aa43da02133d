"""Any rosbag2 recording (MCAP or SQLite) becomes a bag that training reads, by a topic map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from liquid_control.camera import Calibration, CameraSetup, RobotCamera
from liquid_control.data import messages
from liquid_control.data.alignment import forward, match
from liquid_control.data.bag import BagReader
from liquid_control.data.commands import command_values, default_outputs
from liquid_control.data.decoding import is_plain
from liquid_control.data.drive import MAX_GAP_S, stamp_or_log_time
from liquid_control.data.importers.images import image_format
from liquid_control.data.importers.topic_map import Source, TopicMap
from liquid_control.data.importers.writing import ImportReport, Sample, import_samples
from liquid_control.errors import InputError

__all__ = ["import_rosbag"]


@dataclass
class _Plan:
    """What the first reading found: which frames are kept, and with which command."""

    names: tuple[str, ...]
    commands: np.ndarray
    label_of: np.ndarray
    stamps: np.ndarray
    usable: int
    from_log_time: int


def import_rosbag(
    src: str | Path,
    dst: str | Path,
    topics: Path,
    overwrite: bool = False,
    progress: bool = True,
) -> ImportReport:
    """Write the bag `src` as the bag `dst` with the topics that training reads.

    Frames get the command nearest in time, within half a period of the slower of the two and
    0.1 s. Compressed images keep their bytes, raw ones become PNG. Frames without a command,
    damaged frames and messages, and damaged chunks of an MCAP file are left out and counted.

    Args:
        src: rosbag2 folder or storage file.
        dst: the bag.
        topics: YAML file, see `topic_map.TopicMap`.
        overwrite: replace a bag that is there.
        progress: show a progress bar on a terminal.

    Raises:
        InputError: no bag, no such topic, or see `import_samples`.
    """
    chosen = TopicMap.read(Path(topics))
    try:
        return _import(BagReader(src), chosen, Path(dst), overwrite, progress)
    except _Damaged:
        # Without its index the rest of an MCAP file can be read.
        return _import(BagReader(src, scan=True), chosen, Path(dst), overwrite, progress)


class _Damaged(Exception):
    """A bag that may be read by scanning it."""


def _import(
    reader: BagReader, chosen: TopicMap, dst: Path, overwrite: bool, progress: bool
) -> ImportReport:
    skipped: Counter[str] = Counter()
    with reader:
        reader.require(chosen.camera, chosen.command)
        if chosen.camera == chosen.command:
            raise InputError(
                f"{chosen.camera} is the camera and cannot be the command too; name its topic."
            )
        if reader.damaged:
            skipped["damaged chunk of the file"] = reader.damaged
        plan = _plan(reader, chosen, skipped)
        notes = []
        if plan.from_log_time:
            notes.append(f"{plan.from_log_time:,} stamps are log times: their headers hold none")
        report = ImportReport(reader.path, dst, plan.names, notes=notes)
        facts = {"format": "rosbag", "camera": chosen.camera, "command": chosen.command}
        samples = _samples(reader, chosen, plan, skipped)
        return import_samples(
            report, samples, skipped, overwrite, plan.usable, progress, reader.facts | facts
        )


def _plan(reader: BagReader, chosen: TopicMap, skipped: Counter[str]) -> _Plan:
    frames, whole, labels, values = [], [], [], []
    outputs: dict[str, Source] = {}
    from_log_time = 0
    for topic, message, log_time in _messages(reader, {chosen.camera, chosen.command}):
        if message is None:
            skipped["message damaged"] += 1
            # A frame keeps its place, so that the second reading finds it.
            if topic == chosen.camera:
                frames.append(0)
                whole.append(False)
            continue
        from_log_time += messages.stamp_of(message) <= 0
        stamp = stamp_or_log_time(message, log_time)
        if topic == chosen.camera:
            frames.append(stamp)
            whole.append(True)
            continue
        found = command_values(message, chosen.wheelbase)
        if not outputs:
            outputs = _outputs(reader, chosen, found)
        row = [(found or {}).get(source.name, np.nan) * source.scale for source in outputs.values()]
        if np.isfinite(row).all():
            labels.append(stamp)
            values.append(row)
        else:
            skipped["command that is not finite"] += 1
    if not labels:
        # A type that is not known says so here.
        for _, _, _, cdr in reader.raw_messages({chosen.command}):
            reader.decode(chosen.command, cdr)
        raise InputError(f"{reader.path} holds no whole command on {chosen.command}.")
    stamps, label_of = np.array(frames, np.int64), np.full(len(frames), -1)
    readable = np.flatnonzero(whole)
    ordered = forward(stamps[readable], reader.path)
    label_of[readable[ordered]] = match(stamps[readable[ordered]], np.array(labels, np.int64))
    skipped["frame out of order"] += int((~ordered).sum())
    skipped["frame without a command"] += int((label_of[readable[ordered]] < 0).sum())
    if chosen.rate is not None:
        thinned = _thin(stamps, label_of >= 0, chosen.rate)
        skipped[f"frame beyond {chosen.rate:g} Hz"] += int((label_of >= 0).sum() - thinned.sum())
        label_of = np.where(thinned, label_of, -1)
    usable = int((label_of >= 0).sum())
    return _Plan(tuple(outputs), np.array(values), label_of, stamps, usable, from_log_time)


def _outputs(
    reader: BagReader, chosen: TopicMap, found: dict[str, float] | None
) -> dict[str, Source]:
    kind = reader.topics[chosen.command][0]
    if not found:
        raise InputError(
            f"{chosen.command} of {reader.path} is {kind}, which is no command; expected Twist, "
            "TwistStamped, AckermannDrive, AckermannDriveStamped, Twist2DStamped or JointState."
        )
    outputs = chosen.outputs or {name: Source(name) for name in default_outputs(found)}
    if unknown := [source.name for source in outputs.values() if source.name not in found]:
        hint = " (curvature needs a wheelbase)" if "wheel_angle" in found else ""
        raise InputError(
            f"{chosen.command} of {reader.path} gives {', '.join(found)}, not "
            f"{', '.join(unknown)}{hint}; change the outputs of the topic map."
        )
    return outputs


def _thin(stamps: np.ndarray, wanted: np.ndarray, rate: float) -> np.ndarray:
    """bool (N,): the frames nearest to a clock of `rate` [Hz] that starts anew after a gap."""
    period, kept = 1e9 / rate, np.zeros(len(stamps), bool)
    steps = np.diff(stamps[wanted])
    # A frame may come half a camera period early and still be the nearest.
    early = float(np.median(steps)) / 2 if len(steps) else 0.0
    due = -np.inf
    for index in np.flatnonzero(wanted):
        stamp = float(stamps[index])
        if stamp - due > MAX_GAP_S * 1e9 + period:
            due = stamp
        if stamp + early >= due:
            kept[index] = True
            due += period
    return kept


def _samples(
    reader: BagReader, chosen: TopicMap, plan: _Plan, skipped: Counter[str]
) -> Iterator[Sample]:
    show = _view(reader, chosen)
    copied = {chosen.odom: "/odom"}
    if show is None:
        copied[chosen.camera_info] = "/camera/camera_info"
    copied = {topic: name for topic, name in copied.items() if topic}
    reader.require(*copied)
    index = -1
    more: list[tuple[str, Any]] = []
    waiting: Sample | None = None
    for topic, message, _ in _messages(reader, {chosen.camera, *copied}):
        if topic == chosen.camera:
            index += 1
            if plan.label_of[index] < 0:
                continue
        if message is None:
            skipped["message damaged"] += 1
            continue
        if topic in copied:
            # It goes into the bag with the next or the last frame, but keeps its own stamp.
            more.append((copied[topic], partial(_as_it_is, message)))
            continue
        try:
            image, format = _encoded(message, show)
        except ValueError as reason:
            skipped[str(reason)] += 1
            continue
        command = plan.commands[plan.label_of[index]]
        if waiting is not None:
            yield waiting
        waiting = Sample(int(plan.stamps[index]), "", command, image, format, tuple(more))
        more = []
    if waiting is not None:
        yield replace(waiting, more=(*waiting.more, *more))


def _as_it_is(message: Any, stamp_ns: int) -> Any:
    return message


def _view(reader: BagReader, chosen: TopicMap) -> Callable[[np.ndarray], np.ndarray] | None:
    """What shows a frame as the topic map wants it; None: as it is.

    Raises:
        InputError: the bag's camera_info cannot be undistorted by.
    """
    if chosen.view is None:
        return None
    calibration = None
    if chosen.view.undistort:
        reader.require(chosen.camera_info)
        infos = (each for _, each, _ in _messages(reader, {chosen.camera_info}) if each is not None)
        first = next(infos, None)
        calibration = None if first is None else Calibration.of(first)
    return RobotCamera(chosen.view, CameraSetup(), calibration).apply


def _encoded(message: Any, show: Callable[[np.ndarray], np.ndarray] | None) -> tuple[bytes, str]:
    """Bytes and format of a PNG or JPEG file.

    Raises:
        ValueError: the image is damaged; the text says so, as a reason to count.
    """
    if show is None and not hasattr(message, "encoding") and is_plain(message.format):
        data = bytes(message.data)
        if format := image_format(data):
            return data, format
        raise ValueError("image damaged")
    try:
        frame = messages.decode_image(message)
        frame = frame if show is None else show(frame)
        frame = messages.png_image(frame, 0)
    except InputError as error:
        raise ValueError("image damaged, of another encoding or outside of the view") from error
    return bytes(frame.data), "png"


def _messages(reader: BagReader, topics: set[str]) -> Iterator[tuple[str, Any, int]]:
    """(topic, message or None where it is damaged, log time [ns])."""
    raw = reader.raw_messages(topics)
    while True:
        try:
            topic, _, log_time, cdr = next(raw)
        except StopIteration:
            return
        except InputError as error:
            if not reader.recovered and all(file.suffix == ".mcap" for file in reader.files):
                raise _Damaged from error
            raise
        try:
            yield topic, reader.decode(topic, cdr), log_time
        except InputError:
            yield topic, None, log_time
