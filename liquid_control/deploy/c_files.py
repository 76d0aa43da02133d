"""The files of a policy exported as C, and whether they belong together; read without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

from liquid_control.errors import InputError

__all__ = [
    "AGAIN",
    "FORMAT",
    "MANIFEST",
    "POLICY_FILES",
    "VERSION",
    "CExport",
    "is_c_export",
    "needed_files",
    "read_export",
]

FORMAT, VERSION = "liquid_control c export", 1
MANIFEST = "c_export.json"
# The policy that was exported, kept beside the C.
POLICY_FILES = ("config.json", "model.safetensors")
AGAIN = "write it again with `liquid-control export MODEL --format c --output DIR`"


@dataclass(frozen=True)
class CExport:
    """What an export holds, as its manifest has it.

    Attributes:
        prefix: of all names, and the name of the header and the source.
        head: "none", "float" or "int8".
        about: circuit and head in a few words.
        weights_sha256: of the model.
        features: that the circuit takes.
        flash_circuit, flash_head: constants [bytes]; code comes on top.
        ram_state: of the neurons [bytes].
        ram_scratch: of the head's working memory [bytes]; 0 without a head.
        calibration: frames by which int8 was scaled; 0 without.
        sha256: of the generated header and source.
    """

    prefix: str
    head: str
    about: str
    weights_sha256: str
    features: int
    flash_circuit: int
    flash_head: int
    ram_state: int
    ram_scratch: int
    calibration: int
    sha256: dict[str, str]

    def __str__(self) -> str:
        head = "" if self.head == "none" else f", head {self.flash_head:,}"
        scratch = "" if self.head == "none" else f", scratch of the head {self.ram_scratch:,}"
        return (
            f"{self.prefix}.h and {self.prefix}.c: {self.about}\n"
            f"flash, constants [bytes]: circuit {self.flash_circuit:,}{head}\n"
            f"RAM [bytes]: state {self.ram_state:,}{scratch}; no heap"
        )


def is_c_export(folder: str | Path) -> bool:
    """Whether `export_c` wrote this folder."""
    return (Path(folder) / MANIFEST).is_file()


def read_export(folder: str | Path) -> CExport:
    """What an exported folder holds, its header and source checked against their hashes.

    Raises:
        InputError: no export, a damaged or edited file, or the configuration of another model.
    """
    folder = Path(folder)
    try:
        entries = json.loads((folder / MANIFEST).read_text("utf-8"))
        if (entries.pop("format"), entries.pop("version")) != (FORMAT, VERSION):
            raise ValueError(f"expected format {FORMAT!r}, version {VERSION}")
        made = CExport(**{field.name: entries[field.name] for field in fields(CExport)})
        weights = json.loads((folder / "config.json").read_text("utf-8"))["weights_sha256"]
        found = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in made.sha256
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} is no export of a policy as C ({type(error).__name__}: {error}); {AGAIN}."
        ) from error
    if changed := [name for name in found if found[name] != made.sha256[name]]:
        raise InputError(
            f"{folder / changed[0]} is not the file that the export wrote: damaged or edited; "
            f"{AGAIN}."
        )
    if weights != made.weights_sha256:
        raise InputError(
            f"The C in {folder} was made of weights {made.weights_sha256[:16]}..., config.json "
            f"beside it is of {str(weights)[:16]}...: two different models; {AGAIN}."
        )
    return made


def needed_files(folder: str | Path) -> tuple[str, ...]:
    """Names of the files, beside the policy's own, that driving from an exported folder needs.

    Raises:
        InputError: as `read_export`.
    """
    return (MANIFEST, *read_export(folder).sha256)
