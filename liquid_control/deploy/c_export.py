"""A trained policy as C99: one header and one source without heap, libm its only dependency.

Beside them lie what an integrator starts from: `main.c` (features or frames in, commands out),
`benchmark.c`, a Makefile, the policy itself, and `c_export.json`, which says what is in the folder.
All of it is the same to the byte for the same model, options and package version.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from liquid_control import __version__
from liquid_control.deploy.c_circuits import CircuitCode, circuit_code
from liquid_control.deploy.c_files import FORMAT, MANIFEST, POLICY_FILES, VERSION, CExport
from liquid_control.deploy.c_head import HeadCode, float_head, int8_head
from liquid_control.deploy.c_quantise import quantise
from liquid_control.deploy.c_text import (
    comment,
    fill,
    fragment,
    identifier,
    literal,
    reals,
    strings,
)
from liquid_control.deploy.calibration import calibration_frames
from liquid_control.deploy.output import begin, check_output
from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.perception import VisionHead
from liquid_control.policy import Policy
from liquid_control.policy.bounds import bounds as state_bounds

__all__ = ["Head", "export_c", "sources"]

Head = Literal["none", "float", "int8"]
# Generated files, and those that are the same for each model but for its prefix.
COPIED = ("main.c", "benchmark.c", "Makefile")


def export_c(
    policy_folder: str | Path,
    output: str | Path,
    head: Head = "none",
    *,
    prefix: str | None = None,
    calibrate: str | Path | None = None,
    bounds: bool = True,
) -> CExport:
    """Write a policy as C into `output`, made where it does not exist.

    Args:
        policy_folder: of the trained policy.
        output: folder for the header, the source and what lies beside them.
        head: "none": features in, commands out; "float" or "int8": frames in, too.
        prefix: of all C names; by default the folder's name.
        calibrate: bag, or folder of bags, whose frames give the scales of int8.
        bounds: also the provable bounds of the neurons, with a function that checks them.

    Raises:
        InputError: no policy, one that C has no code for, options that do not fit, or a folder that
            `check_output` refuses.
    """
    folder, output = Path(policy_folder), Path(output)
    policy = Policy.load(folder)
    if head not in get_args(Head):
        raise InputError(
            f"The head in C is one of {', '.join(get_args(Head))}, got {head!r}; choose one."
        )
    if (calibrate is None) == (head == "int8"):
        raise InputError(
            "The head becomes int8 by scales that come from recorded frames: give --calibrate BAG "
            f"with --head int8 and only with it, got --head {head} and "
            f"{'no bag' if calibrate is None else calibrate}."
        )
    check_output(output, folder, MANIFEST)
    prefix = identifier(folder.resolve().name if prefix is None else prefix)
    frames = None if calibrate is None else calibration_frames(policy, Path(calibrate))
    kept = {name: (folder / name).read_bytes() for name in POLICY_FILES}
    made, files = sources(
        policy,
        prefix,
        head,
        frames=frames,
        bounds=bounds,
        model=folder.resolve().name,
        weights_sha256=json.loads(kept["config.json"])["weights_sha256"],
    )
    begin(output, MANIFEST)
    for name, text in (files | kept).items():
        replace_file(output / name, text)
    fields = {"format": FORMAT, "version": VERSION, **asdict(made)}
    replace_file(output / MANIFEST, json.dumps(fields, indent=1) + "\n")
    return made


def sources(
    policy: Policy,
    prefix: str,
    head: Head = "none",
    *,
    frames: np.ndarray | None = None,
    bounds: bool = True,
    model: str = "model",
    weights_sha256: str = "",
) -> tuple[CExport, dict[str, str]]:
    """The files of an export by their names, and what they hold; see `export_c`."""
    circuit = circuit_code(policy.circuit)
    eyes = _head(policy, head, prefix, frames)
    low, high = _bounds(policy) if bounds else (None, None)
    state = sum(policy.circuit.state_sizes)
    flash_circuit = circuit.flash + (0 if low is None else 8 * state)
    flash_head = 0 if eyes is None else eyes.flash
    seen = (
        ""
        if eyes is None
        else f", {head} head for {policy.camera.height} x " + (f"{policy.camera.width} px")
    )
    scratch = "" if eyes is None else f", {eyes.ram:,} of scratch"
    places = {
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "model": comment(model),
        "about": f"{circuit.about}{seen}.",
        "hash": weights_sha256,
        "version": __version__,
        "flash": f"{flash_circuit + flash_head:,}",
        "ram": f"{4 * state} of state{scratch}",
    }
    header = fragment(
        "model.h",
        defines=_defines(policy, prefix, state, eyes),
        scratch="" if eyes is None else fragment("scratch.h", members=eyes.members),
        prototypes=("" if eyes is None else fragment("frames.h"))
        + (fragment("bounds.h") if bounds else ""),
    )
    source = fragment(
        "model.c",
        tables=_tables(policy, prefix, state, circuit, eyes, low, high),
        circuit=circuit.code,
        head="" if eyes is None else eyes.code,
        frames="" if eyes is None else fragment("frames.c"),
        bounds=fragment("bounds.c") if bounds else "",
    )
    files = {f"{prefix}.h": fill(header, **places), f"{prefix}.c": fill(source, **places)}
    made = CExport(
        prefix=prefix,
        head=head,
        about=places["about"].rstrip("."),
        weights_sha256=weights_sha256,
        features=policy.circuit.inputs,
        flash_circuit=flash_circuit,
        flash_head=flash_head,
        ram_state=4 * state,
        ram_scratch=0 if eyes is None else eyes.ram,
        calibration=0 if frames is None else len(frames),
        sha256={name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()},
    )
    return made, files | {name: fragment(name, **places) for name in COPIED}


def _head(policy: Policy, head: Head, prefix: str, frames: np.ndarray | None) -> HeadCode | None:
    if head == "none":
        return None
    if type(policy.head) is not VisionHead:
        raise InputError(
            "There is no C export of the baseline's head of 5 million parameters; export a model "
            "with a vision head, or this one with --format onnx."
        )
    if head == "float":
        return float_head(policy.head, prefix)
    return int8_head(quantise(policy.head, frames), policy.head, prefix)


def _bounds(policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    parts = state_bounds(policy.circuit)
    # Rounded outwards: a float32 beside the bound must not fall outside of it.
    low = np.concatenate([part.low for part in parts])
    high = np.concatenate([part.high for part in parts])
    below, above = low.astype(np.float32), high.astype(np.float32)
    below = np.where(below > low, np.nextafter(below, np.float32(-np.inf)), below)
    above = np.where(above < high, np.nextafter(above, np.float32(np.inf)), above)
    return below, above


def _defines(policy: Policy, prefix: str, state: int, eyes: HeadCode | None) -> str:
    sizes = {"FEATURES": policy.circuit.inputs, "OUTPUTS": len(policy.spec), "STATE": state}
    if eyes is not None:
        sizes |= {"HEIGHT": policy.camera.height, "WIDTH": policy.camera.width}
    return "\n".join(f"#define {prefix.upper()}_{name} {value}" for name, value in sizes.items())


def _tables(
    policy: Policy,
    prefix: str,
    state: int,
    circuit: CircuitCode,
    eyes: HeadCode | None,
    low: np.ndarray | None,
    high: np.ndarray | None,
) -> str:
    spec, count = policy.spec, f"[{prefix.upper()}_OUTPUTS]"
    constants = {
        "INPUTS": policy.circuit.inputs,
        "OUTPUTS": len(spec),
        "STATE": state,
        **circuit.constants,
        **({} if eyes is None else eyes.constants),
    }
    defines = {"TICK_S": policy.tick, **circuit.defines}
    parts = [
        f"const char *const {prefix}_output_names{count} = {{{strings(spec.names)}}};\n"
        f"const char *const {prefix}_output_units{count} = "
        f"{{{strings([output.unit for output in spec.outputs])}}};\n",
        reals(f"{prefix}_output_low", spec.low, count, static=False),
        reals(f"{prefix}_output_high", spec.high, count, static=False),
        "/* Sizes. */\nenum {\n"
        + ",\n".join(f"    {name} = {value}" for name, value in constants.items())
        + "\n};\n\n/* What the circuit counts as one unit of time [s]. */\n"
        + "".join(f"#define {name} {literal(value)}\n" for name, value in defines.items()),
        *circuit.tables,
    ]
    if low is not None and high is not None:
        parts.append(reals(f"{prefix}_state_low", low, f"[{prefix.upper()}_STATE]", static=False))
        parts.append(reals(f"{prefix}_state_high", high, f"[{prefix.upper()}_STATE]", static=False))
    return "\n".join(parts + ([] if eyes is None else list(eyes.tables)))
