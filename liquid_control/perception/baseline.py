"""The feed-forward baseline of the NCP paper: a convolutional network without a memory.

Five convolutions without padding (24, 36, 48, 64 and 64 filters), then dense layers of 1000 and 100
units and a linear map without bias to the outputs: 5,068,900 parameters for one output
(Lechner et al., Nature Machine Intelligence 2020, Methods and reference code).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from liquid_control.perception.head import CPU_PART, HEIGHT, WIDTH, standardise

__all__ = ["BaselineHead", "FeedForward", "ValidLayer"]


class ValidLayer(NamedTuple):
    """One convolution without padding: its filters, the side of its kernel, its stride."""

    filters: int
    kernel: int
    stride: int

    def padding(self, size: int) -> tuple[int, int]:
        """Zeros (before, after) an axis: none."""
        return 0, 0


LAYERS = (
    ValidLayer(24, 5, 2),
    ValidLayer(36, 5, 2),
    ValidLayer(48, 3, 2),
    ValidLayer(64, 3, 1),
    ValidLayer(64, 3, 1),
)
MAP = 4 * 19  # pixels of the last map
HIDDEN, FEATURES = 1000, 100
DROPOUT = (0.5, 0.5, 0.3)


class BaselineHead(nn.Module):
    """Camera frames to 100 features; called as `VisionHead`, which says more about arguments.

    Attributes:
        features: how many come out.
        layers: the convolutions, first one first.
    """

    features = FEATURES
    layers = LAYERS
    size = (HEIGHT, WIDTH)

    def __init__(self) -> None:
        super().__init__()
        channels = (3, *(layer.filters for layer in LAYERS))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels[index], layer.filters, layer.kernel, layer.stride)
            for index, layer in enumerate(LAYERS)
        ).to(memory_format=torch.channels_last)
        self.dense = nn.ModuleList(
            (nn.Linear(LAYERS[-1].filters * MAP, HIDDEN), nn.Linear(HIDDEN, FEATURES))
        )
        self.dropout = nn.ModuleList(nn.Dropout(share) for share in DROPOUT)
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)

    def forward(
        self, frames: Tensor, return_activations: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Features (N, 100) >= 0 of frames (N, 78, 200, 3), and on request the maps after ReLU.

        Raises:
            ValueError: the frames have another shape.
        """
        if frames.ndim != 4 or tuple(frames.shape[1:]) != (HEIGHT, WIDTH, 3):
            raise ValueError(
                f"The vision head takes frames (N, {HEIGHT}, {WIDTH}, 3), got "
                f"{tuple(frames.shape)}; prepare them with CameraSetup.apply."
            )
        if return_activations:
            return self._convolve(frames)
        parts = frames.split(CPU_PART) if frames.device.type == "cpu" else (frames,)
        return torch.cat([self._convolve(part)[0] for part in parts])

    def _convolve(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = standardise(frames).permute(0, 3, 1, 2)
        activations = []
        for convolution in self.convolutions:
            maps = convolution(maps).relu_()
            activations.append(maps)
        hidden = self.dropout[0](maps.flatten(1))
        for dense, dropout in zip(self.dense, self.dropout[1:], strict=True):
            hidden = dropout(dense(hidden).relu())
        return hidden, activations


class FeedForward(nn.Module):
    """A linear map in the place of a circuit: no memory, no time.

    Args:
        inputs: number of features.
        outputs: number of outputs.
    """

    state_sizes: tuple[int, ...] = ()
    wiring = None

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.readout = nn.Linear(inputs, outputs, bias=False)

    def forward(
        self, input: Tensor, state: None = None, elapsed: float | Tensor | None = None
    ) -> tuple[Tensor, None]:
        """Outputs (batch, time, outputs) of inputs (batch, time, inputs), and no state."""
        return self.readout(input), None

    def step(
        self,
        input: Tensor,
        state: None = None,
        elapsed: float | Tensor | None = None,
        prepared: Any = None,
    ) -> tuple[Tensor, None]:
        """Outputs (batch, outputs) of inputs (batch, inputs), and no state."""
        return self.readout(input), None

    def prepare(self) -> None:
        """Nothing to prepare."""
