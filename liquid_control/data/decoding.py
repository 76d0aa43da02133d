"""Pictures out of `sensor_msgs/Image` and `CompressedImage`, for nodes, bags, training and audit.

Encodings are those of `sensor_msgs/image_encodings.hpp`; what the two parts of a CompressedImage's
format mean is decided as ROS's `compressed_image_transport` decides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from liquid_control.errors import InputError

__all__ = ["ENCODINGS", "decode_image", "is_plain"]


# Pixels; more than any camera has, and 200 MB.
_MOST = 2**26


@dataclass(frozen=True)
class _Encoding:
    """How the bytes of a raw image lie.

    Args:
        bytes: of one pixel of a row.
        conversion: OpenCV's, to RGB; None: already RGB.
        pair: columns come in twos (4:2:2, 4:2:0, a Bayer pattern).
        pairs: rows come in twos as well.
        extra: rows of colour below the picture, as a share of its rows in halves (NV12, NV21).
        wide: 16 bits a pixel.
    """

    bytes: int
    conversion: int | None
    pair: bool = False
    pairs: bool = False
    extra: bool = False
    wide: bool = False


def _bayer(conversion: int) -> _Encoding:
    return _Encoding(1, conversion, pair=True, pairs=True)


# OpenCV names a Bayer pattern by its second row, ROS by its first.
ENCODINGS: dict[str, _Encoding] = {
    "rgb8": _Encoding(3, None),
    "bgr8": _Encoding(3, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding(1, cv2.COLOR_GRAY2RGB),
    "mono16": _Encoding(2, cv2.COLOR_GRAY2RGB, wide=True),
    "bayer_rggb8": _bayer(cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": _bayer(cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": _bayer(cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": _bayer(cv2.COLOR_BayerGB2RGB),
    "yuv422": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, pair=True),
    "uyvy": _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, pair=True),
    "yuv422_yuy2": _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, pair=True),
    "yuyv": _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, pair=True),
    "nv12": _Encoding(1, cv2.COLOR_YUV2RGB_NV12, pair=True, pairs=True, extra=True),
    "nv21": _Encoding(1, cv2.COLOR_YUV2RGB_NV21, pair=True, pairs=True, extra=True),
}


def decode_image(message: Any) -> np.ndarray:
    """uint8 RGB (rows, columns, 3) of an Image or CompressedImage, also of rclpy's.

    16 bits become 8 by 255 / 65535; a Bayer pattern is filled in bilinearly. The array may be a
    read-only view of the message.

    Raises:
        InputError: an encoding that is not known, or data that does not fit its description.
    """
    data = np.frombuffer(message.data, np.uint8)
    if not hasattr(message, "encoding"):
        return _compressed(data, message.format)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise InputError(
            f"Image encoding {message.encoding!r} is not supported; publish the camera as one of "
            f"{', '.join(ENCODINGS)}, or compressed."
        )
    rows, columns, step = message.height, message.width, message.step
    lines = rows + rows // 2 if encoding.extra else rows
    width = columns * encoding.bytes
    if data.size != lines * step or step < width or not rows or not columns:
        raise InputError(
            f"An image of {rows} x {columns} {message.encoding} with step {step} needs "
            f"{lines * max(step, width)} bytes, got {data.size}; check the camera."
        )
    if (encoding.pair and columns % 2) or (encoding.pairs and rows % 2):
        raise InputError(
            f"An image of {rows} x {columns} {message.encoding} needs an even number of "
            f"{'rows and columns' if encoding.pairs else 'columns'}; check the camera."
        )
    # A row may be padded up to `step`.
    pixels = data.reshape(lines, step)[:, :width]
    if encoding.wide:
        order = ">u2" if message.is_bigendian else "<u2"
        return _rgb(_eight_bits(np.ascontiguousarray(pixels).view(order)), encoding)
    shape = (lines, columns) if encoding.bytes == 1 else (lines, columns, encoding.bytes)
    return _rgb(pixels.reshape(shape), encoding)


def is_plain(format: str) -> bool:
    """Whether the file in a CompressedImage of this format shows its colours as they are.

    Others hold a Bayer pattern, or red and blue exchanged: only `decode_image` gives their colours.
    """
    original, exchanged = _original(format)
    return not exchanged and not original.startswith("bayer_")


def _original(format: str) -> tuple[str, bool]:
    """Of a CompressedImage's format: the camera's encoding, and whether red and blue changed place.

    "bgr8; jpeg compressed bgr8" is the camera's encoding and what went into the encoder, which took
    it for BGR. A plain "jpeg" names no encoding.
    """
    original, separator, coded = format.partition(";")
    if not separator:
        return "", False
    coloured = original[:3] in ("rgb", "bgr")
    return original.strip(), coloured and "compressed bgr" not in coded


def _compressed(data: np.ndarray, format: str) -> np.ndarray:
    original, exchanged = _original(format)
    encoding = ENCODINGS.get(original)
    # A pattern or 16 bits have one channel, which must come out as it went in.
    as_it_is = encoding is not None and (original.startswith("bayer_") or encoding.wide)
    flags = cv2.IMREAD_UNCHANGED if as_it_is else cv2.IMREAD_COLOR
    try:
        decoded = cv2.imdecode(data, flags) if 0 < _announced(data.data) <= _MOST else None
    except cv2.error:
        decoded = None
    if decoded is None:
        raise InputError(
            f"A compressed image ({format[:60]!r}, {data.size} bytes) cannot be decoded; "
            "expected PNG or JPEG, so the frame is probably damaged: leave it out."
        )
    if not as_it_is:
        return decoded if exchanged else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=decoded)
    if decoded.dtype == np.uint16:
        decoded = _eight_bits(decoded)
    even = decoded.shape[0] % 2 == 0 and decoded.shape[1] % 2 == 0
    if decoded.dtype != np.uint8 or decoded.ndim != 2 or (encoding.pairs and not even):
        raise InputError(
            f"A compressed image of {original} needs one channel and, for a pattern, even sides, "
            f"got {decoded.dtype} {decoded.shape}; check the camera's republisher."
        )
    return _rgb(decoded, encoding)


def _announced(file: memoryview) -> int:
    """Pixels that a PNG or JPEG file says to have; 0 for any other or damaged one.

    A changed byte there makes a decoder ask for gigabytes.
    """
    if file[:8] == b"\x89PNG\r\n\x1a\n":
        return int.from_bytes(file[16:20], "big") * int.from_bytes(file[20:24], "big")
    place = 2 if file[:2] == b"\xff\xd8" else len(file)
    while place + 9 <= len(file) and file[place] == 0xFF:
        kind = file[place + 1]
        # Start of frame; three markers of that range are something else (ITU-T T.81, table B.1).
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            rows, columns = file[place + 5 : place + 7], file[place + 7 : place + 9]
            return int.from_bytes(rows, "big") * int.from_bytes(columns, "big")
        # A marker may be preceded by fill bytes, and is followed by its length.
        filled = kind == 0xFF
        place += 1 if filled else 2 + int.from_bytes(file[place + 2 : place + 4], "big")
    return 0


def _eight_bits(values: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(np.ascontiguousarray(values, np.uint16), alpha=255 / 65535)


def _rgb(pixels: np.ndarray, encoding: _Encoding) -> np.ndarray:
    return pixels if encoding.conversion is None else cv2.cvtColor(pixels, encoding.conversion)
