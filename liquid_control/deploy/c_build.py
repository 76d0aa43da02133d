"""Compiles an exported folder of C with whatever compiler is at hand."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from liquid_control.deploy.c_files import AGAIN, read_export
from liquid_control.errors import InputError

__all__ = ["WARNINGS", "build", "compiler", "shared_library"]

WARNINGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")


def compiler() -> str:
    """The C compiler: $CC, else gcc, cc or clang.

    Raises:
        InputError: there is none.
    """
    for name in (os.environ.get("CC"), "gcc", "cc", "clang"):
        if name and shutil.which(name):
            return name
    raise InputError(
        "Driving from exported C needs a C compiler (gcc, cc, clang or $CC), and there is none; "
        "install one, on Debian by `apt-get install gcc libc6-dev`."
    )


def build(sources: list[Path], target: Path, *flags: str, cc: str | None = None) -> Path:
    """Compile with all warnings as errors; an existing target is replaced in one step.

    Raises:
        InputError: the compiler refused; its first error is in the message.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.partial")
    command = [cc or compiler(), *WARNINGS, *flags, "-o", str(part), *map(str, sources), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line]
            first = (lines or ["no message"])[0]
            raise InputError(
                f"{command[0]} could not compile {sources[0]} ({first}); {AGAIN}, or set CC to "
                "another compiler."
            )
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target


def shared_library(folder: str | Path) -> Path:
    """The export as a shared library for this machine, compiled once, in the folder itself.

    Without `-march=native`: a folder may be copied to an older machine.

    Raises:
        InputError: no export, no compiler, or a folder that cannot be written.
    """
    folder = Path(folder)
    made = read_export(folder)
    flags = ("-O3", "-fPIC", "-shared")
    key = "".join((*made.sha256.values(), *flags, compiler(), platform.machine()))
    name = f"lib{made.prefix}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.so"
    target = folder / name
    if target.is_file():
        return target
    if not os.access(folder, os.W_OK):
        raise InputError(
            f"{folder} cannot be written, so its C cannot be compiled there; copy it elsewhere."
        )
    return build([folder / f"{made.prefix}.c"], target, *flags)
