"""The MuJoCo model of a road, its car and its scenery; compiled once, refilled for every road.

Compiling a model and making a new OpenGL context for it would cost half a second at every reset and
leak on some drivers. So the counts of vertices are fixed, and a new road overwrites the vertices,
textures and lights in place.
"""

from __future__ import annotations

import mujoco
import numpy as np

from liquid_control.envs.driving import light, textures
from liquid_control.envs.driving.meshes import Patch
from liquid_control.envs.driving.road import Road
from liquid_control.envs.driving.scenery import CHUNK, chunks, hills, lawn
from liquid_control.envs.driving.vehicle import MJCF

__all__ = ["CAMERA", "SHOWN", "World"]

# Groups of MuJoCo's visualiser: what the front camera sees, the car itself, what is out of sight.
SHOWN, CAR, HIDDEN = 0, 1, 5
BEHIND, AHEAD = 1, 3  # chunks of road in sight around the one that the car is on
SKY = 32  # [px], rows of a face of the sky box
GRASS_TILE = 16.0  # [m]
# Front camera: where a windscreen camera sits, tilted 9 degrees down, 81 degrees wide at 200 x 78.
CAMERA = {"pos": (1.6, 0.0, 1.35), "pitch": np.deg2rad(9.0), "fovy": 37.0}


class World:
    """A compiled MuJoCo model with `load` to fill in a road, and `show` to hide what is far.

    Attributes:
        model, data: MuJoCo's.
        dirty_meshes, dirty_textures: ids whose data changed since a renderer last took them.
    """

    def __init__(self, road: Road, width: int, height: int) -> None:
        patches = chunks(road, np.random.default_rng(0), np.array([0.0, 0.0, -1.0]))
        self.model = _compile(patches, width, height)
        self.data = mujoco.MjData(self.model)
        self._count = len(patches)
        self._solid = [self.model.geom(f"solid_{i}").id for i in range(self._count)]
        self._shadow = [self.model.geom(f"shadow_{i}").id for i in range(self._count)]
        self._horizon = self.model.body("horizon").mocapid[0]
        self._lawn = self.model.body("lawn").mocapid[0]
        self.dirty_meshes: set[int] = set()
        self.dirty_textures: set[int] = set()

    def load(self, road: Road, rng: np.random.Generator) -> None:
        """Fill in a road as long as the one before, with scenery and light from `rng`."""
        model, day = self.model, light.draw(rng)
        for index, (solid, shadow) in enumerate(chunks(road, rng, day.sun)):
            self._fill(f"solid_{index}", solid)
            self._fill(f"shadow_{index}", shadow)
        self._fill("hills", hills(rng))
        self._fill("lawn", lawn(GRASS_TILE))
        sky, horizon = textures.sky(rng, SKY)
        for name, image in (
            ("atlas", textures.atlas(rng)),
            ("grass", textures.grass(rng)),
            ("sky", sky),
        ):
            texture = model.texture(name)
            start = int(texture.adr[0])
            model.tex_data[start : start + image.size] = image.ravel()
            self.dirty_textures.add(texture.id)
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

    def _fill(self, name: str, patch: Patch) -> None:
        model, mesh, count = self.model, self.model.mesh(name).id, len(patch.vertices)
        for target, start, values in (
            (model.mesh_vert, model.mesh_vertadr[mesh], patch.vertices),
            (model.mesh_normal, model.mesh_normaladr[mesh], patch.normals),
            (model.mesh_texcoord, model.mesh_texcoordadr[mesh], patch.texcoords),
        ):
            target[start : start + count] = values
        self.dirty_meshes.add(mesh)

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


def _add_mesh(spec: mujoco.MjSpec, body, name: str, patch: Patch, material: str) -> None:
    # A road may leave meshes without area, which the compiler refuses; these values only hold the
    # place until `load` fills in real ones.
    vertices = np.random.default_rng(0).normal(size=patch.vertices.shape)
    spec.add_mesh(
        name=name,
        uservert=vertices.ravel(),
        usernormal=patch.normals.ravel(),
        usertexcoord=patch.texcoords.ravel(),
        userface=patch.faces.ravel(),
        userfacenormal=patch.faces.ravel(),
        userfacetexcoord=patch.faces.ravel(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname=name,
        material=material,
        contype=0,
        conaffinity=0,
        group=SHOWN,
    )


def _compile(patches: list[tuple[Patch, Patch]], width: int, height: int) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_file(str(MJCF))
    spec.visual.global_.offwidth, spec.visual.global_.offheight = width, height
    # What software rendering costs here: no multisampling, no shadow map, coarse primitives.
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    spec.visual.quality.numslices, spec.visual.quality.numstacks = 12, 6
    spec.visual.quality.numquads = 2
    spec.visual.headlight.diffuse = [0, 0, 0]
    spec.visual.headlight.specular = [0, 0, 0]
    spec.stat.extent = 100.0
    spec.stat.center = [0.0, 0.0, 0.0]
    spec.visual.map.znear, spec.visual.map.zfar = 0.004, 6.0
    flat, cube = mujoco.mjtTexture.mjTEXTURE_2D, mujoco.mjtTexture.mjTEXTURE_SKYBOX
    for name, kind, width, height in (
        ("atlas", flat, textures.SIZE, textures.SIZE),
        ("grass", flat, textures.GRASS, textures.GRASS),
        ("sky", cube, SKY, 6 * SKY),
    ):
        texture = spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
        texture.data = bytes(3 * width * height)
    role = mujoco.mjtTextureRole.mjTEXROLE_RGB
    for name, texture in (("scenery", "atlas"), ("shadow", "atlas"), ("grass", "grass")):
        material = spec.add_material(name=name, specular=0.0, shininess=0.0)
        material.textures[role] = texture
    spec.worldbody.add_light(name="sun", type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, castshadow=0)
    for index, (solid, shadow) in enumerate(patches):
        _add_mesh(spec, spec.worldbody, f"solid_{index}", solid, "scenery")
        _add_mesh(spec, spec.worldbody, f"shadow_{index}", shadow, "shadow")
    horizon = spec.worldbody.add_body(name="horizon", mocap=True)
    _add_mesh(spec, horizon, "hills", hills(np.random.default_rng(0)), "scenery")
    # MuJoCo's own textured plane takes ten times as long to draw as this mesh.
    lawns = spec.worldbody.add_body(name="lawn", mocap=True)
    _add_mesh(spec, lawns, "lawn", lawn(GRASS_TILE), "grass")
    pitch = CAMERA["pitch"]
    spec.body("base_link").add_camera(
        name="front",
        pos=CAMERA["pos"],
        # Image right is -y; image up leans forward by the pitch.
        xyaxes=[0, -1, 0, np.sin(pitch), 0, np.cos(pitch)],
        fovy=CAMERA["fovy"],
    )
    model = spec.compile()
    # The compiler moves a mesh to its centre of mass; ours are given in the world's frame.
    meshes = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    model.geom_pos[meshes] = 0.0
    model.geom_quat[meshes] = [1.0, 0.0, 0.0, 0.0]
    model.geom_sameframe[meshes] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE
    return model
