"""One decision with all that recomputing it takes; read and written without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

__all__ = ["Decision", "frame_hash"]


@dataclass(frozen=True)
class Decision:
    """One decision with all that recomputing it takes.

    Args:
        command: float32 (outputs,), physical units, clipped to the specification; NaN stays NaN.
        state_before: float32 (19,), neurons before the frame; (units + memory,) where a circuit has
            one, as `Policy.state_names` says.
        state: as `state_before`, after the frame.
        time_constants: as `state`, effective time constants after the frame [s]; NaN where a
            circuit has none.
        elapsed: time since the frame before [s].
        reset: the state was fresh.
        frame_hash: `frame_hash` of the prepared frame.
    """

    command: np.ndarray
    state_before: np.ndarray
    state: np.ndarray
    time_constants: np.ndarray
    elapsed: float
    reset: bool
    frame_hash: str


def frame_hash(frame: np.ndarray) -> str:
    """64-bit BLAKE2b of a prepared frame's bytes, 16 hexadecimal digits."""
    return hashlib.blake2b(np.ascontiguousarray(frame), digest_size=8).hexdigest()
