"""How a node's process treats memory: that of one frame serves the next, and what stays is let be.

Both save time that would fall between a frame and its command; docs/latency.md has the figures.
"""

from __future__ import annotations

import ctypes
import gc

__all__ = ["keep_freed", "settle"]

# Of malloc.h. Frames are up to 6 MB (1920 x 1080), and a few copies of one are about at a time.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _LARGEST = 64 * 2**20, 32 * 2**20


def keep_freed() -> None:
    """Let this process use the memory of one frame again for the next.

    By default glibc gives memory of that size back at once, and the kernel has to find and clear
    it again for each frame: 640 page faults for one of 640 x 480. Other C libraries are left alone.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)


def settle() -> None:
    """Take all that is held by now out of the garbage collector's rounds.

    A round over PyTorch's modules halts the node for 0.1 s. Call it again after more was loaded;
    what was taken out before and is garbage by now goes.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
