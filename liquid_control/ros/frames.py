"""From a camera's message to the picture and the elapsed time that a policy decides on.

A frame that no decision may rest on raises `Refusal`, with a sentence for a person and a reason to
count it by.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.clock import ROSClock
from sensor_msgs.msg import CompressedImage, Image

from liquid_control.errors import InputError
from liquid_control.ros import conversion

__all__ = ["Frame", "Frames", "Refusal"]

# A frame's stamp may be ahead of the node's clock by so much [ns]: two machines that share the time
# by NTP. A simulated clock may reach the node after its frame, and leaps when an episode begins.
_LEAD, _SIMULATED_LEAD = 100_000_000, 2_000_000_000


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
        pixels: uint8 RGB (rows, columns, 3), the view of the camera setup.
        elapsed: time since the frame before [s], `nominal_period` where there is none.
        age: of its stamp on the node's clock [s]; 0 where the clock has not begun.
        afresh: why the state has to be fresh, in one sentence; "" where it goes on.
    """

    message: Image | CompressedImage
    stamp: int
    pixels: np.ndarray
    elapsed: float
    age: float = 0.0
    afresh: str = ""


class Frames:
    """Reads messages one after another, and counts those that never came.

    Args:
        parameters: "max_gap", "nominal_period" and "max_frame_age" [s], looked up at each frame.
        clock: the node's.

    A stamp of 0 is refused: without it nobody knows the elapsed time. So is one that lies ahead of
    the clock by more than 0.1 s (2 s on a simulated clock): two clocks disagree. One that lies back
    by more than "max_frame_age" is left out; the vehicle is stopped if all of them do. One that is
    older than the one before makes the state fresh.

    Attributes:
        dropped: frames that were published and never read: the node takes the newest alone.
        refused: by reason, frames that no decision was made on.
    """

    def __init__(self, parameters: Mapping[str, Any], clock: ROSClock) -> None:
        self._parameters, self._clock = parameters, clock
        self.dropped = 0
        self.refused: Counter[str] = Counter()
        self.begin(lambda pixels: pixels)

    def begin(self, show: Callable[[np.ndarray], np.ndarray]) -> None:
        """Another publisher may come next; `show` cuts the policy's view out of its pictures."""
        self._show = show
        self._sequence = 0
        self._decided_at = time.monotonic()
        self.forget()

    def forget(self) -> None:
        """The next frame follows no other."""
        self._stamp: int | None = None

    def decided(self, frame: Frame) -> None:
        """The state is now that after `frame`."""
        self._stamp = frame.stamp
        self._decided_at = time.monotonic()

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
        age = self._age(stamp)
        elapsed, afresh = self._elapsed(stamp)
        try:
            pixels = self._show(conversion.decode_image(message))
        except InputError as error:
            raise Refusal("picture", str(error)) from error
        return Frame(message, stamp, pixels, elapsed, age, afresh)

    def _age(self, stamp: int) -> float:
        """Of a stamp [s], where it is one that can be driven by."""
        if stamp == 0:
            raise Refusal(
                "no_stamp", "The camera's frames have a stamp of 0; let its driver set the time."
            )
        now = self._clock.now().nanoseconds
        if now == 0:  # A simulated clock that has not begun.
            return 0.0
        age = now - stamp
        simulated = self._clock.ros_time_is_active
        if age < -(_SIMULATED_LEAD if simulated else _LEAD):
            raise Refusal(
                "future",
                f"The frames' stamps are {-age * 1e-9:.2f} s ahead of the node's clock; "
                "synchronise the clocks, or set use_sim_time as the camera does.",
            )
        oldest = self._parameters["max_frame_age"]
        if 0 < oldest < age * 1e-9:
            silent = time.monotonic() - self._decided_at > self._parameters["max_gap"]
            raise Refusal(
                "too_old",
                f"The frames are {age * 1e-9:.2f} s old when they arrive, and max_frame_age is "
                f"{oldest:g} s; look for a slow network, or synchronise the clocks.",
                stop=silent,
            )
        return age * 1e-9

    def _elapsed(self, stamp: int) -> tuple[float, str]:
        """Time since the frame before [s]; a gap or a clock set back makes the state fresh."""
        period = float(self._parameters["nominal_period"])
        if self._stamp is None:
            return period, ""
        elapsed = (stamp - self._stamp) * 1e-9
        if 0.0 <= elapsed <= self._parameters["max_gap"]:
            return elapsed, ""
        return period, (f"The frames' stamps went on by {elapsed:.3f} s; the state starts afresh.")
