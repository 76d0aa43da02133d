"""Lenses: pinhole intrinsics, Brown-Conrady distortion of rendered images, and its removal.

The model is OpenCV's and ROS's "plumb_bob": with normalised pinhole coordinates (x, y) and
r^2 = x^2 + y^2, a ray is seen at

    x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2)
    y' = y (1 + k1 r^2 + k2 r^4 + k3 r^6) + p1 (r^2 + 2 y^2) + 2 p2 x y

(D. C. Brown, Decentering distortion of lenses, 1966). Negative k1 is the barrel of a wide angle.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from liquid_control.errors import InputError

__all__ = ["Intrinsics", "Lens", "Undistorter", "intrinsics"]

NEWTON = 20  # iterations that find the ray of a pixel; 4 to 6 are usual
STEEPEST = 50.0  # pinhole coordinate (tangent of an angle) at which the search ends
MOST = 3.0  # A lens is rendered at no more than this times the size of its frame.


@dataclass(frozen=True)
class Intrinsics:
    """How a camera projects, as in ROS's `camera_info`; x is right, y is down, z is ahead.

    Attributes:
        width, height: of the image [px].
        fx, fy: focal lengths [px].
        cx, cy: principal point [px]; the centre of the top left pixel is (0, 0).
        distortion: (k1, k2, p1, p2, k3).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(
                f"An image needs a width and a height of at least 1 px, got {self.width} x "
                f"{self.height}; take them from camera_info."
            )
        if not (0 < self.fx < math.inf and 0 < self.fy < math.inf):
            raise InputError(
                f"Focal lengths must be more than 0 px, got fx={self.fx}, fy={self.fy}; an "
                "uncalibrated camera has no intrinsics."
            )
        if not (math.isfinite(self.cx) and math.isfinite(self.cy)):
            raise InputError(f"A principal point must be finite, got ({self.cx}, {self.cy}) px.")
        values = tuple(float(value) for value in self.distortion)
        if len(values) != 5 or not all(map(math.isfinite, values)):
            raise InputError(
                "A lens distortion is five finite numbers k1, k2, p1, p2, k3 (plumb_bob), got "
                f"{self.distortion}; give zeros for what is not known."
            )
        object.__setattr__(self, "distortion", values)

    @property
    def matrix(self) -> np.ndarray:
        """The camera matrix K, float64 (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)

    @property
    def fovy(self) -> float:
        """Vertical field of view of a pinhole with this focal length [rad]."""
        return 2 * math.atan(self.height / 2 / self.fy)

    def rays(self) -> np.ndarray:
        """Pinhole coordinates (x, y) of the ray of every pixel, float32 (height, width, 2).

        Raises:
            InputError: the distortion folds the image: no ray, or several, belong to a pixel.
        """
        v, u = np.mgrid[: self.height, : self.width].astype(np.float64)
        seen = np.stack([(u - self.cx) / self.fx, (v - self.cy) / self.fy])
        rays = seen.copy()
        if any(self.distortion):
            for _ in range(NEWTON):
                miss, slopes = _bend(rays, self.distortion)
                miss -= seen
                # A matrix that has no inverse belongs to a fold, which is found below.
                share = 1 / np.where(slopes[3] == 0, np.inf, slopes[3])
                rays[0] -= share * (slopes[2] * miss[0] - slopes[1] * miss[1])
                rays[1] -= share * (slopes[0] * miss[1] - slopes[1] * miss[0])
                np.clip(rays, -STEEPEST, STEEPEST, out=rays)
            bent, slopes = _bend(rays, self.distortion)
            missed = np.abs(bent - seen).max() * max(self.fx, self.fy)
            if not missed < 0.01 or slopes[3].min() <= 0 or not _grows(rays, self.distortion):
                raise InputError(
                    f"The distortion {self.distortion} folds an image of {self.width} x "
                    f"{self.height} px with fx={self.fx:.1f} px; use weaker coefficients or a "
                    "longer focal length."
                )
        return np.moveaxis(rays, 0, -1).astype(np.float32)

    def to_dict(self) -> dict:
        return asdict(self)


def intrinsics(
    width: int,
    height: int,
    fovy: float,
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0),
) -> Intrinsics:
    """Intrinsics of a camera with square pixels and a vertical field of view `fovy` [rad]."""
    if not 0.0 < fovy < math.pi:
        raise InputError(
            f"A vertical field of view lies between 0 and pi rad, got {fovy}; give radians."
        )
    focal = height / 2 / math.tan(fovy / 2)
    return Intrinsics(
        width, height, focal, focal, (width - 1) / 2, (height - 1) / 2, tuple(distortion)
    )


class Lens:
    """Bends what a renderer draws through a pinhole to what a camera with a lens would see.

        lens = Lens(intrinsics(200, 78, np.deg2rad(60), distortion=(-0.25, 0.05, 0, 0, 0)))
        wide = render(lens.pinhole.width, lens.pinhole.height, lens.pinhole.fovy)
        frame = lens.apply(wide)

    Attributes:
        camera: the intrinsics of the frames.
        pinhole: what must be rendered so that every pixel of a frame is covered: square pixels,
            the principal point in the middle, and the focal length of the camera unless that would
            need more than 3 times the frame's size.

    Raises:
        InputError: the distortion folds the image.
    """

    def __init__(self, camera: Intrinsics) -> None:
        self.camera = camera
        rays = camera.rays()
        wide, high = (float(np.abs(rays[..., axis]).max()) for axis in (0, 1))
        focal = max(camera.fx, camera.fy)
        # Half a pixel on each side more, for the interpolation.
        focal = min(
            focal, (MOST * camera.width - 2) / 2 / wide, (MOST * camera.height - 2) / 2 / high
        )
        width, height = (2 * math.ceil(half * focal + 0.5) for half in (wide, high))
        self.pinhole = intrinsics(width, height, 2 * math.atan(height / 2 / focal))
        self._maps = cv2.convertMaps(
            rays[..., 0] * np.float32(focal) + np.float32(self.pinhole.cx),
            rays[..., 1] * np.float32(focal) + np.float32(self.pinhole.cy),
            cv2.CV_16SC2,
        )

    def apply(self, rendered: np.ndarray) -> np.ndarray:
        """The camera's frame (height, width, 3) uint8 of a pinhole's (height, width, 3) uint8."""
        expected = (self.pinhole.height, self.pinhole.width)
        if rendered.shape[:2] != expected:
            raise ValueError(
                f"The lens takes what its pinhole renders, rows x columns {expected}, got "
                f"{rendered.shape[:2]}."
            )
        return cv2.remap(rendered, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


class Undistorter:
    """Removes the lens of a calibrated camera.

    Args:
        camera: intrinsics of the images, as in `camera_info`.
        target: the pinhole to make of it; None keeps the focal length and the size.
    """

    def __init__(self, camera: Intrinsics, target: Intrinsics | None = None) -> None:
        self.camera = camera
        self.target = target or Intrinsics(
            camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy
        )
        self._maps = cv2.initUndistortRectifyMap(
            camera.matrix,
            np.array(camera.distortion),
            None,
            self.target.matrix,
            (self.target.width, self.target.height),
            cv2.CV_16SC2,
        )

    def apply(self, image: np.ndarray) -> np.ndarray:
        """A pinhole's image of a camera's, both uint8; what no camera pixel shows is black.

        Raises:
            InputError: the image has not the size that the intrinsics are for.
        """
        expected = (self.camera.height, self.camera.width)
        if image.shape[:2] != expected:
            raise InputError(
                f"The intrinsics are for images of {expected[1]} x {expected[0]} px, got "
                f"{image.shape[1]} x {image.shape[0]}; calibrate for the size that arrives."
            )
        return cv2.remap(image, *self._maps, cv2.INTER_LINEAR)


def _bend(
    rays: np.ndarray, distortion: tuple[float, ...]
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Distort pinhole coordinates (2, ...) as in the module's formula.

    Returns:
        The distorted coordinates, and dx'/dx, dx'/dy = dy'/dx, dy'/dy and their determinant.
    """
    k1, k2, p1, p2, k3 = distortion
    x, y = rays
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    change = 2 * (k1 + square * (2 * k2 + square * 3 * k3))
    bent = np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        ]
    )
    across = x * y * change + 2 * p1 * x + 2 * p2 * y
    dx = radial + x * x * change + 2 * p1 * y + 6 * p2 * x
    dy = radial + y * y * change + 6 * p1 * y + 2 * p2 * x
    return bent, (dx, across, dy, dx * dy - across * across)


def _grows(rays: np.ndarray, distortion: tuple[float, ...]) -> bool:
    """Whether distance from the middle grows all the way out: no other ray falls on a pixel."""
    furthest = np.sqrt((rays * rays).sum(0).max())
    square = np.linspace(0, furthest, 200) ** 2
    k1, k2, _, _, k3 = distortion
    return bool(np.all(1 + square * (3 * k1 + square * (5 * k2 + square * 7 * k3)) > 0))
