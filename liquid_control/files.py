"""Where files can be written, and writing them so that no reader finds a part."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from liquid_control.errors import InputError

__all__ = ["check_folder", "json_text", "replace_file"]


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, before the work that fills it.

    Raises:
        InputError: a file has its name or that of a folder above it, or it may not be written.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not there.is_dir():
        reason = "is no folder" if there.is_symlink() else "is a file"
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = "may not be written"
    else:
        return
    raise InputError(
        f"Nothing can be written into {folder}: {there} {reason}; give another folder with "
        "--output."
    )


def json_text(value: Any) -> str:
    """As JSON, which has no NaN and no infinity: such numbers are null."""
    return json.dumps(_known(value), indent=1, allow_nan=False) + "\n"


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_known(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace_file(path: Path, content: bytes | str) -> None:
    """Write `path` in one step, also if the machine stops in between; text as UTF-8."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
