"""A folder that jobs need, sent by content: another machine has no `runs/x/model`."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import cloudpickle

from liquid_control.deploy.c_files import is_c_export, needed_files
from liquid_control.deploy.export_files import FILES, is_export
from liquid_control.errors import InputError

__all__ = ["MODEL_FILES", "Bundle", "model_bundle", "pack", "unpack"]

# All that a policy is read from; reports and pictures stay where they are.
MODEL_FILES = ("config.json", "model.safetensors")
# How many unpacked folders a process keeps.
_KEPT = 4

Content = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Bundle:
    """Files of a folder, known by their content.

    Two bundles are equal if names and contents are: a cache keyed by bundles never gives an older
    state of a folder.

    Attributes:
        name: of the folder.
        sha256: of its files' names and contents.
        folder: where they lie on this machine.
        files: which of the folder's they are.
    """

    name: str
    sha256: str
    folder: Path = field(compare=False)
    files: tuple[str, ...] = field(compare=False)

    def content(self) -> Content:
        """Name and bytes of each file.

        Raises:
            InputError: a file is gone or was changed since the bundle was made.
        """
        content = _read(self.folder, self.files)
        if _hash(self.name, content) != self.sha256:
            raise InputError(
                f"The files of {self.folder} were changed while jobs used them; run it again."
            )
        return content


def model_bundle(folder: Path) -> Bundle:
    """What drives of a model need.

    Raises:
        InputError: the folder lacks a file of a model.
    """
    files = (*MODEL_FILES, *FILES) if is_export(folder) else MODEL_FILES
    files += needed_files(folder) if is_c_export(folder) else ()
    return _bundle(folder.resolve().name, folder, _read(folder, files))


def pack(value: Any) -> tuple[bytes, list[Bundle]]:
    """A value pickled without the contents of the bundles in it, and these bundles."""
    buffer = BytesIO()
    pickler = _Packer(buffer, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dump(value)
    return buffer.getvalue(), list(pickler.bundles.values())


def unpack(packed: bytes, content_of: Callable[[str], Content]) -> Any:
    """What was packed; its bundles lie in a temporary folder of this process.

    Args:
        packed: by `pack`.
        content_of: a bundle's content by its `sha256`, asked where this process lacks it.
    """
    return _Unpacker(BytesIO(packed), content_of).load()


class _Packer(cloudpickle.Pickler):
    def __init__(self, file: BytesIO, protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self.bundles: dict[str, Bundle] = {}

    def persistent_id(self, value: Any) -> tuple[str, str] | None:
        if not isinstance(value, Bundle):
            return None
        self.bundles[value.sha256] = value
        return value.name, value.sha256


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: BytesIO, content_of: Callable[[str], Content]) -> None:
        super().__init__(file)
        self._content_of = content_of

    def persistent_load(self, identity: tuple[str, str]) -> Bundle:
        name, sha256 = identity
        if sha256 not in _unpacked:
            _unpacked[sha256] = _write(name, self._content_of(sha256))
        _unpacked.move_to_end(sha256)
        while len(_unpacked) > _KEPT:
            _unpacked.popitem(last=False)
        return _unpacked[sha256][0]


# In a worker process: the bundles it holds, each with what removes its folder once it is dropped.
_unpacked: OrderedDict[str, tuple[Bundle, tempfile.TemporaryDirectory]] = OrderedDict()


def _write(name: str, content: Content) -> tuple[Bundle, tempfile.TemporaryDirectory]:
    place = tempfile.TemporaryDirectory(prefix="liquid-control-")
    folder = Path(place.name) / name
    folder.mkdir()
    for file, data in content:
        (folder / file).write_bytes(data)
    return _bundle(name, folder, content), place


def _bundle(name: str, folder: Path, content: Content) -> Bundle:
    return Bundle(name, _hash(name, content), folder, tuple(file for file, _ in content))


def _read(folder: Path, files: tuple[str, ...]) -> Content:
    try:
        return tuple((file, (folder / file).read_bytes()) for file in files)
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read ({error.strerror}); give the folder of a whole model."
        ) from error


def _hash(name: str, content: Content) -> str:
    total = hashlib.sha256(name.encode())
    for file, data in content:
        total.update(f"\0{file}\0{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()
