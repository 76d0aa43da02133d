"""What a task hands to training: padded sequences, elapsed times and targets as plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Data", "Split", "Task", "events", "padded", "run_lengths"]


@dataclass(frozen=True)
class Split:
    """Sequences of one part of a data set.

    Attributes:
        inputs: (sequences, time, features) float32.
        elapsed: (sequences, time) float32, time since the sample before, in the task's unit.
        targets: class (sequences,) int64, or (sequences, time, outputs) float32.
        last: (sequences,) int64, index of the last sample that is no padding.
    """

    inputs: np.ndarray
    elapsed: np.ndarray
    targets: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)

    def pick(self, rows: np.ndarray) -> Split:
        """The sequences `rows` alone."""
        return Split(self.inputs[rows], self.elapsed[rows], self.targets[rows], self.last[rows])


@dataclass(frozen=True)
class Data:
    """A data set.

    Attributes:
        train, validation, test: its parts; the test part is looked at once, with the weights that
            were best on the validation part.
        outputs: number of outputs of a network: classes, or predicted features.
        unit: what a prediction error of 1 is in the units of the recording; 1 for classes.
        reference: the test score of doing nothing clever: the share of the largest class, or the
            error of repeating the last observation.
    """

    train: Split
    validation: Split
    test: Split
    outputs: int
    unit: float = 1.0
    reference: float = 0.0


@dataclass(frozen=True)
class Task:
    """A task and how networks are trained on it.

    Attributes:
        name: as on the command line and in the files of results.
        title: for tables and plots.
        score: "accuracy" (share of test sequences, higher is better) or "error" (mean squared
            error in the units of the recording, lower is better).
        make: makes the data; what it returns is the same each time.
        epochs, batch: passes through the training part, sequences a step.
        published: score by network, as the papers give it.
        note: what the published figures are, and where the recipe differs.
    """

    name: str
    title: str
    score: str
    make: Callable[[], Data]
    epochs: int
    batch: int
    published: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def classifies(self) -> bool:
        """Whether targets are classes."""
        return self.score == "accuracy"


def run_lengths(values: np.ndarray) -> list[tuple[float, float]]:
    """Events of a sequence of levels: at each change (new level, samples since the event before).

    The end of the sequence is an event, too, so that the length of the last run is known. The
    encoding is that of Lechner and Hasani, "Learning Long-Term Dependencies in
    Irregularly-Sampled Time Series", 2020.
    """
    found: list[tuple[float, float]] = []
    waited = 0
    for index, value in enumerate(values):
        waited += 1
        if index == 0 or value != values[index - 1]:
            found.append((float(value), float(waited)))
            waited = 0
    if waited:
        found.append((float(values[-1]), float(waited)))
    return found


def padded(rows: list[np.ndarray], fill: float) -> np.ndarray:
    """Arrays (time_i, ...) of unlike lengths as one (rows, longest, ...), filled up behind."""
    longest = max(map(len, rows))
    out = np.full((len(rows), longest, *rows[0].shape[1:]), fill, np.float32)
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    return out


def events(sequences: list[np.ndarray], targets: np.ndarray) -> Split:
    """Run-length events of sequences of levels, padded behind with samples 1 unit apart."""
    found = [np.array(run_lengths(values), np.float32) for values in sequences]
    inputs = padded([each[:, :1] for each in found], 0.0)
    elapsed = padded([each[:, 1] for each in found], 1.0)
    last = np.array([len(each) - 1 for each in found], np.int64)
    return Split(inputs, elapsed, np.asarray(targets, np.int64), last)
