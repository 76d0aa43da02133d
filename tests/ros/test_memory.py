"""A node's process does not ask the kernel anew for the memory of every frame."""

import subprocess
import sys

import pytest

# Four copies of a frame at once, as a message has on its way from the middleware to a callback.
FRAMES = """
import resource, sys
import numpy as np
from liquid_control.ros import memory
if sys.argv[1] == "kept":
    memory.keep_freed()

def frame():
    return [np.ones(921_600, np.uint8) for _ in range(4)]

frame()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    frame()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50)
"""


def faults(kept: str) -> float:
    """Page faults a frame."""
    done = subprocess.run(
        [sys.executable, "-c", FRAMES, kept], capture_output=True, text=True, timeout=60, check=True
    )
    return float(done.stdout)


def test_a_frame_is_put_where_the_one_before_was():
    given_back = faults("given back")
    if given_back < 100:
        pytest.skip(f"this C library keeps memory by itself ({given_back:.0f} page faults a frame)")
    assert faults("kept") < 10
