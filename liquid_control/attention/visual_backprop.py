"""VisualBackProp: which pixels contributed to the activations of a convolutional head.

Bojarski et al., "VisualBackProp: efficient visualization of CNNs", 2016, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Convolution", "visual_backprop"]


class Convolution(Protocol):
    """What must be known of a convolution with a square kernel, e.g. `perception.head.Layer`."""

    kernel: int
    stride: int

    def padding(self, size: int) -> tuple[int, int]:
        """Zeros (before, after) an axis of `size`."""


def visual_backprop(
    activations: Sequence[Tensor],
    layers: Sequence[Convolution],
    size: tuple[int, int],
    last: Tensor | None = None,
    scaled: bool = True,
) -> Tensor:
    """Saliency of images from the activations that they caused.

    From the last layer back, the mean over channels is scaled up by the transposed convolution of
    ones with the layer's kernel and stride, and multiplied with the mean of the layer below; the
    last scaling leads to the pixels.

    Args:
        activations: maps after ReLU (N, channels, rows, columns), first layer first.
        layers: the convolutions that made them, in the same order.
        size: rows and columns of the images.
        last: what begins in the place of the last layer's mean, (N, 1, rows, columns): the map of
            one neuron, see `maps`.
        scaled: to [0, 1].

    Returns:
        float32 (N, rows, columns), scaled to [0, 1] per image; 0 everywhere for an image without
        any contrast in its map. The plain product where not `scaled`.
    """
    means = [maps.float().mean(1, keepdim=True) for maps in activations]
    saliency = means[-1] if last is None else last
    for index in reversed(range(len(layers))):
        below = means[index - 1] if index else None
        saliency = _scale_up(saliency, layers[index], size if below is None else below.shape[-2:])
        if below is not None:
            saliency = saliency * below
    saliency = saliency.squeeze(1)
    if not scaled:
        return saliency
    low, high = saliency.aminmax(dim=-1, keepdim=True)
    low, high = low.amin(-2, keepdim=True), high.amax(-2, keepdim=True)
    return torch.nan_to_num((saliency - low) / (high - low), nan=0.0)


def _scale_up(saliency: Tensor, layer: Convolution, size: tuple[int, int]) -> Tensor:
    """Spread each entry evenly over the part of the map below that the convolution read."""
    ones = saliency.new_ones(1, 1, layer.kernel, layer.kernel)
    spread = functional.conv_transpose2d(saliency, ones, stride=layer.stride)
    top, left = (layer.padding(length)[0] for length in size)
    # A stride may leave rows below unread; they get no saliency.
    missing = [
        max(start + length - had, 0)
        for start, length, had in zip((top, left), size, spread.shape[-2:], strict=True)
    ]
    spread = functional.pad(spread, (0, missing[1], 0, missing[0]))
    return spread[..., top : top + size[0], left : left + size[1]]
