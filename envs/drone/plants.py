"""Trees and bushes as meshes: trunks, branches, crowns, shadows."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from liquid_control.envs.drone.surfaces import ATLAS
from liquid_control.envs.scene.light import Light
from liquid_control.envs.scene.meshes import Patch, discs, spindles

__all__ = ["Plants", "beams", "crowns", "cut", "limbs", "shadows"]

BRANCHES = 5  # of a tree
SIDES = 6  # of a lobe
LOBES = 3  # of a crown: three cones of a conifer, three clumps of a broad-leaved tree


@dataclass(frozen=True)
class Plants:
    """A table of N plants; one without height does not stand.

    Attributes:
        places: (N, 2) [m].
        height: [m].
        width: radius of the crown [m].
        bottom: height at which the crown begins [m].
        trunk: radius [m].
        kind: 0 to 2 are broad-leaved, 3 a conifer.
        bare: whether it has lost its leaves.
    """

    places: np.ndarray
    height: np.ndarray
    width: np.ndarray
    bottom: np.ndarray
    trunk: np.ndarray
    kind: np.ndarray
    bare: np.ndarray

    def padded(self, count: int, place: np.ndarray) -> Plants:
        """As many as `count`, with plants of no size at `place` (2,)."""
        more = count - len(self.places)
        columns = {}
        for field in fields(self):
            column = getattr(self, field.name)
            fill = np.zeros((more, *column.shape[1:]), column.dtype)
            columns[field.name] = np.concatenate([column, fill])
        columns["places"][len(self.places) :] = place
        return Plants(**columns)


def cut(patch: Patch, parts: int) -> list[Patch]:
    """Equal parts of a patch that holds many things alike, one after another."""
    vertices, faces = len(patch.vertices) // parts, len(patch.faces) // parts
    pieces = []
    for index in range(parts):
        rows = slice(index * vertices, (index + 1) * vertices)
        corners = patch.faces[index * faces : (index + 1) * faces] - index * vertices
        columns = (patch.vertices, patch.normals, patch.texcoords)
        pieces.append(Patch(*(column[rows] for column in columns), corners))
    return pieces


def limbs(plants: Plants, rng: np.random.Generator) -> tuple[Patch, ...]:
    """Trunks, and branches where leaves do not hide them; in each, plant after plant."""
    count = len(plants.places)
    stands, conifer = plants.height > 0, plants.kind == 3
    # A trunk goes up into its crown.
    top = np.where(conifer, 0.9, 0.78) * plants.height
    flare = plants.trunk[:, None] * np.array([1.5, 1.0, 0.35])
    levels = np.column_stack([0 * top, np.minimum(0.35, top), top])
    trunks = spindles(plants.places, flare, levels, ATLAS.area("bark"), sides=5)
    share = rng.uniform(0.0, 1.0, (count, BRANCHES))
    angle = rng.uniform(0, 2 * np.pi, (count, BRANCHES))
    spread = np.where(plants.bare, 1.0, 0.8) * ~conifer * stands
    foot = (plants.bottom + 0.1)[:, None] * (1 - share) + share * (0.75 * top)[:, None]
    length = plants.width[:, None] * spread[:, None] * rng.uniform(0.7, 1.15, (count, BRANCHES))
    rise = length * rng.uniform(0.5, 1.3, (count, BRANCHES))
    start = np.empty((count, BRANCHES, 3))
    start[..., :2], start[..., 2] = plants.places[:, None], foot
    end = start + np.stack([length * np.cos(angle), length * np.sin(angle), rise], -1)
    thick = (0.45 * plants.trunk * spread)[:, None] * np.ones((1, BRANCHES))
    branches = beams(start.reshape(-1, 3), end.reshape(-1, 3), thick.ravel(), ATLAS.area("bark"))
    return trunks, branches


def beams(start: np.ndarray, end: np.ndarray, radius: np.ndarray, area) -> Patch:
    """Three-sided cones (N,) from `start` (N, 3) with `radius` (N,) to points `end` (N, 3) [m]."""
    axis = end - start
    axis = axis / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9)
    helper = np.where(np.abs(axis[:, 2:]) > 0.9, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    side = np.cross(axis, helper)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other = np.cross(axis, side)
    angle = np.arange(3) * 2 * np.pi / 3
    out = np.cos(angle)[:, None, None] * side + np.sin(angle)[:, None, None] * other
    vertices = np.empty((len(start), 4, 3))
    vertices[:, :3] = (start + radius[:, None] * out).transpose(1, 0, 2)
    vertices[:, 3] = end
    normals = np.empty_like(vertices)
    normals[:, :3], normals[:, 3] = out.transpose(1, 0, 2), axis
    u0, v0, u1, v1 = area
    texcoords = np.broadcast_to([[u0, v0], [u1, v0], [u0, v0], [u1, v1]], (len(start), 4, 2))
    faces = np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]]) + 4 * np.arange(len(start))[:, None, None]
    return Patch(
        vertices.reshape(-1, 3),
        normals.reshape(-1, 3),
        texcoords.reshape(-1, 2),
        faces.reshape(-1, 3),
    )


def crowns(plants: Plants, rng: np.random.Generator) -> tuple[Patch, ...]:
    """Tiers of needles, or clumps of leaves, none where a tree is bare; in each, plant by plant."""
    count = len(plants.places)
    conifer, leafy = plants.kind == 3, (plants.height > 0) & ~plants.bare
    depth = plants.height - plants.bottom
    areas = np.array([ATLAS.area(f"leaf_{kind}") for kind in range(3)] + [ATLAS.area("needles")])
    parts = []
    for lobe in range(LOBES):
        # A tier of a conifer: a cone over the one below.
        tier = plants.width * (1.0 - 0.27 * lobe)
        cone = tier[:, None] * np.array([0.7, 1.0, 0.5, 0.02])
        low = plants.bottom + depth * 0.29 * lobe
        cone_levels = low[:, None] + (depth * 0.42)[:, None] * np.array([0.06, 0.0, 0.45, 1.0])
        # A clump of leaves: round, beside the others.
        size = plants.width * rng.uniform(0.72, 0.92, count) * (1 - 0.12 * lobe)
        ball = size[:, None] * np.array([0.5, 1.0, 0.8, 0.15])
        share = np.array([0.0, 0.12, 0.42])[lobe]
        tall = depth * np.array([0.72, 0.72, 0.58])[lobe]
        ball_levels = (plants.bottom + depth * share)[:, None] + tall[:, None] * np.array(
            [0.0, 0.35, 0.75, 1.0]
        )
        radii = np.where(conifer[:, None], cone, ball) * leafy[:, None]
        levels = np.where(conifer[:, None], cone_levels, ball_levels)
        angle = rng.uniform(0, 2 * np.pi) + lobe * 2.1 + rng.normal(0, 0.4, count)
        shift = plants.width * 0.42 * ~conifer * (lobe < 2)
        feet = plants.places + np.column_stack([shift * np.cos(angle), shift * np.sin(angle)])
        patch = spindles(feet, radii, levels, areas[plants.kind], sides=SIDES)
        # Leaves are no surface of revolution.
        ragged = 1 + 0.16 * rng.normal(size=(count, 4, SIDES))
        ragged = np.where(conifer[:, None, None], 1 + 0.6 * (ragged - 1), ragged)
        vertices = patch.vertices.reshape(count, 4, SIDES, 3).copy()
        # The whole texture on every side.
        texcoords = patch.texcoords.reshape(count, 4, SIDES, 2).copy()
        u0, u1 = areas[plants.kind, 0], areas[plants.kind, 2]
        odd = np.arange(SIDES) % 2
        texcoords[..., 0] = u0[:, None, None] + (u1 - u0)[:, None, None] * odd
        middle = feet[:, None, None]
        vertices[..., :2] = middle + (vertices[..., :2] - middle) * ragged[..., None]
        parts.append(
            Patch(vertices.reshape(-1, 3), patch.normals, texcoords.reshape(-1, 2), patch.faces)
        )
    return tuple(parts)


def shadows(plants: Plants, light: Light, height: float = 0.06) -> tuple[Patch, ...]:
    """Shadows of crowns and of trunks on the ground, ellipses; in each, plant after plant."""
    fall = light.sun[:2] / max(-light.sun[2], 0.3)
    slant = np.linalg.norm(fall)
    along = fall / max(slant, 1e-6)
    across = np.array([-along[1], along[0]])
    middle = (plants.bottom + plants.height) / 2
    size = plants.width * np.where(plants.bare, 0.5, 1.0)
    reach = slant * (plants.height - plants.bottom) / 2
    axes = np.stack([(reach + size)[:, None] * along, (0.95 * size)[:, None] * across], 1)
    crown = discs(plants.places + fall * middle[:, None], axes, height, ATLAS.area("dark"))
    half = slant * middle / 2
    stem = np.stack([half[:, None] * along, (1.1 * plants.trunk)[:, None] * across], 1)
    stems = discs(
        plants.places + fall * (middle / 2)[:, None], stem, height - 0.015, ATLAS.area("dark")
    )
    return crown, stems
