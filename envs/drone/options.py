"""What can be asked of an episode of Drone-v0, and what the seed decides otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from liquid_control.camera import CameraEffects
from liquid_control.envs.checks import is_number
from liquid_control.envs.scene.light import DAYTIMES, WEATHERS
from liquid_control.envs.scene.season import SEASONS
from liquid_control.errors import InputError, nearest_first

__all__ = ["COLOURS", "SCENES", "SHAPES", "TASKS", "Options"]

SCENES = ("forest", "city")
TASKS = ("target", "hover", "hike", "moving")
SHAPES = ("box", "chair", "sphere")
COLOURS = {
    "red": (206, 28, 30),
    "orange": (240, 122, 16),
    "yellow": (244, 214, 24),
    "blue": (24, 74, 204),
    "purple": (142, 40, 176),
}
MAX_DISTRACTORS = 4
MAX_ROUTE = 120.0  # [m]
# [m] from the start to the (first) target.
DISTANCES = {"target": (8.0, 12.0), "hover": (4.0, 7.0), "hike": (8.0, 12.0), "moving": (6.0, 10.0)}
SECONDS = {"target": 30.0, "hover": 30.0, "hike": 60.0, "moving": 45.0}
# How often the seed decides for each; snow falls in winter alone.
DAYTIME_SHARES = (0.75, 0.15, 0.1)
WEATHER_SHARES = (0.5, 0.25, 0.08, 0.1, 0.07)

CHOICES: dict[str, tuple[str, ...]] = {
    "scene": SCENES,
    "season": SEASONS,
    "daytime": DAYTIMES,
    "weather": WEATHERS,
    "task": TASKS,
    "target": SHAPES,
    "colour": tuple(COLOURS),
}
# Lowest and highest allowed, units as in the docstring.
RANGES: dict[str, tuple[float, float]] = {
    "sun_elevation": (0.5, 90.0),
    "sun_azimuth": (-360.0, 360.0),
    "visibility": (5.0, 1000.0),
    "density": (0.0, 1.0),
    "distractors": (0, MAX_DISTRACTORS),
    "targets": (1, 6),
    "target_speed": (0.0, 1.5),
    "hold": (0.0, 60.0),
    "wind": (0.0, 8.0),
    "gusts": (0.0, 3.0),
    "motor_noise": (0.0, 0.3),
    "seconds": (0.1, 3600.0),
}
WHOLE = ("distractors", "targets")


@dataclass(frozen=True)
class Options:
    """Options of an episode. None: the seed decides, or what fits the task.

    Attributes:
        scene: "forest" or "city".
        season: "spring", "summer", "autumn" or "winter".
        daytime: "day", "dusk" or "night".
        weather: "clear", "overcast", "fog", "rain" or (in winter) "snow".
        sun_elevation, sun_azimuth: [deg].
        visibility: distance at which nothing is seen any more [m]; None: never less than one and a
            half times the distance of the first target.
        density: of trees, cars and lamps, 0 to 1.
        task: "target", "hover", "hike" or "moving"; see `DroneEnv`.
        target: shape of the target, "box", "chair" or "sphere".
        colour: of the target, "red", "orange", "yellow", "blue" or "purple".
        distractors: how many other objects stand in view, 0 to 4; each differs from the target in
            shape, in colour or in both.
        distance: lowest and highest distance of a target at reset [m], within 3 to 40.
        targets: how many the hike has, 1 to 6.
        target_speed: of the moving target [m/s], 0 to 1.5.
        hold: how long hovering and following must last [s].
        wind: mean speed [m/s], 0 to 8.
        gusts: standard deviation [m/s], 0 to 3.
        motor_noise: standard deviation of a rotor's force as a share of it, 0 to 0.3.
        gimbal: whether the camera stays level while the drone tilts.
        seconds: time limit [s].
        effects: fields of `liquid_control.camera.CameraEffects`, such as noise or motion blur.
    """

    scene: str | None = "forest"
    season: str | None = None
    daytime: str | None = "day"
    weather: str | None = "clear"
    sun_elevation: float | None = None
    sun_azimuth: float | None = None
    visibility: float | None = None
    density: float = 0.7
    task: str = "target"
    target: str | None = None
    colour: str | None = None
    distractors: int = 0
    distance: tuple[float, float] | None = None
    targets: int = 3
    target_speed: float = 0.5
    hold: float = 5.0
    wind: float = 0.0
    gusts: float = 0.0
    motor_noise: float = 0.0
    gimbal: bool = True
    seconds: float | None = None
    effects: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.task is None:
            raise InputError(f"The option task is one of {', '.join(TASKS)}; name one of them.")
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise InputError(
                    f"Unknown {name} {value!r}: expected one of {nearest_first(value, known)}."
                )
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            optional = name in ("sun_elevation", "sun_azimuth", "visibility", "seconds")
            if value is None and optional:
                continue
            kinds = int if name in WHOLE else int | float | np.number
            number = isinstance(value, kinds | np.integer) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                kind = "a whole number" if name in WHOLE else "a number"
                raise InputError(
                    f"The option {name} is {kind} from {low:g} to {high:g}, got {value!r}."
                )
        if self.weather == "snow" and self.season not in (None, "winter"):
            raise InputError(
                f"Snow falls in winter alone, and the season is {self.season!r}; leave one of "
                "weather and season out, or choose another."
            )
        if not isinstance(self.effects, Mapping | None):
            raise InputError(
                "The option effects is a dictionary of camera effects, such as "
                f"{{'noise': 0.01}}, got {self.effects!r}."
            )
        CameraEffects.from_dict(dict(self.effects or {}))
        if not isinstance(self.gimbal, bool | np.bool_):
            raise InputError(f"The option gimbal is True or False, got {self.gimbal!r}.")
        if self.distance is not None:
            pair = isinstance(self.distance, Sequence | np.ndarray) and len(self.distance) == 2
            fits = pair and all(map(is_number, self.distance))
            if not fits or not 3.0 <= self.distance[0] <= self.distance[1] <= 40.0:
                raise InputError(
                    "The option distance is a lowest and a highest distance within 3 to 40 m, "
                    f"got {self.distance!r}."
                )

        longest = (self.distance or DISTANCES[self.task])[1]
        if self.task == "hike" and longest * self.targets > MAX_ROUTE:
            raise InputError(
                f"A hike is at most {MAX_ROUTE:g} m long, and {self.targets} targets of up to "
                f"{longest:g} m may be {longest * self.targets:g} m; ask for fewer or nearer ones."
            )

    def updated(self, changes: Mapping[str, Any] | None) -> Options:
        """These options with others on top; an unknown name names the known ones."""
        known = tuple(field.name for field in fields(self))
        for name in changes or {}:
            if name not in known:
                raise InputError(
                    f"Drone-v0 has no option {name!r}; it has {nearest_first(name, known)}."
                )
        return replace(self, **(changes or {}))

    def decided(self, rng: np.random.Generator) -> Options:
        """These options without None where the seed decides; always as many draws."""
        scene, season = SCENES[rng.integers(2)], SEASONS[rng.integers(4)]
        daytime = DAYTIMES[rng.choice(3, p=DAYTIME_SHARES)]
        weather = WEATHERS[rng.choice(5, p=WEATHER_SHARES)]
        shape, colour = SHAPES[rng.integers(3)], tuple(COLOURS)[rng.integers(len(COLOURS))]
        season = self.season or ("winter" if self.weather == "snow" else season)
        if weather == "snow" and season != "winter":
            weather = "overcast"
        return replace(
            self,
            scene=self.scene or scene,
            season=season,
            daytime=self.daytime or daytime,
            weather=self.weather or weather,
            target=self.target or shape,
            colour=self.colour or colour,
            distance=self.distance or DISTANCES[self.task],
            seconds=self.seconds if self.seconds is not None else SECONDS[self.task],
        )
