"""Light and weather of one episode: sun, sky, haze, headlights, rain, snow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.scene.stage import Stage

__all__ = ["DAYTIMES", "WEATHERS", "Light", "apply", "draw"]

DAYTIMES = ("day", "dusk", "night")
WEATHERS = ("clear", "overcast", "fog", "rain", "snow")
# [m] at which everything has the colour of the haze, lowest and highest that are drawn.
SIGHT = {
    "clear": (180.0, 450.0),
    "overcast": (120.0, 350.0),
    "fog": (15.0, 60.0),
    "rain": (50.0, 140.0),
    "snow": (40.0, 120.0),
}
SHADOW = {"day": 1.0, "dusk": 0.45, "night": 0.0}
HEADLIGHTS = 15.0, 40.0  # [m] that headlights reach at night


@dataclass(frozen=True)
class Light:
    """Light of one episode. Colours are RGB in [0, 1].

    Attributes:
        sun: (3,) unit vector in which sunlight (by night: moonlight) travels, z down.
        diffuse: colour of the sun.
        ambient: colour of the light from everywhere.
        zenith, horizon, cloud: colours of the sky; the haze has the colour of the horizon.
        clouds: cover of the sky, 0 to 1.
        stars: whether they are seen.
        clear: distance [m] up to which there is no haze.
        sight: distance [m] at which there is nothing but haze.
        shadow: strength of shadows, 0 (none) to 1.
        headlights: whether the vehicle needs them.
        rain, snow: how much is falling, 0 to 1.
    """

    sun: np.ndarray
    diffuse: np.ndarray
    ambient: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    cloud: np.ndarray
    clouds: float
    stars: bool
    clear: float
    sight: float
    shadow: float
    headlights: bool
    rain: float
    snow: float


def draw(
    rng: np.random.Generator,
    daytime: str = "day",
    weather: str = "clear",
    sun_elevation: float | None = None,
    sun_azimuth: float | None = None,
    visibility: float | None = None,
) -> Light:
    """Draw what the arguments leave open; the same number of draws whatever they are.

    Args:
        daytime: one of `DAYTIMES`.
        weather: one of `WEATHERS`.
        sun_elevation: [deg] above the horizon, more than 0 and up to 90.
        sun_azimuth: [deg] where the sun stands, counter-clockwise from the x axis.
        visibility: distance [m] at which nothing is seen any more.
    """
    low, high = (3, 12) if daytime == "dusk" else (20, 80)
    elevation = np.deg2rad(rng.uniform(low, high))
    azimuth = rng.uniform(0, 2 * np.pi)
    sight = np.exp(rng.uniform(*np.log(SIGHT[weather])))
    reach = rng.uniform(*HEADLIGHTS)
    strength, cover, brightness = rng.uniform(size=3)
    if sun_elevation is not None:
        elevation = np.deg2rad(sun_elevation)
    if sun_azimuth is not None:
        azimuth = np.deg2rad(sun_azimuth)
    night = daytime == "night"
    sight = float(visibility if visibility is not None else min(sight, reach) if night else sight)
    # Light that falls along the ground lights nothing that lies on it: a floor for the dusk.
    slant = max(elevation, np.deg2rad(8))
    travel = -np.array(
        [
            np.cos(slant) * np.cos(azimuth),
            np.cos(slant) * np.sin(azimuth),
            np.sin(slant),
        ]
    )
    dull = {"clear": 0.0, "overcast": 0.85, "fog": 1.0, "rain": 0.9, "snow": 0.9}[weather]
    # Whoever asks for a short sight asks for mist.
    dull = max(dull, float(np.clip(1.2 - sight / 100, 0, 1)) * (not night))
    warmth = np.clip(1 - elevation / np.deg2rad(45), 0, 1) * (1 - 0.7 * dull)
    grey = np.array([0.75, 0.77, 0.79]) * (0.8 + 0.2 * brightness)
    clear_zenith, clear_horizon = np.array([0.27, 0.48, 0.78]), np.array([0.72, 0.81, 0.88])
    if daytime == "dusk":
        clear_zenith, clear_horizon = np.array([0.26, 0.31, 0.5]), np.array([0.9, 0.66, 0.5])
        grey = grey * [0.68, 0.62, 0.64]
    zenith = (1 - dull) * clear_zenith + dull * 0.92 * grey
    horizon = (1 - dull) * clear_horizon + dull * grey
    # Under clouds the light comes from everywhere, and what looks up gets about as much of it.
    total = (0.8 + 0.25 * brightness) * (0.75 if daytime == "dusk" else 1.0)
    ambient = (1 - dull) * (0.32 + 0.13 * strength) + dull * 0.88 * total
    diffuse = np.clip((total - ambient) / np.sin(slant), 0.05, 0.95)
    colour = np.array([1.0, 1.0 - 0.16 * warmth, 1.0 - 0.42 * warmth])
    tint = np.ones(3) if daytime == "day" else np.array([0.92, 0.86, 0.9]) * 0.85
    clear = 0.2 * sight
    if night:
        # As headlights light what is near, which the camera takes its share of; the haze of the
        # dark swallows the rest.
        zenith, horizon = np.array([0.01, 0.012, 0.03]), np.array([0.018, 0.02, 0.03])
        if weather in ("fog", "snow", "rain"):
            horizon = horizon + 0.05  # Drops and flakes throw the light back.
        elif weather == "overcast":
            zenith, horizon = zenith + 0.025, horizon + 0.025  # As clouds do with that of towns.
        ambient, diffuse, colour = 0.85, 0.12, np.array([0.8, 0.85, 1.0])
        tint, clear = np.array([1.0, 0.97, 0.88]), 0.12 * sight
    return Light(
        sun=travel,
        diffuse=diffuse * colour,
        ambient=np.clip(ambient * tint, 0, 1),
        zenith=zenith,
        horizon=horizon,
        cloud=np.clip(grey * 1.15, 0, 1) if not night else zenith,
        clouds=float(0.6 * cover if weather == "clear" else 1.0) * (not night),
        stars=night and weather == "clear",
        clear=clear,
        sight=sight,
        # By dusk most of the light comes from the sky.
        shadow=float((0.45 + 0.35 * strength) * (1 - dull) * SHADOW[daytime]),
        headlights=night,
        rain=float(0.4 + 0.6 * cover) * (weather == "rain"),
        snow=float(0.4 + 0.6 * cover) * (weather == "snow"),
    )


def apply(stage: Stage, light: Light, scale: float = 1.0) -> None:
    """Light a stage that has a directional light named "sun"; its sky is painted separately.

    Args:
        scale: of the world; in one of a tenth of the size, sight goes a tenth as far.
    """
    model = stage.model
    sun = model.light("sun").id
    model.light_dir[sun] = light.sun
    model.light_diffuse[sun] = light.diffuse
    model.vis.headlight.ambient[:] = light.ambient
    model.vis.rgba.fog[:3] = light.horizon
    model.vis.rgba.haze[:3] = light.horizon
    model.vis.map.fogstart = light.clear * scale / model.stat.extent
    model.vis.map.fogend = light.sight * scale / model.stat.extent
