"""How a circuit learns while it drives; the policy node's parameters are made from this.

Without torch, so that a node can be asked for its parameters before it loads a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from liquid_control.errors import InputError

__all__ = ["Settings"]


def _setting(default: float, text: str, low: float, high: float) -> float:
    return field(default=default, metadata={"text": text, "low": low, "high": high})


@dataclass(frozen=True)
class Settings:
    """See each field's text, and `liquid_control.training.online` for what they do.

    Raises:
        InputError: a value lies outside its range.
    """

    rate: float = _setting(1e-3, "learning rate of Adam", 0.0, 0.1)
    radius: float = _setting(
        0.1, "of the trust region: root mean square of all relative changes", 0.0, 0.5
    )
    tolerance: float = _setting(
        0.1, "how far own, undisturbed commands may change, as a share of their limits", 0.0, 1.0
    )
    anchor: float = _setting(
        0.3, "weight of own, undisturbed commands in the loss; a person's count 1", 0.0, 100.0
    )
    every: int = _setting(30, "frames in a person's hand between two updates", 1, 100_000)
    steps: int = _setting(20, "of the optimiser in an update", 1, 1000)
    batch: int = _setting(24, "sequences of 16 frames in a step, of either kind", 1, 1000)
    corrections: int = _setting(128, "newest sequences of a person that are kept", 1, 10_000)
    own: int = _setting(128, "newest sequences of own commands that are kept", 1, 10_000)
    blame: float = _setting(
        1.0, "how long before an intervention own commands count as bad [s]", 0.0, 60.0
    )
    seed: int = _setting(0, "of the order in which sequences are used", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        for each in fields(self):
            value, low, high = (
                getattr(self, each.name),
                *(each.metadata[k] for k in ("low", "high")),
            )
            if not (low <= value <= high and math.isfinite(value)):
                raise InputError(
                    f"Learning while driving needs {each.name} from {low} to {high} "
                    f"({each.metadata['text']}), got {value}."
                )
