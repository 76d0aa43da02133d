"""`liquid-control export`: a policy as files that need neither torch nor this package."""

from __future__ import annotations

from pathlib import Path

import tyro

from liquid_control import models
from liquid_control.deploy.export_files import PRECISIONS
from liquid_control.errors import InputError

__all__ = ["export"]

FORMATS = ("onnx", "c")


def export(
    model: tyro.conf.Positional[str],
    format: str = "onnx",
    output: Path | None = None,
    precision: str = "float32",
    calibrate: Path | None = None,
    runtime: str = "onnx",
    head: str = "none",
    prefix: str | None = None,
    bounds: bool = True,
) -> int:
    """Write a policy as a file that drives without torch.

    Args:
        model: name of a shipped model or folder of a trained one.
        format: onnx, or c: one C99 header and source without heap.
        output: folder, runs/export-<model>-<format> by default.
        precision: onnx: of the vision head, float32, float16 or int8; the circuit stays float32.
        calibrate: bag, or folder of bags, whose frames give the ranges of int8.
        runtime: onnx: what drives from the folder where none is named, onnx (ONNX Runtime) or
            openvino.
        head: c: none (features in, commands out), float or int8 (frames in, too).
        prefix: c: of all names; the model's name by default.
        bounds: c: the provable bounds of the neurons, with a function that checks them.
    """
    if format not in FORMATS:
        raise InputError(f"A policy is exported as {' or '.join(FORMATS)}, got {format!r}.")
    if precision not in PRECISIONS:
        raise InputError(f"The precision is one of {', '.join(PRECISIONS)}, got {precision!r}.")
    if format == "c":
        other = {"precision": precision != "float32", "runtime": runtime != "onnx"}
    else:
        other = {"head": head != "none", "prefix": prefix is not None, "no-bounds": not bounds}
    if meaningless := [f"--{name}" for name, given in other.items() if given]:
        raise InputError(
            f"A policy as {format} has no {' and no '.join(meaningless)}; leave it out, or export "
            f"as {FORMATS[1 - FORMATS.index(format)]} by --format."
        )
    folder = models.find(model)
    output = output or Path("runs") / f"export-{folder.name}-{format}"
    if format == "c":
        from liquid_control.deploy.c_export import export_c

        made = export_c(folder, output, head, prefix=prefix, calibrate=calibrate, bounds=bounds)
        print(f"Wrote {output}/{made}")
        return 0
    from liquid_control.deploy.onnx_export import export_onnx

    described = export_onnx(folder, output, precision, calibrate, runtime)
    size = sum(file.stat().st_size for file in output.glob("*.onnx"))
    print(
        f"Wrote {output}: {described['head']} in {precision}, {described['circuit']} in float32, "
        f"opset {described['opset']}, {size / 1024:.0f} KiB of graphs."
    )
    return 0
