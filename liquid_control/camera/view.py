"""From any robot's camera to the view that a policy was trained on, before `CameraSetup` scales it.

In this order: the lens is undone, the picture turned upright, a region cut out. The node drives by
it and the audit repeats it, so equal settings give equal bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from liquid_control.camera.calibration import Calibration
from liquid_control.camera.setup import CameraSetup
from liquid_control.errors import InputError

__all__ = ["FLIPS", "NO_HORIZON", "PARAMETERS", "RobotCamera", "View"]

# Rows and columns that change their order.
FLIPS = {"none": (1, 1), "left_right": (1, -1), "up_down": (-1, 1), "both": (-1, -1)}
NO_HORIZON = -1.0
# What the fields of a view are called among the parameters of a node, and in a topic map.
PARAMETERS = {
    **{f"roi_{side}": side for side in ("top", "bottom", "left", "right")},
    **{name: name for name in ("horizon", "flip", "undistort")},
}


@dataclass(frozen=True)
class View:
    """What a policy is shown of a camera's picture.

    Lengths up to 1 are shares of the upright picture's height or width, larger ones are pixels.

    Args:
        top, bottom, left, right: the region of interest.
        horizon: row of the horizon; instead of `top` and `bottom`, as many rows are cut out as the
            policy's shape needs, with the horizon where it was in training. -1: `top` and `bottom`
            hold.
        flip: "none", "left_right", "up_down", or "both" for a camera that hangs upside down.
        undistort: undo the lens that camera_info describes.

    Raises:
        InputError: a region without a pixel, or settings that exclude one another.
    """

    top: float = 0.0
    bottom: float = 1.0
    left: float = 0.0
    right: float = 1.0
    horizon: float = NO_HORIZON
    flip: str = "none"
    undistort: bool = False

    def __post_init__(self) -> None:
        for low, high in (("top", "bottom"), ("left", "right")):
            begin, end = getattr(self, low), getattr(self, high)
            # A share and a number of pixels can be compared only when there is a picture.
            alike = (begin <= 1.0) == (end <= 1.0)
            if begin < 0.0 or not end > 0.0 or (alike and not begin < end):
                raise InputError(
                    f"A camera's region of interest needs 0 <= roi_{low} < roi_{high}, got {begin} "
                    f"and {end}; up to 1 they are shares of the picture, above pixels."
                )
        if self.horizon != NO_HORIZON and self.horizon < 0.0:
            raise InputError(
                f"The row of the horizon is 0 or more, or -1 where it is not used, got "
                f"{self.horizon}; give its share of the picture's height."
            )
        if self.horizon != NO_HORIZON and (self.top, self.bottom) != (0.0, 1.0):
            raise InputError(
                "A horizon decides on the rows that a policy sees; leave roi_top at 0 and "
                f"roi_bottom at 1, got {self.top} and {self.bottom}."
            )
        if self.flip not in FLIPS:
            raise InputError(f"A flip is {' or '.join(FLIPS)}, got {self.flip!r}.")

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> View:
        """That of a node's parameters; what they lack stays as it is by default."""
        given = {own: parameters[name] for name, own in PARAMETERS.items() if name in parameters}
        return cls(**given)


class RobotCamera:
    """Shows pictures of one camera as a policy is to see them.

    What depends on the pictures' size is computed once for each size.

    Args:
        view: what to show.
        setup: of the policy; a horizon needs to know where training had it, and the frame's shape.
        calibration: of the camera, for `undistort`.

    Raises:
        InputError: a horizon for a policy that states none, or no calibration to undistort by.
    """

    def __init__(
        self, view: View, setup: CameraSetup, calibration: Calibration | None = None
    ) -> None:
        if view.horizon != NO_HORIZON and setup.horizon is None:
            raise InputError(
                "The model does not say at which row its training had the horizon (camera.horizon "
                "in its config.json), so that the parameter horizon has nothing to match; use "
                "roi_top and roi_bottom."
            )
        if view.undistort and calibration is None:
            raise InputError(
                "Undistortion needs a camera_info, and none has come; start the camera's driver "
                "with its calibration or switch undistort off."
            )
        self.view, self.setup = view, setup
        self.calibration = calibration if view.undistort else None
        self._shape: tuple[int, int] | None = None
        self._rows = self._columns = slice(None)
        self._maps: tuple[np.ndarray, np.ndarray] | None = None

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The view of an image uint8 RGB (rows, columns, 3); not copied where nothing changes.

        Raises:
            InputError: the region does not fit an image of this size, or the calibration is for
                another.
        """
        if image.shape[:2] != self._shape:
            self._fit(*image.shape[:2])
        if self._maps is not None:
            return cv2.remap(image, *self._maps, cv2.INTER_LINEAR)
        region = image[self._rows, self._columns]
        down, right = FLIPS[self.view.flip]
        if (down, right) == (1, 1):
            return region
        return cv2.flip(region, {(1, -1): 1, (-1, 1): 0, (-1, -1): -1}[down, right])

    def region(self, height: int, width: int) -> tuple[int, int, int, int]:
        """First and end row, first and end column [px] of the view in an upright picture.

        Raises:
            InputError: the view does not lie within it.
        """
        view, setup = self.view, self.setup
        left, right = _pixels(view.left, width), _pixels(view.right, width)
        top, bottom = _pixels(view.top, height), _pixels(view.bottom, height)
        if view.horizon != NO_HORIZON:
            # Square pixels: the shape of the policy's frame gives the rows to the columns.
            seen = (right - left) * setup.height / setup.width
            rows = round(seen / (setup.bottom - setup.top))
            horizon = view.horizon * height if view.horizon <= 1.0 else view.horizon
            top = round(horizon - setup.top * rows - setup.horizon * seen)
            bottom = top + rows
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            way = "roi_top and roi_bottom"
            if view.horizon != NO_HORIZON:
                way = "the horizon, or tilt the camera"
            raise InputError(
                f"The view needs rows {top} to {bottom} and columns {left} to {right} of an "
                f"upright picture that has {height} and {width}; change roi_left, roi_right or "
                f"{way}."
            )
        return top, bottom, left, right

    def _fit(self, height: int, width: int) -> None:
        calibration = self.calibration
        if calibration is not None and (height, width) != (calibration.height, calibration.width):
            raise InputError(
                f"The camera_info is for pictures of {calibration.width} x {calibration.height} "
                f"px, got {width} x {height}; calibrate for the size that arrives."
            )
        top, bottom, left, right = self.region(height, width)
        down, across = FLIPS[self.view.flip]
        maps = None
        if calibration is not None:
            # Turning and cutting the maps instead of the picture computes no pixel in vain.
            maps = tuple(
                np.ascontiguousarray(each[::down, ::across][top:bottom, left:right])
                for each in calibration.maps()
            )
        if down < 0:
            top, bottom = height - bottom, height - top
        if across < 0:
            left, right = width - right, width - left
        self._rows, self._columns, self._maps = slice(top, bottom), slice(left, right), maps
        self._shape = (height, width)


def _pixels(length: float, whole: int) -> int:
    return round(length * whole) if length <= 1.0 else round(length)
