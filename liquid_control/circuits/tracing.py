"""Whether torch records the operations, so that the values of tensors cannot be looked at."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["exporting", "full_precision", "traced"]


def traced() -> bool:
    """Inside `torch.compile`, `torch.export` or a transform of `torch.func`."""
    # No public function tells of the transforms; `torch.autograd.Function.apply` asks this one.
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def exporting() -> bool:
    """Inside `torch.export`."""
    check = getattr(torch.compiler, "is_exporting", None)  # torch 2.7 and later
    return check is not None and check()


def full_precision(device: torch.device) -> AbstractContextManager:
    """Where autocast does not lower the precision of what is computed on this device."""
    # An exported program cannot be saved with a context of autocast in it, and devices without
    # memory have none.
    if exporting() or device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
