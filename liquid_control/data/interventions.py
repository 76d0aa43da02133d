"""A person's interventions in a recorded drive, as labels.

A person takes the vehicle out of the policy's hand where it goes wrong, and `intervention`
(geometry_msgs/TwistStamped) carries what the person commands meanwhile: just what the policy
should have done there (HG-DAgger: Kelly et al., "Interactive Imitation Learning with Human
Experts", ICRA 2019). Where nobody took over, the person was content; what the policy did there can
be kept as a label, too (Mandlekar et al., "Human-in-the-Loop Imitation Learning using Remote
Teleoperation", 2020), but not just before a takeover, which answers a mistake (Liu et al., "Robot
Learning on the Job", RSS 2023).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from liquid_control.data.alignment import match
from liquid_control.data.bag import BagReader
from liquid_control.data.commands import command_values
from liquid_control.errors import InputError

__all__ = ["HOLD_S", "MIN_SPEED", "Interventions", "Labels", "held", "topic_of"]

# Where labels come from: an expert or whoever sent cmd_vel; the person alone; or the person, and
# elsewhere the policy that the person let drive.
Labels = Literal["expert", "interventions", "driven"]

TOPIC = "intervention"
# A command holds so long; silence of more ends an intervention [s].
HOLD_S = 0.25
# Below this speed a yaw rate says nothing about a path [m/s].
MIN_SPEED = 0.3
# Frames before an intervention that are kept to build up a circuit's state [s].
LEAD_S = 2.0
# How long before an intervention the policy has been wrong already [s].
WRONG_S = 1.0
_NAMES = ["vx", "vy", "vz", "yaw_rate", "speed", "curvature"]
_SECOND = 1_000_000_000


def topic_of(reader: BagReader, name: str) -> str | None:
    """The topic `/name` of a bag, or the only one in a namespace (`/car/name`), if it has messages.

    Raises:
        InputError: several namespaces have one.
    """
    held_by = [topic for topic, (_, count) in reader.topics.items() if count]
    if f"/{name}" in held_by:
        return f"/{name}"
    found = sorted(topic for topic in held_by if topic.endswith(f"/{name}"))
    if len(found) > 1:
        raise InputError(
            f"The bag {reader.path} holds {', '.join(found)}; expected the {name} of one vehicle, "
            "so record each vehicle into a bag of its own."
        )
    return found[0] if found else None


def held(stamps: np.ndarray, commands: np.ndarray) -> np.ndarray:
    """int64 (N,): which command holds at each frame, -1 where the person's hands are off.

    It is the latest one at or before the frame, at most `HOLD_S` old.

    Args:
        stamps: of the frames [ns].
        commands: stamps of the person's commands [ns], in order.
    """
    latest = np.searchsorted(commands, stamps, side="right") - 1
    age = stamps - commands[latest.clip(0)]
    return np.where((latest >= 0) & (age <= HOLD_S * _SECOND), latest, -1)


class Interventions:
    """The labels of a bag in which a person took over now and then.

    Args:
        reader: the bag.
        kind: "interventions": frames outside of them have no label; "driven": the policy's own
            command (`cmd_vel`) is theirs.

    Attributes:
        topics: to be read.
        name: of the source of the labels.
        names: of the columns of the labels.

    Raises:
        InputError: the bag holds no intervention, or one that is no TwistStamped.
    """

    names = _NAMES

    def __init__(self, reader: BagReader, kind: Labels) -> None:
        if kind not in get_args(Labels)[1:]:
            raise InputError(
                f"Labels come from {', '.join(get_args(Labels))}, got {kind!r}; choose one."
            )
        self._path, topic = reader.path, topic_of(reader, TOPIC)
        if topic is None:
            raise InputError(
                f"The bag {reader.path} holds no intervention: expected the topic {TOPIC} "
                f"(geometry_msgs/TwistStamped), got {', '.join(sorted(reader.topics)) or 'none'}; "
                "leave this bag out, or take other labels."
            )
        if (typename := reader.topics[topic][0]) != "geometry_msgs/msg/TwistStamped":
            raise InputError(
                f"{topic} of {reader.path} is {typename}, expected geometry_msgs/TwistStamped, "
                "whose stamp says when the person gave the command; publish that."
            )
        policy = topic_of(reader, "cmd_vel") if kind == "driven" else None
        self.topics = (topic, policy) if policy else (topic,)
        self.name = " and ".join(self.topics)
        self._rows: dict[str, list[list[float]]] = {name: [] for name in self.topics}
        self._stamps: dict[str, list[int]] = {name: [] for name in self.topics}

    def add(self, topic: str, stamp: int, message: Any) -> None:
        """Take in a message of one of the topics; one that is not finite is left out."""
        values = command_values(message)
        row = [values[name] for name in _NAMES]
        if np.isfinite(row).all():
            if values["speed"] <= MIN_SPEED:
                row[-1] = np.nan
            self._rows[topic].append(row)
            self._stamps[topic].append(stamp)

    def match(self, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels (N, columns) of frames, NaN where there is none, and bool (N,) which to keep.

        Kept are labelled frames and those that lead up to an intervention.

        Args:
            stamps: of the frames [ns].

        Raises:
            InputError: no frame lies within an intervention.
        """
        commands, rows = self._ordered(self.topics[0])
        which = held(stamps, commands) if len(commands) else np.full(len(stamps), -1)
        if not (which >= 0).any():
            first = f"first frame {stamps[0]} ns, " if len(stamps) else "no frame, "
            raise InputError(
                f"No frame of {self._path} lies within {HOLD_S} s after a command on "
                f"{self.topics[0]} ({first}{len(commands)} finite commands"
                f"{f', the first at {commands[0]} ns' if len(commands) else ''}); check that the "
                "camera and the person's input use the same clock."
            )
        labels = np.full((len(stamps), len(_NAMES)), np.nan)
        starts = commands[np.r_[True, np.diff(commands) > HOLD_S * _SECOND]]
        if len(self.topics) > 1:
            theirs, driven = self._ordered(self.topics[1])
            near = match(stamps, theirs) if len(theirs) else np.full(len(stamps), -1)
            near[_before(stamps, starts, WRONG_S)] = -1
            labels[near >= 0] = driven[near[near >= 0]]
        labels[which >= 0] = rows[which[which >= 0]]
        known = np.isfinite(labels).any(axis=1)
        return labels, known | _before(stamps, starts, LEAD_S)

    def _ordered(self, topic: str) -> tuple[np.ndarray, np.ndarray]:
        stamps = np.array(self._stamps[topic], np.int64)
        order = np.argsort(stamps, kind="stable")
        return stamps[order], np.array(self._rows[topic], float).reshape(-1, len(_NAMES))[order]


def _before(stamps: np.ndarray, starts: np.ndarray, seconds: float) -> np.ndarray:
    """bool (N,): frames at most `seconds` before one of `starts` (in order) [ns]."""
    following = np.searchsorted(starts, stamps, side="left").clip(0, len(starts) - 1)
    until = starts[following] - stamps
    return (until > 0) & (until <= seconds * _SECOND)
