"""Image files as other systems wrote them: whole or not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

__all__ = ["image_format", "read_image"]

_FORMATS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png"}
# OpenCV decodes a cut file to a grey or black rest without a word; a whole one has its end.
_ENDS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82"}


def image_format(image: bytes) -> str:
    """ "jpeg" or "png" of a whole image, else ""."""
    format = next((name for magic, name in _FORMATS.items() if image.startswith(magic)), "")
    if not format or not image.rstrip(b"\0").endswith(_ENDS[format]):
        return ""
    if cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) is None:
        return ""
    return format


def read_image(path: Path) -> tuple[bytes, str]:
    """The bytes and the format of a whole image file.

    Raises:
        ValueError: it is missing, unreadable or damaged; the text says which, as a reason to count.
    """
    try:
        image = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError("image missing") from error
    except OSError as error:
        raise ValueError(f"image unreadable ({error.strerror})") from error
    if not (format := image_format(image)):
        raise ValueError("image damaged")
    return image, format
