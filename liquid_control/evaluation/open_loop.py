"""How a policy's commands compare with recorded ones when it does not drive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from liquid_control.camera import CameraSetup
from liquid_control.data.drive import Drive
from liquid_control.data.sequences import elapsed_times
from liquid_control.deploy.c_driver import CDriver
from liquid_control.deploy.runtime import ExportDriver
from liquid_control.policy import Policy

__all__ = ["Exported", "OpenLoop", "answers", "answers_of_export", "open_loop"]

Exported = ExportDriver | CDriver

BATCH = 64  # frames a call of the head


@dataclass(frozen=True)
class OpenLoop:
    """Commands of a policy beside the recorded ones, both (frames, outputs), physical units."""

    names: tuple[str, ...]
    commands: np.ndarray
    labels: np.ndarray

    @property
    def summary(self) -> dict[str, dict[str, float]]:
        """For each output: mse, mse_of_zero (always 0), mae, correlation (NaN for constants)."""
        figures = {}
        for index, name in enumerate(self.names):
            asked, human = self.commands[:, index], self.labels[:, index]
            varies = np.ptp(asked) > 0 and np.ptp(human) > 0
            figures[name] = {
                "mse": float(np.mean((asked - human) ** 2)),
                "mse_of_zero": float(np.mean(human**2)),
                "mae": float(np.mean(np.abs(asked - human))),
                "correlation": float(np.corrcoef(asked, human)[0, 1]) if varies else float("nan"),
                "frames": len(asked),
            }
        return figures


def open_loop(policy: Policy, drives: Sequence[Drive]) -> OpenLoop:
    """Run a policy over recordings, see `answers`.

    Frames of weight 0 have no label and are left out of the comparison.
    """
    known = [drive.weights > 0 for drive in drives]
    commands = [answers(policy, drive)[rows] for drive, rows in zip(drives, known, strict=True)]
    labels = [drive.labels[rows] for drive, rows in zip(drives, known, strict=True)]
    return OpenLoop(policy.spec.names, np.concatenate(commands), np.concatenate(labels))


@torch.inference_mode()
def answers(policy: Policy, drive: Drive) -> np.ndarray:
    """Commands of a policy to a recording's frames, float32 (frames, outputs), clipped.

    As a node would give them: state carried on, reset after every gap.
    """
    commands = np.zeros((len(drive), len(policy.spec)), np.float32)
    elapsed = torch.from_numpy(elapsed_times(drive))
    for start, stop in drive.runs():
        rows = (drive.frames[row : min(row + BATCH, stop)] for row in range(start, stop, BATCH))
        features = torch.cat([policy.features(torch.from_numpy(np.array(r))) for r in rows])
        asked, _ = policy.forward_features(features[None], None, elapsed[None, start:stop])
        commands[start:stop] = policy.spec.clip(asked[0].float().numpy())
    return commands


def answers_of_export(driver: Exported, drive: Drive) -> np.ndarray:
    """As `answers`, by the exported program itself, frame by frame."""
    # A recording's frames are prepared already.
    camera, driver.camera = driver.camera, CameraSetup(driver.camera.height, driver.camera.width)
    commands = np.zeros((len(drive), len(driver.spec)), np.float32)
    elapsed = elapsed_times(drive)
    try:
        for start, stop in drive.runs():
            driver.reset()
            for row in range(start, stop):
                commands[row] = driver.step(drive.frames[row], float(elapsed[row])).command
    finally:
        driver.camera = camera
    return commands
