"""Decoded frames on disk: built once per bag and camera setup, in one step, then memory-mapped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from liquid_control.camera import CameraSetup
from liquid_control.data.bag import BagReader
from liquid_control.errors import InputError

__all__ = ["FrameCache", "build", "open_cache"]

# Part of the key: raise it when the same bag would be decoded or matched differently.
_VERSION = 1


@dataclass(frozen=True)
class FrameCache:
    """What is kept of a bag: N frames that have a label, and all columns of the labels."""

    frames: np.ndarray | None
    stamps: np.ndarray
    labels: np.ndarray
    sessions: np.ndarray
    label_names: list[str]
    skipped: dict[str, int]


def open_cache(
    reader: BagReader, camera: CameraSetup, camera_topic: str, label_topic: str
) -> FrameCache | None:
    """The kept frames of this very bag, or None where there are none."""
    folder = _root(reader.path) / _key(reader, camera, (camera_topic, label_topic))
    if not folder.is_dir():
        return None
    try:
        with np.load(folder / "drive.npz") as arrays:
            facts = json.loads(str(arrays["facts"]))
            kept = FrameCache(
                np.load(folder / "frames.npy", mmap_mode="r"),
                arrays["stamps"],
                arrays["labels"],
                arrays["sessions"],
                facts["label_names"],
                facts["skipped"],
            )
    except (OSError, ValueError, KeyError, BadZipFile):
        # A cache that a full disk or a person cut short is worth no message: it is built again.
        return None
    return kept if len(kept.frames) == len(kept.stamps) else None


def build(
    reader: BagReader,
    camera: CameraSetup,
    topics: tuple[str, str],
    frames: Iterable[np.ndarray | None],
    rest: FrameCache,
    on_disk: bool,
) -> FrameCache:
    """Decode `frames` (None: damaged, left out with its label) beside `rest`.

    Args:
        reader: the bag.
        camera: gives the frames' size.
        topics: of camera and labels.
        frames: as many as `rest.stamps`, each uint8 (height, width, 3).
        rest: everything but the frames.
        on_disk: keep them; otherwise return an array in memory.

    Raises:
        InputError: no frame could be decoded, or the disk is full.
    """
    whole = np.zeros(len(rest.stamps), bool)
    if not on_disk:
        array = np.empty((len(whole), camera.height, camera.width, 3), np.uint8)
        count = 0
        for frame in _mark(frames, whole):
            array[count] = frame
            count += 1
        return replace(_select(rest, whole, reader), frames=array[:count])

    root = _root(reader.path)
    final = root / _key(reader, camera, topics)
    unfinished = root / f".{final.name}.{os.getpid()}"
    try:
        _remove_leftovers(root)
        shutil.rmtree(final, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _write_frames(unfinished / "frames.npy", camera, _mark(frames, whole))
        kept = _select(rest, whole, reader)
        facts = {"label_names": kept.label_names, "skipped": kept.skipped}
        np.savez(
            unfinished / "drive.npz",
            stamps=kept.stamps,
            labels=kept.labels,
            sessions=kept.sessions,
            facts=json.dumps(facts),
        )
        try:
            os.replace(unfinished, final)
        except OSError:
            # Another process may have been faster; its frames are the same.
            if not (final / "drive.npz").exists():
                raise
    except OSError as error:
        raise InputError(
            f"Decoded frames of {reader.path} cannot be kept in {root} ({error.strerror}); make "
            f"room for {len(whole) * camera.height * camera.width * 3 / 1e6:.0f} MB."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return replace(kept, frames=np.load(final / "frames.npy", mmap_mode="r"))


def _mark(frames: Iterable[np.ndarray | None], whole: np.ndarray) -> Iterator[np.ndarray]:
    """The frames that are not None; `whole` tells which they were."""
    for index, frame in enumerate(frames):
        if frame is not None:
            whole[index] = True
            yield frame


def _select(rest: FrameCache, whole: np.ndarray, reader: BagReader) -> FrameCache:
    if not whole.any():
        raise InputError(
            f"No frame of {reader.path} can be decoded; expected PNG, JPEG or raw RGB images."
        )
    return replace(
        rest,
        stamps=rest.stamps[whole],
        labels=rest.labels[whole],
        sessions=rest.sessions[whole],
        skipped={**rest.skipped, "damaged": int((~whole).sum())},
    )


def _write_frames(path: Path, camera: CameraSetup, frames: Iterator[np.ndarray]) -> None:
    """Write a .npy file frame by frame: a full disk is an error here and a crash in a memmap."""

    def describe(count: int) -> None:
        shape = (count, camera.height, camera.width, 3)
        fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, fields)

    with path.open("wb") as file:
        # The header leaves room for its first dimension to grow, so it can be written again.
        describe(0)
        count = 0
        for frame in frames:
            file.write(frame.tobytes())
            count += 1
        file.seek(0)
        describe(count)


def _root(bag: Path) -> Path:
    """`.cache` in the bag; where that cannot be written, the user's cache folder."""
    folder = bag if bag.is_dir() else bag.parent
    if os.access(folder, os.W_OK):
        return folder / ".cache"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "liquid_control" / "frames"


def _key(reader: BagReader, camera: CameraSetup, topics: tuple[str, str]) -> str:
    digest = blake2b(digest_size=16)
    digest.update(json.dumps([_VERSION, camera.to_dict(), topics], sort_keys=True).encode())
    for path in reader.files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _remove_leftovers(root: Path) -> None:
    """Remove what killed processes left half-built."""
    for folder in root.glob(".*.*"):
        pid = folder.name.rpartition(".")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)
