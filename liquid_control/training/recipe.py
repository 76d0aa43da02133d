"""The settings of an imitation training, as a YAML file and as a checked dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from liquid_control.camera import CameraSetup
from liquid_control.command import CURVATURE, SPEED, STEERING, THROTTLE, CommandSpec, Output
from liquid_control.errors import InputError

__all__ = ["OUTPUTS", "Augmentation", "Recipe", "read_recipe"]

OUTPUTS: dict[str, Output] = {
    output.name: output for output in (CURVATURE, SPEED, STEERING, THROTTLE)
}


@dataclass(frozen=True)
class Augmentation:
    """How much each window of a batch is varied; each value is a largest one, 0 switches it off.

    Args:
        noise: standard deviation of Gaussian noise on frames in [0, 1].
        gamma: frames are raised to a power between 1 / (1 + gamma) and 1 + gamma.
        shadow: share of brightness that a shadow across the frame takes away, 0 to 1.
        mirror: probability that a window is mirrored left to right, its labels negated. Only for
            scenes that look the same from both sides.
    """

    noise: float = 0.0
    gamma: float = 0.0
    shadow: float = 0.0
    mirror: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome of a training, besides the data.

    Args:
        data: bags, or folders of bags.
        model: name of the model; it is written to `models/<model>` unless told otherwise.
        outputs: names of the commands to learn.
        camera: region of interest of the recorded images.
        length: frames of a window.
        shift: frames between the starts of neighbouring windows.
        strides: every how many recorded frames a window takes one; one data set for each.
        validation, test: shares of the recordings, the latest ones, kept for these.
        epochs: passes over all windows.
        batch: windows in a batch.
        head_rate, circuit_rate: peak learning rates of Adam.
        weight_decay: of the head.
        warmup: steps of rising learning rate; it falls along a cosine afterwards.
        clip: largest norm of the gradient.
        alpha: a frame's weight in the loss is exp(alpha |label| / upper limit), normalised
            (Lechner et al. 2020).
        burn_in: first frames of a window that only build up the state.
        augmentation: variation of the frames.
        precision: Lightning's name; "bf16-mixed" is 1.6 times as fast on CPUs with AVX512-BF16.
        seed: of weights, order and augmentation; the wiring has its own default.
    """

    data: tuple[str, ...]
    model: str
    outputs: tuple[str, ...] = ("curvature",)
    camera: CameraSetup = field(default_factory=CameraSetup)
    length: int = 16
    shift: int = 8
    strides: tuple[int, ...] = (1,)
    validation: float = 0.1
    test: float = 0.0
    epochs: int = 5
    batch: int = 32
    head_rate: float = 5e-4
    circuit_rate: float = 5e-4
    weight_decay: float = 0.0
    warmup: int = 100
    clip: float = 10.0
    alpha: float = 0.1
    burn_in: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: str = "32-true"
    seed: int = 0

    @property
    def spec(self) -> CommandSpec:
        return CommandSpec(tuple(OUTPUTS[name] for name in self.outputs))


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        InputError: no such file, not YAML, an unknown key, or a value that makes no sense.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"No recipe {path} ({error.strerror}); give a YAML file such as config/driving.yaml."
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"The recipe {path} is not valid YAML: {error}; mend it.") from error
    if not isinstance(content, dict):
        raise InputError(f"The recipe {path} must hold `key: value` lines, got {content!r}.")
    return check(_build(Recipe, content, str(path)), str(path))


def _build(kind: type, content: dict, where: str):
    known = {item.name for item in fields(kind)}
    if unknown := sorted(set(content) - known):
        raise InputError(
            f"{where} has unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}."
        )
    nested = {"camera": CameraSetup, "augmentation": Augmentation}
    values = {
        name: _build(nested[name], value, f"{where}: {name}")
        if name in nested
        else tuple(value)
        if isinstance(value, list)
        else value
        for name, value in content.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{where} lacks a value: {error}; add it.") from error


def check(recipe: Recipe, where: str) -> Recipe:
    """Return the recipe if its values make sense."""
    if unknown := [name for name in recipe.outputs if name not in OUTPUTS]:
        raise InputError(
            f"{where} asks for outputs {', '.join(unknown)}; known are {', '.join(OUTPUTS)}."
        )
    whole = ("length", "shift", "epochs", "batch", "warmup", "burn_in", "seed")
    numbers = {name: getattr(recipe, name) for name in whole}
    if wrong := {name: value for name, value in numbers.items() if not isinstance(value, int)}:
        raise InputError(f"{where} needs whole numbers, got {wrong}.")
    if min(recipe.length, recipe.shift, recipe.epochs, recipe.batch) < 1:
        raise InputError(f"{where} needs length, shift, epochs and batch of at least 1: {numbers}.")
    if not 0 <= recipe.burn_in < recipe.length:
        raise InputError(
            f"{where} needs 0 <= burn_in < length, got {recipe.burn_in} and {recipe.length}."
        )
    if not (0 <= recipe.validation < 1 and 0 <= recipe.test < 1 - recipe.validation):
        raise InputError(
            f"{where} needs shares with validation + test < 1, got {recipe.validation} and "
            f"{recipe.test}."
        )
    return recipe
