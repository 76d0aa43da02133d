"""Small policies and frames for exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_control.camera import CameraSetup
from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.deploy.onnx_export import export_onnx
from liquid_control.deploy.runtime import ExportDriver
from liquid_control.policy import Driver, Policy

# Of the commands' limits; of states, features and maps, absolutely.
CLOSE = 1e-5
TIMES = (1 / 30, 1 / 15, 0.0, 0.2, 1 / 120)


@pytest.fixture(scope="session")
def small() -> CameraSetup:
    """As small as the head's five convolutions leave something to attend to."""
    return CameraSetup(height=24, width=40)


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """24 frames with large shapes in them, as noise alone looks the same everywhere."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 6, 10, 3))
    noise = rng.integers(0, 16, (24, 24, 40, 3))
    return (coarse.repeat(4, 1).repeat(4, 2) * 15 // 16 + noise).astype(np.uint8)


@pytest.fixture(scope="session")
def folder(small: CameraSetup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flagship for small frames, untrained."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "flagship"
    Policy(CommandSpec((CURVATURE, SPEED)), small).save(path)
    return path


@pytest.fixture(scope="session")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exports") / "flagship"
    export_onnx(folder, path)
    return path


@pytest.fixture(scope="session")
def both_drive() -> Callable[[Policy, ExportDriver, np.ndarray], None]:
    return compare


def compare(policy: Policy, driver: ExportDriver, frames: np.ndarray) -> None:
    """Drive the same frames at changing rates by torch and by an export, and compare everything."""
    ours = Driver(policy)
    for index, frame in enumerate(frames):
        elapsed = TIMES[index % len(TIMES)]
        wanted, got = ours.step(frame, elapsed), driver.step(frame, elapsed)
        assert (np.abs(got.command - wanted.command) <= CLOSE * policy.spec.high).all()
        assert got.state_before.shape == wanted.state_before.shape
        np.testing.assert_allclose(got.state, wanted.state, atol=5 * CLOSE)
        np.testing.assert_allclose(got.time_constants, wanted.time_constants, rtol=1e-4)
        np.testing.assert_allclose(driver.features, ours.features, rtol=1e-4, atol=1e-4)
        assert (got.reset, got.elapsed) == (wanted.reset, wanted.elapsed)
        assert got.frame_hash == wanted.frame_hash
        if index % 4 == 0:
            np.testing.assert_allclose(driver.attention(), ours.attention(), atol=1e-4)
            np.testing.assert_allclose(driver.activity(), ours.activity(), rtol=1e-4, atol=1e-5)
