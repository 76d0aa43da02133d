"""Synapses of the liquid time-constant cell: their parameters, and the currents they carry.

A product with one-hot matrices gathers the sources and sums over the targets of sparse wirings
fastest; for wirings that are large and dense, all pairs of neurons are computed, with weight 0
where there is no synapse.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Prepared", "Synapses", "currents", "inverse_softplus", "sense", "uniform"]


class Prepared(NamedTuple):
    """What a circuit's parameters amount to for the solver; see `LTC.prepare`.

    Activations of K synapses are s(x @ slope + offset); `current` (K, 2 units) turns them into
    the sums of w s E (first half) and of w s (second half) per target neuron.

    For all pairs of neurons, slope and offset are (sources, units), activations
    s(x * slope + offset) (batch, sources, units), and `current` is (2, sources, units).
    """

    sensory_slope: Tensor  # (inputs, sensory synapses), input affine map folded in
    sensory_offset: Tensor
    sensory_current: Tensor
    slope: Tensor  # (units, synapses between neurons)
    offset: Tensor
    current: Tensor
    leak: Tensor  # (2 units,): g v and g
    capacitance: Tensor


class Synapses(nn.Module):
    """Parameters of the existing synapses of one polarity matrix (sources, units), no others.

    The order of the synapses is that of `np.argwhere(polarity)`: by source, then by target.
    """

    def __init__(self, polarity: np.ndarray) -> None:
        super().__init__()
        source, target = np.nonzero(polarity)
        count = len(source)
        self.pairs = np.stack((source, target)).astype(np.intp)  # (2, K)
        self.raw_weight = nn.Parameter(inverse_softplus(uniform(count, 0.001, 1.0)))
        self.midpoint = nn.Parameter(uniform(count, 0.3, 0.8))
        self.slope = nn.Parameter(uniform(count, 3.0, 8.0))
        self.reversal = nn.Parameter(torch.from_numpy(polarity[source, target]).float())
        # One-hot matrices turn gather and scatter into products, which are faster at this size.
        for name, index, size in (("source", source, 0), ("target", target, 1)):
            one_hot = torch.eye(polarity.shape[size])[torch.from_numpy(index)]
            self.register_buffer(name, one_hot.T.contiguous() if not size else one_hot, False)
        place = torch.from_numpy(source * polarity.shape[1] + target)
        self.register_buffer("place", place, False)

    @property
    def weight(self) -> Tensor:
        """Positive weights w."""
        return functional.softplus(self.raw_weight)

    def prepare(self) -> tuple[Tensor, Tensor, Tensor]:
        """(slope (sources, K), offset (K,), current (K, 2 units)) as `Prepared` needs them."""
        weight = self.weight
        currents = torch.stack((weight * self.reversal, weight), 1)  # (K, 2)
        current = (currents.unsqueeze(2) * self.target.unsqueeze(1)).flatten(1)
        return self.source * self.slope, -self.slope * self.midpoint, current

    def prepare_pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """As `prepare`, for all pairs of neurons."""
        weight = self.weight
        values = (self.slope, -self.slope * self.midpoint, weight * self.reversal, weight)
        sources, units = len(self.source), self.target.shape[1]
        blank = weight.new_zeros(4, sources * units)
        full = blank.index_add(1, self.place, torch.stack(values)).view(4, sources, units)
        return full[0], full[1], full[2:]

    def costs(self) -> tuple[int, int]:
        """Time that a row takes by `prepare` and by `prepare_pairs`, in the same unit.

        One pair of neurons took as long as 40 multiplications of a product on one core of a CPU.
        """
        (sources, count), units = self.source.shape, self.target.shape[1]
        return count * (sources + 2 * units), 40 * sources * units


def sense(prepared: Prepared, inputs: Tensor) -> Tensor:
    """Sums over leak and sensory synapses, (rows, 2 units); constant while a sample is solved."""
    slope, offset, current = prepared[:3]
    return _sums(inputs, slope, offset, current, prepared.leak)


def currents(prepared: Prepared, state: Tensor, drive: Tensor) -> tuple[Tensor, ...]:
    """(g v + sum w s E, g + sum w s), each (rows, units)."""
    return _sums(state, *prepared[3:6], drive).chunk(2, 1)


def _sums(values: Tensor, slope: Tensor, offset: Tensor, current: Tensor, base: Tensor) -> Tensor:
    """`base` and what the synapses add to it, (rows, 2 units)."""
    if current.dim() == 2:
        activation = torch.sigmoid(torch.addmm(offset, values, slope))
        return torch.addmm(base, activation, current)
    activation = torch.sigmoid(torch.addcmul(offset, values.unsqueeze(2), slope))
    # Faster than products: 0.2 ms against 0.55 ms, with gradients, for 16 rows of 64 neurons.
    return base + torch.cat([(activation * part).sum(1) for part in current.unbind()], 1)


def uniform(count: int, low: float, high: float) -> Tensor:
    return torch.empty(count).uniform_(low, high)


def inverse_softplus(value: Tensor) -> Tensor:
    # log(expm1(v)), written so that large values do not overflow.
    return value + torch.log(-torch.expm1(-value))
