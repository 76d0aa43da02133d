"""Antialiased text on numpy images: Pillow draws each string once, numpy blends it."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["fitted", "text_width", "write"]

# Drawn larger and averaged down: at 12 to 15 px FreeType's hinting bends the letters.
FINER = 4


def write(
    canvas: np.ndarray,
    place: tuple[float, float],
    text: str,
    color: tuple[int, int, int],
    size: int,
    bold: bool = False,
    align: str = "left",
) -> None:
    """Write `text` on uint8 RGB `canvas`; `place` is x and the baseline's y [px]."""
    mask, rise = _mask(text, size, bold)
    rows, columns = mask.shape[:2]
    shift = {"left": 0, "middle": columns // 2, "right": columns}[align]
    x, y = round(place[0]) - shift, round(place[1]) - rise
    left, top = max(x, 0), max(y, 0)
    part = canvas[top : y + rows, left : x + columns]
    share = mask[top - y :, left - x :][: part.shape[0], : part.shape[1]]
    part[:] = np.rint(part * (1 - share) + np.array(color, np.float32) * share)


def text_width(text: str, size: int, bold: bool = False) -> float:
    """Advance [px]."""
    return _font(size, bold).getlength(text) / FINER


def fitted(text: str, width: float, size: int, bold: bool = False) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` [px]."""
    if text_width(text, size, bold) <= width:
        return text
    while text and text_width(text + "…", size, bold) > width:
        text = text[:-1]
    return text + "…"


@lru_cache(maxsize=512)
def _mask(text: str, size: int, bold: bool) -> tuple[np.ndarray, int]:
    """Coverage float32 (rows, columns, 1) in [0, 1] and the baseline's row."""
    font = _font(size, bold)
    rise, fall = (-(-part // FINER) for part in font.getmetrics())
    columns = max(1, -(-round(font.getlength(text)) // FINER))
    image = Image.new("L", (FINER * columns, FINER * (rise + fall)))
    ImageDraw.Draw(image).text((0, FINER * rise), text, 255, font, "ls")
    mask = np.asarray(image.reduce(FINER), np.float32)
    return mask[..., None] / 255, rise


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib ships it: no system fonts are needed."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(
        Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, FINER * size
    )
