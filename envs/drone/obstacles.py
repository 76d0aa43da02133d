"""What stands in the way: upright pillars and blocks, and what can be asked about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Obstacles", "segment_distance"]


@dataclass(frozen=True)
class Obstacles:
    """Everything of a scene that a drone can hit but the ground and the objects.

    Attributes:
        pillars: (N, 5) x, y, radius, bottom, top [m]: trunks, crowns, bushes, lamps.
        blocks: (M, 7) x, y [m], yaw [rad], half length, half width, bottom, top [m]: houses, cars.
    """

    pillars: np.ndarray
    blocks: np.ndarray

    def nearest_pillars(self, x: float, y: float, count: int) -> np.ndarray:
        """Rows of the pillars whose surfaces are nearest to a point, in order of their number."""
        gap = np.hypot(self.pillars[:, 0] - x, self.pillars[:, 1] - y) - self.pillars[:, 2]
        return np.sort(np.argpartition(gap, count)[:count])

    def nearest_blocks(self, x: float, y: float, count: int) -> np.ndarray:
        """Rows of the nearest blocks, in order of their number."""
        gap = np.linalg.norm(self._to_blocks(np.array([x, y])), axis=-1)
        return np.sort(np.argpartition(gap, count)[:count])

    def away(self, point: np.ndarray, height: float) -> np.ndarray:
        """Ways (K, 2) [m] to a point (2,) from the nearest points of what stands at a `height`."""
        pillars = self.pillars[(self.pillars[:, 3] < height) & (self.pillars[:, 4] > height)]
        way = point - pillars[:, :2]
        length = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)[:, None]
        blocks = (self.blocks[:, 5] < height) & (self.blocks[:, 6] > height)
        return np.concatenate(
            [way * (1 - pillars[:, 2:3] / length), self._to_blocks(point)[blocks]]
        )

    def hide(self, eye: np.ndarray, point: np.ndarray) -> bool:
        """Whether anything stands between two points (3,) [m]."""
        ray = point - eye
        flat = ray[:2] @ ray[:2]
        # Pillars: where the ray passes nearest to the axis, and at what height.
        share = np.clip((self.pillars[:, :2] - eye[:2]) @ ray[:2] / max(flat, 1e-9), 0, 1)
        closest = eye + share[:, None] * ray
        gap = np.hypot(*(closest[:, :2] - self.pillars[:, :2]).T)
        height = closest[:, 2]
        low, high = self.pillars[:, 3], self.pillars[:, 4]
        if np.any((gap < self.pillars[:, 2]) & (height > low) & (height < high)):
            return True
        # Blocks: the slabs of a box in its own frame.
        turn = _turns(self.blocks[:, 2])
        from_eye = np.einsum("nij,nj->ni", turn, eye[:2] - self.blocks[:, :2])
        along = np.einsum("nij,j->ni", turn, ray[:2])
        origin = np.column_stack([from_eye, np.full(len(turn), eye[2])])
        travel = np.column_stack([along, np.full(len(turn), ray[2])])
        travel = np.where(np.abs(travel) < 1e-9, 1e-9, travel)
        half = self.blocks[:, 3:5]
        first = np.column_stack([-half, self.blocks[:, 5]])
        last = np.column_stack([half, self.blocks[:, 6]])
        one, other = (first - origin) / travel, (last - origin) / travel
        enter = np.minimum(one, other).max(1)
        leave = np.maximum(one, other).min(1)
        return bool(np.any((enter < leave) & (leave > 0) & (enter < 1)))

    def _to_blocks(self, point: np.ndarray) -> np.ndarray:
        """Ways (M, 2) from the walls of the blocks to a point; zero inside."""
        turn = _turns(self.blocks[:, 2])
        local = np.einsum("nij,nj->ni", turn, point - self.blocks[:, :2])
        half = self.blocks[:, 3:5]
        rest = local - np.clip(local, -half, half)
        return np.einsum("nji,nj->ni", turn, rest)


def _turns(yaw: np.ndarray) -> np.ndarray:
    """Rotations (N, 2, 2) from the world into frames turned by `yaw` [rad]."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1)


def segment_distance(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distances (N,) of points (N, 2) from a line of corners (K, 2) [m]."""
    start, way = line[:-1], np.diff(line, axis=0)
    length = np.maximum((way**2).sum(-1), 1e-9)
    share = np.clip(((points[:, None] - start) * way).sum(-1) / length, 0, 1)
    nearest = start + share[..., None] * way
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(-1)
