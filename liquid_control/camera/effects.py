"""What a camera and its cable do to a frame: blur, lens, exposure, noise, losses, delays."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, fields

import cv2
import numpy as np

from liquid_control.camera.lens import Intrinsics, intrinsics
from liquid_control.camera.motion import MotionBlur
from liquid_control.camera.noise import gaussian
from liquid_control.errors import InputError, known_only

__all__ = ["CameraEffects", "CameraPipeline"]

# Lowest and highest values, in words where the unit is not 1.
RANGES = {
    "exposure": (-6.0, 6.0),
    "gamma": (0.2, 5.0),
    "auto_exposure": (0.0, 10.0),
    "white_balance": (-1.0, 1.0),
    "motion_blur": (0.0, 1.0),
    "defocus": (0.0, 20.0),
    "dirt": (0.0, 1.0),
    "vignette": (0.0, 1.0),
    "noise": (0.0, 1.0),
    "jpeg": (0, 100),
    "dropped": (0.0, 1.0),
    "late": (0, 60),
    "jitter": (0, 60),
}
WHOLE = ("jpeg", "late", "jitter")
MIDDLE = 0.42  # mean brightness that an automatic exposure aims at
AUTO_STOPS = 2.5  # it goes this far up and down
DISPLAY = 2.2  # exponent between the values of a frame and light
FOVY = math.radians(45)  # of a camera of which nothing is known


@dataclass(frozen=True)
class CameraEffects:
    """How bad a camera is; the defaults are a perfect one.

    Attributes:
        exposure: of the frame, in stops: +1 doubles the light (not the values: those are the
            light to the power of 1 / 2.2). -6 to 6.
        gamma: exponent of the brightness on [0, 1]; above 1 is darker. 0.2 to 5.
        auto_exposure: time constant of an automatic exposure [s], 0 (off) to 10. It aims at a mean
            brightness of 0.42 and goes 2.5 stops up and down.
        white_balance: -1 (bluish) to 1 (reddish).
        motion_blur: share of the frame's interval that the shutter is open, 0 to 1.
        defocus: standard deviation of the blur of a lens out of focus [px], 0 to 20.
        dirt: smudges on the lens, 0 to 1; they stay where they are until the next reset.
        vignette: share of the light that the corners lose, 0 to 1.
        noise: variance of Gaussian noise on the scale [0, 1], see `noise.gaussian`. 0 to 1.
        jpeg: quality of a JPEG compression, 1 to 100; 0 is none.
        dropped: probability 0 to 1 that a frame is lost; the one before is seen again.
        late: frames by which all come late, 0 to 60.
        jitter: most frames by which one comes later still, 0 to 60; they never change their order.
    """

    exposure: float = 0.0
    gamma: float = 1.0
    auto_exposure: float = 0.0
    white_balance: float = 0.0
    motion_blur: float = 0.0
    defocus: float = 0.0
    dirt: float = 0.0
    vignette: float = 0.0
    noise: float = 0.0
    jpeg: int = 0
    dropped: float = 0.0
    late: int = 0
    jitter: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            whole = name in WHOLE
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not low <= value <= high or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise InputError(
                    f"The camera effect {name!r} is {kind} from {low} to {high}, got {value!r}; "
                    f"{getattr(CameraEffects, name)} is none of it."
                )
            # Plain numbers, so that JSON takes them.
            object.__setattr__(self, name, int(value) if whole else float(value))

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, float]) -> CameraEffects:
        """Effects by name, such as of a JSON file; what is left out is perfect.

        Raises:
            InputError: a name is not known, or a value is out of its range.
        """
        known_only("camera effect", values, (field.name for field in fields(cls)))
        return cls(**values)


class CameraPipeline:
    """Applies `CameraEffects` to the frames of one camera, one after another.

    Everything random comes from `rng`: the same seed and frames give the same frames to the bit.

    Args:
        effects: what to do.
        rng: of everything random.
        camera: intrinsics, for motion blur; None is a pinhole with 45 degrees from top to bottom.
        pitch: of the camera, positive down [rad].
        height: of the camera above the ground [m]; the ground is what streaks at speed.
    """

    def __init__(
        self,
        effects: CameraEffects,
        rng: np.random.Generator,
        camera: Intrinsics | None = None,
        pitch: float = 0.0,
        height: float = 1.35,
    ) -> None:
        self.effects = effects
        self._camera, self._pitch, self._height = camera, pitch, height
        self._optics = effects.dirt > 0 or effects.vignette > 0
        self._late = effects.late + effects.jitter > 0 or effects.dropped > 0
        self._none = effects == CameraEffects()
        self.reset(rng)

    def reset(self, rng: np.random.Generator) -> None:
        """Forget all frames; from now on everything random comes from `rng`."""
        self._rng = rng
        # A stream of its own: dirt does not depend on when its first frame comes.
        self._dirt = np.random.default_rng(rng.integers(2**63)) if self.effects.dirt else rng
        self._shape: tuple[int, ...] = ()
        self._stops: float | None = None
        self._frames: deque[np.ndarray] = deque(maxlen=1 + self.effects.late + self.effects.jitter)
        self._count, self._shown = 0, 0

    def apply(
        self,
        frame: np.ndarray,
        yaw_rate: float = 0.0,
        seconds: float = 1 / 30,
        speed: float = 0.0,
    ) -> np.ndarray:
        """What arrives when the camera sees `frame`, uint8 RGB (rows, columns, 3).

        Without effects it is the frame itself; with `late` or `dropped` frames it may be one from
        before. The given frame is never changed.

        Args:
            frame: what a perfect camera sees.
            yaw_rate: of the camera [rad/s], positive to the left.
            seconds: since the frame before [s].
            speed: of the camera [m/s], ahead.

        Raises:
            InputError: the first frame, or one of another size, is no uint8 RGB image, or
                not of the size that the intrinsics for the motion blur are for.
        """
        if self._none:
            return frame
        effects = self.effects
        if frame.shape != self._shape:
            self._prepare(frame)
        if effects.motion_blur:
            frame = self._blur.apply(frame, yaw_rate, speed, effects.motion_blur * seconds)
        if effects.defocus:
            frame = cv2.GaussianBlur(frame, (0, 0), effects.defocus)
        if self._optics:
            frame = cv2.multiply(frame, self._mask, scale=1 / 255)
            if effects.dirt:
                frame = cv2.add(frame, self._veil)
        frame = self._expose(frame, seconds)
        frame = gaussian(frame, effects.noise, self._rng)
        if effects.jpeg:
            quality = [cv2.IMWRITE_JPEG_QUALITY, effects.jpeg]
            code = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), quality)[1]
            frame = cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return self._arrive(frame) if self._late else frame

    def _prepare(self, frame: np.ndarray) -> None:
        """Make what depends on the size of the frames."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(
                "Camera effects are for uint8 RGB of shape (rows, columns, 3), got "
                f"{frame.dtype} {frame.shape}; convert the image before."
            )
        rows, columns = frame.shape[:2]
        self._shape = frame.shape
        effects = self.effects
        if effects.motion_blur:
            camera = self._camera or intrinsics(columns, rows, FOVY)
            if (camera.height, camera.width) != (rows, columns):
                raise InputError(
                    f"The camera's intrinsics are for images of {camera.width} x "
                    f"{camera.height} px, got {columns} x {rows}; give those of this size."
                )
            self._blur = MotionBlur(camera, self._pitch, self._height)
        if self._optics:
            y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
            # As the cos^4 law, of which the corners lose the most.
            light = 1 - effects.vignette * ((x * x + y * y) / 2) ** 1.5
            if effects.dirt:
                smudges = _smudges(self._dirt, rows, columns, effects.dirt)
                light = light * (1 - 0.75 * smudges)
                self._veil = _three(np.rint(45 * smudges))
            self._mask = _three(np.rint(255 * light))

    def _expose(self, frame: np.ndarray, seconds: float) -> np.ndarray:
        """Light, white balance and gamma through one table for each colour."""
        effects = self.effects
        stops = effects.exposure
        if effects.auto_exposure:
            # The mean of the green is close to that of the brightness, and cheap.
            mean = max(float(frame[::2, ::2, 1].mean()) / 255, 1e-3)
            wanted = DISPLAY * math.log2(MIDDLE / mean) - stops
            wanted = min(max(wanted, -AUTO_STOPS), AUTO_STOPS)
            if self._stops is None:
                self._stops = wanted
            share = 1 - math.exp(-seconds / effects.auto_exposure)
            self._stops += share * (wanted - self._stops)
            stops += self._stops
        if stops == 0.0 and effects.white_balance == 0.0 and effects.gamma == 1.0:
            return frame
        warm = 2.0 ** (0.35 * effects.white_balance)
        gains = 2.0 ** (stops / DISPLAY) * np.array([warm, 1.0, 1 / warm])
        levels = np.linspace(0, 1, 256)[:, None] * gains
        table = np.rint(255 * np.clip(levels, 0, 1) ** effects.gamma).astype(np.uint8)
        return cv2.LUT(frame, table[None])

    def _arrive(self, frame: np.ndarray) -> np.ndarray:
        """The newest frame that has come over the cable."""
        effects = self.effects
        lost = effects.dropped > 0 and self._rng.random() < effects.dropped and self._count > 0
        # A copy: the caller may use its buffer again before this frame is seen.
        self._frames.append(self._frames[-1] if lost else frame.copy())
        lag = effects.late
        if effects.jitter:
            lag += int(self._rng.integers(effects.jitter + 1))
        # In frames since the reset; never one older than was seen already.
        self._shown = max(self._shown, self._count - lag)
        back = self._count - self._shown
        self._count += 1
        return self._frames[max(len(self._frames) - 1 - back, 0)]


def _three(mask: np.ndarray) -> np.ndarray:
    """A mask (rows, columns) as uint8 of three equal channels."""
    return np.repeat(np.clip(mask, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _smudges(rng: np.random.Generator, rows: int, columns: int, amount: float) -> np.ndarray:
    """Cover of the lens with dirt, (rows, columns) in [0, 1]: soft patches and small specks."""
    cover = np.zeros((rows, columns), np.float32)
    for _ in range(round(3 + 9 * amount)):
        centre = int(rng.integers(columns)), int(rng.integers(rows))
        axes = rng.uniform(0.03, 0.03 + 0.12 * amount, 2) * rows
        angle = rng.uniform(0, 180)
        strength = rng.uniform(0.2, 0.5 + 0.5 * amount)
        patch = np.zeros_like(cover)
        size = tuple(int(max(axis, 1)) for axis in axes)
        cv2.ellipse(patch, centre, size, angle, 0, 360, strength, -1, cv2.LINE_AA)
        cover = np.maximum(cover, cv2.GaussianBlur(patch, (0, 0), max(0.25 * size[0], 0.6)))
    return np.clip(cover, 0, 1)
