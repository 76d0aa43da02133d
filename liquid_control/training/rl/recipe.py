"""The settings of a reinforcement learning run, as a YAML file and as a checked dataclass."""

from __future__ import annotations

import difflib
import math
import types
import typing
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_control.errors import InputError

__all__ = ["RLRecipe", "read_rl_recipe"]


@dataclass(frozen=True)
class RLRecipe:
    """Everything that decides the outcome of a run, besides the world itself.

    Args:
        model: name of the trained model; it is written to models/<model> unless told otherwise.
        env: the world.
        options: of the world, for its constructor or its reset.
        init: model to start from; none starts from nothing.
        circuit: what drives where nothing is there to start from; see `training.recipe.Recipe`.
        outputs: names of the commands to learn from nothing; all of the world's by default.
        privileged: values of the world's info that the critic sees beside the features.
        strides: every how many frames of the world the policy sees one, drawn for each episode.
        smoothness: penalty on changes of the action, per second and squared change per second.
        smoothness_of: "action", a part of the reward, for what was done, noise included; "mean", a
            term of the loss, for the circuit's outputs without noise, whose gradient is exact.
        time_cost: penalty per second that an episode lasts, where being quick is wanted.
        steps: decisions to learn from, of all worlds together.
        envs: worlds that run side by side.
        processes: one process for each world; else all run in this one.
        rollout: decisions of each world between two updates.
        batch: decisions in a batch.
        length: most decisions in a sequence of a batch, which is as far as gradients go back in
            time; a sequence begins with the state that was there while driving.
        epochs: passes over a rollout.
        gamma: discount of a decision.
        gae_lambda: of generalised advantage estimation (Schulman et al. 2016).
        clip: clip range of the probability ratio.
        target_kl: ends an update early where the policy has moved further; 0 for never.
        entropy: weight of the entropy.
        value: weight of the critic's loss.
        gradient: largest norm of the gradient.
        noise: first standard deviation of actions, as a share of the upper limits.
        circuit_rate: learning rate of the circuit.
        head_rate: of the vision head; 0 keeps it as it is, and then features are computed once.
        critic_rate: of the critic.
        critic_warmup: decisions in which the critic alone learns.
        critic_layers: sizes of the critic's hidden layers.
        decay: whether learning rates and clip range fall linearly to a tenth.
        evaluate_every: decisions between two evaluations; the model is kept where it is best.
        evaluations: episodes of an evaluation, without noise, always the same.
        evaluation_seed: of the first of them.
        checkpoint_every: decisions between two checkpoints.
        seed: of weights, worlds and order.
    """

    model: str
    env: str
    options: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    circuit: str = "ncp-ltc"
    outputs: tuple[str, ...] = ()
    privileged: tuple[str, ...] = ()
    strides: tuple[int, ...] = (1,)
    smoothness: float = 0.0
    smoothness_of: str = "action"
    time_cost: float = 0.0
    steps: int = 1_000_000
    envs: int = 4
    processes: bool = True
    rollout: int = 256
    batch: int = 512
    length: int = 32
    epochs: int = 5
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    target_kl: float = 0.02
    entropy: float = 0.0
    value: float = 0.5
    gradient: float = 0.5
    noise: float = 0.1
    circuit_rate: float = 3e-4
    head_rate: float = 0.0
    critic_rate: float = 1e-3
    critic_warmup: int = 0
    critic_layers: tuple[int, ...] = (64, 64)
    decay: bool = True
    evaluate_every: int = 50_000
    evaluations: int = 8
    evaluation_seed: int = 500
    checkpoint_every: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        kinds = typing.get_type_hints(RLRecipe)
        for item in fields(self):
            if not _fits(getattr(self, item.name), kinds[item.name]):
                raise InputError(
                    f"{item.name} must be {_words(kinds[item.name])}, got "
                    f"{getattr(self, item.name)!r}; mend the recipe."
                )
            value = getattr(self, item.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{item.name} must be a finite number, got {value}.")
        if Path(self.model).name != self.model or self.model == "..":
            raise InputError(f"model must be a name, not a path, got {self.model!r}.")
        limits = {
            "at least 1": (1, "steps envs rollout length epochs evaluate_every checkpoint_every"),
            "at least 2": (2, "batch"),
            "0 or more": (
                0,
                "smoothness time_cost target_kl entropy value head_rate critic_warmup evaluations "
                "evaluation_seed seed gamma gae_lambda",
            ),
        }
        for text, (low, names) in limits.items():
            for name in names.split():
                if getattr(self, name) < low:
                    raise InputError(f"{name} must be {text}, got {getattr(self, name)}.")
        for name in ("noise", "clip", "gradient", "circuit_rate", "critic_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}.")
        if self.smoothness_of not in ("action", "mean"):
            raise InputError(
                f"smoothness_of is action or mean, got {self.smoothness_of!r}; mend the recipe."
            )
        if self.gamma > 1 or self.gae_lambda > 1:
            raise InputError(
                f"gamma and gae_lambda are at most 1, got {self.gamma} and {self.gae_lambda}."
            )
        if self.seed >= 2**32:
            raise InputError(f"seed must be below 2^32, got {self.seed}.")
        if min(self.critic_layers, default=1) < 1:
            raise InputError(f"critic_layers are numbers from 1 on, got {self.critic_layers}.")
        if not self.strides or min(self.strides) < 1:
            raise InputError(f"strides are one or more numbers from 1 on, got {self.strides}.")
        if self.rollout * self.envs < 2:
            raise InputError("A rollout needs at least two decisions; raise rollout or envs.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON and YAML hold it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def read_rl_recipe(path: str | Path, changes: dict[str, Any] | None = None) -> RLRecipe:
    """Read and check a recipe.

    Args:
        changes: values that stand in for the file's.

    Raises:
        InputError: no such file, not YAML, an unknown key, or a value that makes no sense.
    """
    try:
        content = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"No recipe {path} ({error}); give a YAML file such as config/rl_driving.yaml."
        ) from error
    except YAMLError as error:
        said = " ".join(str(error).split())
        raise InputError(f"The recipe {path} is not valid YAML: {said}; mend it.") from error
    if not isinstance(content, dict):
        raise InputError(f"The recipe {path} must hold `key: value` lines, got {content!r}.")
    known = [item.name for item in fields(RLRecipe)]
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1) or ["one of " + ", ".join(known)]
            raise InputError(f"{path} has an unknown key {key!r}; did you mean {near[0]}?")
    values = content | (changes or {})
    if missing := [name for name in ("model", "env") if not values.get(name)]:
        raise InputError(f"{path} lacks {' and '.join(missing)}; add it.")
    try:
        return RLRecipe(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _fits(value: Any, kind: Any) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict)
    if origin is types.UnionType:
        return any(_fits(value, each) for each in arguments)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _words(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if typing.get_origin(kind) is tuple:
        return f"a list, each {words[typing.get_args(kind)[0]]}"
    if typing.get_origin(kind) is dict:
        return "a mapping of names to values"
    return words.get(kind, "a text, or nothing")
