"""What is asked of a road, checked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite, pi

from liquid_control.errors import InputError, nearest_first

__all__ = ["RC_TRACK", "SHAPES", "SHARP", "RoadStyle"]

SHAPES = ("open", "loop")
SHARP = 0.625  # share of `max_curvature` above which a curve counts as sharp
RAMP = (9.0, 15.0)  # [m] at scale 1, length over which the curvature changes linearly
RAMP_TURN = (0.43, 0.72)  # [rad], longest ramps times max_curvature: 9 to 15 m at 0.048 1/m
OPEN_LENGTH = 80.0  # [m] at scale 1, the shortest open road
FOLD = 0.9  # half width times curvature; at 1 the inner edge would shrink to a point


@dataclass(frozen=True)
class RoadStyle:
    """What a road should be like.

    Attributes:
        shape: "open" (from a begin to an end) or "loop" (closed).
        lanes: 1 or 2; two carry right-hand traffic.
        lane_width: [m].
        shoulder: paved strip outside each outer lane [m].
        length: of the centre line [m].
        max_curvature: of the centre line [1/m].
        sharp_share: share of the length, 0 to 0.5, that should lie above `SHARP` of
            `max_curvature`. An open road reaches it; a loop comes as near as its shape allows.
        scale: 1 for a full-size car, 0.1 for 1:10. The lengths that the style does not name
            (spacing, straights, clothoids, verge, bodies of other cars) shrink by it.
        verge: unpaved strip [m at scale 1] that stays free between two stretches of the road;
            less where the tightest curve leaves less (see `clearance`).

    Raises:
        InputError: for values that no road can have.
    """

    shape: str = "open"
    lanes: int = 2
    lane_width: float = 3.5
    shoulder: float = 0.6
    length: float = 1200.0
    max_curvature: float = 0.048
    sharp_share: float = 0.3
    scale: float = 1.0
    verge: float = 12.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InputError(
                f"The shape of a road is one of {nearest_first(self.shape, SHAPES)}, got "
                f"{self.shape!r}; choose one of these."
            )
        if self.lanes not in (1, 2):
            raise InputError(f"A road has 1 or 2 lanes, got {self.lanes!r}; choose one of these.")
        for name in ("lane_width", "length", "max_curvature", "scale"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(
                    f"The {name} of a road is a finite number above 0, got "
                    f"{getattr(self, name)}; correct it."
                )
        for name in ("shoulder", "verge"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(
                    f"The {name} of a road is a finite number of at least 0, got "
                    f"{getattr(self, name)}; correct it."
                )
        if not 0.0 <= self.sharp_share <= 0.5:
            raise InputError(
                f"The sharp_share of a road is a share from 0 to 0.5, got {self.sharp_share}; "
                "choose less or more."
            )
        if self.half_width * self.max_curvature > FOLD:
            raise InputError(
                f"A road {2 * self.half_width:.4g} m wide needs curves of at least "
                f"{_up(self.half_width / FOLD)} m radius, got {1 / self.max_curvature:.4g} m "
                f"(max_curvature {self.max_curvature:.4g} 1/m); make it narrower or its curves "
                "wider."
            )
        if self.length < self.min_length:
            raise InputError(
                f"A road of shape '{self.shape}' with curves of "
                f"{1 / self.max_curvature:.4g} m radius needs a length of at least "
                f"{_up(self.min_length)} m, got {self.length:.4g} m; make it longer."
            )

    @property
    def half_width(self) -> float:
        """From the centre line to the end of the pavement [m]."""
        return self.lanes * self.lane_width / 2 + self.shoulder

    @property
    def lane_offset(self) -> float:
        """Middle of the lane to drive in, left of the centre line [m]: negative for two lanes."""
        return -self.lane_width / 2 if self.lanes == 2 else 0.0

    @property
    def ramps(self) -> tuple[float, float]:
        """Shortest and longest clothoid [m]."""
        short, long = (
            min(length * self.scale, turn / self.max_curvature)
            for length, turn in zip(RAMP, RAMP_TURN, strict=True)
        )
        return short, long

    @property
    def min_length(self) -> float:
        """Shortest road of this kind [m]; for loops four sharp corners with their clothoids."""
        if self.shape == "open":
            return OPEN_LENGTH * self.scale
        return 1.05 * (2 * pi / self.max_curvature + 4 * self.ramps[0])

    @property
    def clearance(self) -> float:
        """Distance [m] that centre lines of two stretches of the road keep from each other."""
        wide = 2 * self.half_width
        return max(wide, min(wide + self.verge * self.scale, 2 * FOLD / self.max_curvature))


def _up(value: float) -> str:
    """A least value rounded up, so that whoever asks for it gets it."""
    return f"{ceil(value * 1e3) / 1e3:.6g}"


# A track for 1:10 cars as people tape it on a floor: 0.7 m wide, curves of 0.6 m radius and more.
RC_TRACK = RoadStyle(
    shape="loop",
    lane_width=0.32,
    shoulder=0.03,
    length=32.0,
    max_curvature=1.65,
    scale=0.1,
    verge=2.0,
)
