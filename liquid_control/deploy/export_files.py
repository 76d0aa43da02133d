"""The files of an exported policy, and whether they belong together; read without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, get_args

from liquid_control.errors import InputError

__all__ = [
    "ATTENTION",
    "CIRCUIT",
    "FILES",
    "GRAPH",
    "METADATA",
    "PRECISIONS",
    "Precision",
    "export_facts",
    "is_export",
    "manifest",
    "read_graph",
    "read_manifest",
    "read_metadata",
]

FORMAT, VERSION = "liquid_control export", 1
GRAPH, ATTENTION, CIRCUIT = "policy.onnx", "attention.onnx", "circuit.onnx"
MANIFEST = "export.json"
Precision = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
# What driving from a folder takes beside the policy's own files.
FILES = (GRAPH, ATTENTION, MANIFEST)
# Key of the metadata that a graph carries.
METADATA = "liquid_control"
AGAIN = "write it again with `liquid-control export MODEL --format onnx --output DIR`"


def is_export(folder: str | Path) -> bool:
    """Whether `liquid-control export --format onnx` wrote this folder."""
    return (Path(folder) / MANIFEST).is_file()


def manifest(precision: str, runtime: str, graphs: dict[str, bytes]) -> str:
    """What `export.json` holds: it ties the files together.

    Args:
        precision: of the head.
        runtime: that drives from the folder where none is named.
        graphs: by file name.
    """
    fields = {
        "format": FORMAT,
        "version": VERSION,
        "precision": precision,
        "runtime": runtime,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in graphs.items()},
    }
    return json.dumps(fields, indent=1) + "\n"


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """What `manifest` wrote.

    Raises:
        InputError: no export, or one of another version.
    """
    path = Path(folder) / MANIFEST
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no exported policy: expected a readable {MANIFEST} in it ({error}); "
            f"{AGAIN}."
        ) from error
    known = isinstance(fields, dict) and fields.get("format") == FORMAT
    whole = known and {"precision", "runtime", "sha256"} <= fields.keys()
    if not whole or fields.get("version") != VERSION or not isinstance(fields["sha256"], dict):
        raise InputError(
            f"{path} describes no export that this package reads: expected format {FORMAT!r}, "
            f"version {VERSION}; {AGAIN}."
        )
    return fields


def export_facts(folder: str | Path) -> dict[str, str]:
    """What tells an export from its model: runtime, precision and graph; {} for a plain model."""
    if not is_export(folder):
        return {}
    fields = read_manifest(folder)
    return {
        "runtime": fields["runtime"],
        "precision": fields["precision"],
        "graph": fields["sha256"].get(GRAPH, ""),
    }


def read_graph(folder: str | Path, name: str = GRAPH) -> tuple[bytes, str]:
    """A graph of an exported policy and its SHA-256.

    Raises:
        InputError: no export, or a damaged or foreign file.
    """
    wanted = read_manifest(folder)["sha256"].get(name)
    path = Path(folder) / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {AGAIN}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise InputError(
            f"{path} is damaged or another file than the export wrote: its SHA-256 is "
            f"{found[:16]}..., expected {str(wanted)[:16]}...; copy it again or {AGAIN}."
        )
    return content, found


def read_metadata(folder: Path, text: str | None) -> dict[str, Any]:
    """What the graph says of itself, checked against the folder's configuration.

    Args:
        folder: of the export.
        text: the graph's metadata under the key `METADATA`; None where it has none.

    Raises:
        InputError: another program's graph, or one of another model.
    """
    try:
        fields = json.loads(text or "")
        weights = fields["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / GRAPH} carries no description of a policy, so liquid-control did not write "
            f"it; {AGAIN}."
        ) from error
    try:
        configured = json.loads((folder / "config.json").read_text("utf-8"))["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} lacks a readable config.json that names its weights ({error}); {AGAIN}."
        ) from error
    if weights != configured:
        raise InputError(
            f"{folder / GRAPH} was made of weights {weights[:16]}..., config.json beside it is of "
            f"{configured[:16]}...: two different models; {AGAIN}."
        )
    return fields
