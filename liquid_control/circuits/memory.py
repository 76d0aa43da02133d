"""Mixed memory: an LSTM cell that carries long-term memory beside a liquid cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LongMemory"]


class LongMemory(nn.Module):
    """LSTM cell whose hidden state is the state of a liquid cell.

    Each sample, it advances (h, c) first; the liquid cell then refines h in continuous time
    (Lechner and Hasani, "Learning Long-Term Dependencies in Irregularly-Sampled Time Series",
    2020; Hasani et al., "Closed-form continuous-time neural networks", 2022, mixed memory).

    Args:
        inputs: number of input features.
        units: size of h and of c.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.input_map = nn.Linear(inputs, 4 * units)
        self.recurrent_map = nn.Linear(units, 4 * units, bias=False)
        nn.init.xavier_uniform_(self.input_map.weight)
        nn.init.uniform_(self.input_map.bias, -0.1, 0.1)
        nn.init.orthogonal_(self.recurrent_map.weight)

    def drive(self, inputs: Tensor) -> Tensor:
        """What the inputs (..., inputs) add to the gates, (..., 4 units)."""
        return self.input_map(inputs)

    def forward(self, hidden: Tensor, cell: Tensor, drive: Tensor) -> tuple[Tensor, Tensor]:
        """(h, c), each (batch, units), after one sample."""
        gates = drive + self.recurrent_map(hidden)
        candidate, write, keep, show = gates.chunk(4, 1)
        # A bias of 1 on the forget gate lets a fresh cell remember (Gers et al. 2000).
        cell = cell * torch.sigmoid(keep + 1) + torch.tanh(candidate) * torch.sigmoid(write)
        return torch.tanh(cell) * torch.sigmoid(show), cell
