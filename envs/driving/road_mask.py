"""Which pixels of a frame are road: the pavement projected into the camera."""

from __future__ import annotations

import cv2
import numpy as np

from liquid_control.camera import Intrinsics
from liquid_control.envs.driving.road import Road
from liquid_control.envs.driving.terrain import Terrain

__all__ = ["road_mask"]

NEAREST = 0.3  # [m] at scale 1, before the camera
WIDEST = 3.0  # tangent of the angle from the optical axis; a lens folds what lies further out


def road_mask(
    road: Road,
    terrain: Terrain,
    camera: Intrinsics,
    position: np.ndarray,
    rotation: np.ndarray,
    reach: float,
) -> np.ndarray:
    """bool (height, width): pixels that show pavement, from kerb to kerb.

    Hills, cars and houses that stand before it are not cut out.

    Args:
        position: of the camera [m], (3,) in the world.
        rotation: (3, 3), its axes as columns, MuJoCo's: x right, y up, looking along -z.
        reach: how far a road is drawn [m].
    """
    edges = [road.left_edge, road.right_edge]
    if road.closed:
        edges = [np.concatenate((edge, edge[:1])) for edge in edges]
    heights = [terrain.height(edge[:, 0], edge[:, 1]) for edge in edges]
    points = np.stack([np.column_stack(both) for both in zip(edges, heights, strict=True)])
    local = (points - position) @ rotation * [1.0, -1.0, -1.0]  # (2, N, 3): right, down, ahead
    ahead = local[..., 2]
    aside = np.abs(local[..., :2]).max(-1)
    near = (ahead > NEAREST * road.style.scale) & (np.linalg.norm(local, axis=-1) < reach)
    seen = (near & (aside < WIDEST * ahead)).all(0)
    safe = np.where(ahead[..., None] > 0, local, [0.0, 0.0, 1.0]).reshape(-1, 1, 3)
    zero = np.zeros(3)
    pixels, _ = cv2.projectPoints(safe, zero, zero, camera.matrix, np.array(camera.distortion))
    pixels = pixels.reshape(2, -1, 2)
    mask = np.zeros((camera.height, camera.width), np.uint8)
    for index in np.flatnonzero(seen[:-1] & seen[1:]):
        quad = pixels[[0, 0, 1, 1], [index, index + 1, index + 1, index]]
        if np.abs(quad).max() < 1e4:
            cv2.fillConvexPoly(mask, np.rint(quad * 16).astype(np.int32), 1, shift=4)
    return mask.astype(bool)
