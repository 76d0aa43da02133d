"""Human activity: standing, walking, running and badminton from a smart watch.

The BasicMotions set (40 + 40 recordings of 10 s, acceleration and rotation at 10 Hz, four persons)
that the package aeon ships, cut into windows of which half the samples are dropped at random.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from liquid_control.errors import InputError
from sequence_tasks.data import Data, Split

__all__ = ["CLASSES", "INSTALL", "activity_data", "irregular", "read_ts"]

INSTALL = "pip install --no-deps aeon==1.6.0"
CLASSES = ("standing", "running", "walking", "badminton")
WINDOW, STRIDE, KEPT = 50, 5, 25  # samples of 0.1 s


def shipped(name: str) -> Path:
    """A file of the BasicMotions set inside the installed aeon, which need not be importable.

    Raises:
        InputError: aeon is not installed.
    """
    spec = importlib.util.find_spec("aeon")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"The human activity task needs the data that aeon ships, which is not installed; run "
            f"`{INSTALL}` (its code is not used, so its requirements are not needed)."
        )
    return Path(spec.submodule_search_locations[0], "datasets", "data", "BasicMotions", name)


def read_ts(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Recordings (recordings, time, channels) float32 and classes (recordings,) of a .ts file.

    Raises:
        InputError: a line that is no recording of a known class.
    """
    recordings, classes = [], []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith(("#", "@")):
            continue
        *channels, label = line.strip().split(":")
        if label.lower() not in CLASSES:
            raise InputError(f"Expected one of the classes {CLASSES} in {path}, got {label!r}.")
        recordings.append([np.array(channel.split(","), np.float32) for channel in channels])
        classes.append(CLASSES.index(label.lower()))
    return np.array(recordings, np.float32).swapaxes(1, 2), np.array(classes, np.int64)


def irregular(recordings: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> Split:
    """Windows of 5 s, half a second apart, with 25 of their 50 samples at random.

    Elapsed times are in samples of 0.1 s, since the sample kept before (the first one: since the
    beginning of the window).
    """
    inputs, elapsed, targets = [], [], []
    for recording, label in zip(recordings, classes, strict=True):
        for start in range(0, len(recording) - WINDOW + 1, STRIDE):
            kept = np.sort(rng.choice(WINDOW, KEPT, replace=False))
            inputs.append(recording[start + kept])
            elapsed.append(np.diff(kept, prepend=-1))
            targets.append(label)
    last = np.full(len(targets), KEPT - 1, np.int64)
    return Split(np.stack(inputs), np.stack(elapsed).astype(np.float32), np.array(targets), last)


def activity_data() -> Data:
    """The task's data; aeon's split, with every fifth training recording kept for validation."""
    train, train_classes = read_ts(shipped("BasicMotions_TRAIN.ts"))
    test, test_classes = read_ts(shipped("BasicMotions_TEST.ts"))
    middle, scale = train.mean((0, 1)), train.std((0, 1))
    train, test = (train - middle) / scale, (test - middle) / scale
    held = np.arange(len(train)) % 5 == 4
    rng = np.random.default_rng(0)
    parts = {
        "train": irregular(train[~held], train_classes[~held], rng),
        "validation": irregular(train[held], train_classes[held], rng),
        "test": irregular(test, test_classes, rng),
    }
    counts = np.bincount(test_classes)
    return Data(**parts, outputs=len(CLASSES), reference=float(counts.max() / counts.sum()))
