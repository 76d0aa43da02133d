"""The pictures of a run, streamed from its bag: each camera frame with what the policy attended to.

An hour of frames does not fit into memory, so a few seconds of them are held at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from liquid_control.attention.overlay import overlay
from liquid_control.data.bag import BagReader
from liquid_control.data.messages import decode_image
from liquid_control.evaluation.run_data import RunData, message_stamp

__all__ = ["View", "views"]

# The overlay of a frame is published after the frame; three seconds at 30 Hz is patience enough.
WAITING_FRAMES = 90


@dataclass(frozen=True)
class View:
    """One camera frame (rows, columns, 3) uint8 RGB and, where recorded, what the policy saw."""

    stamp: int
    camera: np.ndarray
    attention: np.ndarray | None


def views(run: RunData) -> Iterator[View]:
    """The camera frames of a run in order, each with the overlay that carries its stamp.

    Where only saliency maps were recorded the overlay is drawn from them, provided the camera
    frame has their size: the region of interest of another size is not in the bag.
    """
    source = run.overlay or run.saliency
    wanted = set(map(int, run.frames))
    unseen = set(wanted)
    waiting: deque[tuple[int, np.ndarray]] = deque()
    images: dict[int, np.ndarray] = {}

    def give() -> View:
        stamp, camera = waiting.popleft()
        image = images.pop(stamp, None)
        if image is not None and source == run.saliency:
            fits = camera.shape[:2] == image.shape[:2]
            image = overlay(camera, image[..., 0].astype(np.float32) / 255) if fits else None
        return View(stamp, camera, image)

    with BagReader(run.bag) as reader:
        for topic, logged, message in reader.messages([run.camera, *([source] if source else [])]):
            stamp = message_stamp(message, logged)
            if topic == run.camera:
                if stamp in unseen:
                    unseen.remove(stamp)
                    waiting.append((stamp, decode_image(message)))
            elif stamp in wanted:
                images[stamp] = decode_image(message)
            while any(waits in images for waits, _ in waiting):
                yield give()
            while len(waiting) > (WAITING_FRAMES if source else 0):
                yield give()
            while len(images) > WAITING_FRAMES:
                del images[next(iter(images))]
    while waiting:
        yield give()
