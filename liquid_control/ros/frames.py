"""From a camera's message to the picture and the elapsed time that a policy decides on.

A frame that no decision may rest on raises `Refusal`, with a sentence for a person and a reason to
count it by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from liquid_control.errors import InputError
from liquid_control.ros import conversion

__all__ = ["Frame", "Frames", "Refusal"]


class Refusal(Exception):
    """Why no decision was made, in one sentence.

    Args:
        reason: to count it by, one word or several joined by "_".
        text: the sentence.
        stop: the vehicle is to stop at once; else one frame is left out and the last command holds.
    """

    def __init__(self, reason: str, text: str, stop: bool = True) -> None:
        super().__init__(text)
        self.reason, self.stop = reason, stop


@dataclass(frozen=True)
class Frame:
    """A picture that may be decided on.

    Args:
        message: as it came.
        stamp: of it [ns].
        pixels: uint8 RGB (rows, columns, 3).
        elapsed: time since the frame before [s], `nominal_period` where there is none.
        afresh: why the state has to be fresh, in one sentence; "" where it goes on.
    """

    message: Image | CompressedImage
    stamp: int
    pixels: np.ndarray
    elapsed: float
    afresh: str = ""


class Frames:
    """Reads messages one after another, and counts those that never came.

    Args:
        parameters: "max_gap" and "nominal_period" [s], looked up at each frame.
        now: the node's clock [ns].

    Attributes:
        dropped: frames that were published and never read: the node takes the newest alone.
        refused: by reason, frames that no decision was made on.
    """

    def __init__(self, parameters: Mapping[str, Any], now: Callable[[], int]) -> None:
        self._parameters, self._now = parameters, now
        self.dropped = 0
        self.refused: Counter[str] = Counter()
        self.begin()

    def begin(self) -> None:
        """Another publisher may come next."""
        self._sequence = 0
        self.forget()

    def forget(self) -> None:
        """The next frame follows no other."""
        self._stamp: int | None = None

    def decided(self, frame: Frame) -> None:
        """The state is now that after `frame`."""
        self._stamp = frame.stamp

    def count(self, info: Mapping[str, int]) -> None:
        """Count the frames that were left out before the message with this `info`."""
        # 0 or None: this middleware does not number its messages.
        sequence = info.get("publication_sequence_number") or 0
        if 0 < self._sequence < sequence:
            self.dropped += sequence - self._sequence - 1
        self._sequence = sequence

    def read(self, message: Image | CompressedImage) -> Frame:
        """The picture of a message, and the time since the one before.

        Raises:
            Refusal: it cannot be decided on.
        """
        stamp = conversion.nanoseconds(message.header.stamp)
        elapsed, afresh = self._elapsed(stamp)
        try:
            pixels = conversion.decode_image(message)
        except InputError as error:
            raise Refusal("picture", str(error)) from error
        return Frame(message, stamp, pixels, elapsed, afresh)

    def _elapsed(self, stamp: int) -> tuple[float, str]:
        """Time since the frame before [s]; a gap or a clock set back makes the state fresh."""
        period = float(self._parameters["nominal_period"])
        if self._stamp is None:
            return period, ""
        elapsed = (stamp - self._stamp) * 1e-9
        if 0.0 <= elapsed <= self._parameters["max_gap"]:
            return elapsed, ""
        return period, (f"The frames' stamps went on by {elapsed:.3f} s; the state starts afresh.")
