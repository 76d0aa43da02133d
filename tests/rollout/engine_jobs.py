"""Jobs for the tests of the engine; other processes import them by name."""

import os
import signal
import time
from pathlib import Path

from liquid_control.errors import InputError


def square(number):
    return number * number


def fails_at_three(number):
    if number == 3:
        raise InputError("Three is expected to be four; write four.")
    return number


def once_marked(job):
    """The number, once the file that lets jobs end is there; leaves a mark for each beginning."""
    number, folder = job
    begun = Path(folder) / f"{number}-{os.getpid()}-{time.monotonic_ns()}"
    begun.touch()
    while not (Path(folder) / "go").exists():
        time.sleep(0.02)
    return number


def first_or_endless(job):
    """Job 0 ends once job 1 runs; the others run until interrupted, and have a mark so long."""
    number, folder = job
    mark = Path(folder) / f"running-{number}"
    if number == 0:
        while not (Path(folder) / "running-1").exists():
            time.sleep(0.02)
        return number
    mark.touch()
    try:
        while True:
            time.sleep(0.02)
    finally:
        mark.unlink()


def takes_its_worker_down(number):
    os.kill(os.getpid(), signal.SIGKILL)


def weights_of(job):
    """What the bundle of a job holds where it is unpacked, and whether that is its first place."""
    bundle, first = job
    contents = {name: (bundle.folder / name).read_bytes() for name in bundle.files}
    return bundle.folder.name, contents, bundle.folder == first


def threads(_):
    import torch

    return torch.get_num_threads()
