"""Windows of frames varied in noise, light, shadows, colour, side and place, by the camera room.

What is drawn depends on seed, epoch and window alone, not on what was drawn before.
"""

from __future__ import annotations

import math

import numpy as np

from liquid_control.camera import (
    GroundShadows,
    Intrinsics,
    TreeShadow,
    Viewpoint,
    cut_out,
    from_afar,
    gamma,
    gaussian,
    intrinsics,
    other_colours,
    recolour,
    shadow_band,
    shaken,
)
from liquid_control.training.recipe import Augmentation, Recipe

__all__ = ["Augmenter"]

# What turns its sign in a mirror.
LATERAL = ("curvature", "steering", "vy", "yaw_rate")


class Augmenter:
    """Varies windows; one draw holds for all frames of a window, noise for each pixel.

    Every variation but the mirror and the colours meets half of the windows: the other half is what
    the camera mostly sees. Brightness and contrast need none: the vision head standardises every
    frame.

    Args:
        recipe: augmentation, outputs, camera and seed count.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.settings, self.seed = recipe.augmentation, recipe.seed
        self.outputs = recipe.outputs
        self._viewpoint: Viewpoint | None = None
        self._ground: GroundShadows | None = None
        camera = recipe.camera
        self._horizon = float(np.clip((0.5 - camera.top) / (camera.bottom - camera.top), 0, 1))

    def __call__(
        self, frames: np.ndarray, labels: np.ndarray, epoch: int, group: int, item: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """A varied window.

        Args:
            frames: (time, rows, columns, 3) uint8 RGB.
            labels: (time, outputs) float32.
            epoch: of the training.
            group: windows of one group are varied alike.
            item: the window, for its noise.

        Returns:
            Frames and labels of the same shapes; the given ones where nothing changes.
        """
        settings = self.settings
        rng = np.random.default_rng([self.seed, epoch, group, 0])
        frames, labels = self._move(frames, labels, settings, rng)
        frames, labels = self._afar(frames, labels, settings, rng)
        if rng.random() < settings.mirror:
            frames = np.ascontiguousarray(frames[:, :, ::-1])
            signs = [-1.0 if name in LATERAL else 1.0 for name in self.outputs]
            labels = labels * np.array(signs, np.float32)
        rows = frames.shape[1] - round(settings.panel * frames.shape[1])
        if rows < frames.shape[1]:
            scene = self._varied(np.ascontiguousarray(frames[:, :rows]), rng, epoch, item)
            return np.concatenate([scene, frames[:, rows:]], 1), labels
        return self._varied(frames, rng, epoch, item), labels

    def _varied(
        self, frames: np.ndarray, rng: np.random.Generator, epoch: int, item: int
    ) -> np.ndarray:
        """Frames shaken, in another light, in other colours, partly covered and noisy."""
        settings = self.settings
        if settings.shake and rng.random() < 0.5:
            roll, zoom, down = settings.shake * rng.uniform(-1, 1, 3)
            frames = shaken(frames, roll, 1 + zoom, down)
        if settings.season:
            hue, saturation, warmth = settings.season * rng.uniform(-1, 1, 3)
            frames = recolour(frames, hue, 1 + saturation, warmth)
        if settings.colours and rng.random() < settings.colours:
            frames = other_colours(frames, rng)
        if settings.tree_shadow and rng.random() < 0.5:
            frames = self._below_trees(frames, rng)
        if settings.gamma:
            frames = gamma(frames, (1 + settings.gamma) ** rng.uniform(-1, 1))
        if settings.shadow and rng.random() < 0.5:
            share, angle = rng.uniform(0, settings.shadow), rng.uniform(0, np.pi)
            frames = shadow_band(frames, share, angle, rng.uniform(-1, 1), rng.uniform(0.05, 0.35))
        if settings.cut_out and rng.random() < 0.5:
            rows, columns = frames.shape[1:3]
            high, wide = (rng.uniform(0, settings.cut_out, 2) * (rows, columns)).astype(int)
            top, left = rng.integers(rows - high + 1), rng.integers(columns - wide + 1)
            frames = cut_out(frames, top, left, high, wide, int(rng.integers(256)))
        if settings.noise and rng.random() < 0.5:
            variance = rng.uniform(0, settings.noise) ** 2
            frames = gaussian(frames, variance, np.random.default_rng([self.seed, epoch, item, 1]))
        return frames

    def _below_trees(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Shadows of trees beside the way, that come nearer from frame to frame."""
        if self._ground is None:
            self._ground = GroundShadows(*self._mounted(frames))
        sun, fir = rng.uniform(-math.pi, math.pi), rng.random() < 0.5
        shadows = []
        for _ in range(rng.integers(1, 5)):
            # Somewhere along its length each meets the way, where shadows mislead.
            length, along = rng.uniform(5, 25), rng.uniform(0.2, 1)
            ahead, left = rng.uniform(4, 25), rng.uniform(-4, 4)
            shadows.append(
                TreeShadow(
                    ahead - along * length * math.cos(sun),
                    left - along * length * math.sin(sun),
                    direction=sun,
                    length=length,
                    width=rng.uniform(0.5, 6),
                    widest=rng.uniform(0.1, 0.4) if fir else rng.uniform(0.4, 0.9),
                    tip=rng.uniform(0, 0.2) if fir else rng.uniform(0.2, 1),
                )
            )
        share = self.settings.tree_shadow * rng.uniform(0.4, 1)
        return self._ground.cast(frames, shadows, share, rng.uniform(0, 0.8))

    def _mounted(self, frames: np.ndarray) -> tuple[Intrinsics, float, float]:
        """Intrinsics, pitch [rad] and height [m] of the camera of these frames."""
        rows, columns = frames.shape[1:3]
        settings = self.settings
        camera = intrinsics(columns, rows, math.radians(settings.camera_fovy))
        return camera, math.radians(settings.camera_pitch), settings.camera_height

    def _move(
        self,
        frames: np.ndarray,
        labels: np.ndarray,
        settings: Augmentation,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The window as from beside and turned, its curvature leading back.

        Along an arc of curvature k the way lies k d^2 / 2 to the side at the distance d. Seen from
        `left` beside and `yaw` turned that is k d^2 / 2 - left - yaw d, so the arc that meets it
        has the curvature k - 2 (left + yaw d) / d^2 (small angles; as the recoveries of Bojarski
        et al., "End to End Learning for Self-Driving Cars", 2016).
        """
        if not (settings.shift or settings.yaw) or rng.random() < 0.5:
            return frames, labels
        left, yaw = rng.uniform(-1, 1, 2) * (settings.shift, settings.yaw)
        if self._viewpoint is None:
            self._viewpoint = Viewpoint(*self._mounted(frames))
        distance = settings.recovery
        labels = labels.copy()
        labels[:, self.outputs.index("curvature")] -= 2 * (left + yaw * distance) / distance**2
        return self._viewpoint.apply(frames, left, yaw), labels

    def _afar(
        self,
        frames: np.ndarray,
        labels: np.ndarray,
        settings: Augmentation,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The window as from farther away.

        What is seen at the angle b off the nose is then seen at about b / factor, and who turns in
        proportion to that angle turns so much less. A vehicle that slows down is near its goal,
        and would not slow down farther away: such a window stays.
        """
        if not settings.afar or rng.random() < 0.5:
            return frames, labels
        factor = 1 + rng.uniform(0, settings.afar)
        if labels[:, self.outputs.index("vx")].min() < settings.afar_speed:
            return frames, labels
        shares = [1 / factor if name in LATERAL else 1.0 for name in self.outputs]
        return from_afar(frames, factor, self._horizon), labels * np.array(shares, np.float32)
