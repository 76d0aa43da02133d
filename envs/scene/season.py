"""Seasons: what colour grass, crowns and verges have, which trees are bare, where snow lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SEASONS", "Palette", "palette"]

SEASONS = ("spring", "summer", "autumn", "winter")


@dataclass(frozen=True)
class Palette:
    """Colours of a season, RGB (3,) in [0, 255].

    Attributes:
        grass, grass_other: the two colours in a meadow's patches.
        verge: cut grass or gravel beside the road.
        leaves: (3, 3) crowns of three kinds of broad-leaved trees.
        needles: crowns of conifers.
        mound, hill: slopes near by, and the line of hills at the horizon.
        bare: share of broad-leaved trees without leaves.
        snow: share of the ground under snow.
    """

    grass: np.ndarray
    grass_other: np.ndarray
    verge: np.ndarray
    leaves: np.ndarray
    needles: np.ndarray
    mound: np.ndarray
    hill: np.ndarray
    bare: float
    snow: float


# Base colours; `palette` varies them.
BASE = {
    "spring": {
        "grass": (116, 164, 62),
        "grass_other": (176, 184, 74),
        "verge": (128, 150, 74),
        "leaves": ((126, 176, 70), (242, 206, 218), (150, 192, 96)),
        "needles": (48, 92, 56),
        "hill": (104, 142, 110),
        "bare": 0.05,
        "snow": 0.0,
    },
    "summer": {
        "grass": (84, 128, 48),
        "grass_other": (140, 142, 66),
        "verge": (122, 130, 68),
        "leaves": ((54, 104, 42), (72, 120, 48), (44, 88, 44)),
        "needles": (34, 74, 46),
        "hill": (84, 116, 98),
        "bare": 0.0,
        "snow": 0.0,
    },
    "autumn": {
        "grass": (134, 128, 62),
        "grass_other": (158, 116, 54),
        "verge": (146, 116, 66),
        "leaves": ((212, 132, 34), (186, 64, 32), (218, 182, 58)),
        "needles": (46, 80, 48),
        "hill": (140, 116, 86),
        "bare": 0.2,
        "snow": 0.0,
    },
    "winter": {
        "grass": (236, 240, 246),
        "grass_other": (206, 212, 222),
        "verge": (226, 230, 236),
        "leaves": ((112, 98, 88), (214, 220, 228), (96, 84, 76)),
        "needles": (112, 138, 132),
        "hill": (198, 208, 220),
        "bare": 0.85,
        "snow": 1.0,
    },
}


def palette(season: str, rng: np.random.Generator) -> Palette:
    """The colours of one place in a season (one of `SEASONS`), each a little its own."""
    base = BASE[season]
    # Snow is white wherever it lies.
    spread = 5.0 if season == "winter" else 12.0

    def vary(colour) -> np.ndarray:
        colour = np.asarray(colour, float)
        brightness = rng.normal(0, spread, (*colour.shape[:-1], 1))
        return np.clip(colour + brightness + rng.normal(0, spread / 2, colour.shape), 0, 255)

    grass = vary(base["grass"])
    return Palette(
        grass=grass,
        grass_other=vary(base["grass_other"]),
        verge=vary(base["verge"]),
        leaves=vary(base["leaves"]),
        needles=vary(base["needles"]),
        mound=grass * rng.uniform(0.85, 1.0),
        hill=vary(base["hill"]),
        bare=base["bare"],
        snow=base["snow"],
    )
