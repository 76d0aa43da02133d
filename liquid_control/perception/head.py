"""The vision head of the NCP paper: 78 x 200 RGB frames to 32 features, 79,420 parameters.

Five convolutions with SAME padding and ReLU, then one dense layer of 4 units with ReLU per filter
of the last map (Lechner et al., Nature Machine Intelligence 2020, Methods and reference code).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FEATURES", "HEIGHT", "LAYERS", "WIDTH", "Layer", "VisionHead", "standardise"]

HEIGHT, WIDTH = 78, 200
FEATURES = 32


class Layer(NamedTuple):
    """One convolution: its filters, the side of its square kernel, its stride."""

    filters: int
    kernel: int
    stride: int

    def padding(self, size: int) -> tuple[int, int]:
        """Zeros (before, after) an axis of `size`, as TensorFlow's SAME padding places them.

        The output has ceil(size / stride) entries. Where the total is odd, the extra zero comes
        after: 78 -> 39 with kernel 5 and stride 2 takes 1 before and 2 after. PyTorch's symmetric
        padding would shift every feature by one pixel against the reference.
        """
        total = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
        return total // 2, total - total // 2


LAYERS = (Layer(24, 5, 2), Layer(36, 5, 2), Layer(48, 3, 2), Layer(64, 3, 1), Layer(8, 3, 1))
UNITS_PER_FILTER = 4
CPU_PART = 32  # frames


class VisionHead(nn.Module):
    """Camera frames to the 32 features that feed a circuit.

    Convolutions run in the channels-last memory format, which a frame already has: measured on
    one AVX-512 core, forward and backward of 64 frames take 142 ms instead of 272 ms. Under
    `torch.autocast("cpu", torch.bfloat16)` they take 87 ms there; the standardisation stays in
    float32, and a circuit behind the head does too.

    Args:
        height, width: of the frames [px]; the paper's by default. They change the dense layers
            alone: 10 x 25 pixels of the last map per filter for 78 x 200, 8 x 8 for 64 x 64.

    Attributes:
        features: how many come out.
        layers: the convolutions, first one first.
        size: rows and columns of the frames.
    """

    features = FEATURES
    layers = LAYERS

    def __init__(self, height: int = HEIGHT, width: int = WIDTH) -> None:
        super().__init__()
        self.size = (height, width)
        channels = (3, *(layer.filters for layer in LAYERS))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels[index], layer.filters, layer.kernel, layer.stride)
            for index, layer in enumerate(LAYERS)
        ).to(memory_format=torch.channels_last)
        filters = LAYERS[-1].filters
        pixels = math.prod(_map_size(length) for length in self.size)
        self.dense_weight = nn.Parameter(torch.empty(filters, pixels, UNITS_PER_FILTER))
        # Features start around 0.5, in the middle of the sensory synapses' midpoints (0.3 to 0.8):
        # fewer units start dead, and the first 40 updates reach a lower loss than from 0.
        self.dense_bias = nn.Parameter(torch.full((filters, UNITS_PER_FILTER), 0.5))
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)
        nn.init.normal_(self.dense_weight, std=0.6 * pixels**-0.5)

    def forward(
        self, frames: Tensor, return_activations: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Features of frames.

        Args:
            frames: (N, height, width, 3) RGB, uint8 or floats in [0, 1].
            return_activations: also return the five maps after ReLU, (N, filters, rows, columns).

        Returns:
            Features (N, 32), >= 0, unit 4 f + u being unit u of filter f; with
            `return_activations` a pair of these and the list of maps.

        Raises:
            ValueError: the frames have another shape.
        """
        if frames.ndim != 4 or tuple(frames.shape[1:]) != (*self.size, 3):
            raise ValueError(
                f"The vision head takes frames (N, {self.size[0]}, {self.size[1]}, 3), got "
                f"{tuple(frames.shape)}; prepare them with CameraSetup.apply."
            )
        if return_activations:
            return self._convolve(frames)
        # Beyond 32 frames maps outgrow the cache and glibc's heap: on one CPU core, forward and
        # backward of 256 frames in bfloat16 take 0.36 s in parts of 32 and 0.58 s in one.
        parts = frames.split(CPU_PART) if frames.device.type == "cpu" else (frames,)
        return torch.cat([self._convolve(part)[0] for part in parts])

    def _convolve(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        # A permuted view of (N, H, W, C) is channels-last already; nothing is copied.
        maps = standardise(frames).permute(0, 3, 1, 2)
        activations = []
        for layer, convolution in zip(LAYERS, self.convolutions, strict=True):
            top, bottom = layer.padding(maps.shape[2])
            left, right = layer.padding(maps.shape[3])
            if (top, left) == (bottom, right):
                padding = (top, left)
            else:
                padding = (0, 0)
                maps = functional.pad(maps, (left, right, top, bottom))
            maps = functional.conv2d(
                maps, convolution.weight, convolution.bias, layer.stride, padding
            ).relu_()
            activations.append(maps)
        flat = maps.flatten(2).transpose(0, 1)  # (filters, N, pixels)
        dense = torch.baddbmm(self.dense_bias.unsqueeze(1), flat, self.dense_weight)
        return dense.relu().transpose(0, 1).flatten(1), activations


def _map_size(length: int) -> int:
    """Rows or columns of the last map, of a frame with `length` of them."""
    for layer in LAYERS:
        length = -(-length // layer.stride)
    return length


def standardise(frames: Tensor) -> Tensor:
    """Zero mean and unit variance per image, like TensorFlow's `per_image_standardization`.

    Args:
        frames: (N, rows, columns, channels), uint8 or floats in [0, 1].

    Returns:
        Floats of the same shape. The standard deviation is floored at 1 / sqrt(values per image)
        on the scale [0, 1], so that a black or uniform image gives zeros.
    """
    # Scaling cancels, so uint8 frames need no division, only a floor on their own scale.
    scale = 1.0 if frames.is_floating_point() else 255.0
    pixels = frames.flatten(1).float()
    # Two plain passes: a tenth of the time of torch.var_mean, which took 15 % of training.
    centred = pixels - pixels.mean(1, keepdim=True)
    count = pixels.shape[1]
    deviation = torch.linalg.vector_norm(centred, dim=1, keepdim=True) / count**0.5
    return (centred / deviation.clamp_min(scale / count**0.5)).view(frames.shape)
