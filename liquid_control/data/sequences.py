"""Windows of drives, as recurrent policies are trained on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from liquid_control.data.drive import MAX_GAP_S, Drive
from liquid_control.errors import InputError

__all__ = ["SequenceDataset", "elapsed_times", "windows"]


def windows(
    drives: Sequence[Drive],
    length: int,
    shift: int,
    max_gap_s: float = MAX_GAP_S,
    stride: int = 1,
) -> np.ndarray:
    """Windows of `length` frames that never cross a gap or a change of session.

    Args:
        drives: where to look.
        length: frames of a window.
        shift: recorded frames between the starts of neighbouring windows.
        max_gap_s: longest time between neighbouring recorded frames [s].
        stride: take every `stride`-th recorded frame.

    Returns:
        int64 (windows, 2): index of the drive, index of the window's first frame.

    Raises:
        InputError: length, shift or stride is below 1.
    """
    if min(length, shift, stride) < 1:
        raise InputError(
            "Windows need a length, shift and stride of at least 1, got "
            f"{length}, {shift} and {stride}; change the training recipe."
        )
    span = (length - 1) * stride + 1
    found = [
        (number, first)
        for number, drive in enumerate(drives)
        for start, stop in drive.runs(max_gap_s)
        for first in range(start, stop - span + 1, shift)
    ]
    return np.array(found, np.int64).reshape(-1, 2)


def elapsed_times(drive: Drive, stride: int = 1, max_gap_s: float = MAX_GAP_S) -> np.ndarray:
    """Time from the frame `stride` earlier in the same run to each frame [s], float32 (N,).

    Where a run has no such frame, it is `stride` times the drive's median period: what a policy
    that starts there sees on the road.
    """
    elapsed = np.full(len(drive), drive.period * stride, np.float32)
    for start, stop in drive.runs(max_gap_s):
        stamps = drive.stamps[start:stop]
        elapsed[start + stride : stop] = (stamps[stride:] - stamps[:-stride]) * 1e-9
    return elapsed


class SequenceDataset(Dataset):
    """Windows of drives as tensors.

    An item is a dictionary of `frames` uint8 (length, height, width, 3), `labels` float32 (length,
    outputs), `elapsed` float32 (length,) [s] and `weights` float32 (length,), how much each frame
    counts; see `windows` for the arguments.

    Raises:
        InputError: no drive is long enough for one window.
    """

    def __init__(
        self,
        drives: Sequence[Drive],
        length: int = 16,
        shift: int = 8,
        max_gap_s: float = MAX_GAP_S,
        stride: int = 1,
    ) -> None:
        self.drives = list(drives)
        self.length = length
        self.stride = stride
        self.index = windows(self.drives, length, shift, max_gap_s, stride)
        if not len(self.index):
            longest = max(
                (stop - start for drive in self.drives for start, stop in drive.runs(max_gap_s)),
                default=0,
            )
            raise InputError(
                f"No window of {length} frames (every {stride}.) fits into the recordings, whose "
                f"longest stretch without a gap of {max_gap_s} s has {longest} frames; record "
                "longer drives or train on shorter windows."
            )
        self._elapsed = [elapsed_times(drive, stride, max_gap_s) for drive in self.drives]

    def __len__(self) -> int:
        return len(self.index)

    def keep_counting(self, burn_in: int) -> None:
        """Leave out windows in which no frame after the first `burn_in` has a weight.

        Raises:
            InputError: no window is left.
        """
        keep = [self.drives[n].weights[self._rows(f)][burn_in:].any() for n, f in self.index]
        self.index = self.index[np.array(keep, bool)]
        if not len(self.index):
            raise InputError(
                f"No window of {self.length} frames (every {self.stride}.) has a labelled frame "
                f"after its first {burn_in}; record longer interventions, or set a smaller "
                "burn_in or shift."
            )

    def _rows(self, first: int) -> slice:
        return slice(first, first + (self.length - 1) * self.stride + 1, self.stride)

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        number, first = self.index[item]
        drive = self.drives[number]
        rows = self._rows(first)
        # np.array copies: a tensor must not point into the read-only file.
        return {
            "frames": torch.from_numpy(np.array(drive.frames[rows])),
            "labels": torch.from_numpy(np.array(drive.labels[rows])),
            "elapsed": torch.from_numpy(np.array(self._elapsed[number][rows])),
            "weights": torch.from_numpy(np.array(drive.weights[rows])),
        }
