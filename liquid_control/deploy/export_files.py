"""The files of an exported policy, and whether they belong together; read without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from liquid_control.errors import InputError

__all__ = ["CIRCUIT", "GRAPH", "MANIFEST", "METADATA", "is_export", "manifest", "read_graph"]

FORMAT, VERSION = "liquid_control export", 1
GRAPH, CIRCUIT, MANIFEST = "policy.onnx", "circuit.onnx", "export.json"
# Key of the metadata that a graph carries.
METADATA = "liquid_control"
AGAIN = "write it again with `liquid-control export MODEL --format onnx --output DIR`"


def is_export(folder: str | Path) -> bool:
    """Whether `liquid-control export --format onnx` wrote this folder."""
    return (Path(folder) / MANIFEST).is_file()


def manifest(precision: str, graphs: dict[str, bytes]) -> str:
    """What `export.json` holds: it ties the files together."""
    fields = {
        "format": FORMAT,
        "version": VERSION,
        "precision": precision,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in graphs.items()},
    }
    return json.dumps(fields, indent=1) + "\n"


def read_graph(folder: str | Path) -> tuple[bytes, str]:
    """The graph of an exported policy and its SHA-256.

    Raises:
        InputError: no export, or a damaged or foreign file.
    """
    folder = Path(folder)
    try:
        fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        content = (folder / GRAPH).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no exported policy: expected a readable {MANIFEST} and {GRAPH} in it "
            f"({error}); {AGAIN}."
        ) from error
    known = isinstance(fields, dict) and fields.get("format") == FORMAT
    if not known or fields.get("version") != VERSION:
        raise InputError(
            f"{folder / MANIFEST} describes no export that this package reads: expected format "
            f"{FORMAT!r}, version {VERSION}; {AGAIN}."
        )
    hashes = fields.get("sha256")
    wanted = hashes.get(GRAPH) if isinstance(hashes, dict) else None
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise InputError(
            f"{folder / GRAPH} is damaged or another file than the export wrote: its SHA-256 is "
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
