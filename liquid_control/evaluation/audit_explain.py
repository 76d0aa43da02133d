"""The likeliest cause of a decision's differences, from which checks it fails."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["explain"]

# In the order of certainty: what names a cause by itself, then what follows from others.
_CAUSES = (
    (
        {"sequence"},
        "a decision before it is missing from the record or there twice: it was removed or added, "
        "or the recorder missed it",
    ),
    ({"frame"}, "its camera image was changed after the decision"),
    ({"weights"}, "the model's weights are not those that decided"),
    (
        {"facts"},
        "the message of facts was changed (a parameter, the model or the build), or is missing",
    ),
    (
        {"chain"},
        "the state before it was changed: the chain of states is broken without a reset",
    ),
    (
        {"elapsed"},
        "its stamp, elapsed time, reset flag or a parameter (nominal_period, max_gap) was changed",
    ),
    ({"command", "state"}, "it was computed otherwise: other kernels, threads or code"),
    ({"command"}, "the recorded command was changed: the neurons after it are as recomputed"),
    (
        {"state"},
        "the recorded neurons after it were changed: the command is as recomputed",
    ),
    ({"time constants"}, "the recorded time constants were changed: the neurons are as recomputed"),
    ({"record"}, "the message was changed after it was sealed"),
    (
        {"published"},
        "the command that was sent is not the one that was decided, or a parameter of the vehicle "
        "(speed, wheelbase, max_wheel_angle) was changed",
    ),
    ({"attention"}, "the recorded saliency map was changed: command and neurons are as recomputed"),
)


def explain(failed: Collection[str]) -> str:
    """One clause for the checks (keys of `audit_checks.CHECKS`) that a decision has failed."""
    failed = set(failed)
    return next((cause for checks, cause in _CAUSES if checks <= failed), "not known")
