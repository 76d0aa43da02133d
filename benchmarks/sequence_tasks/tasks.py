"""The six trained tasks: data, recipe, and the figures that the papers give."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from liquid_control.errors import InputError
from sequence_tasks.activity import activity_data
from sequence_tasks.bits import xor_data
from sequence_tasks.data import Task
from sequence_tasks.digits import digits_data
from sequence_tasks.rollouts import prediction_data

__all__ = ["tasks"]


def tasks(recordings: Path) -> dict[str, Task]:
    """All tasks by name; `recordings` is the folder of the walking robots' recordings."""
    listed = (
        Task(
            name="xor_dense",
            title="Bit-stream XOR, one sample a bit",
            score="accuracy",
            make=partial(xor_data, event_based=False),
            epochs=12,
            batch=128,
        ),
        Task(
            name="xor_events",
            title="Bit-stream XOR, one sample a change",
            score="accuracy",
            make=partial(xor_data, event_based=True),
            epochs=12,
            batch=128,
            published={"ltc_full": 0.4911, "cfc": 0.9942, "cfc_mixed": 0.9972},
            note="CfC paper; streams, data set and training are shorter here.",
        ),
        Task(
            name="halfcheetah",
            title="HalfCheetah-v5, next observation",
            score="error",
            make=partial(prediction_data, "halfcheetah", recordings),
            epochs=30,
            batch=32,
            published={"ltc_full": 2.308, "lstm": 2.5, "ctrnn": 2.838},
            note="LTC paper; another controller made its recordings.",
        ),
        Task(
            name="walker2d",
            title="Walker2d-v5, next observation, one frame in ten missing",
            score="error",
            make=partial(prediction_data, "walker2d", recordings),
            epochs=20,
            batch=64,
            published={
                "ltc_full": 0.662,
                "cfc": 0.643,
                "cfc_no_gate": 0.65,
                "cfc_mixed": 0.617,
            },
            note="CfC paper; another controller made its recordings.",
        ),
        Task(
            name="activity",
            title="Human activity (BasicMotions), half the samples missing",
            score="accuracy",
            make=activity_data,
            epochs=40,
            batch=32,
        ),
        Task(
            name="digits",
            title="Digits as events",
            score="accuracy",
            make=digits_data,
            epochs=40,
            batch=64,
        ),
    )
    return {task.name: task for task in listed}


def chosen(recordings: Path, names: tuple[str, ...]) -> list[Task]:
    """The tasks of these names, all of them for none.

    Raises:
        InputError: an unknown name.
    """
    known = tasks(recordings)
    for name in names:
        if name not in known:
            raise InputError(f"Expected tasks out of {', '.join(known)}, got {name!r}.")
    return [known[name] for name in names or known]
