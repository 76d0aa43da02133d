"""How far back a command looks: what the pixels of past frames still contribute to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from liquid_control.attention.explained import Explained

__all__ = ["Past", "past"]

STEPS = 32


@dataclass(frozen=True)
class Past:
    """Contributions of a stretch of frames to a target after the last of them.

    Args:
        maps: float32 (time, rows, columns), signed, in the target's unit. They add up to `change`.
        lags: float64 (time,), how long before the last frame each of them was [s]; the last is 0.
        change: of the target, against a drive through frames without any contrast.
        missing: part of `change` that `maps` miss, because the path has few steps.
    """

    maps: np.ndarray
    lags: np.ndarray
    change: float
    missing: float

    @property
    def shares(self) -> np.ndarray:
        """Of each frame in the summed magnitude of all maps, (time,); they add up to 1."""
        weights = np.abs(self.maps).sum((1, 2), dtype=np.float64)
        total = weights.sum()
        return weights / total if total > 0 else np.full(len(weights), np.nan)

    @property
    def mean_lag(self) -> float:
        """Mean of the lags, weighted by the shares [s]; 0 for a network without a memory."""
        return float(self.shares @ self.lags)

    def reach(self, share: float = 0.9) -> float:
        """Within which time before the last frame `share` of the contributions lie [s]."""
        return float(self.lags[::-1][np.searchsorted(np.cumsum(self.shares[::-1]), share - 1e-9)])


def past(
    policy: nn.Module,
    frames: np.ndarray,
    elapsed: float | np.ndarray = 1 / 30,
    state: np.ndarray | None = None,
    target: str | None = None,
    steps: int = STEPS,
) -> Past:
    """Integrated gradients of a target after the last frame by the pixels of all frames.

    The path leads from a drive through frames without contrast to the real one, all frames at once,
    and the gradient runs back through the circuit's states (Sundararajan, Taly and Yan, "Axiomatic
    attribution for deep networks", 2017, eq. 1, by Gauss and Legendre's rule). What lies before the
    first frame is in `state` and gets no share: take a stretch longer than the answer.

    Args:
        policy: a `policy.Policy`, in evaluation mode.
        frames: uint8 RGB (time, rows, columns, 3), prepared by `policy.camera.apply`.
        elapsed: time since the frame before [s], a number or (time,).
        state: before the first frame, float32 (numbers,) as `Decision.state_before`; zeros by
            default.
        target: an output, a neuron or a feature, see `explained.targets`; the first output by
            default.
        steps: of the path.

    Raises:
        InputError: there is no such target.
    """
    explained = Explained(policy, target)
    count, device = len(frames), policy.scale.device
    pixels = explained.pixels(torch.from_numpy(np.array(frames))).unsqueeze(0)
    numbers = sum(policy.circuit.state_sizes)
    before = torch.zeros(numbers) if state is None else torch.from_numpy(np.array(state))
    before = before.float().unsqueeze(0).to(device)
    times = np.broadcast_to(np.asarray(elapsed, np.float32), count).copy()
    passed = torch.from_numpy(times).unsqueeze(0).to(device)
    total = torch.zeros_like(pixels)
    with torch.enable_grad():
        for place, weight in zip(*np.polynomial.legendre.leggauss(steps), strict=True):
            point = (pixels * float(place + 1) / 2).requires_grad_()
            (gradient,) = torch.autograd.grad(explained(point, before, passed).sum(), point)
            total += float(weight) / 2 * gradient
    maps = (pixels * total).sum(2)[0].cpu().numpy()
    with torch.no_grad():
        change = float(
            explained(pixels, before, passed) - explained(torch.zeros_like(pixels), before, passed)
        )
    lags = np.append(np.cumsum(times[:0:-1], dtype=np.float64)[::-1], 0.0)
    return Past(maps, lags, change, change - float(maps.sum(dtype=np.float64)))
