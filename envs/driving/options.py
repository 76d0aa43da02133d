"""What can be asked of an episode of Driving-v1, and what the seed decides otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from liquid_control.camera import CameraEffects
from liquid_control.envs.checks import check_number, is_number
from liquid_control.envs.driving.specs import VEHICLES
from liquid_control.envs.driving.style import SHAPES
from liquid_control.envs.driving.traffic import KINDS as OBSTACLES
from liquid_control.envs.scene.light import DAYTIMES, WEATHERS
from liquid_control.envs.scene.season import SEASONS
from liquid_control.errors import InputError, nearest_first

__all__ = ["MARKINGS", "SCENES", "Options"]

SCENES = ("country", "rc_track")
MARKINGS = ("solid", "dashed", "worn", "missing")
# [Hz] A frame lasts a whole number of the vehicle's ticks of 1/120 s.
RATES = (5, 6, 8, 10, 12, 15, 20, 24, 30, 40, 60, 120)
# How often the seed decides for each; snow falls in winter alone.
DAYTIME_SHARES = (0.7, 0.12, 0.18)
WEATHER_SHARES = (0.4, 0.2, 0.14, 0.16, 0.1)
MARKING_SHARES = (0.55, 0.15, 0.2, 0.1)

CHOICES: dict[str, tuple] = {
    "scene": SCENES,
    "vehicle": VEHICLES,
    "shape": SHAPES,
    "lanes": (1, 2),
    "markings": MARKINGS,
    "season": SEASONS,
    "daytime": DAYTIMES,
    "weather": WEATHERS,
    "obstacles": OBSTACLES,
    "rate": RATES,
}
# Lowest and highest allowed, units as in the docstring.
RANGES: dict[str, tuple[float, float]] = {
    "lane_width": (2.4, 8.0),
    "length": (100.0, 1500.0),
    "hills": (0.0, 1.0),
    "sun_elevation": (0.5, 90.0),
    "sun_azimuth": (-360.0, 360.0),
    "visibility": (5.0, 1000.0),
    "density": (0.0, 1.0),
    "randomise": (0.0, 1.0),
    "steering_delay": (0.0, 0.5),
    "steering_rate": (0.05, 20.0),
    "start": (0.0, 1.0),
    "camera_height": (0.2, 3.0),
    "camera_forward": (-1.0, 3.0),
    "camera_side": (-1.0, 1.0),
    "camera_pitch": (-10.0, 45.0),
    "camera_yaw": (-45.0, 45.0),
    "camera_roll": (-20.0, 20.0),
    "camera_fovy": (15.0, 110.0),
    "max_curvature": (0.0005, 1.0),
}


@dataclass(frozen=True)
class Options:
    """Options of an episode. None: the seed decides, or what fits the scene and the vehicle.

    Lengths of the road, of the scenery and of the camera's place are those of a full-size car; in a
    world for a 1:10 car everything is a tenth of it.

    Attributes:
        scene: "country", or "rc_track": a dark lane with white edges and a dashed yellow centre on
            blue mats in a hall, as in the recording of a real 1:10 car.
        vehicle: "car", or "rc", a 1:10 car; None: what fits the scene.
        shape: "open" or "loop".
        lanes: 1 or 2 (right-hand traffic).
        lane_width: [m] 2.4 to 8.
        length: of the road, about [m], 100 to 1500; 1200, or 300 for the track in the hall.
        max_curvature: sharpest curve of the road [1/m], full size.
        hills: 0 (flat) to 1 (slopes up to about 10 %).
        markings: "solid", "dashed", "worn" or "missing" lines at the edges.
        season: "spring", "summer", "autumn" or "winter".
        daytime: "day", "dusk" or "night" (with headlights).
        weather: "clear", "overcast", "fog", "rain" or "snow" (in winter; else overcast).
        sun_elevation, sun_azimuth: [deg].
        visibility: distance at which nothing is seen any more [m].
        obstacles: "none", "parked", "oncoming" or "both": other cars.
        density: of these cars, 0 to 1.
        randomise: how much of its range the vehicle's physics is drawn from, 0 to 1.
        steering_delay: [s], 0 to 0.5.
        steering_rate: limit of the wheel angle's change [rad/s].
        rate: frames and commands a second [Hz], a divisor of 120 from 5 on.
        start: share of an open road after which the episode begins; of a loop, where.
        camera_height, camera_forward, camera_side: place of the camera [m], full size.
        camera_pitch, camera_yaw, camera_roll: [deg]; positive pitch looks down.
        camera_fovy: vertical field of view [deg].
        distortion: k1, k2, p1, p2, k3 of the lens (Brown-Conrady).
        effects: fields of `liquid_control.camera.CameraEffects`, such as noise or motion blur.
    """

    scene: str = "country"
    vehicle: str | None = None
    shape: str | None = None
    lanes: int | None = None
    lane_width: float | None = None
    length: float | None = None
    max_curvature: float | None = None
    hills: float | None = None
    markings: str | None = None
    season: str | None = None
    daytime: str | None = None
    weather: str | None = None
    sun_elevation: float | None = None
    sun_azimuth: float | None = None
    visibility: float | None = None
    obstacles: str = "none"
    density: float = 0.5
    randomise: float = 0.0
    steering_delay: float | None = None
    steering_rate: float | None = None
    rate: int = 30
    start: float = 0.0
    camera_height: float | None = None
    camera_forward: float | None = None
    camera_side: float | None = None
    camera_pitch: float | None = None
    camera_yaw: float | None = None
    camera_roll: float | None = None
    camera_fovy: float | None = None
    distortion: tuple[float, float, float, float, float] | None = None
    effects: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if not self._left_open(name) and value not in known:
                raise InputError(
                    f"Unknown {name} {value!r}: expected one of {nearest_first(value, known)}."
                )
        for name, (low, high) in RANGES.items():
            if not self._left_open(name):
                check_number(name, getattr(self, name), low, high)
        if self.scene == "rc_track" and self.obstacles in ("oncoming", "both"):
            raise InputError(
                f"The track in the hall has one lane: obstacles {self.obstacles!r} have no place "
                "there; ask for 'parked' or 'none', or for the scene 'country'."
            )
        lens = self.distortion
        sequence = isinstance(lens, Sequence | np.ndarray)
        if lens is not None and not (sequence and len(lens) == 5 and all(map(is_number, lens))):
            raise InputError(
                f"The option distortion has five numbers k1, k2, p1, p2, k3, got {lens!r}."
            )
        if not isinstance(self.effects, Mapping | None):
            raise InputError(
                "The option effects is a dictionary of camera effects, such as "
                f"{{'noise': 0.01}}, got {self.effects!r}."
            )
        CameraEffects.from_dict(dict(self.effects or {}))

    def _left_open(self, name: str) -> bool:
        """Whether an option is None, and may be."""
        return getattr(self, name) is None and getattr(type(self), name) is None

    def updated(self, changes: Mapping[str, Any] | None) -> Options:
        """These options with others on top; an unknown name names the nearest known one."""
        known = [field.name for field in fields(self)]
        for name in changes or {}:
            if name not in known:
                raise InputError(
                    f"Driving-v1 has no option {name!r}; it has {nearest_first(name, known)}."
                )
        return replace(self, **(changes or {}))

    def decided(self, rng: np.random.Generator) -> Options:
        """These options without None where the seed decides; always as many draws."""
        track = self.scene == "rc_track"
        season = SEASONS[rng.integers(4)]
        daytime = DAYTIMES[rng.choice(3, p=DAYTIME_SHARES)]
        weather = WEATHERS[rng.choice(5, p=WEATHER_SHARES)]
        markings = MARKINGS[rng.choice(4, p=MARKING_SHARES)]
        shape, lanes = SHAPES[rng.integers(2)], 2 if rng.random() < 0.75 else 1
        width = rng.uniform(3.0, 3.8)
        hills = rng.random() * (rng.random() < 0.7)
        if track:
            season, daytime, weather, markings = "summer", "day", "clear", "solid"
            shape, lanes, width, hills = "loop", 1, 6.9, 0.0
        season = self.season or season
        weather = self.weather or weather
        if weather == "snow" and season != "winter":
            weather = "overcast"

        def choose(asked, drawn):
            return drawn if asked is None else asked

        # There is no oncoming traffic on a single lane.
        lanes = choose(self.lanes, 2 if self.obstacles in ("oncoming", "both") else lanes)
        return replace(
            self,
            vehicle=self.vehicle or ("rc" if track else "car"),
            shape=self.shape or shape,
            lanes=lanes,
            # A single lane is wider than one of two.
            lane_width=choose(self.lane_width, width + (0.7 if lanes == 1 else 0.0)),
            length=choose(self.length, 300.0 if track else 1200.0),
            hills=choose(self.hills, float(hills)),
            markings=self.markings or markings,
            season=season,
            daytime=self.daytime or daytime,
            weather=weather,
        )
