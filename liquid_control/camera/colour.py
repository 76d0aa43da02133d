"""Colour: hue, saturation and warmth, as seasons and white balances change them; other colours
altogether; and cut-outs."""

from __future__ import annotations

import math

import cv2
import numpy as np

__all__ = ["cut_out", "other_colours", "recolour"]

# Rows: luma and the two chroma axes of BT.601, between which hue turns.
_TO_CHROMA = np.array(
    [[0.299, 0.587, 0.114], [0.5, -0.418688, -0.081312], [-0.168736, -0.331264, 0.5]]
)
_FROM_CHROMA = np.linalg.inv(_TO_CHROMA)


def recolour(images: np.ndarray, hue: float, saturation: float, warmth: float) -> np.ndarray:
    """Turn the hue, scale the saturation and warm `images`, uint8 RGB (..., rows, columns, 3).

    Args:
        hue: turn between the chroma axes [rad]; grey stays grey.
        saturation: factor, 0 (grey) and more.
        warmth: -1 (bluish) to 1 (reddish), as `CameraEffects.white_balance`.
    """
    cos, sin = saturation * math.cos(hue), saturation * math.sin(hue)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    warm = 2.0 ** (0.35 * warmth)
    matrix = np.diag([warm, 1.0, 1 / warm]) @ _FROM_CHROMA @ turn @ _TO_CHROMA
    flat = np.ascontiguousarray(images).reshape(-1, images.shape[-2], 3)
    return cv2.transform(flat, matrix.astype(np.float32)).reshape(images.shape)


def other_colours(images: np.ndarray, rng: np.random.Generator, knots: int = 5) -> np.ndarray:
    """Give every colour of `images`, uint8 RGB (..., rows, columns, 3), another one at random.

    Shapes stay and colours mean nothing any more. Channels are mixed by a random matrix, negative
    shares included, and each of the three mixtures goes through a random curve, linear between
    `knots` even levels. (Random convolutions, Lee et al., "Network Randomization", ICLR 2020, with
    kernels of 1 x 1 and a nonlinearity.)
    """
    matrix = rng.standard_normal((3, 3))
    matrix /= np.abs(matrix).sum(1, keepdims=True)  # every mixture fits into 0 to 255
    offset = 127.5 * (1 - matrix.sum(1))
    levels = np.linspace(0, 255, knots)
    curves = [np.interp(np.arange(256), levels, rng.uniform(0, 255, knots)) for _ in range(3)]
    flat = np.ascontiguousarray(images).reshape(-1, images.shape[-2], 3)
    mixed = cv2.transform(flat, np.column_stack([matrix, offset]).astype(np.float32))
    table = np.stack(curves, 1)[None].astype(np.uint8)
    return cv2.LUT(mixed, table).reshape(images.shape)


def cut_out(
    images: np.ndarray, top: int, left: int, rows: int, columns: int, level: int
) -> np.ndarray:
    """Cover a rectangle of `images`, uint8 (..., rows, columns, 3), with a grey `level`, 0 to 255.

    (DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
    2017.)
    """
    covered = images.copy()
    covered[..., top : top + rows, left : left + columns, :] = level
    return covered
