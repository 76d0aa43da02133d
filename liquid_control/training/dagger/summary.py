"""What a round's recordings and scores come to, as numbers and as a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from liquid_control.rollout import Episode
from liquid_control.training import closed_loop
from liquid_control.training.dagger.select import Answers
from liquid_control.training.recipe import ClosedLoop

__all__ = ["recording_summary", "score_summary", "sentence"]


def recording_summary(found: Sequence[Answers]) -> dict[str, Any]:
    """What a round's recordings show of the policy that drove."""
    off = np.concatenate([each.policy - each.expert for each in found])
    outcomes = [each.outcome for each in found]
    rms = np.sqrt((off**2).mean(axis=0)).tolist()
    return {
        "bags": len(found),
        "frames": len(off),
        "crashes": sum(bool(each["crashed"]) for each in outcomes),
        "expert_share": float(np.concatenate([each.driven for each in found]).mean()),
        # The loss on the policy's own states, of which DAgger's guarantee speaks.
        "error": dict(zip(found[0].names, rms, strict=True)),
    }


def score_summary(done: Sequence[Episode], settings: ClosedLoop) -> dict[str, Any]:
    """What the drives after a round show of the new policy.

    `perfect` says that nothing is left to learn: no crash, or nothing but success; a reward never
    says so.
    """
    goals = [each.success for each in done]
    safe = sum(not each.crashed for each in done)
    reached = safe if settings.score == "survival" else sum(goal or 0.0 for goal in goals)
    return {
        "value": closed_loop.score(done, settings),
        "episodes": len(done),
        "without_crash": safe,
        "succeeded": None if None in goals else sum(goals),
        "lateral_error": _mean([each.lateral_error for each in done]),
        "reward": _mean([each.reward for each in done]),
        "perfect": settings.score != "reward" and reached == len(done),
    }


def sentence(name: str, found: dict[str, Any]) -> str:
    """A finished phase of a round in words."""
    minutes = f"{found['minutes']:.1f} min"
    if name == "recording":
        errors = ", ".join(f"{x} {value:.3g}" for x, value in found["error"].items())
        return (
            f"{found['bags']} bags of {found['frames']} frames, beta {found['beta']:.3g}, "
            f"{found['crashes']} crashes, the policy's error {errors} ({minutes})"
        )
    if name == "training":
        if "init" in found:
            return f"begins with {found['init']}"
        return f"{found['steps']} steps on {found['frames']['training']} frames ({minutes})"
    return (
        f"score {found['value']:.4f}, {found['without_crash']} of {found['episodes']} drives "
        f"without a crash ({minutes})"
    )


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else None
