"""Weather between the lens and the scene: falling rain and snow, drops on the lens, low sun."""

from __future__ import annotations

import math

import cv2
import numpy as np

from liquid_control.camera.lens import Intrinsics
from liquid_control.errors import InputError

__all__ = ["KINDS", "LensDrops", "Precipitation", "glare"]

KINDS = ("rain", "snow")
# Speed of the fall [m/s], radius of what falls [m], how many at an amount of 1, brightness.
FALL = {"rain": (7.0, 0.005, 420, 225), "snow": (1.1, 0.017, 400, 250)}
SHUTTER = 1 / 60  # [s], for which a drop streaks
NEAR, FAR, WIDE, HIGH = 0.5, 7.0, 5.5, 2.5  # [m] of the space ahead of the camera
WIPE = 2.0  # [s] between two strokes of the wiper
SUBPIXEL = 4  # bits of a coordinate after the point, for OpenCV's drawing


class Precipitation:
    """Rain or snow that falls through the space ahead of a camera.

    Drops and flakes have places in space, fall, drift with the wind and come nearer as the camera
    drives; what leaves the space enters it on the other side. The same `rng` and calls give the
    same frames to the bit.

    Args:
        kind: "rain" or "snow".
        amount: 0 (none) to 1 (a downpour, a blizzard).
        camera: intrinsics; a distortion is left out of account.
        rng: of everything random.
        scale: of the world; 0.1 for that of a 1:10 car, at whose camera rain looks the same.
    """

    def __init__(
        self,
        kind: str,
        amount: float,
        camera: Intrinsics,
        rng: np.random.Generator,
        scale: float = 1.0,
    ) -> None:
        if kind not in KINDS:
            raise InputError(f"What falls is one of {KINDS}, got {kind!r}.")
        if not 0.0 <= amount <= 1.0:
            raise InputError(f"The amount of {kind} is a share from 0 to 1, got {amount}.")
        self.kind, self.amount, self._camera, self._scale = kind, amount, camera, scale
        self._fall, self._radius, most, self._brightness = FALL[kind]
        self._count = round(amount * most)
        self.reset(rng)

    def reset(self, rng: np.random.Generator) -> None:
        """Start with other drops or flakes, and another wind."""
        self._wind = float(rng.normal() * 0.25 * self._fall)
        # x right, y down, z ahead [m], all within one period of the space.
        self._places = rng.uniform(size=(self._count, 3))
        self._places *= 2 * WIDE, 2 * HIGH, FAR - NEAR
        self._sway = rng.normal(size=(self._count, 3)) * 0.25 * (self.kind == "snow")

    def apply(self, frame: np.ndarray, speed: float = 0.0, seconds: float = 1 / 30) -> np.ndarray:
        """Let it fall for `seconds` and draw it on `frame`, uint8 RGB (height, width, 3).

        Args:
            frame: stays as it is.
            speed: of the camera, ahead [m/s].
            seconds: since the frame before.
        """
        if self._count == 0:
            return frame
        velocity = np.array([self._wind, self._fall, -speed / self._scale]) + self._sway
        period = 2 * WIDE, 2 * HIGH, FAR - NEAR
        self._places = (self._places + velocity * seconds) % period
        places = self._places - (WIDE, HIGH, -NEAR)
        grey = np.full_like(frame, self._brightness)
        return _blend(frame, self._draw(frame.shape, places, velocity), grey)

    def _draw(self, shape: tuple[int, ...], places: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Opacity (rows, columns) uint8 of what is in the air."""
        camera = self._camera
        ends = [places, places - velocity * SHUTTER]
        ends = [np.concatenate([end[:, :2], np.maximum(end[:, 2:], 0.2)], 1) for end in ends]
        focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
        first, last = (end[:, :2] / end[:, 2:] * focal + centre for end in ends)
        size = np.array([camera.width, camera.height])
        seen = np.all((np.maximum(first, last) > 0) & (np.minimum(first, last) < size), axis=1)
        radius = self._radius * camera.fy / places[:, 2]  # [px]
        # What is thinner than a pixel covers only a part of it.
        opacity = np.clip(radius / 0.5, 0.15, 1.0) * (170 if self.kind == "rain" else 230)
        mask = np.zeros(shape[:2], np.uint8)
        points = np.rint(np.stack([first, last], 1) * 2**SUBPIXEL).astype(np.int32)
        # The near ones last: they cover the others.
        for index in np.flatnonzero(seen)[np.argsort(-places[seen, 2], kind="stable")]:
            start, end = points[index].tolist()
            thickness = max(round(2 * radius[index]), 1)
            if self.kind == "snow" and thickness > 1:
                fixed = int(radius[index] * 2**SUBPIXEL)
                cv2.circle(mask, start, fixed, int(opacity[index]), -1, cv2.LINE_AA, SUBPIXEL)
            else:
                shade = int(opacity[index])
                cv2.line(mask, start, end, shade, thickness, cv2.LINE_AA, SUBPIXEL)
        return mask


class LensDrops:
    """Drops of water on the lens or the windscreen; a wiper takes them away every 2 s.

    Each drop is a small lens that shows the view turned over, and a dark rim.

    Args:
        amount: 0 (none) to 1 (about 24 drops before the wiper comes).
        width, height: of the frames [px].
        rng: of everything random.
    """

    def __init__(self, amount: float, width: int, height: int, rng: np.random.Generator) -> None:
        if not 0.0 <= amount <= 1.0:
            raise InputError(f"The amount of drops is a share from 0 to 1, got {amount}.")
        self.amount, self._width, self._height = amount, width, height
        self._most = round(24 * amount)
        self.reset(rng)

    def reset(self, rng: np.random.Generator) -> None:
        """Start with a lens that has just been wiped, a random time ago."""
        self._rng = rng
        self._time = float(rng.uniform(0, WIPE))
        self._wipe()

    def apply(self, frame: np.ndarray, seconds: float = 1 / 30) -> np.ndarray:
        """`frame`, uint8 RGB (height, width, 3), through the drops there are after `seconds`."""
        if self._most == 0:
            return frame
        self._time += seconds
        if self._time >= WIPE:
            self._time %= WIPE
            self._wipe()
        count = math.ceil(self._most * self._time / WIPE)
        while self._drawn < count:
            self._add(self._drops[self._drawn])
            self._drawn += 1
        # Drops are too near to be in focus.
        soft = cv2.blur(frame, (3, 3))
        seen = cv2.remap(soft, self._maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return _blend(frame, self._cover, cv2.multiply(seen, self._shade, scale=1 / 255))

    def _wipe(self) -> None:
        size = self._width, self._height
        radius = self._rng.lognormal(math.log(0.05 * self._height), 0.35, (self._most, 1))
        self._drops = np.hstack([self._rng.uniform(0, 1, (self._most, 2)) * size, radius])
        self._drawn = 0
        v, u = np.mgrid[: self._height, : self._width]
        self._maps = np.stack([u, v], -1).astype(np.float32)
        self._shade = np.full((self._height, self._width, 3), 255, np.uint8)
        self._cover = np.zeros((self._height, self._width), np.uint8)

    def _add(self, drop: np.ndarray) -> None:
        x, y, radius = drop
        reach = 1.5 * radius
        rows = slice(int(max(y - reach, 0)), min(math.ceil(y + reach) + 1, self._height))
        columns = slice(int(max(x - reach, 0)), min(math.ceil(x + reach) + 1, self._width))
        v, u = np.mgrid[rows, columns]
        away = np.stack([u - x, v - y], axis=-1)
        # Not quite round: its outline has a few waves of its own.
        waves = self._rng.normal(size=3) * (0.1, 0.08, 0.05)
        phases = self._rng.uniform(0, 2 * np.pi, 3)
        angle = np.arctan2(away[..., 1], away[..., 0])
        outline = 1 + sum(
            wave * np.cos((order + 1) * angle + phase)
            for order, (wave, phase) in enumerate(zip(waves, phases, strict=True))
        )
        distance = np.linalg.norm(away, axis=-1) / (radius * outline)
        inside = distance < 1.15
        # Upside down, and the more of the view the nearer to the rim.
        bend = np.array([x, y]) - (3.0 + 4.0 * np.minimum(distance, 1)[..., None] ** 2) * away
        self._maps[rows, columns][inside] = bend[inside]
        rim = 1 - 0.3 * np.clip((distance - 0.5) / 0.5, 0, 1) ** 2
        self._shade[rows, columns][inside] = (255 * rim[inside])[:, None]
        cover = np.clip(255 * (1.15 - distance) / 0.3, 0, 255).astype(np.uint8)
        self._cover[rows, columns] = np.maximum(self._cover[rows, columns], cover)


def glare(
    frame: np.ndarray,
    camera: Intrinsics,
    azimuth: float,
    elevation: float,
    strength: float = 1.0,
    colour: tuple[float, float, float] = (1.0, 0.9, 0.72),
) -> np.ndarray:
    """Let the sun shine into the lens: a halo where it stands, and a veil over all of the frame.

    Args:
        frame: uint8 RGB (height, width, 3); stays as it is.
        camera: intrinsics; a distortion is left out of account.
        azimuth, elevation: of the sun [rad] from where the camera looks, left and up positive.
        strength: 0 (none) to 1.
        colour: of the sun, RGB in [0, 1].
    """
    ahead = math.cos(elevation) * math.cos(azimuth)
    away = math.acos(min(max(ahead, -1.0), 1.0))
    if strength <= 0 or away > math.radians(80):
        return frame
    centre = np.array(
        [
            camera.cx - camera.fx * math.tan(azimuth),
            camera.cy - camera.fy * math.tan(elevation) / math.cos(azimuth),
        ]
    )
    # A halo is smooth: a quarter of the size is enough, and cheaper.
    rows, columns = max(camera.height // 4, 1), max(camera.width // 4, 1)
    v, u = np.mgrid[:rows, :columns].astype(np.float32)
    scale = np.array([camera.width / columns, camera.height / rows])
    offset = np.stack([u, v], -1) * scale + (scale - 1) / 2 - centre
    angle = np.linalg.norm(offset / (camera.fx, camera.fy), axis=-1)
    halo = 1.3 * np.exp(-((angle / 0.09) ** 2)) + 0.5 * np.exp(-angle / 0.22)
    veil = 0.28 * max(math.cos(away) - math.cos(math.radians(80)), 0.0)
    light = strength * (halo + veil)
    light = cv2.resize(light.astype(np.float32), (camera.width, camera.height))
    added = np.clip(255 * light[..., None] * np.array(colour, np.float32), 0, 255)
    return cv2.add(frame, added.astype(np.uint8))


def _blend(frame: np.ndarray, mask: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Lay an image `over` a frame, both uint8 RGB, with an opacity (rows, columns) uint8."""
    opacity = cv2.merge([mask, mask, mask])
    kept = cv2.multiply(frame, cv2.bitwise_not(opacity), scale=1 / 255)
    return cv2.add(kept, cv2.multiply(over, opacity, scale=1 / 255))
