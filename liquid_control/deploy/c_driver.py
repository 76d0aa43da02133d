"""Drives from exported C, compiled here and called through ctypes.

For closed-loop scores and tests of what was exported, on the machine that exported it: the same
source, but another compiler and processor than the robot's.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import numpy as np

from liquid_control.camera import CameraSetup
from liquid_control.command import CommandSpec
from liquid_control.deploy.c_build import shared_library
from liquid_control.deploy.c_files import read_export
from liquid_control.errors import InputError
from liquid_control.policy.decision import Decision, frame_hash

__all__ = ["CDriver"]

_REAL = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
_BYTE = np.ctypeslib.ndpointer(np.uint8, flags="C_CONTIGUOUS")


class CDriver:
    """Runs an exported policy frame by frame, as `policy.Driver` runs one in torch.

    Args:
        folder: that `export_c` wrote.

    Attributes:
        spec, camera: of the policy.
        made: what the folder holds.
        facts: what drives, each a short text.
        features: of the head in the last frame, float32 (features,).

    Raises:
        InputError: no export, or no compiler.
    """

    features: np.ndarray

    def __init__(self, folder: str | Path) -> None:
        self.made = read_export(folder)
        config = json.loads((Path(folder) / "config.json").read_text("utf-8"))
        self.spec = CommandSpec.from_dict(config["command"])
        self.camera = CameraSetup(**config["camera"])
        self.facts = {
            "runtime": "c",
            "precision": self.made.head,
            "source": self.made.sha256[f"{self.made.prefix}.c"],
        }
        self._library = ctypes.CDLL(str(shared_library(folder)))
        self._reset = self._function("reset", _REAL)
        self._step = self._function("step", _REAL, _REAL, ctypes.c_float, _REAL)
        self._error = getattr(self._library, f"{self.made.prefix}_error")
        self._error.restype = ctypes.c_char_p
        self._state = np.empty(self.made.ram_state // 4, np.float32)
        self._scratch = None
        if self.made.head != "none":
            self._see = self._function("features", ctypes.c_void_p, _BYTE, _REAL)
            self._scratch = ctypes.create_string_buffer(self.made.ram_scratch)
        self.reset()

    def reset(self) -> None:
        """Forget the past: neurons to zero."""
        self._reset(self._state)
        self._fresh = True

    def refresh(self) -> None:
        """As `Driver.refresh`; the parameters in the code stay what they are."""

    def restore(self, state: np.ndarray) -> None:
        """Go on from a recorded state, as `Decision.state_before`."""
        self._state[:] = state
        self._fresh = False

    def see(self, frame: np.ndarray) -> np.ndarray:
        """Features, float32, of a prepared frame: uint8 (height, width, 3).

        Raises:
            InputError: the export has no head.
            ValueError: the frame has another shape.
        """
        if self._scratch is None:
            raise InputError(
                "This C was exported without a head, so it takes no frames; export the model with "
                "--head float or --head int8."
            )
        wanted = (self.camera.height, self.camera.width, 3)
        if frame.shape != wanted:
            raise ValueError(f"Expected a frame {wanted}, got {frame.shape}; prepare it by camera.")
        features = np.empty(self.made.features, np.float32)
        self._checked(self._see(self._scratch, np.ascontiguousarray(frame), features))
        return features

    def attention(self) -> np.ndarray:
        """The C code has none.

        Raises:
            InputError: always.
        """
        raise InputError(
            "Exported C computes no attention; use the policy itself, or its ONNX export."
        )

    def act(self, features: np.ndarray, elapsed_s: float) -> np.ndarray:
        """The command, float32 (outputs,), for features of a head.

        Raises:
            ValueError: a negative elapsed time, or a number that is not finite.
        """
        command = np.empty(len(self.spec), np.float32)
        given = np.ascontiguousarray(features, np.float32)
        if given.shape != (self.made.features,):
            raise ValueError(f"Expected features ({self.made.features},), got {given.shape}.")
        self._checked(self._step(self._state, given, elapsed_s, command))
        self._fresh = False
        return command

    def step(self, frame: np.ndarray, elapsed_s: float) -> Decision:
        """Decide on one frame.

        Args:
            frame: uint8 RGB (rows, columns, 3) of any size; the policy's camera setup is applied.
            elapsed_s: time since the frame before [s], >= 0; after a reset the camera's period.

        Raises:
            InputError: the frame does not fit the camera setup, or the export has no head.
            ValueError: a negative or NaN elapsed time.
        """
        prepared = self.camera.apply(frame)
        features = self.see(prepared)
        before, reset = self._state.copy(), self._fresh
        command = self.act(features, elapsed_s)
        self.features = features
        return Decision(
            command=command,
            state_before=before,
            state=self._state.copy(),
            time_constants=np.full_like(before, np.nan),
            elapsed=float(elapsed_s),
            reset=reset,
            frame_hash=frame_hash(prepared),
        )

    def _function(self, name: str, *arguments: object) -> ctypes._CFuncPtr:
        function = getattr(self._library, f"{self.made.prefix}_{name}")
        function.argtypes = arguments
        return function

    def _checked(self, code: int) -> None:
        if code:
            raise ValueError(f"{self.made.prefix}: {self._error(code).decode()}.")
