"""Triangle meshes of one kind of shape many times over, as arrays without a Python loop.

Every function returns a `Patch`; `join` puts patches into one mesh. Counts of vertices and faces
depend only on the counts asked for, never on the values, so that a mesh of one road fits into the
buffers of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Texture coordinates (u0, v0, u1, v1) of a surface in an atlas; see `textures.Atlas`.
Area = tuple[float, float, float, float]

__all__ = ["Area", "Patch", "block", "boxes", "chunks", "discs", "join", "solids", "spindles"]
__all__ += ["strip"]


@dataclass(frozen=True)
class Patch:
    """Vertices (V, 3) [m], normals (V, 3), texture coordinates (V, 2), faces (F, 3)."""

    vertices: np.ndarray
    normals: np.ndarray
    texcoords: np.ndarray
    faces: np.ndarray


def join(*patches: Patch) -> Patch:
    """One mesh of several."""
    starts = np.cumsum([0] + [len(patch.vertices) for patch in patches[:-1]])
    return Patch(
        np.concatenate([patch.vertices for patch in patches]),
        np.concatenate([patch.normals for patch in patches]),
        np.concatenate([patch.texcoords for patch in patches]),
        np.concatenate([p.faces + start for p, start in zip(patches, starts, strict=True)]),
    )


def chunks(count: int, *patches: Patch) -> list[Patch]:
    """As many meshes as asked for, each of an equal share of every patch, in its order.

    A function of this module puts the vertices and faces of one shape after those of another, so
    patches of (count * n) shapes fall into chunks of n.
    """
    arrays = []
    for name in ("vertices", "normals", "texcoords"):
        columns = [getattr(patch, name) for patch in patches]
        arrays.append(np.concatenate([a.reshape(count, -1, a.shape[-1]) for a in columns], axis=1))
    starts = np.cumsum([0] + [len(patch.vertices) // count for patch in patches[:-1]])
    faces = np.concatenate(
        [p.faces[: len(p.faces) // count] + start for p, start in zip(patches, starts, strict=True)]
    )
    return [Patch(*parts, faces) for parts in zip(*arrays, strict=True)]


def strip(left: np.ndarray, right: np.ndarray, height: float | np.ndarray, area: Area) -> Patch:
    """A ribbon between two lines (..., N, 2); leading dimensions are more ribbons.

    Args:
        height: of all vertices, or of each (..., N, 2) on the left and on the right [m].
    """
    height = np.broadcast_to(height, (*left.shape[:-1], 2)).reshape(-1, left.shape[-2], 2)
    left, right = (side.reshape(-1, *side.shape[-2:]) for side in (left, right))
    count, rows = left.shape[:2]
    vertices = np.empty((count, rows, 2, 3))
    vertices[..., 2] = height
    vertices[:, :, 0, :2], vertices[:, :, 1, :2] = left, right
    u0, v0, u1, v1 = area
    texcoords = np.empty((count, rows, 2, 2))
    texcoords[:, :, 0, 0], texcoords[:, :, 1, 0] = u0, u1
    # Every second row mirrors the texture, which hides that it repeats.
    texcoords[..., 1] = np.where(np.arange(rows) % 2, v1, v0)[:, None]
    first = np.arange(rows - 1) * 2
    quad = np.stack([[first, first + 1, first + 3], [first, first + 3, first + 2]])
    faces = quad.transpose(2, 0, 1).reshape(-1, 3)
    faces = (faces[None] + (np.arange(count) * rows * 2)[:, None, None]).reshape(-1, 3)
    normals = np.broadcast_to([0.0, 0.0, 1.0], (count * rows * 2, 3))
    return Patch(vertices.reshape(-1, 3), normals, texcoords.reshape(-1, 2), faces)


def spindles(
    base: np.ndarray,
    radii: np.ndarray,
    heights: np.ndarray,
    area: Area | np.ndarray,
    sides: int = 7,
) -> Patch:
    """Solids of revolution: trunks, crowns, mounds.

    Args:
        base: (N, 2) foot points on the plane z = 0, or (N, 3) [m].
        radii: (N, R) radii of the rings from bottom to top [m].
        heights: (N, R) heights of the rings above the foot [m].
        area: of all, or (N, 4) of each.
    """
    count, rings = radii.shape
    angle = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    vertices = np.empty((count, rings, sides, 3))
    vertices[..., :2] = base[:, None, None, :2] + radii[..., None, None] * circle
    vertices[..., 2] = heights[..., None]
    if base.shape[-1] == 3:
        vertices[..., 2] += base[:, None, None, 2]
    slope = -np.gradient(radii, axis=1) / np.maximum(np.gradient(heights, axis=1), 1e-3)
    normals = np.empty_like(vertices)
    normals[..., :2] = circle
    normals[..., 2] = slope[..., None]
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    u0, v0, u1, v1 = np.broadcast_to(area, (count, 4)).T[:, :, None, None]
    texcoords = np.empty((count, rings, sides, 2))
    texcoords[..., 0] = u0 + (u1 - u0) * np.abs(np.linspace(-1, 1, sides))
    texcoords[..., 1] = v0 + (v1 - v0) * np.linspace(0, 1, rings)[:, None]
    ring, side = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    here, there = ring * sides + side, ring * sides + (side + 1) % sides
    quads = np.stack(
        [
            np.stack([here, there, there + sides], -1),
            np.stack([here, there + sides, here + sides], -1),
        ]
    ).reshape(-1, 3)
    faces = (quads[None] + (np.arange(count) * rings * sides)[:, None, None]).reshape(-1, 3)
    return Patch(vertices.reshape(-1, 3), normals.reshape(-1, 3), texcoords.reshape(-1, 2), faces)


def boxes(base: np.ndarray, half_width: float, bottom: float, top: float, area: Area) -> Patch:
    """Upright square posts at foot points (N, 2) or (N, 3) [m], with a lid."""
    count = len(base)
    radius = np.sqrt(2) * half_width
    radii = np.broadcast_to([radius, radius, 0.0], (count, 3))
    heights = np.broadcast_to([bottom, top, top + 0.01], (count, 3))
    return spindles(base, radii, heights, area, sides=4)


def discs(centre: np.ndarray, axes: np.ndarray, height: float, area: Area, sides: int = 9) -> Patch:
    """Flat ellipses on the ground: `centre` (N, 2), `axes` (N, 2, 2) half axes [m]."""
    count = len(centre)
    angle = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    vertices = np.full((count, sides, 3), height)
    vertices[..., :2] = centre[:, None] + circle @ axes
    u0, v0, u1, v1 = area
    middle = np.array([(u0 + u1) / 2, (v0 + v1) / 2])
    texcoords = np.broadcast_to(middle + circle * [(u1 - u0) / 2, (v1 - v0) / 2], (count, sides, 2))
    fan = np.stack([np.zeros(sides - 2, int), np.arange(1, sides - 1), np.arange(2, sides)], -1)
    faces = (fan[None] + (np.arange(count) * sides)[:, None, None]).reshape(-1, 3)
    normals = np.broadcast_to([0.0, 0.0, 1.0], (count * sides, 3))
    return Patch(vertices.reshape(-1, 3), normals, texcoords.reshape(-1, 2), faces)


def block(
    position: np.ndarray, yaw: np.ndarray, size: np.ndarray, taper: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """Corners (N, 8, 3) of upright blocks, for `solids`: four below, four above, anticlockwise.

    Args:
        position: (N, 3) middle of the lower face [m].
        yaw: (N,) [rad].
        size: (N, 3) length, width, height [m].
        taper: length and width of the upper face as shares of the lower one's.
    """
    corner = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) / 2
    plan = np.concatenate([corner, corner * taper]) * np.asarray(size)[:, None, :2]
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    corners = np.empty((len(plan), 8, 3))
    corners[..., 0] = position[:, :1] + cos * plan[..., 0] - sin * plan[..., 1]
    corners[..., 1] = position[:, 1:2] + sin * plan[..., 0] + cos * plan[..., 1]
    corners[..., 2] = position[:, 2:]
    corners[:, 4:, 2] += np.asarray(size)[:, 2:]
    return corners


# Corners of the faces of a solid, anticlockwise from outside: four sides, the upper face.
_FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7]])


def solids(corners: np.ndarray, sides: Area | np.ndarray, top: Area | np.ndarray) -> Patch:
    """Solids with six flat faces, of which the lowest is left out.

    Args:
        corners: (N, 8, 3) as `block` gives them [m].
        sides, top: texture of the four sides and of the upper face, of all or (N, 4) of each.
    """
    count = len(corners)
    vertices = corners[:, _FACES]
    edge, other = (
        vertices[..., 1, :] - vertices[..., 0, :],
        vertices[..., 3, :] - vertices[..., 0, :],
    )
    diagonal = vertices[..., 2, :] - vertices[..., 0, :]
    # A face may be a triangle: whichever pair of edges spans it gives the normal.
    normal = np.cross(edge, diagonal) + np.cross(diagonal, other)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    areas = np.empty((count, 5, 4))
    areas[:, :4] = np.broadcast_to(sides, (count, 4))[:, None]
    areas[:, 4] = np.broadcast_to(top, (count, 4))
    u0, v0, u1, v1 = np.moveaxis(areas, -1, 0)
    texcoords = np.stack([np.stack([u0, u1, u1, u0], -1), np.stack([v0, v0, v1, v1], -1)], -1)
    first = (np.arange(count * 5) * 4)[:, None, None]
    faces = (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    normals = np.broadcast_to(normal[:, :, None], vertices.shape)
    return Patch(vertices.reshape(-1, 3), normals.reshape(-1, 3), texcoords.reshape(-1, 2), faces)
