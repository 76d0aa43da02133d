"""The MuJoCo model of a road, its car and its scenery; compiled once, refilled for every road."""

from __future__ import annotations

import mujoco
import numpy as np

from liquid_control.envs.driving_v0 import light, textures
from liquid_control.envs.driving_v0.road import Road
from liquid_control.envs.driving_v0.scenery import CHUNK, chunks, hills, lawn
from liquid_control.envs.driving_v0.vehicle import MJCF
from liquid_control.envs.scene.meshes import Patch
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

__all__ = ["CAMERA", "World"]

BEHIND, AHEAD = 1, 3  # chunks of road in sight around the one that the car is on
SKY = 32  # [px], rows of a face of the sky box
GRASS_TILE = 16.0  # [m]
# Front camera: where a windscreen camera sits, tilted 9 degrees down, 81 degrees wide at 200 x 78.
CAMERA = {"pos": (1.6, 0.0, 1.35), "pitch": np.deg2rad(9.0), "fovy": 37.0}


class World(Stage):
    """A compiled MuJoCo model with `load` to fill in a road, and `show` to hide what is far."""

    def __init__(self, road: Road, width: int, height: int) -> None:
        patches = chunks(road, np.random.default_rng(0), np.array([0.0, 0.0, -1.0]))
        super().__init__(_compile(patches, width, height))
        self._count = len(patches)
        self._solid = [self.model.geom(f"solid_{i}").id for i in range(self._count)]
        self._shadow = [self.model.geom(f"shadow_{i}").id for i in range(self._count)]
        self._horizon = self.model.body("horizon").mocapid[0]
        self._lawn = self.model.body("lawn").mocapid[0]

    def load(self, road: Road, rng: np.random.Generator) -> None:
        """Fill in a road as long as the one before, with scenery and light from `rng`."""
        model, day = self.model, light.draw(rng)
        for index, (solid, shadow) in enumerate(chunks(road, rng, day.sun)):
            self.fill(f"solid_{index}", solid)
            self.fill(f"shadow_{index}", shadow)
        self.fill("hills", hills(rng))
        self.fill("lawn", lawn(GRASS_TILE))
        sky, horizon = textures.sky(rng, SKY)
        self.paint("atlas", textures.atlas(rng))
        self.paint("grass", textures.grass(rng))
        self.paint("sky", sky)
        tint = [rng.uniform(0.3, 0.5), rng.uniform(0.5, 0.62), rng.uniform(0.2, 0.32), 1.0]
        model.mat_rgba[model.material("grass").id] = tint
        shade = rng.uniform(0.25, 0.5)
        model.mat_rgba[model.material("shadow").id] = [1.0, 1.0, 1.0, shade]
        sun = model.light("sun").id
        model.light_dir[sun] = day.sun
        model.light_diffuse[sun] = day.diffuse
        model.vis.headlight.ambient[:] = day.ambient
        model.vis.rgba.fog[:3] = horizon
        model.vis.rgba.haze[:3] = horizon
        model.vis.map.fogend = day.haze / model.stat.extent
        model.vis.map.fogstart = 0.2 * day.haze / model.stat.extent

    def show(self, distance: float, x: float, y: float) -> None:
        """Show what is in sight from (x, y) [m] at an arc length [m] of the road, hide the rest."""
        here = int(distance / CHUNK)
        for index in range(self._count):
            group = SHOWN if -BEHIND <= index - here <= AHEAD else HIDDEN
            self.model.geom_group[self._solid[index]] = group
            self.model.geom_group[self._shadow[index]] = group
        self.data.mocap_pos[self._horizon, :2] = x, y
        # In whole tiles, so that the grass does not swim along.
        self.data.mocap_pos[self._lawn, :2] = np.round(np.array([x, y]) / GRASS_TILE) * GRASS_TILE


def _compile(patches: list[tuple[Patch, Patch]], width: int, height: int) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_file(str(MJCF))
    cheap_to_draw(spec, width, height)
    spec.stat.extent = 100.0
    spec.stat.center = [0.0, 0.0, 0.0]
    spec.visual.map.znear, spec.visual.map.zfar = 0.004, 6.0
    add_texture(spec, "atlas", textures.SIZE, textures.SIZE)
    add_texture(spec, "grass", textures.GRASS, textures.GRASS)
    add_texture(spec, "sky", SKY, 6 * SKY, sky=True)
    for name, texture in (("scenery", "atlas"), ("shadow", "atlas"), ("grass", "grass")):
        add_material(spec, name, texture)
    spec.worldbody.add_light(name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, castshadow=0)
    for index, (solid, shadow) in enumerate(patches):
        add_mesh(spec, spec.worldbody, f"solid_{index}", solid, "scenery")
        add_mesh(spec, spec.worldbody, f"shadow_{index}", shadow, "shadow")
    horizon = spec.worldbody.add_body(name="horizon", mocap=True)
    add_mesh(spec, horizon, "hills", hills(np.random.default_rng(0)), "scenery")
    # MuJoCo's own textured plane takes ten times as long to draw as this mesh.
    lawns = spec.worldbody.add_body(name="lawn", mocap=True)
    add_mesh(spec, lawns, "lawn", lawn(GRASS_TILE), "grass")
    pitch = CAMERA["pitch"]
    spec.body("base_link").add_camera(
        name="front",
        pos=CAMERA["pos"],
        # Image right is -y; image up leans forward by the pitch.
        xyaxes=[0, -1, 0, np.sin(pitch), 0, np.cos(pitch)],
        fovy=CAMERA["fovy"],
    )
    model = spec.compile()
    pin(model)
    return model
