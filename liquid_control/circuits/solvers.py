"""Solvers of the LTC equation dx/dt = (p(x) - q(x) x) / C, with pull p and conductance q > 0.

All take h / C, the step over the capacitance, as `rate`, and `currents`, a function from a state
to (p, q). A rate of 0 returns the state to the bit.

fused: x <- (x + rate p) / (1 + rate q): first order, and for any step within the smallest and
    largest of {x, p/q} (Hasani et al., "Liquid Time-constant Networks", 2021, algorithm 1).
euler: x <- x + rate (p - q x): first order; within the same bounds while rate q <= 1.
rk4: the classical Runge-Kutta method of fourth order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from liquid_control.circuits.tracing import traced

__all__ = ["MOST_SUBSTEPS", "SOLVERS", "substeps"]

Currents = Callable[[Tensor], tuple[Tensor, Tensor]]

MOST_SUBSTEPS = 1000


def fused(state: Tensor, rate: Tensor, currents: Currents) -> Tensor:
    pull, conductance = currents(state)
    # In this form a rate of 0 returns the state to the bit, and nothing divides by 0.
    return torch.addcmul(state, rate, pull) / (1 + rate * conductance)


def euler(state: Tensor, rate: Tensor, currents: Currents) -> Tensor:
    return state + rate * _slope(state, currents)


def rk4(state: Tensor, rate: Tensor, currents: Currents) -> Tensor:
    first = _slope(state, currents)
    second = _slope(state + rate / 2 * first, currents)
    third = _slope(state + rate / 2 * second, currents)
    fourth = _slope(state + rate * third, currents)
    return state + rate / 6 * (first + 2 * second + 2 * third + fourth)


SOLVERS = {"fused": fused, "euler": euler, "rk4": rk4}


def substeps(spans: Tensor, at_least: int) -> int:
    """Steps with which an explicit solver is stable: none longer than the fastest time constant.

    Inside of `torch.compile`, `torch.export` and the transforms of `torch.func`, where values
    cannot be looked at, it is `at_least`, stable or not; see `LTC` for what becomes of it.

    Args:
        spans: times to solve for, in units of the smallest time constant that each neuron can have.
        at_least: steps to take in any case.

    Raises:
        ValueError: more than MOST_SUBSTEPS would be needed.
    """
    if traced():
        return at_least
    longest = spans.detach().max().item()
    if not longest <= MOST_SUBSTEPS:
        raise ValueError(
            f"The elapsed time is {longest:.3g} times the fastest time constant, but an explicit "
            f"solver takes at most {MOST_SUBSTEPS} steps a sample; use solver='fused', which is "
            "stable for any elapsed time."
        )
    return max(at_least, math.ceil(longest))


def _slope(state: Tensor, currents: Currents) -> Tensor:
    """C dx/dt."""
    pull, conductance = currents(state)
    return pull - conductance * state
