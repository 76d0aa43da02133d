"""Checks every decision against what its policy can provably do.

    guarantees = Guarantees.of(policy)
    violation = guarantees.check(decision)      # None, or which number left which bounds

The bounds (see `bounds`) are computed once, from the weights as they are then, and kept: a weight
that changes later by mistake does not change what is allowed. Weights that change on purpose, in
`training.trust_region`, have bounds for all that they may become, `Guarantees.within`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from liquid_control.policy.bounds import ULP, Interval, bounds, readout, time_constant_bounds

if TYPE_CHECKING:
    from liquid_control.policy.driver import Decision
    from liquid_control.policy.policy import Policy

__all__ = ["Guarantees", "Violation"]

# Where there is no bound, a number must at least be finite.
_FINITE = float(np.finfo(np.float32).max)
# A bound of nearly 0 says nothing about how much of it is used.
_SMALLEST = 1e-3


@dataclass(frozen=True)
class Violation:
    """A number of a decision that correct computation cannot give.

    Args:
        kind: "state before", "state", "time constant" or "command".
        name: of the neuron or the output.
        value: it has.
        low, high: it provably keeps.
        others: how many other numbers of the decision left theirs.
    """

    kind: str
    name: str
    value: float
    low: float
    high: float
    others: int = 0

    def __str__(self) -> str:
        bounds = f"its bounds {self.low:.6g} to {self.high:.6g}"
        if (self.low, self.high) == (-_FINITE, _FINITE):
            bounds = "the finite numbers"
        others = f", with {self.others} other numbers" if self.others else ""
        return f"{self.kind} of {self.name} is {self.value:.6g}, outside {bounds}{others}"


@dataclass(frozen=True)
class _Row:
    """One kind of numbers in a decision, all float32 (numbers,) once rounded outwards."""

    kind: str
    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray


class Guarantees:
    """Provable bounds of a policy's decisions, and the check of each; use `of`.

    Attributes:
        state, time_constants: bounds by number of a decision's state, or None where it has none.
        command: bounds of the outputs, float64 (outputs,), never wider than the specification.
        unbounded: by number of the state, why it has no bound and is only checked to be finite; ""
            where it has one.
    """

    def __init__(
        self,
        names: list[str],
        outputs: tuple[str, ...],
        state: Interval,
        time_constants: Interval | None,
        command: Interval,
        unbounded: tuple[str, ...],
    ) -> None:
        self.names, self.outputs = tuple(names), outputs
        self.state, self.time_constants, self.command = state, time_constants, command
        self.unbounded = unbounded
        rows = [
            _Row("state before", self.names, state.low, state.high),
            _Row("state", self.names, state.low, state.high),
            _Row("command", outputs, command.low, command.high),
        ]
        if time_constants is not None:
            rows.append(_Row("time constant", self.names, time_constants.low, time_constants.high))
        self._rows = rows
        self._low = _outwards(np.concatenate([row.low for row in rows]), -1)
        self._high = _outwards(np.concatenate([row.high for row in rows]), 1)
        size, units = len(self._low), len(self.names)
        self._values = np.zeros(size, np.float32)
        self._above, self._below = np.empty(size, bool), np.empty(size, bool)
        # Views, so that a check copies a decision into its place and does no more.
        self._before, self._after = self._values[:units], self._values[units : 2 * units]
        self._command = self._values[2 * units : 2 * units + len(outputs)]
        self._constants = self._values[2 * units + len(outputs) :]
        self._lowest, self._highest = np.zeros(units, np.float32), np.zeros(units, np.float32)

    @classmethod
    def of(cls, policy: Policy) -> Guarantees:
        """Those of a policy, from its weights as they are now."""
        circuit, spec, names = policy.circuit, policy.spec, policy.state_names
        parts = bounds(circuit)
        unbounded = tuple(part.why for part in parts for _ in part.low)
        low, high = (
            np.concatenate([np.zeros(0), *(getattr(part, end) for part in parts)])
            for end in ("low", "high")
        )
        constants = time_constant_bounds(circuit)
        if constants is not None:
            constants = replace(
                constants, low=constants.low * policy.tick, high=constants.high * policy.tick
            )
        limits = Interval(spec.low.astype(np.float64), spec.high.astype(np.float64))
        if parts:
            outputs = readout(circuit, parts[0])
            ends = np.sort([each * limits.high for each in (outputs.low, outputs.high)], 0)
            limits = Interval(*(np.clip(end, limits.low, limits.high) for end in ends))
        return cls(names, spec.names, Interval(low, high), constants, limits, unbounded)

    def within(
        self, state: Interval, time_constants: Interval, low: np.ndarray, high: np.ndarray
    ) -> Guarantees:
        """For a policy whose weights move in a region that has these bounds.

        Args:
            state, time_constants: in the whole region, exact numbers; rounding is added.
            low, high: of the specification (outputs,), as output weights move as well.
        """
        room = 64 * ULP
        most = np.maximum(-state.low, state.high)
        return Guarantees(
            list(self.names),
            self.outputs,
            Interval(state.low - room * most, state.high + room * most),
            Interval(time_constants.low * (1 - room), time_constants.high * (1 + room)),
            Interval(np.asarray(low, np.float64), np.asarray(high, np.float64)),
            self.unbounded,
        )

    def check(self, decision: Decision) -> Violation | None:
        """The first number that is outside of its bounds or no number; None where all are inside.

        States before come first: where one of them is outside, what follows from it may be, too.
        """
        self._before[:] = decision.state_before
        self._after[:] = decision.state
        self._command[:] = decision.command
        if self.time_constants is not None:
            self._constants[:] = decision.time_constants
        # Written so that a NaN, which is neither, is found.
        np.greater_equal(self._values, self._low, out=self._above)
        np.less_equal(self._values, self._high, out=self._below)
        inside = np.logical_and(self._above, self._below, out=self._above)
        np.minimum(self._lowest, self._after, out=self._lowest)
        np.maximum(self._highest, self._after, out=self._highest)
        return None if inside.all() else self._violation(inside)

    def _violation(self, inside: np.ndarray) -> Violation:
        outside = np.flatnonzero(~inside)
        place = first = int(outside[0])
        for row in self._rows:
            if place < len(row.names):
                break
            place -= len(row.names)
        return Violation(
            row.kind,
            row.names[place],
            float(self._values[first]),
            float(self._low[first]),
            float(self._high[first]),
            len(outside) - 1,
        )

    def largest_share(self) -> tuple[float, str]:
        """How much of its bound a neuron used at most since the last call, and which one did.

        0 at rest, 1 at the bound, NaN where a state was no number; 0 and "" where nothing has a
        bound.
        """
        low, high = self.state.low, self.state.high
        bounded = np.isfinite(high)
        if not bounded.any():
            return 0.0, ""
        with np.errstate(invalid="ignore"):
            shares = np.maximum(
                self._highest / np.maximum(high, _SMALLEST),
                self._lowest / np.minimum(low, -_SMALLEST),
            )
        shares[~bounded] = 0.0
        shares += 0.0  # a neuron at rest used 0, not -0
        self._lowest[:] = self._highest[:] = 0.0
        which = int(np.argmax(shares))
        return float(shares[which]), self.names[which]


def _outwards(ends: np.ndarray, direction: int) -> np.ndarray:
    """As float32, not further inside than before; the largest float32 where infinite."""
    rounded = np.clip(ends, -_FINITE, _FINITE).astype(np.float32)
    wrong = (rounded < ends) if direction > 0 else (rounded > ends)
    wrong &= np.abs(rounded) < _FINITE
    rounded[wrong] = np.nextafter(rounded[wrong], np.float32(direction * np.inf))
    return rounded
