"""The frames of a bag as a policy saw them, one after the other, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from liquid_control.camera import RobotCamera
from liquid_control.data.alignment import breaks, forward
from liquid_control.data.bag import BagReader
from liquid_control.data.drive import MAX_GAP_S, SESSION_TOPIC, camera_topic_of, stamp_or_log_time
from liquid_control.data.messages import decode_image
from liquid_control.data.recorded_labels import EXPERT, VELOCITY, Recorded
from liquid_control.errors import InputError
from liquid_control.evaluation.audit_record import Record, nodes_of, read_record
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import weights_hash

__all__ = ["Frames", "bag_of", "record_of"]

# Of what lies before the frames that are asked for, so much is of use [s].
SHOWN_S = 3.0


def bag_of(path: Path) -> Path:
    """The bag of a run folder, or the bag itself."""
    return path / "bag" if (path / "bag").exists() else path


def record_of(reader: BagReader) -> Record | None:
    """What a policy node recorded of its decisions, None where it recorded none."""
    facts = any(name.endswith("/facts") and count for name, (_, count) in reader.topics.items())
    decided = any(name.endswith("/decision") and n for name, (_, n) in reader.topics.items())
    if not (facts and decided):
        return None
    if len(nodes := nodes_of(reader)) > 1:
        raise InputError(
            f"The bag {reader.path} holds the policies {', '.join(nodes)}, expected one; record "
            "the topics of one of them, or use `liquid-control audit`, which has a --node for it."
        )
    return read_record(reader)


class Frames:
    """Iterates over the prepared frames of a bag, and keeps what stands beside them."""

    def __init__(
        self,
        policy: Policy,
        reader: BagReader,
        record: Record | None,
        around: tuple[float, float, float] | None,
    ) -> None:
        self.policy, self.reader = policy, reader
        self.around = around or (np.inf, np.inf, np.inf)
        self.kept: dict[int, np.ndarray] = {}
        names = reader.topics
        if record is None:
            self.topic = camera_topic_of(reader)
            self.wanted = None
        else:
            self.topic = record.facts_of(record.decisions[0]).image
            self.wanted = {decision.stamp: decision for decision in record.decisions}
            _require_fitting(policy, record)
            reader.require(self.topic)
        # In a run, cmd_vel is what the policy itself said.
        decided = any(name.endswith("/decision") for name in names)
        labelled = EXPERT in names or (VELOCITY in names and not decided)
        self.label = Recorded(reader) if labelled else None
        self._record = record
        self._own = record is not None and weights_hash(policy) == (
            record.facts_of(record.decisions[0]).weights
        )
        self.origin = -1
        self._cameras: dict[str, RobotCamera] = {}
        self._stamps: list[int] = []
        self._sessions: list[int] = []

    def __iter__(self) -> Iterator[np.ndarray]:
        session, topics = 0, [self.topic, SESSION_TOPIC]
        topics += self.label.topics if self.label else ()
        for topic, logged, message in self.reader.messages(
            [name for name in dict.fromkeys(topics) if name in self.reader.topics]
        ):
            stamp = stamp_or_log_time(message, logged)
            if topic == SESSION_TOPIC:
                session += 1
            elif topic != self.topic:
                self.label.add(topic, stamp, message)
            elif self._takes(stamp):
                self.origin = stamp if self.origin < 0 else self.origin
                seconds = (stamp - self.origin) / 1e9
                if seconds > self.around[2]:
                    break
                if seconds < self._passed_over():
                    continue
                view = self._view(stamp, message)
                if view is not None:
                    if self.around[0] <= seconds <= self.around[1]:
                        self.kept[len(self._stamps)] = view
                    self._stamps.append(stamp)
                    self._sessions.append(session)
                    yield self.policy.camera.apply(view)
        if not self._stamps:
            raise InputError(
                f"The bag {self.reader.path} has no frame on {self.topic} that the policy could "
                "see; record the camera with the run."
            )
        self.stamps = np.array(self._stamps, np.int64)

    def _passed_over(self) -> float:
        """Up to when frames are of no use [s], as a later state is recorded."""
        if not self._own or not np.isfinite(self.around[0]):
            return -np.inf
        last = (self._record.decisions[-1].stamp - self.origin) / 1e9
        return min(self.around[0], last) - SHOWN_S

    def _takes(self, stamp: int) -> bool:
        later = not self._stamps or stamp > self._stamps[-1]
        return later and (self.wanted is None or stamp in self.wanted)

    def _view(self, stamp: int, message: Any) -> np.ndarray | None:
        """The picture as it came to the policy, None for one that is damaged."""
        try:
            image = decode_image(message)
        except InputError:
            return None
        if self._record is None:
            return image
        facts = self._record.facts_of(self.wanted[stamp])
        if facts.hash not in self._cameras:
            self._cameras[facts.hash] = facts.camera(self.policy.camera)
        return self._cameras[facts.hash].apply(image)

    @property
    def newest(self) -> int:
        """Stamp of the frame that came last [ns]."""
        return self._stamps[-1]

    def times(self, record: Record | None) -> tuple[np.ndarray, np.ndarray]:
        """Which frames found a fresh state, bool (T,), and elapsed times [s], float32 (T,)."""
        stamps, sessions = self.stamps, np.array(self._sessions)
        forward(stamps, self.reader.path)
        fresh = np.zeros(len(stamps), bool)
        fresh[[0, *breaks(stamps, sessions, MAX_GAP_S)]] = True
        steps = np.diff(stamps) * 1e-9
        follows = steps[~fresh[1:]]
        period = float(np.median(follows)) if len(follows) else 1 / 30
        elapsed = np.concatenate(([period], steps)).astype(np.float32)
        elapsed[fresh] = period
        if record is not None:
            made = [self.wanted[int(stamp)] for stamp in stamps]
            elapsed = np.array([each.elapsed for each in made], np.float32)
            # A frame that the recorder missed leaves a hole in the numbers.
            holes = np.diff([each.number for each in made]) != 1
            fresh = np.array([each.reset > 0.5 for each in made]) | np.concatenate(([True], holes))
        return fresh, elapsed

    def starts(self, fresh: np.ndarray) -> dict[int, np.ndarray]:
        """Recorded states by row, from which the run's own model goes on."""
        rows = np.flatnonzero(fresh) if self._own else ()
        made = {int(row): self.wanted[int(self.stamps[row])] for row in rows}
        return {row: each.state.astype(np.float32) for row, each in made.items()}

    def labels(self) -> np.ndarray:
        outputs = self.policy.spec.names
        found = np.full((len(self.stamps), len(outputs)), np.nan, np.float32)
        if self.label is None:
            return found
        values, known = self.label.match(self.stamps)
        missing = [name for name in outputs if name not in self.label.names]
        if len(missing) == len(outputs):
            raise InputError(
                f"The model's outputs are {', '.join(outputs)}, the bag {self.reader.path} was "
                f"recorded with {', '.join(self.label.names)} ({self.label.name}); take a model "
                "for this vehicle."
            )
        for column, name in enumerate(outputs):
            if name in self.label.names:
                found[known, column] = values[known, self.label.names.index(name)]
        return found


def _require_fitting(policy: Policy, record: Record) -> None:
    names = record.decisions[0].names
    recorded = names[names.index("reset") + 1 :] if "reset" in names else ()
    if not set(policy.spec.names) & set(recorded):
        raise InputError(
            f"The model's outputs are {', '.join(policy.spec.names)}, the decisions of "
            f"{record.bag} are {', '.join(recorded)}; take a model for this vehicle."
        )
