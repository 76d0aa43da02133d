"""What a decision rests on, named by hashes: weights, configuration, build of the software.

A recorded decision carries `Hashes`; `liquid-control audit` compares them with what it finds.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from liquid_control.circuits.fused_sequence import compiled
from liquid_control.errors import InputError
from liquid_control.policy.policy import Policy

__all__ = ["Hashes", "build_facts", "configuration_hash", "text_hash", "weights_hash"]

_PACKAGES = ("torch", "numpy", "numba", "llvmlite", "opencv-python-headless")
# What makes libraries take other instructions than the processor has.
_LIMITS = ("DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "NUMBA_CPU_NAME")
# Rooms whose code a decision runs through.
_ROOMS = (
    *("attention", "camera", "circuits", "command.py", "data/decoding.py"),
    *("perception", "policy"),
)


@dataclass(frozen=True)
class Hashes:
    """What one decision was made of, each as 16 hexadecimal digits (64-bit BLAKE2b).

    Args:
        frame: of the prepared frame, `policy.frame_hash`.
        image: of the camera's whole message, `data.messages.image_hash`.
        weights: in force, `weights_hash`.
        facts: `text_hash` of the node's message on `~/facts` (model, parameters, build).
        seal: of the others and of the whole decision, `sealed`.
    """

    frame: str
    image: str
    weights: str
    facts: str
    seal: str = ""

    def __str__(self) -> str:
        """As a decision's frame_id has it: "frame=0123456789abcdef image=... ..."."""
        return " ".join(f"{item.name}={getattr(self, item.name)}" for item in fields(self))

    def sealed(self, stamp_ns: int, names: Sequence[str], values: np.ndarray) -> Hashes:
        """These hashes, sealing a decision's stamp [ns], names and values (names,), float64."""
        made_of = (self.frame, self.image, self.weights, self.facts, stamp_ns, *names)
        digest = hashlib.blake2b(repr(made_of).encode(), digest_size=8)
        digest.update(np.ascontiguousarray(values, np.float64))
        return replace(self, seal=digest.hexdigest())

    @classmethod
    def parse(cls, text: str) -> Hashes:
        """The hashes that `str` wrote.

        Raises:
            InputError: some other text.
        """
        names = [item.name for item in fields(cls)]
        match = re.fullmatch(" ".join(f"{name}=([0-9a-f]{{16}})" for name in names), text)
        if match is None:
            raise InputError(
                f"A decision names its hashes as {'=... '.join(names)}=..., got {text[:100]!r}; it "
                "was changed, or an older version recorded it."
            )
        return cls(*match.groups())


def text_hash(text: str) -> str:
    """64-bit BLAKE2b of a text as UTF-8, 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def weights_hash(module: nn.Module) -> str:
    """64-bit BLAKE2b of all parameters and buffers with names, types and shapes.

    It says what is in force, not what a file holds. The flagship's 80,555 numbers take 0.5 ms.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        # Equal numbers hash equally however they lie in memory (channels last or not).
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def configuration_hash(policy: Policy) -> str:
    """Hash of what a policy is besides its weights: outputs, limits, camera, head and circuit."""
    entries = {
        "command": policy.spec.to_dict(),
        "camera": policy.camera.to_dict(),
        **policy._describe(),
    }
    return text_hash(json.dumps(entries, sort_keys=True))


def build_facts() -> dict[str, str]:
    """What decides whether two processes compute the same bits: software, machine, threads.

    "sources" is a hash of the package's own code that a decision runs through.
    """
    found = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "limits": " ".join(f"{name}={os.environ[name]}" for name in _LIMITS if name in os.environ),
        "onednn": str(torch.backends.mkldnn.is_available()),
        "threads": str(torch.get_num_threads()),
        "kernels": "torch" if compiled("fused_lanes") is None else "numba",
        "sources": _sources(),
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def _processor() -> str:
    """The processor's name; of an x86-64 also family, model and stepping, which names may hide."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    first = dict(
        (part.strip() for part in line.split(":", 1))
        for line in text.split("\n\n")[0].splitlines()
        if ":" in line
    )
    keys = ("model name", "cpu family", "model", "stepping")
    return " ".join(first[key] for key in keys if key in first) or "unknown"


@cache
def _sources() -> str:
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.blake2b(digest_size=8)
    for room in _ROOMS:
        place = root / room
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()
