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

    def __post_init__(self) -> None:
        # What every question needs.
        object.__setattr__(self, "_cos", np.cos(self.blocks[:, 2]))
        object.__setattr__(self, "_sin", np.sin(self.blocks[:, 2]))

    def nearest(self, x: float, y: float, pillars: int, blocks: int) -> tuple[np.ndarray, ...]:
        """Rows of the pillars and of the blocks nearest to a point, in order of their number."""
        gap = np.hypot(self.pillars[:, 0] - x, self.pillars[:, 1] - y) - self.pillars[:, 2]
        way = self._to_blocks(x, y)
        return (
            np.sort(np.argpartition(gap, pillars)[:pillars]),
            np.sort(np.argpartition((way**2).sum(1), blocks)[:blocks]),
        )

    def away(self, x: float, y: float, height: float) -> np.ndarray:
        """Ways (K, 2) [m] to a point from the nearest points of what stands at a `height`."""
        pillars = self.pillars[(self.pillars[:, 3] < height) & (self.pillars[:, 4] > height)]
        way = np.array([x, y]) - pillars[:, :2]
        length = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)[:, None]
        blocks = (self.blocks[:, 5] < height) & (self.blocks[:, 6] > height)
        return np.concatenate([way * (1 - pillars[:, 2:3] / length), self._to_blocks(x, y)[blocks]])

    def hide(self, eye: tuple[float, ...], point: tuple[float, ...]) -> bool:
        """Whether anything stands between two points x, y, z [m]."""
        x, y, z = eye
        dx, dy, dz = point[0] - x, point[1] - y, point[2] - z
        # Pillars: where the ray passes nearest to the axis, and at what height.
        px, py, radius, low, high = self.pillars.T
        px, py = px - x, py - y
        share = np.clip((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-9), 0.0, 1.0)
        near = (share * dx - px) ** 2 + (share * dy - py) ** 2 < radius**2
        if near.any():
            height = z + share * dz
            if np.any(near & (height > low) & (height < high)):
                return True
        # Blocks: the slabs of a box in its own frame.
        bx, by, _, half, side, low, high = self.blocks.T
        bx, by, cos, sin = x - bx, y - by, self._cos, self._sin
        enter, leave = 0.0, 1.0
        for origin, travel, first, last in (
            (cos * bx + sin * by, cos * dx + sin * dy, -half, half),
            (cos * by - sin * bx, cos * dy - sin * dx, -side, side),
            (z, dz, low, high),
        ):
            travel = np.where(np.abs(travel) < 1e-9, 1e-9, travel)
            one, other = (first - origin) / travel, (last - origin) / travel
            enter = np.maximum(enter, np.minimum(one, other))
            leave = np.minimum(leave, np.maximum(one, other))
        return bool(np.any(enter < leave))

    def _to_blocks(self, x: float, y: float) -> np.ndarray:
        """Ways (M, 2) from the walls of the blocks to a point; zero inside."""
        bx, by, _, half, side, _, _ = self.blocks.T
        bx, by, cos, sin = x - bx, y - by, self._cos, self._sin
        along, across = cos * bx + sin * by, cos * by - sin * bx
        along = along - np.clip(along, -half, half)
        across = across - np.clip(across, -side, side)
        return np.column_stack([cos * along - sin * across, sin * along + cos * across])


def segment_distance(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distances (N,) of points (N, 2) from a line of corners (K, 2) [m]."""
    start, way = line[:-1], np.diff(line, axis=0)
    length = np.maximum((way**2).sum(-1), 1e-9)
    share = np.clip(((points[:, None] - start) * way).sum(-1) / length, 0, 1)
    nearest = start + share[..., None] * way
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(-1)
