"""The folder that an export goes into."""

from __future__ import annotations

from pathlib import Path

from liquid_control.deploy import c_files, export_files
from liquid_control.errors import InputError
from liquid_control.files import check_folder, replace_file

__all__ = ["begin", "check_output"]

MANIFESTS = (export_files.MANIFEST, c_files.MANIFEST)


def check_output(output: Path, model: Path, manifest: str) -> None:
    """Refuse a folder that an export cannot or must not fill, before the work.

    Args:
        output: that folder; one with an earlier export of the same kind is filled again.
        model: folder of the policy.
        manifest: name of the file that tells the kind of export.

    Raises:
        InputError: it cannot be written, is the model's own, or holds another model, an export of
            another kind, or files of somebody's own.
    """
    if output.resolve() == model.resolve():
        raise InputError(f"An export needs a folder of its own, got the model's {output}.")
    check_folder(output)
    others = [name for name in MANIFESTS if name != manifest]
    if not (again := (output / manifest).exists()):
        others.append("config.json")
    if any((output / name).exists() for name in others):
        raise InputError(
            f"{output} holds a model or an export of another kind, whose files this one would "
            "replace; give another folder with --output, or remove that one."
        )
    # A main.c or Makefile of one's own, for example.
    if not again and output.is_dir() and any(x.name[0] != "." for x in output.iterdir()):
        raise InputError(
            f"{output} holds other files, which an export could replace; give a new folder with "
            "--output."
        )


def begin(output: Path, manifest: str) -> None:
    """Make the folder; until the manifest is written, nothing drives from it, not even torch."""
    output.mkdir(parents=True, exist_ok=True)
    replace_file(output / manifest, "{}\n")
