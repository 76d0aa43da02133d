"""A policy: vision head, liquid circuit and what its outputs mean; and the driver that runs it.

    policy = Policy(CommandSpec((CURVATURE, SPEED)))
    policy.save("runs/model")
    driver = Driver(Policy.load("runs/model"))
    decision = driver.step(frame, elapsed_s=1 / 30)   # numpy in, numpy out

On disk a policy is a folder with `model.safetensors` and `config.json`: nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as save_weights
from torch import Tensor, nn

from liquid_control.attention.visual_backprop import visual_backprop
from liquid_control.camera import CameraSetup
from liquid_control.circuits import LTC, Wiring, flagship_wiring
from liquid_control.command import CommandSpec
from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.perception import VisionHead
from liquid_control.perception.head import FEATURES, HEIGHT, LAYERS, WIDTH

__all__ = ["Decision", "Driver", "Policy", "frame_hash", "recompute"]

FORMAT = "liquid_control policy"
VERSION = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"


class Policy(nn.Module):
    """Frames and elapsed times to commands in physical units.

    command = upper limit of the output * output of the circuit, so that a circuit output of 1 is
    full command whatever the unit. Commands are not clipped here: a loss needs the gradient beyond
    the limits; `Driver` clips.

    For faster training on a CPU with bfloat16 run it under `torch.autocast("cpu", torch.bfloat16)`:
    the convolutions use it, standardisation and circuit stay in float32.

    Args:
        spec: name, unit and limits of each output.
        camera: how a robot's image becomes a frame; must give 78 x 200.
        wiring: 32 inputs and one motor neuron per output; by default the 19 neurons and 253
            synapses of `flagship_wiring`.

    Raises:
        InputError: camera or wiring do not fit the head or the specification.
    """

    def __init__(
        self, spec: CommandSpec, camera: CameraSetup | None = None, wiring: Wiring | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.camera = camera or CameraSetup()
        if (self.camera.height, self.camera.width) != (HEIGHT, WIDTH):
            raise InputError(
                f"The vision head sees {HEIGHT} x {WIDTH} px, got a camera setup of "
                f"{self.camera.height} x {self.camera.width}; set its height and width."
            )
        if wiring is None:
            if len(spec) > 4:
                raise InputError(
                    f"19 neurons serve 1 to 4 outputs, got {len(spec)}; draw a larger wiring."
                )
            wiring = flagship_wiring(len(spec))
        if (wiring.inputs, wiring.motor) != (FEATURES, len(spec)):
            raise InputError(
                f"A policy with outputs {list(spec.names)} needs a wiring with {FEATURES} inputs "
                f"and {len(spec)} motor neurons, got {wiring.inputs} and {wiring.motor}; draw "
                "another wiring or change the outputs."
            )
        self.head = VisionHead()
        self.circuit = LTC(wiring)
        self.extra: dict = {}
        self.register_buffer("scale", torch.from_numpy(spec.high), persistent=False)

    @property
    def wiring(self) -> Wiring:
        return self.circuit.wiring

    def features(self, frames: Tensor) -> Tensor:
        """Features (..., 32) of frames (..., 78, 200, 3), uint8 or floats in [0, 1]."""
        leading = frames.shape[:-3]
        return self.head(frames.reshape(-1, *frames.shape[-3:])).reshape(*leading, FEATURES)

    def forward_features(
        self, features: Tensor, state: Tensor | None, elapsed: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, from features (batch, time, 32)."""
        outputs, state = self.circuit(features, state, elapsed)
        return outputs * self.scale, state

    def forward(
        self, frames: Tensor, state: Tensor | None, elapsed: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Drive through sequences.

        Args:
            frames: (batch, time, 78, 200, 3) RGB, uint8 or floats in [0, 1].
            state: neurons (batch, 19), or None for a fresh start (zeros).
            elapsed: time since the frame before [s]: a number, (time,) or (batch, time).

        Returns:
            Commands (batch, time, outputs) in the units of the specification, not clipped, and the
            neurons' state (batch, 19) after the last frame.
        """
        return self.forward_features(self.features(frames), state, elapsed)

    def save(self, folder: str | Path, extra: dict | None = None) -> None:
        """Write weights and configuration into `folder`; a reader never sees half a file.

        Args:
            folder: made where it does not exist; other files in it are left alone.
            extra: JSON-ready facts to keep with the model (data, seed, score); `load` puts them
                into `policy.extra`.
        """
        weights = save_weights(
            {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        )
        fields = {
            "format": FORMAT,
            "version": VERSION,
            "command": self.spec.to_dict(),
            "camera": self.camera.to_dict(),
            "circuit": {"cell": "LTC", "unfolds": self.circuit.unfolds},
            "wiring": self.wiring.to_dict(),
            # Ties the two files together: a crash between their replacements cannot go unnoticed.
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "extra": self.extra if extra is None else extra,
        }
        config = json.dumps(fields, indent=1) + "\n"
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / WEIGHTS, weights)
        replace_file(folder / CONFIG, config.encode())

    @classmethod
    def load(cls, folder: str | Path) -> Policy:
        """Read a policy that `save` wrote, onto the CPU and in evaluation mode.

        Raises:
            InputError: a file is missing, truncated, of another version, or does not fit the other.
        """
        folder = Path(folder)
        config = _read_config(folder)
        path = folder / WEIGHTS
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"The policy {folder} has no readable {WEIGHTS} ({error.strerror}); copy the whole "
                "folder or train the policy again."
            ) from error
        if hashlib.sha256(content).hexdigest() != config.get("weights_sha256"):
            raise InputError(
                f"The weights {path} ({len(content)} bytes) are not those that its {CONFIG} "
                "describes: truncated, a Git LFS pointer, or of another training; copy both files "
                "again."
            )
        try:
            spec = CommandSpec.from_dict(config["command"])
            camera = CameraSetup(**config["camera"])
            wiring = Wiring.from_dict(config["wiring"])
            cell, unfolds = config["circuit"]["cell"], int(config["circuit"]["unfolds"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{folder / CONFIG} needs valid command, camera, wiring and circuit entries, got "
                f"{type(error).__name__}: {error}; compare with a shipped models/*/config.json."
            ) from error
        if cell != "LTC" or unfolds < 1:
            raise InputError(
                f"{folder / CONFIG} asks for cell {cell!r} with {unfolds} unfolds; this version "
                "runs 'LTC' with 1 or more."
            )
        policy = cls(spec, camera, wiring)
        policy.circuit.unfolds = unfolds
        policy.extra = config.get("extra") or {}
        policy._take_weights(path, content)
        return policy.eval()

    def _take_weights(self, path: Path, content: bytes) -> None:
        try:
            weights = load_weights(content)
        except SafetensorError as error:
            raise InputError(
                f"{path} is not a safetensors file ({error}); copy the policy again."
            ) from error
        expected = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        came = {name: tuple(value.shape) for name, value in weights.items()}
        if came != expected:
            name = min(
                name
                for name in expected.keys() | came.keys()
                if expected.get(name) != came.get(name)
            )
            raise InputError(
                f"The weights {path} do not fit {CONFIG}: {name!r} should have shape "
                f"{expected.get(name, 'none')}, got {came.get(name, 'none')}; copy both files of "
                "one training."
            )
        self.load_state_dict(weights)


@dataclass(frozen=True)
class Decision:
    """One decision with all that recomputing it takes.

    Args:
        command: float32 (outputs,), physical units, clipped to the specification; NaN stays NaN.
        state_before: float32 (19,), neurons before the frame.
        state: float32 (19,), neurons after it.
        time_constants: float32 (19,), effective time constants after the frame [s].
        elapsed: time since the frame before [s].
        reset: the state was fresh.
        frame_hash: `frame_hash` of the prepared frame.
    """

    command: np.ndarray
    state_before: np.ndarray
    state: np.ndarray
    time_constants: np.ndarray
    elapsed: float
    reset: bool
    frame_hash: str


class Driver:
    """Runs a policy frame by frame: numpy in, numpy out, the neurons' state kept inside.

    The circuit's parameters are read at construction and at `reset`: reset after changing them.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._device = policy.scale.device
        self._pixels = torch.empty((1, HEIGHT, WIDTH, 3), dtype=torch.uint8)
        self._pixels_numpy = self._pixels[0].numpy()
        self._activations: list[Tensor] = []
        self.reset()

    @torch.inference_mode()
    def reset(self) -> None:
        """Forget the past: neurons to zero."""
        self._prepared = self.policy.circuit.prepare()
        self._state = torch.zeros((1, self.policy.wiring.units), device=self._device)
        self._fresh = True

    @torch.inference_mode()
    def step(self, frame: np.ndarray, elapsed_s: float) -> Decision:
        """Decide on one frame.

        Args:
            frame: uint8 RGB (rows, columns, 3) of any size; the policy's camera setup is applied.
            elapsed_s: time since the frame before [s], >= 0; after a reset the camera's period.

        Raises:
            InputError: the frame does not fit the camera setup.
            ValueError: a negative or NaN elapsed time.
        """
        policy = self.policy
        np.copyto(self._pixels_numpy, policy.camera.apply(frame))
        features, self._activations = policy.head(self._pixels.to(self._device), True)
        before = self._state
        outputs, state = policy.circuit.step(features, before, elapsed_s, self._prepared)
        constants = policy.circuit.time_constants(features, state, self._prepared)
        # Only after everything has worked, so that a refused frame leaves the driver as it was.
        reset, self._state, self._fresh = self._fresh, state, False
        return Decision(
            command=policy.spec.clip((outputs * policy.scale)[0].cpu().numpy()),
            state_before=before[0].cpu().numpy(),
            state=state[0].cpu().numpy(),
            time_constants=constants[0].cpu().numpy(),
            elapsed=float(elapsed_s),
            reset=reset,
            frame_hash=frame_hash(self._pixels_numpy),
        )

    @torch.inference_mode()
    def attention(self) -> np.ndarray:
        """Where the head looked in the last frame: float32 (78, 200) in [0, 1] (VisualBackProp).

        Raises:
            RuntimeError: no frame came yet.
        """
        if not self._activations:
            raise RuntimeError("Attention needs a frame; call step() before attention().")
        return visual_backprop(self._activations, LAYERS, (HEIGHT, WIDTH))[0].cpu().numpy()


def frame_hash(frame: np.ndarray) -> str:
    """64-bit BLAKE2b of a prepared frame's bytes, 16 hexadecimal digits."""
    return hashlib.blake2b(np.ascontiguousarray(frame), digest_size=8).hexdigest()


def recompute(policy: Policy, frame: np.ndarray, decision: Decision) -> np.ndarray:
    """The command that `policy` gives for a recorded decision, float32 (outputs,), clipped.

    Equal to `decision.command` to the bit on the same kind of machine and number of threads, to
    about 1e-6 of the limits elsewhere.

    Args:
        policy: the policy that is said to have decided.
        frame: the frame that it is said to have seen, uint8 RGB.
        decision: of it only frame_hash, state_before and elapsed are used.

    Raises:
        InputError: the frame is not the one of the decision.
    """
    came = frame_hash(policy.camera.apply(frame))
    if came != decision.frame_hash:
        raise InputError(
            f"The decision was made on frame {decision.frame_hash}, got frame {came}; pair "
            "decisions and frames by their time stamps."
        )
    driver = Driver(policy)
    driver._state = torch.as_tensor(decision.state_before, device=driver._device)[None].clone()
    return driver.step(frame, decision.elapsed).command


def _read_config(folder: Path) -> dict:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder} is no policy: expected a readable {CONFIG} in it ({error.strerror}); give "
            "the folder that training wrote."
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is not valid JSON ({error}); copy the policy again or train it again."
        ) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(
            f"{path} describes no policy: expected format {FORMAT!r}; give the folder that "
            "training wrote."
        )
    if config.get("version") != VERSION:
        raise InputError(
            f"{path} has version {config.get('version')!r}, this package reads {VERSION}; install "
            "the package that wrote it or train again."
        )
    return config
