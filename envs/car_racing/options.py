"""What a CarRacing episode may vary, checked once for the constructor and for `reset`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any

from liquid_control.envs.car_racing.variants import VARIANTS
from liquid_control.errors import InputError, nearest_first

__all__ = ["Options"]

RANGES = {
    "start": (0.0, 1.0),
    "seconds": (0.02, 3600.0),
    "pace": (0.2, 1.0),
    "lost": (0.0, 1000.0),
    "lap_complete_percent": (0.0, 1.0),
}


@dataclass(frozen=True)
class Options:
    """Scene options.

    Attributes:
        variant: how the picture is changed, one of `variants.VARIANTS`.
        start: share of the lap, from 0 to 1, where the car stands at first.
        seconds: time limit [s], 0.02 to 3600; CarRacing-v3 truncates after 1000 frames, 20 s.
        pace: of the expert, as a share of the speeds that grip allows, 0.2 to 1. Slower is easier
            to imitate.
        lost: how far the car may get from the middle of the road [m]: further away the episode is
            truncated. 0 is any distance, as in CarRacing-v3.
        lap_complete_percent: CarRacing's: the share of tiles above which a car that comes upon
            the first tile for the first time has finished its lap, 0 to 1.
        domain_randomize: CarRacing's: road, field and patches in random colours.
        randomize: CarRacing's, with `domain_randomize`: new colours (True), or those of the
            episode before (False).
    """

    variant: str = "plain"
    start: float = 0.0
    seconds: float = 20.0
    pace: float = 1.0
    lost: float = 0.0
    lap_complete_percent: float = 0.95
    domain_randomize: bool = False
    randomize: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.variant, str) or self.variant not in VARIANTS:
            raise InputError(
                f"The option 'variant' is one of {nearest_first(self.variant, VARIANTS)}, "
                f"got {self.variant!r}; choose one of these."
            )
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not (number and low <= value <= high):
                raise InputError(
                    f"The option {name!r} is a number from {low:g} to {high:g}, got {value!r}."
                )
        for name in ("domain_randomize", "randomize"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(
                    f"The option {name!r} is True or False, got {getattr(self, name)!r}."
                )

    def changed(self, options: dict[str, Any] | None) -> Options:
        """These options with those of one episode.

        Raises:
            InputError: an unknown option or value; the known ones are named, the nearest first.
        """
        known = [field.name for field in fields(self)]
        for name in options or {}:
            if name not in known:
                raise InputError(
                    f"CarRacing has no option {name!r}; choose from {nearest_first(name, known)}."
                )
        return replace(self, **(options or {}))
