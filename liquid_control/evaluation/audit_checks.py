"""Compares recorded decisions with recomputed ones, and each with the one before it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from liquid_control.data.updates import SHIPPED
from liquid_control.evaluation.audit_explain import explain
from liquid_control.evaluation.audit_motion import motion_asked
from liquid_control.evaluation.audit_recompute import Recomputed
from liquid_control.evaluation.audit_record import Record, Recorded
from liquid_control.policy import Policy

__all__ = ["CHECKS", "TOLERANCES", "Difference", "Findings", "check"]

# In the order in which an error would travel: what goes in, what is computed, what goes out.
CHECKS = {
    "record": "the message is the one that was sealed",
    "sequence": "numbers follow one another",
    "facts": "model, parameters and build that it names are those recorded",
    "weights": "weights that it names are the model's",
    "frame": "its camera image",
    "chain": "state before = state after of the one before, or zeros",
    "elapsed": "elapsed time and reset follow from the stamps",
    "command": "command, recomputed",
    "state": "neurons after, recomputed",
    "time constants": "time constants, recomputed",
    "attention": "saliency map, recomputed",
    "published": "cmd_vel follows from command and parameters",
}
# Largest differences where build or machine are others: commands and states as shares of the
# largest magnitude (limits; 1), time constants relative, maps in levels of 255. What was measured
# is in docs/audit.md.
TOLERANCES = {"command": 1e-5, "state": 1e-5, "time constants": 1e-5, "attention": 2.0}


@dataclass(frozen=True)
class Difference:
    """One thing of one decision that is not as it should be.

    Args:
        place: in the record, from 0.
        number: that the decision bears.
        seconds: since the first decision of the record [s].
        check: a key of `CHECKS`.
        text: what was recorded and what was expected.
        size: by how much, as `TOLERANCES` counts it; None for what cannot be measured.
    """

    place: int
    number: float
    seconds: float
    check: str
    text: str
    size: float | None = None


@dataclass
class Findings:
    """What an audit has found.

    Args:
        exact: numbers had to be equal to the bit; else within `TOLERANCES`.
        compared: by check, how many decisions were compared.
        unequal: by check, of these those that are not equal to the bit.
        largest: by check, the largest difference seen, as `TOLERANCES` counts it.
        differences: that count: not equal, or beyond the tolerance elsewhere.
        unseen: places of decisions whose frame is not in the bag.
        resets: decisions with a fresh state, by reason: "start", "gap", "request", or
            "unknown cause" where the decision before was not recorded.
        first_number: of the first decision; those before it were not recorded.
        removed: decisions that lack between the first and the last.
    """

    exact: bool
    compared: Counter[str] = field(default_factory=Counter)
    unequal: Counter[str] = field(default_factory=Counter)
    largest: dict[str, float] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)
    resets: Counter[str] = field(default_factory=Counter)
    first_number: int = 0
    removed: int = 0

    @property
    def first(self) -> list[Difference]:
        """All differences of the first decision that has any."""
        if not self.differences:
            return []
        place = min(each.place for each in self.differences)
        return [each for each in self.differences if each.place == place]

    @property
    def cause(self) -> str:
        """What the first difference probably comes from; "" without one."""
        return explain({each.check for each in self.first}) if self.differences else ""

    @property
    def places(self) -> set[int]:
        """Of the decisions that differ."""
        return {each.place for each in self.differences}


def check(
    record: Record, again: Mapping[int, Recomputed], policies: Mapping[str, Policy], exact: bool
) -> Findings:
    """Compare all decisions of a record.

    Args:
        record: what was recorded.
        again: by place, what was recomputed; a place that lacks had no frame.
        policies: it was recomputed with, by hash of their weights, as shipped first.
        exact: whether numbers have to be equal to the bit.
    """
    return _Checker(record, again, policies, exact).run()


class _Checker:
    def __init__(
        self,
        record: Record,
        again: Mapping[int, Recomputed],
        policies: Mapping[str, Policy],
        exact: bool,
    ) -> None:
        self.record, self.again, self.policies = record, again, policies
        # Weights in force, and how many updates have come into force.
        (self.weights, self.policy), self.learnt = next(iter(policies.items())), 0
        self.found = Findings(exact)
        self.origin = record.decisions[0].stamp
        self.place, self.decision = 0, record.decisions[0]
        self.at: dict[int, list[Recorded]] = defaultdict(list)
        for decision in record.decisions:
            if decision.fits(self.policy):
                self.at[decision.stamp].append(decision)

    def run(self) -> Findings:
        before: Recorded | None = None
        for place, decision in enumerate(self.record.decisions):
            self.place, self.decision = place, decision
            if self.place not in self.again:
                self.found.unseen.append(self.place)
            usable = self.decision.fits(self.policy)
            self._equal("record", usable and self.decision.sealed, self._what_is_broken)
            if usable:
                follows = self._sequence(before)
                self._named()
                self._elapsed(before if follows else None)
                self._chain(before if follows else None)
                if self.place in self.again:
                    self._numbers(self.again[self.place])
                self._published()
            before = self.decision if usable else None
        return self.found

    # One check each

    def _what_is_broken(self) -> str:
        if not self.decision.fits(self.policy):
            return f"not the names of the model's decisions ({len(self.decision.names)} names)"
        return "its seal does not fit its content"

    def _sequence(self, before: Recorded | None) -> bool:
        """Whether this decision comes right after `before`."""
        number = self.decision.number
        if self.place == 0:
            self.found.first_number = int(number) if np.isfinite(number) else 0
            return False
        if before is None:
            return False
        # A node that was configured anew, or started again, counts from 0.
        follows = number == before.number + 1
        anew = number == 0 and self.decision.reset == 1
        if not follows and number > before.number + 1:
            self.found.removed += int(min(number - before.number - 1, 1e9))
        self._equal(
            "sequence", follows or anew, lambda: f"number {number:g} after {before.number:g}"
        )
        return follows

    def _named(self) -> None:
        hashes = self.decision.hashes
        if hashes is None:
            return
        self._equal(
            "facts",
            hashes.facts in self.record.facts,
            lambda: f"names {hashes.facts}, recorded {', '.join(self.record.facts)}",
        )
        self._equal(
            "weights",
            self._in_force(hashes.weights),
            lambda: f"names {hashes.weights}, but {self.weights} are in force",
        )
        again = self.again.get(self.place)
        if again is not None:
            self._equal(
                "frame",
                hashes.image == again.image,
                lambda: f"names image {hashes.image}, the bag holds {again.image}",
            )
            # Elsewhere another decoder may give other pixels of the same JPEG.
            if hashes.image == again.image and again.frame and self.found.exact:
                self._equal(
                    "frame",
                    hashes.frame == again.frame,
                    lambda: f"names prepared frame {hashes.frame}, prepared here {again.frame}",
                    count=False,
                )

    def _in_force(self, weights: str) -> bool:
        """Whether these are the weights as shipped, or recorded updates lead to them."""
        now = self.weights
        for number, update in enumerate(self.record.updates[self.learnt :], self.learnt + 1):
            if now == weights:
                break
            if update.kind != SHIPPED and update.before != now:
                return False
            now = update.after
            if now == weights and now in self.policies:
                self.weights, self.learnt = now, number
        return self.weights == weights

    def _elapsed(self, before: Recorded | None) -> None:
        decision = self.decision
        parameters = self.record.facts_of(decision).parameters
        period, gap = float(parameters["nominal_period"]), float(parameters["max_gap"])
        passed = None if before is None else (decision.stamp - before.stamp) * 1e-9
        within = passed is not None and 0.0 <= passed <= gap
        if decision.reset == 1.0:
            reason = "gap" if before is not None else "unknown cause"
            reason = "start" if decision.number == 0 else "request" if within else reason
            self.found.resets[reason] += 1
            expected, right = period, True
        elif before is None:
            # Nothing to follow from: the record begins here, or the one before is missing.
            expected = decision.elapsed
            right = decision.number != 0 and 0.0 <= expected <= gap
        else:
            expected, right = passed, within
        right = right and decision.elapsed == expected
        right = right and decision.reset in (0.0, 1.0) and not np.signbit(decision.reset)
        self._equal(
            "elapsed",
            right and not np.signbit(decision.elapsed),
            lambda: (
                f"elapsed {decision.elapsed!r} s, reset {decision.reset:g}; stamps and parameters "
                f"give {expected!r} s, or a reset after more than {gap:g} s"
            ),
        )

    def _chain(self, before: Recorded | None) -> None:
        state = self.decision.state
        if self.decision.reset == 1.0:
            wanted = [np.zeros(len(state))]
        elif before is None:
            return
        else:
            wanted = [] if before.neurons is None else [before.neurons[0]]
            made = self.again.get(self.place - 1)
            if self.found.exact and made is not None and made.state is not None:
                wanted.append(made.state.astype(np.float64))
        if wanted:
            self._equal(
                "chain",
                any(_same(state, each) for each in wanted),
                lambda: self._farthest("state before", state, wanted[0]),
            )

    def _numbers(self, again: Recomputed) -> None:
        if again.command is None:
            return
        scale = np.maximum(np.abs(self.policy.spec.low), np.abs(self.policy.spec.high))
        self._close("command", self.decision.command, again.command, scale)
        if self.decision.neurons is not None:
            state, constants = self.decision.neurons
            self._close("state", state, again.state, 1.0)
            self._close(
                "time constants", constants, again.time_constants, np.abs(again.time_constants)
            )
        if again.attention is not None or again.apart is not None:
            self._map(again)

    def _map(self, again: Recomputed) -> None:
        # A message whose header was changed has the same levels, and is not the one that was sent.
        equal, size = again.attention is None, np.inf if again.apart is None else again.apart
        self.found.compared["attention"] += 1
        self.found.unequal["attention"] += not equal
        largest = self.found.largest.get("attention", 0.0)
        self.found.largest["attention"] = max(largest, size)
        if not equal and (self.found.exact or size > TOLERANCES["attention"]):
            self._differ("attention", f"another map, by up to {size:g} levels of 255", size)

    def _published(self) -> None:
        told = self.record.published.get(self.decision.stamp)
        if not told:
            return
        parameters = self.record.facts_of(self.decision).parameters
        share = self._speed_share(parameters)
        if share is None:
            return
        # A frame that was sent twice was decided on twice.
        motions = [
            motion_asked(self.policy.spec.names, each.command, parameters, share)
            for each in self.at[self.decision.stamp]
        ]
        if None in motions:
            return
        fits = [any(_same(np.array(one), np.array(each)) for each in motions) for one in told]
        # A stop beside it is no answer to a frame: on a simulated clock its stamp may be a frame's.
        self._equal(
            "published",
            any(fits) and all(fit or not any(one) for fit, one in zip(fits, told, strict=True)),
            lambda: f"(vx, vy, vz, yaw rate) {told} instead of {motions}",
        )

    def _speed_share(self, parameters: Mapping[str, Any]) -> float | None:
        """Of the decided speed that was driven; None where it may have been less, unrecorded."""
        slows = parameters.get("attention_monitor") == "slow"
        share = self.record.speed_shares.get(self.decision.stamp, None if slows else 1.0)
        allowed = (None, 1.0, parameters["attention_slow"]) if slows else (1.0,)
        # What may not be is compared with the speed that was decided, and so found.
        return share if share in allowed else 1.0

    # What a comparison comes to

    def _equal(self, name: str, right: bool, text: Callable[[], str], count: bool = True) -> None:
        self.found.compared[name] += count
        if not right:
            self.found.unequal[name] += 1
            self._differ(name, text())

    def _close(
        self, name: str, recorded: np.ndarray, made: np.ndarray, scale: np.ndarray | float
    ) -> None:
        made = made.astype(np.float64)
        self.found.compared[name] += 1
        if _same(recorded, made):
            self.found.largest.setdefault(name, 0.0)
            return
        self.found.unequal[name] += 1
        size = np.inf
        if recorded.shape == made.shape:
            with np.errstate(invalid="ignore", over="ignore"):
                apart = np.abs(recorded - made) / scale
            unknown = np.isnan(apart)
            # Where neither has a number (a circuit without time constants) nothing differs.
            apart[unknown] = np.where(np.isnan(recorded) & np.isnan(made), 0.0, np.inf)[unknown]
            size = float(apart.max(initial=0.0))
        self.found.largest[name] = max(self.found.largest.get(name, 0.0), size)
        if self.found.exact or not size <= TOLERANCES[name]:
            self._differ(name, self._farthest(name, recorded, made), size)

    def _farthest(self, name: str, recorded: np.ndarray, made: np.ndarray) -> str:
        if recorded.shape != made.shape:
            return f"{name}: {len(recorded)} numbers instead of {len(made)}"
        which = int(np.flatnonzero(recorded.view(np.uint64) != made.view(np.uint64))[0])
        labels = self.policy.spec.names if name == "command" else self.policy.state_names
        return f"{labels[which]} {float(recorded[which])!r} instead of {float(made[which])!r}"

    def _differ(self, name: str, text: str, size: float | None = None) -> None:
        seconds = (self.decision.stamp - self.origin) / 1e9
        self.found.differences.append(
            Difference(self.place, self.decision.number, seconds, name, text, size)
        )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether float64 arrays are equal to the bit; a NaN equals itself and -0 does not equal 0."""
    one, other = np.ascontiguousarray(one, np.float64), np.ascontiguousarray(other, np.float64)
    return one.shape == other.shape and one.tobytes() == other.tobytes()
