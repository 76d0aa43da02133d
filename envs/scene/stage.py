"""Filling a compiled MuJoCo model with another scene: meshes, textures, light.

Compiling a model and making a new OpenGL context for it would cost half a second at every reset and
leak on some drivers. So the counts of vertices are fixed, and a new scene overwrites the vertices,
textures and lights in place.
"""

from __future__ import annotations

import mujoco
import numpy as np

from liquid_control.envs.scene.meshes import Patch

__all__ = ["BODY", "HIDDEN", "SHOWN", "Stage", "add_material", "add_mesh", "add_texture"]
__all__ += ["cheap_to_draw", "pin"]

# Groups of MuJoCo's visualiser: what a camera sees, the own vehicle, what is out of sight.
SHOWN, BODY, HIDDEN = 0, 1, 5


class Stage:
    """A compiled model and what changed in it since a renderer last took its data.

    Attributes:
        model, data: MuJoCo's.
        dirty_meshes, dirty_textures: ids whose data changed.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self.dirty_meshes: set[int] = set()
        self.dirty_textures: set[int] = set()

    def fill(self, name: str, patch: Patch) -> None:
        """Overwrite a mesh with a patch that has as many vertices and the same faces."""
        model, mesh, count = self.model, self.model.mesh(name).id, len(patch.vertices)
        if count != model.mesh_vertnum[mesh]:
            raise ValueError(
                f"The mesh {name} has {model.mesh_vertnum[mesh]} vertices, the patch {count}: "
                "counts are fixed when the model is compiled."
            )
        for target, start, values in (
            (model.mesh_vert, model.mesh_vertadr[mesh], patch.vertices),
            (model.mesh_normal, model.mesh_normaladr[mesh], patch.normals),
            (model.mesh_texcoord, model.mesh_texcoordadr[mesh], patch.texcoords),
        ):
            target[start : start + count] = values
        self.dirty_meshes.add(mesh)

    def paint(self, name: str, image: np.ndarray) -> None:
        """Overwrite a texture with a uint8 image of its size."""
        texture = self.model.texture(name)
        start = int(texture.adr[0])
        self.model.tex_data[start : start + image.size] = image.ravel()
        self.dirty_textures.add(texture.id)


def add_mesh(
    spec: mujoco.MjSpec,
    body: mujoco.MjsBody,
    name: str,
    patch: Patch,
    material: str,
    group: int = SHOWN,
) -> None:
    """Add a mesh with the counts and faces of `patch`, drawn with `material`, that hits nothing.

    Its vertices are random until `Stage.fill`: the compiler refuses meshes without area, which a
    scene may have.
    """
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
        group=group,
    )


def add_material(spec: mujoco.MjSpec, name: str, texture: str) -> None:
    """Add a matt material with a texture."""
    material = spec.add_material(name=name, specular=0.0, shininess=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture


def add_texture(spec: mujoco.MjSpec, name: str, width: int, height: int, sky: bool = False) -> None:
    """Add a black RGB texture, to be painted later; a sky box has six faces, one below another."""
    kind = mujoco.mjtTexture.mjTEXTURE_SKYBOX if sky else mujoco.mjtTexture.mjTEXTURE_2D
    texture = spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
    texture.data = bytes(3 * width * height)


def cheap_to_draw(spec: mujoco.MjSpec, width: int, height: int) -> None:
    """Prepare for frames of up to (height, width) [px] at what software rendering can afford.

    No multisampling, no shadow map, coarse primitives, no light at the camera but ambient.
    """
    spec.visual.global_.offwidth, spec.visual.global_.offheight = width, height
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    spec.visual.quality.numslices, spec.visual.quality.numstacks = 12, 6
    spec.visual.quality.numquads = 2
    spec.visual.headlight.diffuse = [0, 0, 0]
    spec.visual.headlight.specular = [0, 0, 0]


def pin(model: mujoco.MjModel) -> None:
    """Undo that the compiler moved every mesh to its centre of mass: ours lie where they say."""
    meshes = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    model.geom_pos[meshes] = 0.0
    model.geom_quat[meshes] = [1.0, 0.0, 0.0, 0.0]
    model.geom_sameframe[meshes] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE
