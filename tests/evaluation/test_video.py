"""The video of a run whose disk is full."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import numpy as np
from pathlib import Path
from liquid_control.evaluation import video

noise = np.random.default_rng(0)
writer = video.Writer(Path("/dev/full"))
try:
    for number in range(300):
        picture = noise.integers(0, 256, (video.HEIGHT, video.WIDTH, 3), np.uint8)
        writer.add(picture, number * 33_000_000)
except OSError as error:
    print(error.strerror)
finally:
    writer.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_video_on_a_full_disk_is_an_error_and_no_crash() -> None:
    """In a process of its own, which FFmpeg ended with SIGSEGV."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout
