"""The MuJoCo model of a vehicle and its surroundings; compiled once, refilled for every road."""

from __future__ import annotations

import mujoco
import numpy as np

from liquid_control.envs.driving import cars, country, hall, surfaces
from liquid_control.envs.driving.options import Options
from liquid_control.envs.driving.road import Road, RoadStyle, generate
from liquid_control.envs.driving.specs import VehicleSpec
from liquid_control.envs.driving.terrain import Terrain, flat
from liquid_control.envs.driving.traffic import MAX_CARS, Traffic
from liquid_control.envs.scene import light, textures
from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.season import palette
from liquid_control.envs.scene.stage import (
    HIDDEN,
    SHOWN,
    Stage,
    add_material,
    add_mesh,
    add_texture,
    cheap_to_draw,
    pin,
)

__all__ = ["World"]

SKY = 32  # [px], rows of a face of the sky box
TILE = 16.0  # [m] the lawn moves by, so that its texture does not swim along
MARGIN = 36.0  # [m] from the road's middle to the end of the houses beside it
REACH = 150.0  # [m] to which pieces of road are drawn; the haze is denser than that or hides little


class World(Stage):
    """A compiled model with `load` to fill in a road, and `show` to hide what is out of sight.

    Args:
        scene: "country" or "rc_track".
        spec: the vehicle.
        width, height: largest frame to draw [px].

    Attributes:
        light: of the episode.
    """

    def __init__(self, scene: str, spec: VehicleSpec, width: int, height: int) -> None:
        self._scene, self._scale = scene, spec.scale
        self._atlas = surfaces.COUNTRY if scene == "country" else surfaces.HALL
        super().__init__(_compile(scene, spec, self._atlas, width, height))
        self.light: Light | None = None
        model = self.model
        self._cars = [model.body(f"other_{i}").mocapid[0] for i in range(MAX_CARS)]
        if scene == "country":
            self._chunks = [
                (model.geom(f"solid_{i}").id, model.geom(f"decal_{i}").id)
                for i in range(country.CHUNKS)
            ]
            self._skyline = model.body("skyline").mocapid[0]

    def load(
        self, road: Road, terrain: Terrain, options: Options, rng: np.random.Generator
    ) -> None:
        """Fill in a road with scenery, season, weather and light; `rng` draws what is open."""
        model = self.model
        self._terrain, self._tile = terrain, None
        if self._scene == "rc_track":
            self.light = hall.light(rng)
            self.fill("hall", hall.hall(road, terrain, rng, options.markings))
            self.paint("atlas", surfaces.hall(rng))
        else:
            colours = palette(options.season, rng)
            self.light = light.draw(
                rng,
                options.daytime,
                options.weather,
                options.sun_elevation,
                options.sun_azimuth,
                options.visibility,
            )
            style = country.Style(rng, options, colours)
            patches = country.chunks(road, terrain, style, self.light, rng)
            for index, (solid, decal) in enumerate(patches):
                self.fill(f"solid_{index}", solid)
                self.fill(f"decal_{index}", decal)
            points = road.centre[:: max(len(road.centre) // (4 * country.CHUNKS), 1)]
            parts = np.array_split(points, country.CHUNKS)
            self._centres = np.array([part.mean(0) for part in parts])
            self._radii = np.array(
                [
                    np.linalg.norm(p - c, axis=1).max()
                    for p, c in zip(parts, self._centres, strict=True)
                ]
            )
            self.fill("skyline", country.skyline(rng, self._scale))
            worn = options.markings == "worn"
            self.paint("atlas", surfaces.country(rng, colours, self.light, style.yellow, worn))
            self.paint("meadow", surfaces.meadow(rng, colours))
            shade = model.material("decal").id
            model.mat_rgba[shade] = [1.0, 1.0, 1.0, self.light.shadow]
        for index, paint in enumerate(rng.integers(4, size=MAX_CARS)):
            self.fill(f"other_{index}", cars.car(self._atlas, paint, self._scale))
        self.paint("sky", textures.sky(rng, SKY, self.light))
        light.apply(self, self.light, self._scale)

    @property
    def reach(self) -> float:
        """How far a road is drawn [m]."""
        return min(REACH, self.light.sight) * self._scale

    def show(self, x: float, y: float, z: float, yaw: float, half: float) -> None:
        """Show what is in sight from (x, y, z) [m], hide the rest.

        Args:
            yaw: where the camera looks [rad].
            half: how far to each side it sees [rad].
        """
        if self._scene != "country":
            return
        k = self._scale
        away = self._centres - [x, y]
        ahead = away @ [np.cos(yaw), np.sin(yaw)]
        aside = np.abs(away @ [-np.sin(yaw), np.cos(yaw)])
        # Distance from the side of what the camera sees, trees and houses beside the road included.
        inside = ahead * np.sin(half) - aside * np.cos(half) > -self._radii - MARGIN * k
        near = np.linalg.norm(away, axis=1) < self._radii + self.reach
        for (solid, decal), seen in zip(self._chunks, inside & near, strict=True):
            self.model.geom_group[solid] = SHOWN if seen else HIDDEN
            self.model.geom_group[decal] = SHOWN if seen and self.light.shadow else HIDDEN
        self.data.mocap_pos[self._skyline] = x, y, z
        tile = np.round(np.array([x, y]) / (TILE * k))
        if self._tile is None or np.any(tile != self._tile):
            self._tile = tile
            self.fill("lawn", country.lawn(self._terrain, tile * TILE * k, k))

    def place_cars(self, traffic: Traffic, time: float) -> None:
        """Put the other cars where they are at a time [s]."""
        poses = traffic.poses(time)
        for index, body in enumerate(self._cars):
            geom = self.model.geom(f"other_{index}").id
            seen = bool(traffic.active[index])
            self.model.geom_group[geom] = SHOWN if seen else HIDDEN
            if not seen:
                continue
            x, y, yaw = poses[index]
            self.data.mocap_pos[body] = x, y, float(self._terrain.height(x, y))
            self.data.mocap_quat[body] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)

    def aim(self, position, pitch: float, yaw: float, roll: float, fovy: float) -> None:
        """Mount the front camera at a position (3,) [m in base_link], angles and fovy in rad."""
        camera = self.model.camera("front").id
        ahead = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        up = np.cross(right, ahead)
        right, up = (
            np.cos(roll) * right - np.sin(roll) * up,
            np.cos(roll) * up + np.sin(roll) * right,
        )
        # MuJoCo's cameras look along -z, with x to the right and y up.
        rotation = np.stack([right, up, -ahead], 1)
        mujoco.mju_mat2Quat(self.model.cam_quat[camera], rotation.ravel())
        self.model.cam_pos[camera] = position
        self.model.cam_fovy[camera] = np.rad2deg(fovy)


def _compile(scene, spec: VehicleSpec, atlas, width: int, height: int) -> mujoco.MjModel:

    k = spec.scale
    mjcf = mujoco.MjSpec.from_file(str(spec.mjcf))
    cheap_to_draw(mjcf, width, height)
    mjcf.stat.extent, mjcf.stat.center = 100.0 * k, [0.0, 0.0, 0.0]
    mjcf.visual.map.znear, mjcf.visual.map.zfar = 0.004, 6.0
    add_texture(mjcf, "atlas", atlas.size, atlas.size)
    add_texture(mjcf, "sky", SKY, 6 * SKY, sky=True)
    add_material(mjcf, "scenery", "atlas")
    mjcf.worldbody.add_light(name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, castshadow=0)
    rng = np.random.default_rng(0)
    shape = "open" if scene == "country" else "loop"
    road, terrain = generate(rng, RoadStyle(shape=shape, length=400.0, scale=k), 1.0 / k), flat()
    world = mjcf.worldbody
    if scene == "country":
        add_texture(mjcf, "meadow", surfaces.MEADOW, surfaces.MEADOW)
        add_material(mjcf, "meadow", "meadow")
        add_material(mjcf, "decal", "atlas")
        options = Options().decided(rng)
        day = light.draw(rng)
        style = country.Style(rng, options, palette(options.season, rng))
        for index, (solid, decal) in enumerate(country.chunks(road, terrain, style, day, rng)):
            add_mesh(mjcf, world, f"solid_{index}", solid, "scenery")
            add_mesh(mjcf, world, f"decal_{index}", decal, "decal")
        add_mesh(mjcf, world, "lawn", country.lawn(terrain, np.zeros(2), k), "meadow")
        ring = world.add_body(name="skyline", mocap=True)
        add_mesh(mjcf, ring, "skyline", country.skyline(rng, k), "scenery")
    else:
        add_mesh(mjcf, world, "hall", hall.hall(road, terrain, rng, "solid"), "scenery")
    for index in range(MAX_CARS):
        body = world.add_body(name=f"other_{index}", mocap=True)
        add_mesh(mjcf, body, f"other_{index}", cars.car(atlas, index % 4, k), "scenery")
    mjcf.body("base_link").add_camera(name="front")
    model = mjcf.compile()
    pin(model)
    return model
