"""A policy as it was at a moment of a drive in which it learnt."""

from __future__ import annotations

import copy

import numpy as np
import torch

from liquid_control.circuits.flat import flat, put
from liquid_control.errors import InputError
from liquid_control.policy.fingerprint import weights_hash
from liquid_control.policy.policy import Policy

__all__ = ["updated"]


def updated(policy: Policy, weights: np.ndarray, digest: str) -> Policy:
    """A copy of a policy with other numbers in its circuit.

    Args:
        policy: as it was shipped.
        weights: of a `data.updates.Record`, float32 (numbers,).
        digest: hash of the weights that must come out, the record's `after`.

    Raises:
        InputError: they are numbers of another policy.
    """
    changed = copy.deepcopy(policy)
    if len(weights) == len(flat(changed.circuit)):
        put(changed.circuit, torch.from_numpy(weights))
        if weights_hash(changed) == digest:
            return changed
    raise InputError(
        f"The record of the weights {digest} holds {len(weights)} numbers that do not belong to "
        f"this policy ({weights_hash(policy)}); give the model that drove when it was recorded."
    )
