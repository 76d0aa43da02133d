"""Gymnasium's CarRacing with the same physics and pixels: drawn faster, or changed by a variant."""

from __future__ import annotations

import numpy as np
import pygame
from gymnasium.envs.box2d.car_racing import (
    FPS,
    GRASS_DIM,
    PLAYFIELD,
    STATE_H,
    STATE_W,
    WINDOW_H,
    WINDOW_W,
    CarRacing,
)

from liquid_control.envs.car_racing import variants

__all__ = ["FRAME_SHAPE", "Racing"]

FRAME_SHAPE = (STATE_H, STATE_W, 3)
# Field patches (patches, 4 corners, 2) [m], in the order in which CarRacing draws them.
PLACES = GRASS_DIM * np.stack(np.mgrid[-20:20:2, -20:20:2], -1).reshape(-1, 1, 2)
PATCHES = PLACES + GRASS_DIM * np.array([(1, 0), (0, 0), (0, 1), (1, 1)])
FIELD = PLAYFIELD * np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)])


class Racing(CarRacing):
    """CarRacing with what an episode may vary.

    With the plain variant every frame equals that of CarRacing-v3 to the bit.

    Attributes:
        draws: whether frames are drawn; without, they are black. Physics is the same.
        variant: one of `variants.VARIANTS`.
        start: share of the lap, in [0, 1), where the car stands at first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.draws = True
        self.variant = "plain"
        self.start = 0.0
        self._plain = self._colours

    @property
    def _colours(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.road_color, self.bg_color, self.grass_color

    @_colours.setter
    def _colours(self, colours: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        self.road_color, self.bg_color, self.grass_color = colours

    def begin(self, key: int, domain_randomize: bool, randomize: bool) -> np.ndarray:
        """A new track from `np_random`; the first frame.

        Args:
            key: seeds what a variant draws, apart from `np_random`: all variants of a seed have
                the same track.
            domain_randomize: colours drawn from `np_random`, as CarRacing does.
            randomize: whether they are drawn anew or remain those of the episode before.
        """
        if not domain_randomize:
            self._init_colors()
        elif not randomize:
            self._colours = self._plain
        self.domain_randomize = domain_randomize
        self._key = key
        draws, self.draws = self.draws, False
        super().reset(options={"randomize": randomize})
        self.draws, self.domain_randomize = draws, False
        self._plain = self._colours
        if self.variant in ("color", "color3"):
            road, field = variants.colour_shift(self.variant, np.random.default_rng(key))
            for tile in self.road:
                tile.color[:] = np.clip(tile.color + road, 0, 255)
            self.road_color = np.clip(self.road_color + road, 0, 255)
            self.bg_color = np.clip(self.bg_color + field, 0, 255)
        self._tiles = np.array([corners for corners, _ in self.road_poly])
        return self._render("state_pixels")

    def _create_track(self) -> bool:
        if not super()._create_track():
            return False
        count = len(self.track)
        first = int(self.start * count)
        self.track = self.track[first:] + self.track[:first]
        # A lap ends where it began.
        for tile in self.road:
            tile.idx = (tile.idx - first) % count
        return True

    def _render(self, mode: str) -> np.ndarray | None:
        if mode == "state_pixels" and not self.draws:
            return np.zeros(FRAME_SHAPE, np.uint8)
        self._mode = mode
        picture = super()._render(mode)
        if self.variant == "noise" and picture is not None:
            return self._noisy(picture)
        return picture

    def _noisy(self, picture: np.ndarray) -> np.ndarray:
        # From the frame's number: looking twice shows the same and changes nothing later.
        rng = np.random.default_rng([self._key, round(self.t * FPS), len(picture)])
        return variants.noise(picture, (self.bg_color, self.grass_color), rng)

    def _render_road(self, zoom: float, translation: tuple[float, float], angle: float) -> None:
        """The same pixels as CarRacing's, faster: what is out of sight is skipped."""
        view = zoom, translation, angle
        self._draw_colored_polygon(self.surf, FIELD, self.bg_color, *view, clip=False)
        for index in _in_sight(PATCHES, *view):
            self._draw_colored_polygon(self.surf, PATCHES[index], self.grass_color, *view)
        for index in _in_sight(self._tiles, *view):
            corners, colour = self.road_poly[index]
            self._draw_colored_polygon(self.surf, corners, [int(c) for c in colour], *view)
        if self.variant == "blob":
            corners = variants.blob(self.car.hull)
            self._draw_colored_polygon(self.surf, corners, variants.BLOB_COLOUR, *view)

    def _render_indicators(self, W: int, H: int) -> None:
        if self.variant == "bar":
            variants.bars(self.surf, H - 5 * H / 40)
        if self.variant == "noise" and self._mode == "human":
            pixels = pygame.surfarray.pixels3d(self.surf)
            pixels[:] = self._noisy(pixels)
            del pixels  # it locks the surface
        super()._render_indicators(W, H)


def _in_sight(
    polygons: np.ndarray, zoom: float, translation: tuple[float, float], angle: float
) -> np.ndarray:
    """Which polygons (count, corners, 2) [m] may touch the window, with 2 px to spare."""
    cosine, sine = np.cos(angle), np.sin(angle)
    pixels = polygons @ (zoom * np.array([(cosine, sine), (-sine, cosine)])) + translation
    inside = (pixels.max(1) > -2) & (pixels.min(1) < (WINDOW_W + 2, WINDOW_H + 2))
    return np.flatnonzero(inside.all(1))
