"""What a policy's circuit did while it saw a recording: states, time constants, commands.

The policy runs over the recorded frames with the recorded times, its state carried on and fresh
after every gap of 0.2 s. In the bag of a run it sees what the node saw (the recorded camera setup,
elapsed times and resets); where the run's own model is asked, it starts from the recorded state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from liquid_control.camera import RobotCamera
from liquid_control.circuits import CTRNN, LTC, CfC
from liquid_control.data.alignment import breaks, forward
from liquid_control.data.bag import BagReader
from liquid_control.data.drive import MAX_GAP_S, SESSION_TOPIC, camera_topic_of, stamp_or_log_time
from liquid_control.data.messages import decode_image
from liquid_control.data.recorded_labels import EXPERT, VELOCITY, Recorded
from liquid_control.errors import InputError
from liquid_control.evaluation.audit_record import Record, read_record
from liquid_control.evaluation.open_loop import BATCH
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import weights_hash

__all__ = ["Activity", "bag_of", "record_of", "time_constants", "watch", "why_no_time_constants"]

# A page plays small pictures at 10 Hz.
PICTURES_HZ, MOST_PICTURES = 10.0, 400
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]


@dataclass(frozen=True, eq=False)
class Activity:
    """A circuit over one recording of T frames.

    Args:
        bag: the recording.
        stamps: int64 (T,) of the frames [ns].
        elapsed: float32 (T,) since the frame before [s].
        fresh: bool (T,), the state was not carried on from the frame before.
        features: float32 (T, features) of the head.
        before, states: float32 (T, numbers), the circuit's state before and after each frame, as
            `Policy.state_names` says; (T, 0) without a memory.
        constants: float32 (T, units), effective time constants [s]; None where there are none.
        commands: float32 (T, outputs), clipped, physical units.
        labels: float32 (T, outputs) of the human or expert, NaN where there is none.
        label_topic: where they come from, "" without.
        pictures: row and JPEG of some of the frames as the policy saw them.
        frames: by row, pictures as they came to the policy, before its camera setup, uint8 (rows,
            columns, 3); those asked for.
    """

    bag: Path
    stamps: np.ndarray
    elapsed: np.ndarray
    fresh: np.ndarray
    features: np.ndarray
    before: np.ndarray
    states: np.ndarray
    constants: np.ndarray | None
    commands: np.ndarray
    labels: np.ndarray
    label_topic: str
    pictures: list[tuple[int, bytes]]
    frames: dict[int, np.ndarray]

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def seconds(self) -> np.ndarray:
        """Time since the first frame [s], float64 (T,)."""
        return (self.stamps - self.stamps[:1]) / 1e9

    @property
    def name(self) -> str:
        """What tells the bag from others: a run's bag has the run's name."""
        return self.bag.resolve().parent.name if self.bag.name == "bag" else self.bag.name

    def stretches(self) -> list[tuple[int, int]]:
        """[start, stop) of rows through which the state was carried on."""
        starts = np.flatnonzero(self.fresh).tolist()
        return list(zip(starts, [*starts[1:], len(self)], strict=True))

    def settled(self, after_s: float) -> np.ndarray:
        """bool (T,): the state has been carried on for this long [s]."""
        found = np.zeros(len(self), bool)
        for start, stop in self.stretches():
            since = self.seconds[start:stop] - self.seconds[start]
            found[start:stop] = since >= after_s
        return found


def bag_of(path: Path) -> Path:
    """The bag of a run folder, or the bag itself."""
    return path / "bag" if (path / "bag").exists() else path


def record_of(reader: BagReader) -> Record | None:
    """What a policy node recorded of its decisions, None where it recorded none."""
    facts = any(name.endswith("/facts") and count for name, (_, count) in reader.topics.items())
    decided = any(name.endswith("/decision") and n for name, (_, n) in reader.topics.items())
    return read_record(reader) if facts and decided else None


def why_no_time_constants(policy: Policy) -> str:
    """One sentence on why a circuit has no effective time constants, "" where it has them."""
    circuit = policy.circuit
    if type(circuit) is LTC and circuit.memory is None:
        return ""
    if isinstance(circuit, LTC):
        return "The LSTM of a mixed memory sets the state anew each frame: no time constant tells."
    if isinstance(circuit, CfC):
        return "A CfC is a closed form: it has time gates, but no time constant of an equation."
    if isinstance(circuit, CTRNN):
        tau = circuit.time_constant * policy.tick
        return f"All neurons of this CT-RNN have one fixed time constant, {tau:.3g} s."
    if not circuit.state_sizes:
        return "A feed-forward network has no state, so no time constants."
    return f"{type(circuit).__name__} steps from frame to frame and has no time constants."


@torch.inference_mode()
def time_constants(policy: Policy, features: Tensor, states: Tensor) -> np.ndarray | None:
    """Effective time constants C / (g + sum w s) [s], float32 (T, units); see `LTC`."""
    if why_no_time_constants(policy):
        return None
    constants = policy.circuit.time_constants(features, states) * policy.tick
    return constants.cpu().numpy().astype(np.float32)


def watch(
    policy: Policy,
    bag: str | Path,
    pictures: bool = False,
    around: tuple[float, float, float] | None = None,
) -> Activity:
    """Run a policy over a bag.

    Args:
        policy: on the CPU, in evaluation mode.
        bag: rosbag2 folder of any kind, or the bag of a run.
        pictures: keep small pictures of some of the frames.
        around: keep the frames from the first to the second of these times since the first frame,
            and read up to the third [s]; all is read by default.

    Raises:
        InputError: no bag, no camera, no frame, or a model whose outputs are not those of the bag.
    """
    bag = Path(bag)
    with BagReader(bag) as reader:
        record = record_of(reader)
        frames = _Frames(policy, reader, record, around)
        features, kept = _features(policy, frames, pictures)
    fresh, elapsed = frames.times(record)
    start = frames.starts(record, fresh)
    before, states, commands = _drive(policy, features, elapsed, fresh, start)
    return Activity(
        bag=bag,
        stamps=frames.stamps,
        elapsed=elapsed,
        fresh=fresh,
        features=features,
        before=before,
        states=states,
        constants=time_constants(policy, torch.from_numpy(features), torch.from_numpy(states)),
        commands=commands,
        labels=frames.labels(),
        label_topic=frames.label.name if frames.label else "",
        pictures=kept,
        frames=frames.kept,
    )


class _Frames:
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
                seconds = (stamp - self._stamps[0]) / 1e9 if self._stamps else 0.0
                if seconds > self.around[2]:
                    break
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

    def starts(self, record: Record | None, fresh: np.ndarray) -> dict[int, np.ndarray]:
        """Recorded states by row, from which the run's own model goes on."""
        own = record is not None and weights_hash(self.policy) == (
            record.facts_of(record.decisions[0]).weights
        )
        rows = np.flatnonzero(fresh) if own else ()
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


@torch.inference_mode()
def _features(
    policy: Policy, frames: _Frames, pictures: bool
) -> tuple[np.ndarray, list[tuple[int, bytes]]]:
    """Features (T, features), and some frames as JPEG by row."""
    found, kept, batch = [], [], []
    total = frames.reader.topics[frames.topic][1]
    name = frames.reader.path.name
    bar = tqdm(total=total, desc=f"watching {name}", unit="frame", delay=1, disable=None)

    def compute() -> None:
        pixels = torch.from_numpy(np.stack(batch)).to(policy.scale.device)
        found.append(policy.features(pixels).float().cpu().numpy())
        batch.clear()

    shown_at = -np.inf
    with bar:
        for row, frame in enumerate(frames):
            bar.update()
            batch.append(frame)
            seconds = frames._stamps[-1] * 1e-9
            if pictures and len(kept) < MOST_PICTURES and seconds - shown_at > 0.9 / PICTURES_HZ:
                shown_at = seconds
                content = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), JPEG)[1]
                kept.append((row, content.tobytes()))
            if len(batch) == BATCH:
                compute()
        if batch:
            compute()
    return np.concatenate(found), kept


@torch.inference_mode()
def _drive(
    policy: Policy,
    features: np.ndarray,
    elapsed: np.ndarray,
    fresh: np.ndarray,
    start: dict[int, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States before and after each frame (T, numbers), and clipped commands (T, outputs)."""
    circuit, prepared = policy.circuit, policy.circuit.prepare()
    sizes = circuit.state_sizes
    nothing = torch.zeros(1, sum(sizes))
    before, states, outputs = [], [], []
    state = nothing
    for row in range(len(features)):
        if fresh[row]:
            state = torch.from_numpy(start[row][None]) if row in start else nothing
        before.append(state)
        given = state if len(sizes) == 1 else (state.split(sizes, 1) if sizes else None)
        sample = torch.from_numpy(features[row : row + 1])
        output, after = circuit.step(sample, given, float(elapsed[row]) / policy.tick, prepared)
        state = (
            after if isinstance(after, Tensor) else torch.cat((nothing[:, :0], *(after or ())), 1)
        )
        states.append(state)
        outputs.append(output)
    commands = policy.spec.clip((torch.cat(outputs) * policy.scale).numpy())
    return torch.cat(before).numpy(), torch.cat(states).numpy(), commands
