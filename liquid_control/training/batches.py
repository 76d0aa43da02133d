"""Batches in an order that depends on seed, epoch and step alone, so that a training can go on.

Which windows a step sees, and how they are varied, follows from the recipe's seed and the number of
the step. A resumed training therefore sees the rest of its epoch as if it had never stopped, and
several processes share each batch without talking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from liquid_control.data.drive import Drive
from liquid_control.data.sequences import SequenceDataset
from liquid_control.errors import InputError
from liquid_control.training.augment import Augmenter
from liquid_control.training.recipe import Recipe

__all__ = ["Key", "Stream", "Windows", "training_stream", "validation_loader"]


@dataclass(frozen=True)
class Key:
    """One window of one epoch.

    Args:
        epoch: in which it is drawn.
        item: number of the window.
        group: windows of one group are varied alike; those that follow one another.
        fresh: it starts from a zero state.
    """

    epoch: int
    item: int
    group: int
    fresh: bool


class Windows(Dataset):
    """Windows of drives, one set per stride, varied as the key says.

    An item is a dictionary of `frames`, `labels`, `elapsed` and `weights` as in `SequenceDataset`,
    `fresh` (bool) and `item` (int). Windows without a frame that counts are left out, except where
    a state is carried through them.

    Args:
        drives: recordings.
        recipe: length, shift, strides, mode, augmentation and seed count.
        varied: apply the augmentation.

    Raises:
        InputError: no drive is long enough for one window, or a label is not finite.
    """

    def __init__(self, drives: Sequence[Drive], recipe: Recipe, varied: bool) -> None:
        for drive in drives:
            if not np.isfinite(drive.labels).all():
                row, column = np.argwhere(~np.isfinite(drive.labels))[0]
                raise InputError(
                    f"The label {drive.outputs[column]!r} of frame {row} of {drive.path} is "
                    f"{drive.labels[row, column]}, expected a finite number; mend or leave out "
                    "this bag."
                )
        # A person's arc may be tighter than any that the policy can ask for.
        drives = [replace(drive, labels=recipe.spec.clip(drive.labels)) for drive in drives]
        stateful = recipe.mode == "stateful"
        self.sets = [
            SequenceDataset(
                drives,
                recipe.length,
                recipe.length * stride if stateful else recipe.shift,
                stride=stride,
            )
            for stride in recipe.strides
        ]
        if not (stateful and varied):
            for found in self.sets:
                found.keep_counting(recipe.burn_in)
        self.starts = np.cumsum([0, *map(len, self.sets)])
        self.augmenter = Augmenter(recipe) if varied else None

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, key: Key) -> dict[str, Any]:
        number, row = self._place(key.item)
        window = self.sets[number][row]
        if self.augmenter is not None:
            frames, labels = window["frames"].numpy(), window["labels"].numpy()
            frames, labels = self.augmenter(frames, labels, key.epoch, key.group, key.item)
            window |= {"frames": torch.from_numpy(frames), "labels": torch.from_numpy(labels)}
        return {**window, "fresh": key.fresh, "item": key.item}

    def _place(self, item: int) -> tuple[int, int]:
        number = int(np.searchsorted(self.starts, item, "right")) - 1
        return number, item - int(self.starts[number])

    def where(self, item: int) -> str:
        """Which bag and frames a window comes from, in words."""
        number, row = self._place(item)
        found = self.sets[number]
        drive, first = found.index[row]
        last = first + (found.length - 1) * found.stride
        return f"{found.drives[drive].path}, frames {first} to {last}"

    def follows(self) -> np.ndarray:
        """bool (windows,): the window goes on where the one before it ends."""
        goes_on = []
        for found in self.sets:
            drive, first = found.index.T
            run = np.concatenate(
                [
                    np.searchsorted([start for start, _ in each.runs()], first[drive == k], "right")
                    for k, each in enumerate(found.drives)
                ]
            )
            span = found.length * found.stride
            same = (drive[1:] == drive[:-1]) & (run[1:] == run[:-1])
            goes_on.append(np.r_[False, same & (first[1:] == first[:-1] + span)])
        return np.concatenate(goes_on)


class Order:
    """Which windows each step takes: a batch sampler that can begin at any step.

    Args:
        windows: to be ordered.
        recipe: batch, mode and seed count.
        rank, processes: this process takes every `processes`-th window of a batch.

    Raises:
        InputError: fewer windows than a batch takes, or a batch that the processes cannot share.
    """

    def __init__(self, windows: Windows, recipe: Recipe, rank: int = 0, processes: int = 1) -> None:
        if recipe.batch % processes:
            raise InputError(
                f"A batch of {recipe.batch} windows cannot be shared by {processes} processes; "
                "give a multiple."
            )
        if len(windows) < recipe.batch:
            raise InputError(
                f"The training data hold {len(windows)} windows of {recipe.length} frames, fewer "
                f"than a batch of {recipe.batch}; record more, or set a smaller batch or shift."
            )
        self.count, self.batch, self.seed = len(windows), recipe.batch, recipe.seed
        self.stateful = recipe.mode == "stateful"
        self.mine = slice(rank, None, processes)
        # A group is a stretch of windows that follow one another.
        follows = windows.follows() if self.stateful else np.zeros(self.count, bool)
        self.groups = np.cumsum(~follows) - 1
        self.epoch, self.start = 0, 0

    def __len__(self) -> int:
        return self.count // self.batch

    def __iter__(self) -> Iterator[list[Key]]:
        items, fresh = self.plan(self.epoch)
        for step in range(self.start, len(self)):
            rows = zip(items[step, self.mine], fresh[step, self.mine], strict=True)
            yield [Key(self.epoch, int(i), int(self.groups[i]), bool(new)) for i, new in rows]

    def plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows (steps, batch) of an epoch, and whether each starts from a zero state.

        Stateful, stretches are shuffled and laid end to end, and each row of the batch takes an
        equal part of them from left to right; else all windows are shuffled.
        """
        rng = np.random.default_rng([self.seed, epoch])
        steps = len(self)
        if not self.stateful:
            items = rng.permutation(self.count)[: steps * self.batch].reshape(steps, self.batch)
            return items, np.ones(items.shape, bool)
        # Windows of a group are neighbours: sort them by their group's random rank.
        rank = rng.permutation(self.groups[-1] + 1)[self.groups]
        line = np.argsort(rank, kind="stable")
        # What does not fill a batch is left out at the end, where every epoch ends elsewhere.
        items = line[: steps * self.batch].reshape(self.batch, steps).T
        fresh = np.ones(items.shape, bool)
        fresh[1:] = self.groups[items[1:]] != self.groups[items[:-1]]
        return items, fresh


class Stream(DataLoader):
    """A data loader that knows at which step of the training it is and can begin there."""

    def __init__(self, windows: Windows, order: Order, workers: int = 0) -> None:
        super().__init__(windows, batch_sampler=order, num_workers=workers, pin_memory=False)
        self.step = 0

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        order = self.batch_sampler
        order.epoch, order.start = divmod(self.step, len(order))
        for batch in super().__iter__():
            self.step += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """What Lightning keeps in a checkpoint."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on at the step of a checkpoint."""
        self.step = int(state["step"])


def training_stream(
    drives: Sequence[Drive], recipe: Recipe, rank: int = 0, processes: int = 1, workers: int = 0
) -> Stream:
    """Varied batches of the training part."""
    windows = Windows(drives, recipe, varied=True)
    return Stream(windows, Order(windows, recipe, rank, processes), workers)


def validation_loader(drives: Sequence[Drive], recipe: Recipe) -> DataLoader:
    """Batches as they were recorded, each window from a zero state.

    Raises:
        InputError: as `Windows`, of the validation part.
    """
    try:
        windows = Windows(drives, recipe, varied=False)
    except InputError as error:
        raise InputError(
            f"The validation part (validation: {recipe.validation}) does not do: {error}"
        ) from error
    keys = [Key(0, item, item, True) for item in range(len(windows))]
    batches = [keys[k : k + recipe.batch] for k in range(0, len(keys), recipe.batch)]
    return DataLoader(windows, batch_sampler=batches)
