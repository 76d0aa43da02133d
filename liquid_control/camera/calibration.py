"""A camera's calibration as `sensor_msgs/CameraInfo` tells it, and the maps that undo its lens.

The models are OpenCV's: "plumb_bob" (Brown-Conrady, see `lens`), "rational_polynomial" (the same
with a quotient of polynomials, D. Claus and A. Fitzgibbon, 2005) and "equidistant", which OpenCV
and some drivers call "fisheye" (J. Kannala and S. Brandt, 2006). As ROS's `image_proc` does, the
picture that comes out has the projection of `p`, turned by `r`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from liquid_control.errors import InputError

__all__ = ["Calibration"]

# Model: how many coefficients it may have.
_MODELS = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
    "fisheye": (4,),
}
_LENGTHS = {"k": 9, "r": 9, "p": 12}


@dataclass(frozen=True)
class Calibration:
    """Intrinsics and lens of a camera.

    Args:
        width, height: of its pictures [px].
        model: "plumb_bob", "rational_polynomial", "equidistant" or "fisheye".
        d: coefficients of the lens.
        k: camera matrix, row by row (9).
        r: rotation into the rectified frame, row by row (9); zeros: none.
        p: projection of the rectified picture, row by row (12); zeros: that of `k`.

    Raises:
        InputError: a camera that is not calibrated, or numbers that make no sense.
    """

    width: int
    height: int
    model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...] = (0.0,) * 9
    p: tuple[float, ...] = (0.0,) * 12

    def __post_init__(self) -> None:
        if self.model not in _MODELS:
            raise InputError(
                f"A camera_info of the lens model {self.model!r} cannot be undistorted; expected "
                f"{', '.join(_MODELS)}: calibrate with one of them or switch undistort off."
            )
        if len(self.d) not in _MODELS[self.model]:
            allowed = " or ".join(map(str, _MODELS[self.model]))
            raise InputError(
                f"A camera_info of {self.model} has {allowed} coefficients d, got {len(self.d)}; "
                "calibrate the camera again."
            )
        for name, length in _LENGTHS.items():
            if len(getattr(self, name)) != length:
                raise InputError(
                    f"A camera_info has {length} numbers {name}, got {len(getattr(self, name))}; "
                    "check the camera's driver."
                )
        numbers = (*self.d, *self.k, *self.r, *self.p)
        if not np.isfinite(numbers).all() or self.width < 1 or self.height < 1:
            raise InputError(
                f"A camera_info needs finite numbers and a size, got {self.width} x {self.height} "
                f"px, k {self.k}, d {self.d}; calibrate the camera again."
            )
        if not (self.k[0] > 0 and self.k[4] > 0 and self.k[8] == 1):
            raise InputError(
                "A camera_info without focal lengths (k[0] and k[4] more than 0, k[8] = 1) comes "
                f"from a camera that is not calibrated, got k {self.k}; calibrate it or switch "
                "undistort off."
            )

    @classmethod
    def of(cls, message: Any) -> Calibration:
        """That of a CameraInfo, of rclpy or of a bag.

        Raises:
            InputError: as above, or a picture that is binned or cut out by the camera.
        """
        roi, whole = message.roi, (message.height, message.width)
        cut = (roi.height, roi.width) not in ((0, 0), whole) or roi.x_offset or roi.y_offset
        if cut or message.binning_x > 1 or message.binning_y > 1:
            raise InputError(
                "A camera_info with binning or a region of interest cannot be undistorted; let the "
                "camera send whole pictures and cut them by roi_top to roi_right."
            )
        numbers = {
            name: tuple(float(value) for value in getattr(message, name))
            for name in ("d", "k", "r", "p")
        }
        return cls(
            int(message.width), int(message.height), str(message.distortion_model), **numbers
        )

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Calibration:
        """Of what `to_dict` gave, also through JSON."""
        lists = {name: tuple(map(float, entries[name])) for name in ("d", "k", "r", "p")}
        return cls(**{**entries, **lists})

    def to_dict(self) -> dict:
        return asdict(self)

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of the straight picture lies in the camera's, for `cv2.remap`."""
        matrix = np.array(self.k, np.float64).reshape(3, 3)
        turn = np.array(self.r, np.float64).reshape(3, 3)
        turn = turn if turn.any() else np.eye(3)
        target = np.array(self.p, np.float64).reshape(3, 4)[:, :3]
        target = target if target[0, 0] > 0 and target[1, 1] > 0 else matrix
        size, lens = (self.width, self.height), np.array(self.d, np.float64)
        undo = cv2.initUndistortRectifyMap
        if self.model in ("equidistant", "fisheye"):
            undo = cv2.fisheye.initUndistortRectifyMap
        return undo(matrix, lens, turn, target, size, cv2.CV_16SC2)
