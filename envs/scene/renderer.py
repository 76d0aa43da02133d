"""Off-screen frames of a `Stage`."""

from __future__ import annotations

import os

import mujoco
import numpy as np

from liquid_control.envs.scene import GLContext
from liquid_control.envs.scene.stage import BODY, SHOWN, Stage
from liquid_control.errors import InputError

__all__ = ["Renderer"]


class Renderer:
    """Renders cameras of a stage into uint8 RGB arrays; one OpenGL context, closed by `close`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        size = stage.model.vis.global_
        try:
            self._gl = GLContext(size.offwidth, size.offheight)
            self._gl.make_current()
            self._context = mujoco.MjrContext(stage.model, mujoco.mjtFontScale.mjFONTSCALE_50)
        except (RuntimeError, AttributeError, ImportError, mujoco.FatalError) as error:
            raise InputError(
                f"No OpenGL for off-screen rendering (MUJOCO_GL={os.environ.get('MUJOCO_GL')}: "
                f"{error}); install the packages libegl1 and libgl1-mesa-dri, then try "
                "`liquid-control doctor`."
            ) from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(stage.model, maxgeom=1000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = 1
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._option = mujoco.MjvOption()

    def render(self, camera: str, width: int, height: int, body: bool = False) -> np.ndarray:
        """A frame (height, width, 3) uint8 RGB of a camera by name, if asked with the own body."""
        stage = self._stage
        self._gl.make_current()
        fresh = bool(stage.dirty_textures)
        for mesh in stage.dirty_meshes:
            mujoco.mjr_uploadMesh(stage.model, self._context, mesh)
        for texture in stage.dirty_textures:
            mujoco.mjr_uploadTexture(stage.model, self._context, texture)
        stage.dirty_meshes.clear()
        stage.dirty_textures.clear()
        if fresh:
            self._take_fog()
        mujoco.mj_kinematics(stage.model, stage.data)
        mujoco.mj_camlight(stage.model, stage.data)
        self._camera.fixedcamid = stage.model.camera(camera).id
        self._option.geomgroup[:] = 0
        self._option.geomgroup[SHOWN] = 1
        self._option.geomgroup[BODY] = body
        mujoco.mjv_updateScene(
            stage.model,
            stage.data,
            self._option,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        viewport = mujoco.MjrRect(0, 0, width, height)
        if fresh:
            # The sky is drawn with the fog that the frame before left in OpenGL's state.
            mujoco.mjr_render(viewport, self._scene, self._context)
        mujoco.mjr_render(viewport, self._scene, self._context)
        frame = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(frame, None, viewport, self._context)
        # OpenGL's rows run from the bottom up.
        return np.ascontiguousarray(frame[::-1])

    def _take_fog(self) -> None:
        """Take over the fog of the model, which MuJoCo reads only when a context is made."""
        # Imported here, because PyOpenGL must find the platform that MuJoCo has chosen.
        from OpenGL import GL

        model = self._stage.model
        GL.glFogf(GL.GL_FOG_START, model.vis.map.fogstart * model.stat.extent)
        GL.glFogf(GL.GL_FOG_END, model.vis.map.fogend * model.stat.extent)
        self._context.fogRGBA = model.vis.rgba.fog

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._context = None
