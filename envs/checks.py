"""Refuses numbers that a world cannot take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from liquid_control.errors import InputError

__all__ = ["SECONDS", "SLOWEST", "check_number", "is_number"]

SECONDS = (0.01, 1e9)  # [s], time limit of an episode; the longest is no limit
SLOWEST = 0.1  # [m/s] to drive at


def check_number(name: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    """Refuse what is no number from `low` to `high`.

    Raises:
        InputError: names the option, its range and what came.
    """
    fits = isinstance(value, int | np.integer) if whole else is_number(value)
    if not fits or isinstance(value, bool) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"The option {name} is {kind} from {low:g} to {high:g}, got {value!r}.")


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    kind = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return kind and math.isfinite(value)
