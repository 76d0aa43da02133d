"""Targets and distractors: coloured boxes, chairs and spheres."""

from __future__ import annotations

import mujoco
import numpy as np

from liquid_control.envs.drone.surfaces import ATLAS
from liquid_control.envs.scene.meshes import Patch, block, join, solids, spindles

__all__ = ["CENTRE", "HULLS", "shape"]

SIDE = 1.0  # [m] of the box
RADIUS = 0.58  # [m] of the sphere
SEAT, BACK, CHAIR = 0.5, 1.2, 0.72  # [m] heights of the seat and the back, width of the chair
# Height of the middle of each shape [m].
CENTRE = {"box": 0.5, "chair": 0.6, "sphere": 0.58}
# What is hit of each shape: MuJoCo's geom type and size.
HULLS = {
    "box": (mujoco.mjtGeom.mjGEOM_BOX, (SIDE / 2, SIDE / 2, SIDE / 2)),
    "chair": (mujoco.mjtGeom.mjGEOM_BOX, (CHAIR / 2, CHAIR / 2, BACK / 2)),
    "sphere": (mujoco.mjtGeom.mjGEOM_SPHERE, (RADIUS, RADIUS, RADIUS)),
}


def shape(name: str | None, colour: str) -> Patch:
    """An object on the ground around the origin, its front to +x; None: nothing is seen.

    All shapes have the vertices of all others, which lie in one point.
    """
    area, legs = ATLAS.area(colour), ATLAS.area("metal")
    return join(
        _box(area, name == "box"),
        _chair(area, legs, name == "chair"),
        _sphere(area, name == "sphere"),
    )


def _blocks(table: list, area, shown: bool) -> Patch:
    table = np.array(table) * shown
    return solids(block(table[:, :3], np.zeros(len(table)), table[:, 3:]), area, area)


def _box(area, shown: bool) -> Patch:
    return _blocks([(0, 0, 0, SIDE, SIDE, SIDE)], area, shown)


def _chair(area, legs, shown: bool) -> Patch:
    half = CHAIR / 2 - 0.05
    posts = [(x, y, 0, 0.07, 0.07, SEAT) for x in (-half, half) for y in (-half, half)]
    body = [
        (0, 0, SEAT - 0.05, CHAIR, CHAIR, 0.13),
        (-half, 0, SEAT + 0.08, 0.12, CHAIR, BACK - SEAT - 0.08),
    ]
    return join(_blocks(body, area, shown), _blocks(posts, legs, shown))


def _sphere(area, shown: bool) -> Patch:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 9)
    radii = RADIUS * np.cos(angle)[None] * shown
    heights = RADIUS * (1 + np.sin(angle))[None] * shown
    ball = spindles(np.zeros((1, 2)), np.maximum(radii, 1e-6), heights, area, sides=16)
    # A sphere's own normals are smoother than those of its rings.
    normals = ball.vertices - [0, 0, RADIUS]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return Patch(ball.vertices, normals, ball.texcoords, ball.faces)
