"""From a robot's image to the image that a policy was trained on: region of interest and size."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from liquid_control.errors import InputError

__all__ = ["CameraSetup"]


@dataclass(frozen=True)
class CameraSetup:
    """Region of interest and size of the frames that a policy sees.

    Args:
        height: rows of a prepared frame [px].
        width: columns of a prepared frame [px].
        top: first row of the region of interest as a share of the image's height, 0 to 1.
        bottom: end of the region of interest as a share of the image's height, 0 to 1.
        horizon: row of the horizon as a share of the prepared frame's height, from its top; below
            0 and above 1 it lies outside. None: not known.
    """

    height: int = 78
    width: int = 200
    top: float = 0.0
    bottom: float = 1.0
    horizon: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.top < self.bottom <= 1.0:
            raise InputError(
                "A camera's region of interest needs 0 <= top < bottom <= 1, "
                f"got top={self.top}, bottom={self.bottom}; give shares of the image's height."
            )
        if self.horizon is not None and not math.isfinite(self.horizon):
            raise InputError(
                f"A camera's horizon is a share of the frame's height, got {self.horizon}; leave "
                "it out where it is not known."
            )
        if self.height < 1 or self.width < 1:
            raise InputError(
                "A camera's frame needs a height and a width of at least 1 px, "
                f"got {self.height} x {self.width}; the shipped policies use 78 x 200."
            )

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Crop and resize `image`, uint8 RGB (rows, columns, 3), to (height, width, 3).

        An image that already fits is returned as it is, not copied.

        Raises:
            InputError: the image is not uint8 with three channels, or the region has no row.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(
                "A camera image must be uint8 RGB of shape (rows, columns, 3), got "
                f"{image.dtype} {image.shape}; convert it before it reaches the policy."
            )
        rows = image.shape[0]
        region = image[round(self.top * rows) : round(self.bottom * rows)]
        if region.shape[:2] == (self.height, self.width):
            return region
        if region.size == 0:
            raise InputError(
                f"The region of interest {self.top} to {self.bottom} of an image with shape "
                f"{image.shape} holds no pixel; check the image's size and the camera setup."
            )
        # Area averaging is the one of OpenCV's filters that does not alias when shrinking.
        shrinks = region.shape[0] > self.height or region.shape[1] > self.width
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(region, (self.width, self.height), interpolation=interpolation)

    def to_dict(self) -> dict:
        """For JSON; without a horizon that is not known, as it was before there was one."""
        return {name: value for name, value in asdict(self).items() if value is not None}
