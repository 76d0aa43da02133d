"""What a policy's circuit did while it saw a recording: states, time constants, commands.

The policy runs over the recorded frames with the recorded times, its state carried on and fresh
after every gap of 0.2 s. In the bag of a run it sees what the node saw (the recorded camera setup,
elapsed times and resets); where the run's own model is asked, it starts from the recorded state.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from liquid_control.analysis.neurons_frames import Frames, record_of
from liquid_control.circuits import CTRNN, LTC, CfC
from liquid_control.data.bag import BagReader
from liquid_control.evaluation.open_loop import BATCH
from liquid_control.policy import Policy

__all__ = ["Activity", "time_constants", "watch", "why_no_time_constants"]

# A page plays small pictures at 10 Hz.
PICTURES_HZ, MOST_PICTURES = 10.0, 400
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]


@dataclass(frozen=True, eq=False)
class Activity:
    """A circuit over one recording of T frames.

    Args:
        bag: the recording.
        origin: stamp of the first frame that the policy saw, time 0 [ns].
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
    origin: int
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
        """Time since the origin [s], float64 (T,)."""
        return (self.stamps - self.origin) / 1e9

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
            and read up to the third [s]; all is read by default. In a run of this very model, what
            lies more than 3 s before them is passed over, as the state is recorded.

    Raises:
        InputError: no bag, no camera, no frame, or a model whose outputs are not those of the bag.
    """
    bag = Path(bag)
    with BagReader(bag) as reader:
        record = record_of(reader)
        frames = Frames(policy, reader, record, around)
        features, kept = _features(policy, frames, pictures)
    fresh, elapsed = frames.times(record)
    start = frames.starts(fresh)
    before, states, commands = _drive(policy, features, elapsed, fresh, start)
    return Activity(
        bag=bag,
        origin=frames.origin,
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


@torch.inference_mode()
def _features(
    policy: Policy, frames: Frames, pictures: bool
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
            seconds = frames.newest * 1e-9
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
