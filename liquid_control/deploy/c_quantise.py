"""The vision head in 8 bits: weights in int8 per filter, maps in uint8, scales from real frames.

Post-training quantisation as in Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018, with two simplifications: weights are
symmetric, w = scale * q with q in -127 to 127 and one scale per filter, and maps, 0 or more after
their ReLU, are a = scale * q with q in 0 to 255, so that nothing has an offset. Sums are exact in
int32; they are brought to the next map's scale in float32, by one multiplication and one addition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from liquid_control.errors import InputError
from liquid_control.perception import VisionHead

__all__ = ["QuantisedHead", "QuantisedLayer", "map_scales", "quantise"]

BINS = 2048
BATCH = 32


@dataclass(frozen=True)
class QuantisedLayer:
    """One convolution.

    Attributes:
        weight: int8 (filters, channels, rows, columns).
        factor: float32 (filters,), levels of the map that comes out per unit of the sum; of the
            first convolution, whose sum is of standardised pixels, still to be divided by the steps
            and the deviation of the frame.
        shift: float32 (filters,), the bias in levels.
    """

    weight: np.ndarray
    factor: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class QuantisedHead:
    """The convolutions and the dense units.

    Attributes:
        dense_weight: int8 (filters, pixels, units).
        dense_factor, dense_bias: float32 (filters, units), feature = factor * sum + bias.
        scales: of the maps that come out, one level [1].
    """

    layers: list[QuantisedLayer]
    dense_weight: np.ndarray
    dense_factor: np.ndarray
    dense_bias: np.ndarray
    scales: list[float]


def quantise(head: VisionHead, frames: Iterable[np.ndarray]) -> QuantisedHead:
    """The head in 8 bits.

    Args:
        head: in float32.
        frames: uint8 (height, width, 3), typical of where it will drive.

    Raises:
        InputError: no frame.
    """
    scales = map_scales(head, frames)
    layers, before = [], 1.0
    for convolution, scale in zip(head.convolutions, scales, strict=True):
        weight = convolution.weight.detach().double().numpy()
        step = _steps(weight, (1, 2, 3))
        layers.append(
            QuantisedLayer(
                _rounded(weight, step),
                (before * step.ravel() / scale).astype(np.float32),
                (convolution.bias.detach().double().numpy() / scale).astype(np.float32),
            )
        )
        before = scale
    dense = head.dense_weight.detach().double().numpy()
    step = _steps(dense, (1,))
    return QuantisedHead(
        layers,
        _rounded(dense, step),
        (before * step[:, 0]).astype(np.float32),
        head.dense_bias.detach().numpy(),
        scales,
    )


def _steps(weight: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    largest = np.abs(weight).max(axes, keepdims=True)
    return np.where(largest > 0, largest, 1.0) / 127


def _rounded(weight: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(weight / step), -127, 127).astype(np.int8)


@torch.inference_mode()
def map_scales(head: VisionHead, frames: Iterable[np.ndarray]) -> list[float]:
    """One level of each map: where to clip is what loses least, in the mean of squares.

    Raises:
        InputError: no frame.
    """
    stack = np.stack(list(frames)) if not isinstance(frames, np.ndarray) else frames
    if not len(stack):
        raise InputError("An int8 head needs frames to calibrate on, got none; give a bag of them.")
    parts = [head(torch.from_numpy(part), True)[1] for part in _batches(stack)]
    scales = []
    for index in range(len(head.layers)):
        maps = [part[index] for part in parts]
        top = max(float(each.max()) for each in maps)
        counts = sum(torch.histc(each, BINS, 0.0, max(top, 1e-12)) for each in maps)
        scales.append(_best_scale(counts, max(top, 1e-12)))
    return scales


def _batches(stack: np.ndarray) -> Iterable[np.ndarray]:
    for start in range(0, len(stack), BATCH):
        yield np.ascontiguousarray(stack[start : start + BATCH])


def _best_scale(counts: Tensor, top: float) -> float:
    """Of ends from a quarter of the largest value up, the one with the least squared error."""
    centres = (np.arange(BINS) + 0.5) / BINS * top
    weight = counts.double().numpy()
    ends = np.linspace(0.25, 1.0, 76) * top
    # A level is off by up to half a step: step^2 / 12 in the mean. 0 is exact.
    errors = [
        ((end / 255) ** 2 / 12 * weight[1:][centres[1:] <= end].sum())
        + (weight * np.maximum(centres - end, 0) ** 2).sum()
        for end in ends
    ]
    return float(ends[int(np.argmin(errors))]) / 255
