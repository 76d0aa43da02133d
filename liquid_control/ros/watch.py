"""Watches every decision of the policy node: is it one that the policy can make?

A decision with a number outside of its provable bounds (`policy.guarantees`) comes from a damaged
memory, a wrong weight or a wrong build, and so may every later one: the vehicle stops, and stays
stopped until a person asks for `~/reset` or configures the node anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from liquid_control.policy.bounds import Interval
from liquid_control.policy.guarantees import Guarantees
from liquid_control.ros.frames import Frame
from liquid_control.training.trust_region import TrustRegion

if TYPE_CHECKING:
    from liquid_control.policy import Decision, Policy

__all__ = ["DecisionWatch"]


class DecisionWatch:
    """Checks of the policy node, one sentence where something is wrong, else "".

    Args:
        policy: as it was loaded; its bounds are taken now and kept.
        learns: its weights may change, within `training.trust_region`.
    """

    def __init__(self, policy: Policy, learns: bool) -> None:
        self._guarantees = Guarantees.of(policy)
        if learns:
            self._guarantees = _learning(self._guarantees, policy)
        self._violations, self._latched = 0, ""

    @property
    def frame_checks(self) -> dict[str, Callable[[Frame], str]]:
        return {"violation": lambda frame: self._latched}

    @property
    def decision_checks(self) -> dict[str, Callable[[Frame, Decision], str]]:
        return {"violation": self._check}

    def _check(self, frame: Frame, decision: Decision) -> str:
        violation = self._guarantees.check(decision)
        if violation is None:
            return ""
        self._violations += 1
        self._latched = (
            f"The {violation}, which correct computation cannot give; the vehicle stays stopped "
            "until ~/reset. If it comes again, load the model anew and test the memory."
        )
        return self._latched

    def release(self) -> None:
        """A person asked to go on."""
        self._latched = ""

    def health(self) -> Mapping[str, object]:
        """Figures for the diagnostics, since the last call."""
        share, name = self._guarantees.largest_share()
        return {
            "violations": self._violations,
            "largest_state_share": share,
            "largest_state_neuron": name,
        }


def _learning(guarantees: Guarantees, policy: Policy) -> Guarantees:
    """For all weights that learning while driving may lead to."""
    region, spec = TrustRegion(policy.circuit, 0.0), policy.spec
    state = (each.double().numpy() for each in (region.state_low, region.state_high))
    constants = (each.double().numpy() * policy.tick for each in (region.fastest, region.slowest))
    return guarantees.within(Interval(*state), Interval(*constants), spec.low, spec.high)
