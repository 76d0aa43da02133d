"""Features of whole recordings, computed once per vision head and kept beside the decoded frames.

The convolutions are nearly all the cost of a policy; where the head does not change, its features
are all that training needs. Deleting the `.cache` folder of a bag loses nothing.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from liquid_control.data.drive import Drive
from liquid_control.evaluation.open_loop import BATCH
from liquid_control.files import replace_file
from liquid_control.policy import Policy

__all__ = ["features_of", "head_hash"]


def head_hash(policy: Policy) -> str:
    """What identifies a policy's head: 16 hexadecimal digits of its weights."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(policy.head.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().float().numpy()).tobytes())
    return digest.hexdigest()


def features_of(policy: Policy, drives: Iterable[Drive], name: str = "bags") -> list[np.ndarray]:
    """Features of whole drives, float32 (frames, features) each.

    Args:
        policy: its head computes them, on its device.
        drives: as `load_drives` gives them; what was cut or never cached is computed every time.
        name: of the drives, for the progress bar.
    """
    drives, key = list(drives), head_hash(policy)
    total = sum(map(len, drives))
    with tqdm(total=total, desc=f"features of {name}", unit="frame", delay=1, disable=None) as bar:
        return [_of(policy, drive, key, bar) for drive in drives]


def _of(policy: Policy, drive: Drive, key: str, bar: tqdm) -> np.ndarray:
    file = _file(drive, key)
    if file is not None and file.is_file():
        try:
            stored = np.load(file)
        except (OSError, ValueError, EOFError):
            stored = np.empty(0)
        if len(stored) == len(drive):
            bar.update(len(drive))
            return stored
    parts = []
    with torch.inference_mode():
        for row in range(0, len(drive), BATCH):
            frames = torch.from_numpy(np.array(drive.frames[row : row + BATCH]))
            parts.append(policy.features(frames.to(policy.scale.device)).float().cpu().numpy())
            bar.update(len(frames))
    features = np.concatenate(parts)
    if file is not None:
        _write(file, features)
    return features


def _file(drive: Drive, key: str) -> Path | None:
    """Where the features of a drive are kept; None for one that is not a whole cached recording."""
    frames = drive.frames
    name = getattr(frames, "filename", None)
    if name is None or frames.offset == 0 or frames.base is None:
        return None
    whole = np.load(name, mmap_mode="r")
    same = whole.shape == frames.shape and whole.offset == frames.offset
    return Path(name).with_name(f"features-{key}.npy") if same else None


def _write(file: Path, features: np.ndarray) -> None:

    content = io.BytesIO()
    np.save(content, features)
    try:
        replace_file(file, content.getvalue())
    except OSError:
        # A folder that cannot be written, or a full disk: computing them again costs only time.
        return
