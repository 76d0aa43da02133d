"""A live topic gives its newest frames, and ends when nobody sends any more."""

import itertools
import threading

import numpy as np
import pytest

from liquid_control.errors import InputError
from liquid_control.ros.frame_source import frames

pytestmark = pytest.mark.ros

MS = 1_000_000


@pytest.fixture
def camera(probe):
    """Sends frames, each brighter than the one before, until told to stop."""
    stop = threading.Event()

    def send():
        for number in itertools.count():
            if stop.wait(0.03):
                return
            shade = np.full((30, 40, 3), number % 200, np.uint8)
            probe.send_frame(shade, (1000 + 30 * number) * MS, "/front/image")

    thread = threading.Thread(target=send)
    yield thread, stop
    stop.set()
    if thread.is_alive():
        thread.join()


def test_frames_come_in_order_with_their_stamps_until_the_camera_ends(probe, camera):
    thread, stop = camera
    thread.start()
    seen = []
    for stamp, image in frames("/front/image", patience=3.0):
        seen.append((stamp, int(image[0, 0, 0])))
        assert image.shape == (30, 40, 3)
        if len(seen) == 5:
            stop.set()
    stamps = [stamp for stamp, _ in seen]
    assert stamps == sorted(set(stamps))
    assert all(shade == (stamp // MS - 1000) // 30 % 200 for stamp, shade in seen)
    assert len(seen) >= 5


def test_a_topic_that_nobody_publishes_is_refused_in_a_sentence():
    with pytest.raises(InputError, match="Nobody publishes images on /nowhere"):
        next(frames("/nowhere", patience=0.3))
