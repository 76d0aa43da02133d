"""Drives from an exported policy, frame by frame, as `policy.Driver` does with torch.

driver = load_driver("runs/export")               # ONNX Runtime; no torch is imported
decision = driver.step(frame, elapsed_s=1 / 30)   # numpy in, numpy out
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from liquid_control.camera import CameraSetup
from liquid_control.command import CommandSpec
from liquid_control.deploy.c_driver import CDriver
from liquid_control.deploy.c_files import is_c_export
from liquid_control.deploy.export_files import (
    ATTENTION,
    is_export,
    read_graph,
    read_manifest,
    read_metadata,
)
from liquid_control.deploy.sessions import RUNTIMES, Session, check_runtime
from liquid_control.policy.decision import Decision, frame_hash

if TYPE_CHECKING:
    from liquid_control.policy import Driver, Policy

__all__ = ["ExportDriver", "load_driver"]


class ExportDriver:
    """Runs an exported policy: `Driver` with another program inside, in one thread.

    Its weights cannot change, so `refresh` does nothing.

    Args:
        folder: that `liquid-control export --format onnx` wrote.
        runtime: "onnx" (ONNX Runtime) or "openvino"; by default what the export was made for.

    Attributes:
        features: of the head in the last frame, float32 (features,).
        spec, camera, state_names: of the policy.
        facts: runtime, its version, precision and SHA-256 of the graph, each a short text.

    Raises:
        InputError: no export, a damaged or foreign file, or the runtime is not installed.
    """

    features: np.ndarray

    def __init__(self, folder: str | Path, runtime: str | None = None) -> None:
        self.folder = Path(folder)
        runtime = runtime or read_manifest(folder)["runtime"]
        content, sha256 = read_graph(self.folder)
        self._session = RUNTIMES[check_runtime(runtime)](content)
        described = read_metadata(self.folder, self._session.metadata)
        self.spec = CommandSpec.from_dict(described["command"])
        self.camera = CameraSetup(**described["camera"])
        self.state_names: list[str] = described["state_names"]
        self.facts = {
            "runtime": runtime,
            "runtime_version": self._session.version,
            "precision": described["precision"],
            "graph": sha256,
        }
        self._numbers = len(self.state_names)
        order = ("command", "features", "next_state", "time_constants")
        self._names = [name for name in order if name in self._session.outputs]
        # Its own, as a caller may use the array of a frame again.
        self._pixels = np.empty((1, self.camera.height, self.camera.width, 3), np.uint8)
        self._seen: dict[str, np.ndarray] | None = None
        self.reset()

    @cached_property
    def policy(self) -> Policy:
        """The policy that was exported, for what looks into it; loads torch."""
        from liquid_control.policy import Policy

        return Policy.load(self.folder)

    def reset(self) -> None:
        """Forget the past: neurons to zero."""
        self._state = np.zeros((1, self._numbers), np.float32)
        self._fresh = True

    def refresh(self) -> None:
        """As `Driver.refresh`; the parameters in the graph stay what they are."""

    def restore(self, state: np.ndarray) -> None:
        """Go on from a recorded state, as `Driver.restore`."""
        self._state = np.array(state, np.float32)[None]
        self._fresh = False

    def step(self, frame: np.ndarray, elapsed_s: float) -> Decision:
        """Decide on one frame, as `Driver.step`.

        Raises:
            InputError: the frame does not fit the camera setup.
            ValueError: a negative or not finite elapsed time.
        """
        if not 0 <= elapsed_s < math.inf:
            raise ValueError(f"Elapsed times must be finite and 0 s or more, got {elapsed_s} s.")
        np.copyto(self._pixels[0], self.camera.apply(frame))
        feeds = {"frames": self._pixels}
        if self._numbers:
            feeds |= {"state": self._state, "elapsed": np.array([elapsed_s], np.float32)}
        results = dict(zip(self._names, self._session.run(self._names, feeds), strict=True))
        # Not before it has worked, so that a refused frame leaves the driver as it was.
        before, reset, self._fresh, self._seen = self._state, self._fresh, False, {}
        self._state = results.get("next_state", before)
        self.features = results["features"][0]
        constants = results.get("time_constants")
        return Decision(
            command=results["command"][0],
            state_before=before[0],
            state=self._state[0],
            time_constants=np.full(self._numbers, np.nan, np.float32)
            if constants is None
            else constants[0],
            elapsed=float(elapsed_s),
            reset=reset,
            frame_hash=frame_hash(self._pixels[0]),
        )

    def attention(self) -> np.ndarray:
        """Where the head looked last, as `Driver.attention`; runs the head once more.

        Raises:
            RuntimeError: no frame came yet.
            InputError: the graph for it is damaged.
        """
        return self._look()["attention"]

    def activity(self) -> np.ndarray:
        """How strongly the first and the last convolution answered, as `Driver.activity`."""
        return self._look()["activity"]

    @cached_property
    def _eyes(self) -> Session:
        """The graph for attention, loaded when it is first asked for."""
        return RUNTIMES[self.facts["runtime"]](read_graph(self.folder, ATTENTION)[0])

    def _look(self) -> dict[str, np.ndarray]:
        """What was seen in the last frame, computed once."""
        if self._seen is None:
            raise RuntimeError("Attention needs a frame; call step() before attention().")
        if not self._seen:
            names = ("attention", "activity")
            found = self._eyes.run(names, {"frames": self._pixels})
            self._seen = {name: each[0] for name, each in zip(names, found, strict=True)}
        return self._seen


def load_driver(folder: str | Path, runtime: str | None = None) -> Driver | ExportDriver | CDriver:
    """What drives from a folder.

    Args:
        folder: of a policy, or of an export.
        runtime: "torch", "onnx" or "openvino"; by default for an export what it was made for
            (C is compiled here, which suits a score, not a robot), else torch.

    Raises:
        InputError: no such runtime, or the folder does not fit it.
    """
    if runtime is None and is_c_export(folder):
        return CDriver(folder)
    if runtime != "torch" and (runtime or is_export(folder)):
        return ExportDriver(folder, runtime)
    from liquid_control.policy import Driver, Policy

    return Driver(Policy.load(folder))
