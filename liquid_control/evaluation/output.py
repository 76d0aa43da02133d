"""Where results go: beside the input, by one process at a time, and as tables."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from liquid_control.errors import InputError

__all__ = ["alone", "beside", "console"]


def beside(path: Path, text: str) -> Path:
    """`path` with `text` behind its name, without its ending; "." has the name of its folder."""
    path = path if path.name else path.resolve()
    return path.with_name(f"{path.stem}{text}")


def console() -> Console:
    """For tables: a file or a pipe has no width, and rich's 80 columns would cut figures."""
    return Console(width=None if sys.stdout.isatty() else 120)


@contextmanager
def alone(folder: Path, what: str = "evaluation", option: str = "--output") -> Iterator[None]:
    """Only one process at a time fills a folder; one that dies gives it back.

    Args:
        folder: that is there.
        what: fills it, for the error.
        option: by which another folder is given.

    Raises:
        InputError: another process is at it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"In this moment another {what} writes into {folder}; wait for its end, or give "
                f"another {option}."
            ) from error
        except OSError:
            # Some network file systems have no locks; there as ever.
            pass
        yield
    finally:
        os.close(handle)
