"""The settings of an imitation training, as a YAML file and as a checked dataclass."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_control.camera import CameraSetup
from liquid_control.command import (
    CURVATURE,
    SPEED,
    STEERING,
    THROTTLE,
    VX,
    VY,
    VZ,
    YAW_RATE,
    CommandSpec,
    Output,
)
from liquid_control.data.interventions import Labels
from liquid_control.errors import InputError

__all__ = [
    "OUTPUTS",
    "Augmentation",
    "ClosedLoop",
    "Recipe",
    "build_recipe",
    "check",
    "from_entries",
    "read_entries",
    "read_recipe",
]

OUTPUTS: dict[str, Output] = {
    output.name: output
    for output in (
        *(CURVATURE, SPEED, STEERING, THROTTLE, VX, VY, VZ, YAW_RATE),
        *(Output("gas", "1", 0.0, 1.0), Output("brake", "1", 0.0, 1.0)),
    )
}


@dataclass(frozen=True)
class Augmentation:
    """How much each window of a batch is varied; each value is a largest one, 0 switches it off.

    Args:
        noise: standard deviation of Gaussian noise on frames in [0, 1].
        gamma: frames are raised to a power between 1 / (1 + gamma) and 1 + gamma.
        shadow: share of brightness that a shadow across the frame takes away, 0 to 1.
        tree_shadow: share of brightness that shadows of trees on the ground take away, 0 to 1.
        mirror: probability that a window is mirrored left to right, its lateral labels negated.
            Only for scenes that look the same from both sides.
        season: colours of other seasons: hue turned by up to this angle [rad], saturation between
            1 - season and 1 + season, white balance up to this, 0 to 1.
        colours: probability of a window in which every colour is another one at random.
        shake: the picture is zoomed by 1 - shake to 1 + shake, moved up or down by up to this share
            of its height and rolled by up to this angle [rad]; labels stay.
        cut_out: share of the frame's sides that a grey rectangle covers at most, 0 to 1.
        panel: share of the frame, at the bottom, that nothing but a mirror, a shift and a turn
            varies: instruments, which look the same in every light.
        afar: everything looks up to 1 + afar times as far away, and turns are so much smaller; for
            a drone (vx, vy, yaw_rate) whose camera is level.
        afar_speed: only where the label of vx stays above this [m/s]: who flies slower is near the
            goal.
        shift: the camera is moved sideways by up to this [m], and the label leads back.
        yaw: the camera is turned by up to this [rad], and the label leads back.
        recovery: distance over which a label leads back from a shift and a turn [m].
        camera_height: of the camera that recorded [m], for tree_shadow, shift and yaw; by default
            Driving-v1's.
        camera_pitch: of that camera, positive down [degrees].
        camera_fovy: its vertical field of view [degrees].
    """

    noise: float = 0.0
    gamma: float = 0.0
    shadow: float = 0.0
    tree_shadow: float = 0.0
    mirror: float = 0.0
    season: float = 0.0
    colours: float = 0.0
    shake: float = 0.0
    cut_out: float = 0.0
    panel: float = 0.0
    afar: float = 0.0
    afar_speed: float = 1.8
    shift: float = 0.0
    yaw: float = 0.0
    recovery: float = 12.0
    camera_height: float = 1.35
    camera_pitch: float = 9.0
    camera_fovy: float = 37.0


@dataclass(frozen=True)
class ClosedLoop:
    """Drives during the training: their score picks the weights that are kept.

    Args:
        world: Gymnasium name such as liquid_control/Driving-v1; "" switches it off.
        episodes: drives of one check; the same seeds every time.
        seconds: length of a drive [s].
        every: optimiser steps between two checks; 0 is once an epoch.
        seed: of the first drive; neither training (below 1000) nor evaluation (1000 and on) uses
            those from 900000 on.
        score: what counts: "survival" is the share of the time without a crash, less a tenth of
            the mean lateral error [m]; "success" and "reward" are the world's own.
        options: of the world, each NAME=VALUE.
        patience: checks without a better score after which the training ends; 0 is never.
        workers: processes.
    """

    world: str = ""
    episodes: int = 4
    seconds: float = 15.0
    every: int = 0
    seed: int = 900_000
    score: Literal["survival", "success", "reward"] = "survival"
    options: tuple[str, ...] = ()
    patience: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome of a training, besides the data.

    Args:
        data: bags, or folders of bags.
        model: name of the model; it is written to `models/<model>` unless told otherwise.
        outputs: names of the commands to learn.
        labels: whose commands they are: "expert" is an expert's, or else whatever was sent on
            cmd_vel; "interventions" a person's who took over now and then, other frames having no
            label; "driven" the person's, and the policy's own wherever the person let it drive.
            Demonstrations among such bags keep their expert's.
        camera: region of interest of the recorded images.
        circuit: what drives: ncp-ltc, ncp-cfc, ncp-cfc-mixed (19 neurons each), or cfc, cfc-mixed,
            lstm, gru, ctrnn with a number of units (lstm-64; 64 by default), or cnn, the
            feed-forward baseline.
        mode: "windows" starts every window from a zero state; "stateful" carries the state from
            window to window through a recording and cuts the gradient between them (truncated
            backpropagation through time).
        length: frames of a window.
        shift: recorded frames between the starts of neighbouring windows; stateful training needs
            none.
        strides: every how many recorded frames a window takes one; one data set for each.
        validation: share of the recordings kept to watch the loss on, before the test part.
        test: share of the recordings, the latest ones, kept to measure the outcome on.
        epochs: passes over all windows.
        batch: windows in a batch, of all processes together.
        head_rate: peak learning rate of Adam for the head.
        circuit_rate: peak learning rate of Adam for the circuit.
        weight_decay: of the head.
        warmup: steps of rising learning rate; it falls along a cosine afterwards.
        clip: largest norm of the gradient.
        ema: decay per step of an exponential moving average of the weights, which is what is then
            checked and saved; 0 switches it off.
        alpha: a frame's weight in the loss is exp(alpha |label| / upper limit), normalised, for
            each output (Lechner et al. 2020).
        weights: of the outputs in the loss; all 1 by default.
        burn_in: frames after a zero state that only build up the state.
        augmentation: variation of the frames.
        closed_loop: drives during the training, whose score picks the weights.
        checkpoint: optimiser steps between checkpoints.
        minutes: end the training after this time; 0 is no limit.
        core_minutes: end it after this processor time of each process, with the learning rate
            falling to 0 by then; 0 is no limit. For comparisons by equal time.
        precision: Lightning's name; "bf16-mixed" is 1.6 times as fast on CPUs with AVX512-BF16.
        seed: of weights, order and augmentation; the wiring has its own default.
    """

    data: tuple[str, ...]
    model: str
    outputs: tuple[str, ...] = ("curvature",)
    labels: Labels = "expert"
    camera: CameraSetup = field(default_factory=CameraSetup)
    circuit: str = "ncp-ltc"
    mode: Literal["windows", "stateful"] = "windows"
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
    ema: float = 0.0
    alpha: float = 0.1
    weights: tuple[float, ...] = ()
    burn_in: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    closed_loop: ClosedLoop = field(default_factory=ClosedLoop)
    checkpoint: int = 200
    minutes: float = 0.0
    core_minutes: float = 0.0
    precision: str = "32-true"
    seed: int = 0

    @property
    def spec(self) -> CommandSpec:
        return CommandSpec(tuple(OUTPUTS[name] for name in self.outputs))

    def to_dict(self) -> dict[str, Any]:
        """All settings, JSON-ready."""
        return asdict(self)


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        InputError: no such file, not YAML, an unknown key, or a value that makes no sense.
    """
    return build_recipe(read_entries(path), str(path))


def read_entries(path: str | Path) -> dict[str, Any]:
    """The entries of a recipe's file, as YAML holds them.

    Raises:
        InputError: no such file, or no YAML of `key: value` lines.
    """
    try:
        # YAML 1.2, in which 5e-4 is a number.
        content = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"No recipe {path} ({error.strerror}); give a YAML file such as config/driving.yaml."
        ) from error
    except (YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"The recipe {path} is not valid YAML: {said}; mend it.") from error
    if not isinstance(content, dict):
        raise InputError(f"The recipe {path} must hold `key: value` lines, got {content!r}.")
    return content


def build_recipe(content: Mapping[str, Any], where: str) -> Recipe:
    """A checked recipe from the entries of its file.

    Args:
        content: as YAML holds them.
        where: what messages call the file.

    Raises:
        InputError: an unknown key, or a value that makes no sense.
    """
    return check(from_entries(Recipe, content, where), where)


def from_entries(kind: type, content: Any, where: str):
    """The dataclass `kind` from entries as YAML holds them; `where` is what messages call them.

    Raises:
        InputError: an unknown key, a value of another type, or one that is missing.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where} must hold `key: value` lines, got {content!r}.")
    types = get_type_hints(kind)
    known = [item.name for item in fields(kind)]
    for name in content:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
            raise InputError(
                f"{where} has the unknown key {name!r}, the nearest known one is {near[0]!r}; "
                f"known are {', '.join(sorted(known))}."
            )
    values = {
        name: from_entries(types[name], value, f"{where}: {name}")
        if is_dataclass(types[name])
        else _typed(types[name], value, f"{where}: {name}")
        for name, value in content.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{where} lacks a value: {error}; add it.") from error


def _typed(wanted: Any, value: Any, where: str) -> Any:
    """`value` as the type that a field asks for."""
    parts = get_args(wanted)
    if parts[1:] == (type(None),):
        return None if value is None else _typed(parts[0], value, where)
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted in (int, str) and type(value) is wanted:
        return value
    if type(parts[0] if parts else None) is str:  # Literal
        if value in parts:
            return value
        raise InputError(f"{where} is one of {', '.join(parts)}, got {value!r}.")
    if parts and isinstance(value, list | tuple):
        return tuple(_typed(parts[0], each, where) for each in value)
    names = {int: "a whole number", float: "a number", str: "a word"}
    expected = names.get(wanted) or f"a list, each {names[parts[0]]}"
    raise InputError(f"{where} must be {expected}, got {value!r}; mend the recipe.")


def check(recipe: Recipe, where: str) -> Recipe:
    """Return the recipe if its values make sense.

    Raises:
        InputError: they do not.
    """

    def need(holds: bool, what: str, came: Any) -> None:
        if not holds:
            raise InputError(f"{where} needs {what}, got {came}.")

    if unknown := [name for name in recipe.outputs if name not in OUTPUTS]:
        raise InputError(
            f"{where} asks for outputs {', '.join(unknown)}; known are {', '.join(OUTPUTS)}."
        )
    named = Path(recipe.model).name == recipe.model not in ("", "..")
    need(named, "model: a name, not a path", repr(recipe.model))
    need(len(recipe.data) > 0, "data: a bag or a folder of bags", "none")
    for name in ("length", "shift", "epochs", "batch", "checkpoint"):
        need(getattr(recipe, name) >= 1, f"{name} of 1 or more", getattr(recipe, name))
    need(min(recipe.strides, default=0) >= 1, "strides of 1 or more", list(recipe.strides))
    for name in (
        "head_rate",
        "circuit_rate",
        "weight_decay",
        "warmup",
        "alpha",
        "minutes",
        "core_minutes",
    ):
        need(0 <= getattr(recipe, name) < 1e9, f"{name} of 0 or more", getattr(recipe, name))
    need(recipe.clip > 0, "clip above 0", recipe.clip)
    need(0 <= recipe.seed < 2**32, "a seed of 0 or more, below 2^32", recipe.seed)
    need(0 <= recipe.ema < 1, "an ema of 0 or more and below 1", recipe.ema)
    need(
        0 <= recipe.burn_in < recipe.length,
        "0 <= burn_in < length",
        f"{recipe.burn_in} and {recipe.length}",
    )
    need(
        0 <= recipe.validation < 1 and 0 <= recipe.test < 1 - recipe.validation,
        "shares with validation + test < 1",
        f"{recipe.validation} and {recipe.test}",
    )
    need(
        len(recipe.weights) in (0, len(recipe.outputs)) and min(recipe.weights, default=1) > 0,
        f"weights above 0, one for each of {len(recipe.outputs)} outputs",
        list(recipe.weights),
    )
    _check_augmentation(recipe, need)
    loop = recipe.closed_loop
    if loop.world:
        need(loop.episodes >= 1 and loop.workers >= 1, "closed_loop: episodes and workers", loop)
        need(loop.seconds > 0 and loop.every >= 0, "closed_loop: seconds above 0, every >= 0", loop)
        least = min(loop.seed, loop.patience)
        need(least >= 0, "closed_loop: seed and patience of 0 or more", least)
    return recipe


def _check_augmentation(recipe: Recipe, need) -> None:
    varied = recipe.augmentation
    shares = ("shadow", "tree_shadow", "mirror", "season", "colours", "shake", "cut_out", "panel")
    for name in shares:
        value = getattr(varied, name)
        need(0 <= value <= 1, f"augmentation: {name} from 0 to 1", value)
    for name in ("noise", "gamma", "shift", "yaw"):
        value = getattr(varied, name)
        need(0 <= value < 10, f"augmentation: {name} of 0 or more", value)
    need(0 <= varied.afar <= 2, "augmentation: afar from 0 to 2", varied.afar)
    if varied.afar:
        need(
            "vx" in recipe.outputs,
            "the output vx for augmentation: afar, which leaves slow windows as they are",
            ", ".join(recipe.outputs),
        )
    need(varied.recovery > 0, "augmentation: recovery above 0 m", varied.recovery)
    if varied.shift or varied.yaw:
        need(
            "curvature" in recipe.outputs,
            "the output curvature for augmentation: shift and yaw, whose labels are paths",
            ", ".join(recipe.outputs),
        )
        need(
            (recipe.camera.top, recipe.camera.bottom) == (0.0, 1.0),
            "whole frames for augmentation: shift and yaw, whose geometry is the camera's",
            f"rows {recipe.camera.top} to {recipe.camera.bottom}",
        )
