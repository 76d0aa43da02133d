"""Checks of what callers hand to a circuit, whatever circuit it is."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["either", "require_tensor"]


def require_tensor(input: Any) -> None:
    """
    Raises:
        TypeError: the input of a circuit is no tensor of real numbers.
    """
    if not isinstance(input, Tensor):
        raise TypeError(
            f"The input must be a torch.Tensor, got {type(input).__name__}; make one with "
            "torch.as_tensor(input)."
        )
    if input.is_complex():
        raise TypeError("The input must be of real numbers, got complex ones; take their parts.")


def either(ours: Any, theirs: Any, our_name: str, their_name: str) -> Any:
    """What was given of an argument that has two names, or None.

    Raises:
        ValueError: both were.
    """
    if ours is not None and theirs is not None:
        raise ValueError(f"{our_name} and {their_name} are two names of one argument: give one.")
    return theirs if ours is None else ours
