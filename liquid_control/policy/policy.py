"""Head, circuit and what the outputs mean; saved as a folder that cannot run code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as save_weights
from torch import Tensor, nn

from liquid_control.camera import CameraSetup
from liquid_control.circuits import LTC, Circuit, Wiring, flagship_wiring
from liquid_control.circuits.saving import describe, make
from liquid_control.command import CommandSpec
from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.perception import VisionHead
from liquid_control.perception.baseline import BaselineHead, FeedForward

__all__ = ["Policy"]

FORMAT = "liquid_control policy"
VERSION = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
HEADS = {"vision": VisionHead, "baseline": BaselineHead}


class Policy(nn.Module):
    """Frames and elapsed times to commands in physical units.

    command = upper limit of the output * output of the circuit, so that a circuit output of 1 is
    full command whatever the unit. Commands are not clipped here: a loss needs the gradient beyond
    the limits; `Driver` clips.

    For faster training on a CPU with bfloat16 run it under `torch.autocast("cpu", torch.bfloat16)`:
    the convolutions use it, standardisation and circuit stay in float32.

    Args:
        spec: name, unit and limits of each output.
        camera: how a robot's image becomes a frame: 78 x 200 by default. The baseline takes no
            other size.
        wiring: of an LTC, one input per feature of the head and one motor neuron per output; by
            default the 19 neurons and 253 synapses of `flagship_wiring`.
        circuit: instead of an LTC on a wiring, any other of `liquid_control.circuits`, or the
            `FeedForward` of the baseline.
        head: "vision" or "baseline", the CNN of `perception.baseline`.
        tick: what the circuit counts as one unit of time [s]; it gets elapsed time / tick. An LTC
            knows seconds; others were published counting frames, 1/30 here.

    Raises:
        InputError: camera, wiring or circuit do not fit the head or the specification.
    """

    def __init__(
        self,
        spec: CommandSpec,
        camera: CameraSetup | None = None,
        wiring: Wiring | None = None,
        *,
        circuit: Circuit | FeedForward | None = None,
        head: str = "vision",
        tick: float = 1.0,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.camera = camera or CameraSetup()
        self.tick = tick
        size = (self.camera.height, self.camera.width)
        if head == "baseline" and size != BaselineHead.size:
            raise InputError(
                f"The baseline sees {BaselineHead.size[0]} x {BaselineHead.size[1]} px, got a "
                f"camera setup of {size[0]} x {size[1]}; set its height and width."
            )
        if wiring is None and circuit is None:
            if len(spec) > 4:
                raise InputError(
                    f"19 neurons serve 1 to 4 outputs, got {len(spec)}; draw a larger wiring."
                )
            wiring = flagship_wiring(len(spec))
        features = HEADS[head].features
        if wiring is not None and (wiring.inputs, wiring.motor) != (features, len(spec)):
            raise InputError(
                f"A policy with outputs {list(spec.names)} needs a wiring with {features} inputs "
                f"and {len(spec)} motor neurons, got {wiring.inputs} and {wiring.motor}; draw "
                "another wiring or change the outputs."
            )
        if circuit is not None and (circuit.inputs, circuit.outputs) != (features, len(spec)):
            raise InputError(
                f"A policy with outputs {list(spec.names)} needs a circuit with {features} inputs "
                f"and {len(spec)} outputs, got {circuit.inputs} and {circuit.outputs}; make it so."
            )
        # The head is drawn first: its weights come first from the seed.
        self.head = BaselineHead() if head == "baseline" else VisionHead(*size)
        self.circuit = LTC(wiring) if circuit is None else circuit
        self.extra: dict = {}
        self.register_buffer("scale", torch.from_numpy(spec.high), persistent=False)

    @property
    def wiring(self) -> Wiring | None:
        """Who is wired to whom; None for a circuit without a wiring."""
        return getattr(self.circuit, "wiring", None)

    @property
    def state_names(self) -> list[str]:
        """A name for each number of a `Decision`'s state: the neurons', then the memory's."""
        names = []
        for index, size in enumerate(self.circuit.state_sizes):
            wired = self.wiring is not None and size == self.wiring.units
            own = self.wiring.names if wired else [f"unit_{unit}" for unit in range(size)]
            names += [name if index == 0 else f"memory_{name}" for name in own]
        return names

    def features(self, frames: Tensor) -> Tensor:
        """Features (..., 32), or (..., 100) of the baseline, of frames (..., rows, columns, 3)."""
        leading = frames.shape[:-3]
        return self.head(frames.reshape(-1, *frames.shape[-3:])).reshape(*leading, -1)

    def forward_features(
        self, features: Tensor, state: Tensor | None, elapsed: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, from features (batch, time, 32)."""
        outputs, state = self.circuit(features, state, elapsed / self.tick)
        return outputs * self.scale, state

    def forward(
        self, frames: Tensor, state: Tensor | None, elapsed: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Drive through sequences.

        Args:
            frames: (batch, time, rows, columns, 3) RGB, uint8 or floats in [0, 1].
            state: of the circuit, (batch, 19) for the flagship, or None for a fresh start (zeros).
            elapsed: time since the frame before [s]: a number, (time,) or (batch, time).

        Returns:
            Commands (batch, time, outputs) in the units of the specification, not clipped, and the
            circuit's state after the last frame.
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
            **self._describe(),
            # Ties the two files together: a crash between their replacements cannot go unnoticed.
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "extra": self.extra if extra is None else extra,
        }
        config = json.dumps(fields, indent=1) + "\n"
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / WEIGHTS, weights)
        replace_file(folder / CONFIG, config.encode())

    def _describe(self) -> dict:
        """Configuration entries of head and circuit."""
        circuit = self.circuit
        plain = type(circuit) is LTC and type(self.head) is VisionHead and self.tick == 1.0
        if plain and describe(circuit) == _described_default(circuit):
            wiring = circuit.wiring.to_dict()
            return {"circuit": {"cell": "LTC", "unfolds": circuit.unfolds}, "wiring": wiring}
        if isinstance(circuit, FeedForward):
            sizes = {"inputs": circuit.inputs, "outputs": circuit.outputs}
            described = {"kind": "FeedForward", "arguments": sizes}
        else:
            described = describe(circuit)
        entries = {"cell": described["kind"], "arguments": described["arguments"]}
        head = next(name for name, kind in HEADS.items() if type(self.head) is kind)
        return {"head": head, "circuit": {**entries, "tick": self.tick}}

    @classmethod
    def _made(cls, config: dict) -> Policy:
        """A fresh policy with the head and circuit that `_describe` described.

        Raises:
            KeyError, TypeError, ValueError: an entry is missing or makes no sense.
            InputError: the entries do not fit one another.
        """
        spec, camera = CommandSpec.from_dict(config["command"]), CameraSetup(**config["camera"])
        entries = config["circuit"]
        cell = entries["cell"]
        if "arguments" in entries:
            described = {"kind": cell, "arguments": entries["arguments"]}
            feedforward = cell == "FeedForward"
            circuit = FeedForward(**entries["arguments"]) if feedforward else make(described)
            head, tick = config["head"], float(entries["tick"])
            if head not in HEADS or not 0 < tick < float("inf"):
                raise ValueError(f"head {head!r} with a tick of {tick} s")
            return cls(spec, camera, circuit=circuit, head=head, tick=tick)
        unfolds, wiring = int(entries["unfolds"]), Wiring.from_dict(config["wiring"])
        if cell != "LTC" or unfolds < 1:
            raise ValueError(
                f"cell {cell!r} with {unfolds} unfolds and no arguments; 'LTC' with 1 or more is "
                "the one that needs none"
            )
        policy = cls(spec, camera, wiring)
        policy.circuit.unfolds = unfolds
        return policy

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
            # What is drawn here is overwritten; a caller's random numbers stay what they were.
            with torch.random.fork_rng(devices=[]):
                policy = cls._made(config)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{folder / CONFIG} needs valid command, camera, wiring and circuit entries, got "
                f"{type(error).__name__}: {error}; compare with a shipped models/*/config.json."
            ) from error
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
        for name, value in weights.items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise InputError(
                    f"The weights {path} hold numbers that are not finite, in {name!r}; a training "
                    "that diverged wrote them, so take another checkpoint or train again."
                )
        self.load_state_dict(weights)


def _described_default(circuit: LTC) -> dict:
    with torch.random.fork_rng(devices=[]):
        return describe(LTC(circuit.wiring, unfolds=circuit.unfolds))


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
