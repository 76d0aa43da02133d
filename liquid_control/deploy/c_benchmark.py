"""How fast exported C is on this machine: its own benchmark program, compiled and run."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from liquid_control.deploy.c_build import build, compiler
from liquid_control.deploy.c_export import Head, export_c

__all__ = ["measure", "measure_sources"]

FLAGS = ("-O3", "-march=native")
STARTS = 15


def measure(
    policy_folder: str | Path,
    head: Head = "float",
    calibrate: str | Path | None = None,
    flags: tuple[str, ...] = FLAGS,
) -> dict[str, Any]:
    """Export a policy as C into a temporary folder, compile it and time it on one core.

    Args:
        policy_folder: of the trained policy.
        head, calibrate: see `export_c`.
        flags: of the compiler, beside warnings.

    Returns:
        `step_ns`, and with a head `head_ns` (features of a frame) and `frame_ns` (frame to
        command): the fastest of 61 blocks; the same with `_median_ns` in the name, which counts
        what else the machine did; `start_ms`, from starting a process to its end with one command
        given (median); `memory_kib`, the benchmark's largest resident set (on Linux); `flash` and
        `ram` [bytes]; `compiler` and `flags`.

    Raises:
        InputError: see `export_c`; no compiler.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = export_c(policy_folder, folder, head, calibrate=calibrate)
        found = measure_sources(Path(folder), made.prefix, made.features, flags)
    ram = made.ram_state + made.ram_scratch
    return {**found, "flash": made.flash_circuit + made.flash_head, "ram": ram}


def measure_sources(
    folder: Path, prefix: str, features: int, flags: tuple[str, ...] = FLAGS
) -> dict[str, Any]:
    """As `measure`, of an exported folder; programs are compiled into it."""
    source = folder / f"{prefix}.c"
    program = build([folder / "benchmark.c", source], folder / "benchmark", *flags)
    timed = json.loads(subprocess.run([program], capture_output=True, check=True).stdout)
    driver = build([folder / "main.c", source], folder / "main", *flags)
    line = " ".join(["0.033", *["0.5"] * features]) + "\n"
    starts = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run([driver], input=line.encode(), capture_output=True, check=True)
        starts.append(1e3 * (time.perf_counter() - began))
    version = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=True)
    return {
        **timed,
        "start_ms": statistics.median(starts),
        "compiler": version.stdout.splitlines()[0],
        "flags": " ".join(flags),
    }
