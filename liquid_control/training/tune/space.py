"""What a search varies: recipe keys with ranges or choices, from a YAML file."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from optuna import Trial
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_control.errors import InputError, nearest_first
from liquid_control.training.recipe import Recipe, build_recipe

__all__ = ["Dimension", "Space", "changed", "read_settings", "read_space"]

RANGE = ("low", "high", "log", "step")
# A search that changed these would compare scores of different things.
MEASURE = (
    *("data", "model", "outputs", "labels", "validation", "test", "seed", "closed_loop"),
    "checkpoint",
)


@dataclass(frozen=True)
class Dimension:
    """One key of a recipe and the values that it may take.

    Args:
        name: of the key, `augmentation.noise` for one inside another.
        choices: values to choose from; else a range.
        low, high: both ends of the range, inclusive.
        log: whether the range is searched in its logarithm.
        step: distance of neighbouring values; None for any value (1 for whole numbers).
        whole: whether values are whole numbers.
    """

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that a recipe must accept for the dimension to make sense."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: Trial) -> Any:
        """This trial's value."""
        if self.choices:
            return _decoded(trial.suggest_categorical(self.name, list(map(_coded, self.choices))))
        if self.whole:
            low, high = int(self.low), int(self.high)
            return trial.suggest_int(
                self.name, low, high, log=self.log, step=1 if self.step is None else int(self.step)
            )
        return trial.suggest_float(self.name, self.low, self.high, log=self.log, step=self.step)

    def coded(self, value: Any) -> Any | None:
        """`value` as Optuna stores it, or None where the dimension does not hold it."""
        if self.choices:
            return _coded(value) if value in self.choices else None
        return value if self.low <= value <= self.high else None


def _coded(value: Any) -> Any:
    # Optuna stores plain values only; strides, for instance, are lists.
    return json.dumps(value) if isinstance(value, list) else value


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith("[") else value


@dataclass(frozen=True)
class Space:
    """Dimensions to search, and keys that every trial has otherwise than the recipe.

    Args:
        dimensions: what is searched.
        fixed: values by dotted key.
    """

    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """The settings of a trial by dotted key."""
        searched = {each.name: each.suggest(trial) for each in self.dimensions}
        return {**self.fixed, **searched}

    def own(self, recipe: Recipe) -> dict[str, Any] | None:
        """The recipe's own values as Optuna stores them; None where the space lacks one."""
        values = {}
        for each in self.dimensions:
            value: Any = recipe
            for part in each.name.split("."):
                value = getattr(value, part)
            value = each.coded(list(value) if isinstance(value, tuple) else value)
            if value is None:
                return None
            values[each.name] = value
        return values

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        found: dict[str, Any] = dict(self.fixed)
        for each in self.dimensions:
            limits = {name: getattr(each, name) for name in RANGE}
            found[each.name] = list(each.choices) if each.choices else limits
        return json.loads(json.dumps(found))


def read_settings(path: Path, example: str) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        InputError: no such file, or not YAML with `key: value` lines.
    """
    try:
        # YAML 1.2, in which 1e-4 is a number.
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"No {path} ({reason}); give a YAML file such as {example}.") from error
    except YAMLError as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML: {said}; mend it.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold `key: value` lines, got {content!r}.")
    return content


def changed(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's settings with other values for some dotted keys."""
    settings = copy.deepcopy(dict(settings))
    for name, value in values.items():
        *outer, last = name.split(".")
        place = settings
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    return settings


def read_space(path: Path, settings: Mapping[str, Any]) -> Space:
    """Read and check a search space.

    A key has a range `{low: 1e-4, high: 3e-3, log: true}` (or `step`), a list of choices, or one
    value that every trial has.

    Args:
        path: YAML file.
        settings: of the recipe that is searched.

    Raises:
        InputError: no such file, an unknown key, or values that the recipe would refuse.
    """
    known = _keys()
    dimensions, fixed = [], {}
    for name, entry in _flat(read_settings(path, "config/tune_rc_track.yaml")):
        where = f"{path}: {name}"
        if name not in known:
            near = nearest_first(name, known).split(", ")[0]
            raise InputError(
                f"{path} searches the unknown key {name!r}, the nearest known one is {near!r}."
            )
        if name.split(".")[0] in MEASURE:
            raise InputError(
                f"{where} cannot be searched, as it changes what a score means; set it in the "
                "recipe."
            )
        if not isinstance(entry, dict | list):
            fixed[name] = entry
            continue
        dimension = _dimension(name, entry, known[name], where)
        dimensions.append(dimension)
    if not dimensions:
        raise InputError(
            f"{path} searches nothing; give at least one key a range such as "
            "head_rate: {low: 1e-4, high: 3e-3, log: true} or a list of choices."
        )
    settings = changed(settings, fixed)
    build_recipe(settings, str(path))
    for each in dimensions:
        for value in each.ends:
            build_recipe(changed(settings, {each.name: value}), f"{path} ({each.name}: {value})")
    return Space(tuple(dimensions), fixed)


def _keys() -> dict[str, Any]:
    """The type of every key of a recipe by dotted name."""
    found = {}
    for name, kind in get_type_hints(Recipe).items():
        if is_dataclass(kind):
            kinds = get_type_hints(kind)
            found |= {f"{name}.{item.name}": kinds[item.name] for item in fields(kind)}
        else:
            found[name] = kind
    return found


def _flat(content: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    """Entries by dotted name; parts of a recipe may be written as `a.b: x` or `a: {b: x}`."""
    groups = {name for name, kind in get_type_hints(Recipe).items() if is_dataclass(kind)}
    for name, entry in content.items():
        if not outer and name in groups and isinstance(entry, dict):
            yield from _flat(entry, f"{name}.")
        else:
            yield f"{outer}{name}", entry


def _dimension(name: str, entry: Any, kind: Any, where: str) -> Dimension:
    """One entry of the file, checked as far as it does not need the recipe."""
    if isinstance(entry, list):
        if len(entry) < 2 or any(value in entry[:index] for index, value in enumerate(entry)):
            raise InputError(
                f"{where} needs a list of at least two different choices, got {entry}."
            )
        return Dimension(name, tuple(entry))
    for key in entry:
        if key not in RANGE:
            raise InputError(
                f"{where} has the unknown key {key!r}, the nearest known one is "
                f"{nearest_first(key, RANGE).split(', ')[0]!r}."
            )
    if kind not in (int, float):
        raise InputError(f"{where} is no number, so it needs a list of choices, got {entry}.")
    low, high, step = (entry.get(key) for key in ("low", "high", "step"))
    log = entry.get("log", False)
    whole = kind is int
    fits = int if whole else int | float
    numbers = [low, high] + ([] if step is None else [step])
    if not all(isinstance(each, fits) and not isinstance(each, bool) for each in numbers):
        what = "whole numbers" if whole else "numbers"
        raise InputError(f"{where} needs {what} for low and high (and step), got {entry}.")
    if not low < high or (step is not None and not 0 < step <= high - low):
        raise InputError(f"{where} needs low below high and a step that fits, got {entry}.")
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        raise InputError(
            f"{where}: log is true or false, and with true low is above 0 and there is no step; "
            f"got {entry}."
        )
    if not whole:
        low, high = float(low), float(high)
    return Dimension(name, (), low, high, log, step, whole)
