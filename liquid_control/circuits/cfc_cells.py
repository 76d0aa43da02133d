"""The two cells behind `CfC`: dense, with a backbone, and wired, on real synapses alone.

With z the features of input and state, dt the elapsed time and s the logistic function:

    default:  h' = tanh(f1(z)) (1 - s(a(z) dt + b(z))) + tanh(f2(z)) s(a(z) dt + b(z))
    no_gate:  h' = tanh(f1(z)) + s(a(z) dt + b(z)) tanh(f2(z))
    pure:     h' = A - A exp(-dt (|w_tau| + |f1(z)|)) f1(z)

(Hasani et al., "Closed-form continuous-time neural networks", Nature Machine Intelligence 2022,
eq. 3 and 10, with the signs of their code.)
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from liquid_control.circuits import fused_cfc, fused_dense
from liquid_control.circuits.wiring import Wiring

__all__ = ["ACTIVATIONS", "MODES", "DenseCell", "WiredCell"]

MODES = ("default", "no_gate", "pure")


class LeCunTanh(nn.Module):
    """1.7159 tanh(0.666 x), which keeps the variance of its input (LeCun et al. 1998)."""

    def forward(self, value: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(0.666 * value)


ACTIVATIONS = {
    "lecun_tanh": LeCunTanh,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


class ClosedForm(nn.Module):
    """The last step of every CfC cell: from the heads' values to the new state."""

    def __init__(self, units: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.heads = 1 if mode == "pure" else 4  # f1, or f1, f2, a, b
        if mode == "pure":
            self.w_tau = nn.Parameter(torch.zeros(units))
            self.A = nn.Parameter(torch.ones(units))

    def forward(self, heads: Tensor, elapsed: Tensor, neurons: slice = slice(None)) -> Tensor:
        """(batch, neurons) from heads (batch, heads * neurons) and elapsed times (batch, 1)."""
        if self.mode == "pure":
            amplitude = self.A[neurons]
            decay = torch.exp(-elapsed * (self.w_tau[neurons].abs() + heads.abs()))
            return amplitude - amplitude * decay * heads
        values, gates = heads.chunk(2, 1)
        first, second = torch.tanh(values).chunk(2, 1)
        slope, offset = gates.chunk(2, 1)
        gate = torch.sigmoid(torch.addcmul(offset, slope, elapsed))
        if self.mode == "no_gate":
            return torch.addcmul(first, gate, second)
        return torch.lerp(first, second, gate)


class DenseCell(nn.Module):
    """CfC cell whose heads share a backbone over all inputs and neurons.

    Args:
        inputs, units: number of inputs and of neurons.
        mode: one of `MODES`.
        activation: of the backbone, one of `ACTIVATIONS`.
        backbone_units, backbone_layers: size of the backbone; with 0 layers the heads see inputs
            and state directly.
        backbone_dropout: after each layer of the backbone.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        mode: str,
        activation: str,
        backbone_units: int,
        backbone_layers: int,
        backbone_dropout: float,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.closed_form = ClosedForm(units, mode)
        heads = self.closed_form.heads
        # The first layer is split at run time: its share of the inputs is computed once for a
        # sequence, which leaves a smaller product for each sample.
        width = backbone_units if backbone_layers else heads * units
        self.first = nn.Linear(inputs + units, width)
        rest = []
        if backbone_layers:
            after = [ACTIVATIONS[activation]()]
            after += [nn.Dropout(backbone_dropout)] if backbone_dropout else []
            for _ in range(backbone_layers - 1):
                rest += [*after, nn.Linear(width, width)]
            rest += [*after, nn.Linear(width, heads * units)]
        self.rest = nn.Sequential(*rest)
        self._tanh = None if backbone_layers != 1 else fused_dense.TANHS.get(activation)
        self._dropout = backbone_dropout > 0
        layers = [self.first, *(layer for layer in rest if isinstance(layer, nn.Linear))]
        for layer in layers[:-1]:
            nn.init.xavier_uniform_(layer.weight)
        for head in layers[-1].weight.detach().chunk(heads):
            nn.init.xavier_uniform_(head)

    @property
    def tanh(self) -> tuple[float, float] | None:
        """Amplitude and rate of a backbone that `fused_dense` takes, as it is now; else None."""
        return None if self._dropout and self.training else self._tanh

    def prepare(self) -> Tensor:
        """The first layer's weights of the state."""
        return self.first.weight[:, self.inputs :].T

    def drive(self, prepared: Tensor, inputs: Tensor) -> tuple[Tensor, ...]:
        return (functional.linear(inputs, self.first.weight[:, : self.inputs], self.first.bias),)

    def forward(self, prepared: Tensor, state: Tensor, drive: Tensor, elapsed: Tensor) -> Tensor:
        heads = self.rest(torch.addmm(drive, state, prepared))
        return self.closed_form(heads, elapsed)


class Layer(NamedTuple):
    """One layer's weights for `WiredCell`."""

    neurons: slice
    sensory: Tensor  # (inputs, heads * neurons)
    recurrent: Tensor  # (units, heads * neurons)
    bias: Tensor


class WiredCell(nn.Module):
    """CfC cell on a wiring: each head of a neuron sees the neuron's synapses and its own state.

    Only existing synapses have parameters. In f1 and f2 a synapse keeps the sign of its polarity;
    the time gates a and b, which are no currents, may have any. Inter, command and motor neurons
    are computed one after the other, so that an input reaches the outputs within its sample;
    synapses within a layer or backwards see the states of the sample before.

    Args:
        wiring: who is wired to whom.
        mode: one of `MODES`.
    """

    def __init__(self, wiring: Wiring, mode: str) -> None:
        super().__init__()
        units = wiring.units
        self.inputs, self.units = wiring.inputs, units
        self.closed_form = ClosedForm(units, mode)
        heads = self.closed_form.heads
        self.currents = min(heads, 2)  # f1, f2
        ends = np.cumsum([0, wiring.inter, wiring.command, wiring.motor]).tolist()
        self.layers = [slice(a, b) for a, b in pairwise(ends) if a < b]
        self.index = fused_cfc.index(wiring, self.layers)

        polarity = np.concatenate((wiring.sensory, wiring.adjacency))
        source, target = np.nonzero(polarity)
        fan_in = torch.from_numpy(np.count_nonzero(polarity, 0) + 1)  # its own state counts, too
        bound = torch.sqrt(3 / fan_in)
        synapse_bound = bound[torch.from_numpy(target)]
        shape = (self.currents, len(source))
        strength = (torch.rand(shape) * synapse_bound).clamp_min(1e-3)
        self.raw_weight = nn.Parameter(strength + torch.log(-torch.expm1(-strength)))
        free = (heads - self.currents, len(source))
        self.gate_weight = nn.Parameter((2 * torch.rand(free) - 1) * synapse_bound)
        self.own_weight = nn.Parameter((2 * torch.rand(heads, units) - 1) * bound)
        self.bias = nn.Parameter((2 * torch.rand(heads, units) - 1) / math.sqrt(3))
        signs = torch.from_numpy(polarity[source, target]).float()
        self.register_buffer("polarity", signs, False)
        self.register_buffer("place", torch.from_numpy(source * units + target), False)

    def prepare(self) -> list[Layer]:
        """The weights as one dense matrix a layer, 0 where there is no synapse."""
        weight = torch.cat((functional.softplus(self.raw_weight) * self.polarity, self.gate_weight))
        heads = len(weight)
        blank = weight.new_zeros(heads, (self.inputs + self.units) * self.units)
        dense = blank.index_add(1, self.place, weight)
        dense = dense.view(heads, self.inputs + self.units, self.units).transpose(0, 1)
        sensory = dense[: self.inputs]
        recurrent = dense[self.inputs :] + torch.diag_embed(self.own_weight).transpose(0, 1)
        return [
            Layer(
                neurons,
                sensory[..., neurons].flatten(1),
                recurrent[..., neurons].flatten(1),
                self.bias[:, neurons].flatten(),
            )
            for neurons in self.layers
        ]

    def drive(self, prepared: list[Layer], inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(inputs @ layer.sensory + layer.bias for layer in prepared)

    def forward(self, prepared: list[Layer], state: Tensor, *drive: Tensor) -> Tensor:
        """`drive` ends with the elapsed times (batch, 1)."""
        *drives, elapsed = drive
        for layer, own in zip(prepared, drives, strict=True):
            heads = torch.addmm(own, state, layer.recurrent)
            after = self.closed_form(heads, elapsed, layer.neurons)
            before, behind = state[:, : layer.neurons.start], state[:, layer.neurons.stop :]
            state = torch.cat((before, after, behind), 1)
        return state
