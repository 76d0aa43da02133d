"""The numbers of a circuit that are learnt, in one row: for whoever changes or records them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["flat", "learnt", "number_names", "put"]


def learnt(circuit: nn.Module) -> dict[str, Tensor]:
    """The parameters that need a gradient, by name, in a fixed order.

    Of the flagship 1,069 numbers of neurons and synapses, and the input and output maps.
    """
    return {name: each for name, each in circuit.named_parameters() if each.requires_grad}


def number_names(circuit: nn.Module) -> list[str]:
    """A name for each number of `flat`: "sensory.raw_weight[0]" and so on."""
    return [
        f"{name}[{index}]"
        for name, each in learnt(circuit).items()
        for index in range(each.numel())
    ]


def flat(circuit: nn.Module) -> Tensor:
    """A copy of all numbers, float32 (numbers,)."""
    return torch.cat([each.detach().flatten() for each in learnt(circuit).values()])


@torch.no_grad()
def put(circuit: nn.Module, values: Tensor) -> None:
    """Overwrite all numbers by a row as `flat` gives it.

    Raises:
        ValueError: the row has another length.
    """
    parameters = list(learnt(circuit).values())
    count = sum(each.numel() for each in parameters)
    if values.shape != (count,):
        raise ValueError(f"The circuit has {count} numbers, got a row of {tuple(values.shape)}.")
    parts = values.split([each.numel() for each in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.copy_(part.view_as(parameter))
