"""Whether a camera still sees: black pictures, pictures that stay the same, stamps that jump.

Pure functions of pictures and times; nothing here reads a clock. What a threshold means for a
vehicle stands beside it; `ros/camera_watch.py` wires them up.
"""

from __future__ import annotations

import numpy as np

__all__ = ["Frozen", "StampOrder", "is_black"]

# Of 255.
DARK = 16
# Hot pixels may shine in the dark.
BRIGHT_SHARE = 0.001
# A camera that is read twice as often as it exposes repeats each picture, and that is no fault.
REPEATS = 3
HELD = 0.15
# A clock may be set back, once.
ORDER = 1.0


def is_black(pixels: np.ndarray) -> bool:
    """Whether a picture, uint8 (rows, columns, 3), shows nothing: a cap, a dead sensor.

    At most one sample in a thousand is brighter than 16 of 255. Every second row and column is
    looked at.
    """
    samples = pixels[::2, ::2]
    most = BRIGHT_SHARE * samples.size
    # A few of them show of any other picture that it is not black, in a twentieth of the time.
    if np.count_nonzero(samples[::8, ::8] > DARK) > most:
        return False
    return np.count_nonzero(samples > DARK) <= most


class Frozen:
    """Tells when a camera repeats one picture, to the bit, although the vehicle moves.

    No sensor gives the same bits twice, but a driver whose buffer is filled no more does. A picture
    that stays is no fault where nothing moves: a simulated camera has no noise. So it must stay for
    0.15 s and three repetitions of a moving vehicle; then it counts as frozen until it changes,
    also once the vehicle stands.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The next picture follows no other."""
        self._picture: np.ndarray | None = None
        self._since, self._repeats, self._frozen = 0.0, 0, False

    def look(self, pixels: np.ndarray, now: float, moving: bool) -> bool:
        """Whether the camera is frozen.

        Args:
            pixels: uint8 (rows, columns, 3); kept, so it must not be written to afterwards.
            now: when the picture came, on the steady clock [s].
            moving: the vehicle moves, by another sensor than the camera.
        """
        if self._picture is None or not _same(pixels, self._picture):
            self._picture, self._since, self._repeats = pixels, now, 0
            self._frozen = False
        elif not moving and not self._frozen:
            self._since, self._repeats = now, 0
        else:
            self._repeats += 1
            self._frozen |= self._repeats >= REPEATS and now - self._since >= HELD
        return self._frozen


class StampOrder:
    """Tells when stamps jump back again and again.

    One jump may be a clock that was set; a second within a second is a fault, until the stamps have
    been in order for a second.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The next stamp follows no other."""
        self._last: int | None = None
        self._jumped: float | None = None
        self._trouble = False

    def look(self, stamp_ns: int, now: float) -> bool:
        """Whether the stamps are out of order.

        Args:
            stamp_ns: of a frame [ns].
            now: when it came, on the steady clock [s].
        """
        recent = self._jumped is not None and now - self._jumped < ORDER
        self._trouble &= recent
        if self._last is not None and stamp_ns < self._last:
            self._trouble |= recent
            self._jumped = now
        self._last = stamp_ns
        return self._trouble


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    # Pictures that differ mostly do so in a few rows already, which takes a tenth of the time.
    return (
        one.shape == other.shape
        and np.array_equal(one[::16], other[::16])
        and np.array_equal(one, other)
    )
