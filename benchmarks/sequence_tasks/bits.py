"""XOR of a stream of bits, dense (one sample a bit) and as events (one sample a change).

The recipe of the event-based XOR of the CfC paper: streams of random length, label = parity of the
ones, read after the last sample.
"""

from __future__ import annotations

import numpy as np

from sequence_tasks.data import Data, Split, events, padded

__all__ = ["LONGEST", "bit_streams", "xor_data"]

LONGEST = 16
SIZES = {"train": 20_000, "validation": 2_000, "test": 4_000}


def bit_streams(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """`count` streams of 2 to `LONGEST` - 1 fair bits, lengths equally likely."""
    lengths = rng.integers(2, LONGEST, count)
    return [rng.integers(0, 2, length) for length in lengths]


def dense(streams: list[np.ndarray], targets: np.ndarray) -> Split:
    inputs = padded([stream[:, None].astype(np.float32) for stream in streams], 0.0)
    last = np.array([len(stream) - 1 for stream in streams], np.int64)
    return Split(inputs, np.ones(inputs.shape[:2], np.float32), targets, last)


def xor_data(event_based: bool, sizes: dict[str, int] | None = None) -> Data:
    """The task's data; both encodings hold the same streams. Elapsed times are in bits."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, count in (sizes or SIZES).items():
        streams = bit_streams(count, rng)
        targets = np.array([stream.sum() % 2 for stream in streams], np.int64)
        parts[name] = (events if event_based else dense)(streams, targets)
    share = float(parts["test"].targets.mean())
    return Data(**parts, outputs=2, reference=max(share, 1 - share))
