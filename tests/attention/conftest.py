"""Networks of the zoo as they are drawn, and frames to show them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.policy import Policy
from liquid_control.training.networks import make_policy


@pytest.fixture
def policy_of() -> Callable[[str], Policy]:
    def made(circuit: str, seed: int = 0) -> Policy:
        torch.manual_seed(seed)
        return make_policy(circuit, CommandSpec((CURVATURE, SPEED))).eval()

    return made


@pytest.fixture
def blobs() -> Callable[..., np.ndarray]:
    """Frames with structure at the scale of a road, not of single pixels."""

    def drawn(count: int = 1, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (count, 6, 20, 3), np.uint8)
        return coarse.repeat(13, 1).repeat(10, 2)

    return drawn
