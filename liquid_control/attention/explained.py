"""A policy rebuilt from modules that gradient methods can hook, and names of what can be explained.

Guided back-propagation changes the gradient of ReLU modules, Grad-CAM reads a layer by its module;
a head has neither, as it is written for speed. `Explained` shares the policy's weights and decides
the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_control.errors import InputError, nearest_first
from liquid_control.perception import VisionHead, standardise

__all__ = ["Explained", "targets"]

# Name of the head's features, the sensory neurons of a wired circuit, as a target.
FEATURE = "feature"


def targets(policy: nn.Module) -> tuple[str, ...]:
    """What of a `policy.Policy` can be explained, by name.

    Its outputs ("curvature"), the neurons of its state as `Policy.state_names` says ("inter_3",
    "command_0", "motor_0", or "unit_17"), and the features of its head ("feature_5").
    """
    features = (f"{FEATURE}_{index}" for index in range(policy.head.features))
    return (*policy.spec.names, *policy.state_names, *features)


class Explained(nn.Module):
    """One target of a policy as a function of standardised pixels, a state and elapsed times.

    Args:
        policy: a `policy.Policy` with any head and circuit, in evaluation mode.
        target: one of `targets`; the first output by default.

    Raises:
        InputError: there is no such target, which names those that look like it.
    """

    def __init__(self, policy: nn.Module, target: str | None = None) -> None:
        super().__init__()
        self.target = policy.spec.names[0] if target is None else target
        known = targets(policy)
        if self.target not in known:
            names = nearest_first(self.target, known).split(", ")
            raise InputError(
                f"The policy has no output or neuron {target!r}; choose one of its {len(known)}, "
                f"for example {', '.join(names[:8])}."
            )
        self._place = known.index(self.target)
        # Not as a module of this one: its mode and its hooks are its owner's.
        object.__setattr__(self, "policy", policy)
        head, sizes = policy.head, policy.head.size
        parts: list[nn.Module] = []
        for layer, convolution in zip(head.layers, head.convolutions, strict=True):
            (top, bottom), (left, right) = (layer.padding(length) for length in sizes)
            sizes = tuple(
                (length + sum(layer.padding(length)) - layer.kernel) // layer.stride + 1
                for length in sizes
            )
            shared = nn.Conv2d(
                convolution.in_channels, layer.filters, layer.kernel, layer.stride, device="meta"
            )
            shared.weight, shared.bias = convolution.weight, convolution.bias
            parts += [nn.ZeroPad2d((left, right, top, bottom)), shared, nn.ReLU()]
        self.convolutions = nn.Sequential(*parts)
        self.dense = nn.ModuleList(nn.ReLU() for _ in range(_dense_layers(head)))

    @property
    def last_maps(self) -> nn.Module:
        """The module whose output are the last maps, after ReLU."""
        return self.convolutions[-1]

    def pixels(self, frames: Tensor) -> Tensor:
        """Standardised pixels (N, 3, rows, columns) of frames (N, rows, columns, 3)."""
        return standardise(frames).permute(0, 3, 1, 2).to(self.policy.scale.device)

    def convolve(self, pixels: Tensor) -> list[Tensor]:
        """The maps after each ReLU, first layer first, of pixels (N, 3, rows, columns)."""
        maps = []
        for place, part in enumerate(self.convolutions):
            pixels = part(pixels)
            if place % 3 == 2:
                maps.append(pixels)
        return maps

    def forward(self, pixels: Tensor, state: Tensor, elapsed: Tensor) -> Tensor:
        """The target (N,), in the unit of an output or as the neuron's state.

        Args:
            pixels: (N, 3, rows, columns), or sequences (N, time, 3, rows, columns), of which the
                target after the last frame counts.
            state: of the circuit before the first frame, (N, numbers) as `Decision.state_before`.
            elapsed: time since the frame before [s], (N,), or (N, time).
        """
        leading = pixels.shape[:-3]
        maps = self.convolutions(pixels.flatten(0, -4))
        return self.decide(maps.unflatten(0, leading), state, elapsed)

    def decide(self, maps: Tensor, state: Tensor, elapsed: Tensor) -> Tensor:
        """As `forward`, from the last maps (N, [time,] filters, rows, columns)."""
        leading = maps.shape[:-3]
        features = self._features(maps.flatten(0, -4)).unflatten(0, leading)
        if len(leading) == 1:
            features, elapsed = features.unsqueeze(1), elapsed.unsqueeze(1)
        return self.settle(features, state, elapsed)

    def settle(self, features: Tensor, state: Tensor, elapsed: Tensor) -> Tensor:
        """As `forward`, from features (N, time, features) and elapsed times (N, time)."""
        policy = self.policy
        sizes = policy.circuit.state_sizes
        parts = state if len(sizes) == 1 else (state.split(sizes, 1) if sizes else None)
        commands, after = policy.forward_features(features, parts, elapsed)
        whole = after if isinstance(after, Tensor) else torch.cat((state[:, :0], *(after or ())), 1)
        return torch.cat((commands[:, -1], whole, features[:, -1]), 1)[:, self._place]

    def _features(self, maps: Tensor) -> Tensor:
        """Features (N, features) of the last maps, as the head makes them."""
        head = self.policy.head
        if isinstance(head, VisionHead):
            flat = maps.flatten(2).transpose(0, 1)
            dense = torch.baddbmm(head.dense_bias.unsqueeze(1), flat, head.dense_weight)
            return self.dense[0](dense).transpose(0, 1).flatten(1)
        hidden = maps.flatten(1)
        for dense, relu in zip(head.dense, self.dense, strict=True):
            hidden = relu(dense(hidden))
        return hidden

    def place(self, maps: Tensor) -> Tensor:
        """Maps (N, rows, columns) of the last layer's size on the pixels, (N, height, width).

        Each entry lies in the middle of what its convolutions read. Stretching the map over the
        frame would shift it by up to 21 rows where convolutions have no padding.
        """
        axes = []
        for length, size in zip(self.policy.head.size, maps.shape[1:], strict=True):
            start, step = _centres(self.policy.head.layers, length)
            place = (torch.arange(length, dtype=maps.dtype, device=maps.device) - start) / step
            axes.append((2 * place + 1) / size - 1)
        v, u = torch.meshgrid(*axes, indexing="ij")
        grid = torch.stack((u, v), -1).expand(len(maps), -1, -1, -1)
        spread = functional.grid_sample(
            maps.unsqueeze(1), grid, padding_mode="border", align_corners=False
        )
        return spread.squeeze(1)


def _dense_layers(head: nn.Module) -> int:
    return 1 if isinstance(head, VisionHead) else len(head.dense)


def _centres(layers: tuple, length: int) -> tuple[float, float]:
    """Where the first entry of the last map looks on an axis of `length`, and the step [px]."""
    start, step = 0.0, 1
    for layer in layers:
        before, after = layer.padding(length)
        start += step * ((layer.kernel - 1) / 2 - before)
        step *= layer.stride
        length = math.floor((length + before + after - layer.kernel) / layer.stride) + 1
    return start, float(step)
