"""Windows of frames with varied noise, light, shadows and side, by the camera room's functions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from liquid_control.camera import gamma, gaussian, shadow_band
from liquid_control.training.recipe import Augmentation

__all__ = ["Augmented", "augment"]


class Augmented(Dataset):
    """A data set of windows, varied anew in every epoch; what is drawn depends on no earlier draw.

    Args:
        windows: items with `frames` (time, rows, columns, 3) uint8 and `labels` (time, outputs).
        settings: how much.
        seed: of the draws.

    Attributes:
        epoch: to be set before each epoch.
    """

    def __init__(self, windows: Dataset, settings: Augmentation, seed: int) -> None:
        self.windows, self.settings, self.seed, self.epoch = windows, settings, seed, 0

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        window = self.windows[item]
        rng = np.random.default_rng([self.seed, self.epoch, item])
        frames, sign = augment(window["frames"].numpy(), self.settings, rng)
        labels = window["labels"].clone()
        labels[:, 0] *= sign
        return {**window, "frames": torch.from_numpy(frames), "labels": labels}


def augment(
    frames: np.ndarray, settings: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """A varied window; one draw holds for all its frames, noise for each pixel.

    Brightness and contrast need no variation: the vision head standardises every frame.

    Args:
        frames: (time, rows, columns, 3) uint8 RGB.

    Returns:
        Frames, uint8, and the sign of the first (lateral) label: -1 if the window is mirrored.
    """
    mirrored = rng.random() < settings.mirror
    if mirrored:
        frames = np.ascontiguousarray(frames[:, :, ::-1])
    if settings.gamma:
        frames = gamma(frames, (1 + settings.gamma) ** rng.uniform(-1, 1))
    if settings.shadow and rng.random() < 0.5:
        share, angle = rng.uniform(0, settings.shadow), rng.uniform(0, np.pi)
        frames = shadow_band(frames, share, angle, rng.uniform(-1, 1), rng.uniform(0.05, 0.35))
    # Half of the windows stay clean: that is what the camera mostly sees.
    if settings.noise and rng.random() < 0.5:
        frames = gaussian(frames, rng.uniform(0, settings.noise) ** 2, rng)
    return frames, -1.0 if mirrored else 1.0
