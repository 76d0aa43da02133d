"""Named suites of conditions, `config/suites/*.yaml`: in what a model is measured, and how long."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_control import models
from liquid_control.errors import InputError, nearest_first
from liquid_control.rollout import Perturbation

__all__ = ["CLEAN", "Condition", "Kind", "Suite", "chosen", "plain", "read_suite", "suites"]

CLEAN = "clean"
_SUITE = ("about", "worlds", "episodes", "seconds", "options", "conditions")
_KIND = ("about", "unit", "clean", "levels")
# Of one level: the world's, and what `rollout.conditions` puts before the pilot.
_LEVEL = ("options", "seconds", *(each.name for each in fields(Perturbation)))


@dataclass(frozen=True)
class Kind:
    """What the levels of one condition have in common.

    Attributes:
        unit: of the levels.
        about: what happens, in a few words.
        clean: the level at which nothing happens, so that "clean" has a place on its curve; None
            where there is no such number.
    """

    unit: str = ""
    about: str = ""
    clean: float | None = None


@dataclass(frozen=True)
class Condition:
    """One level of one perturbation.

    Attributes:
        name: of the perturbation, "clean" for none.
        level: how much of it; the unit is the kind's.
        seconds: longest time of an episode [s]; None is the world's own.
        options: of the world.
        perturbation: between the world and the pilot.
    """

    name: str = CLEAN
    level: float = 0.0
    seconds: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    perturbation: Perturbation = field(default_factory=Perturbation)

    @property
    def key(self) -> str:
        """Name and level, such as "noise=0.1"."""
        return CLEAN if self.name == CLEAN else f"{self.name}={self.level:g}"

    @property
    def definition(self) -> dict[str, Any]:
        """All that decides what happens, as JSON has it."""
        content = {"seconds": self.seconds, "options": dict(self.options)}
        return json.loads(json.dumps(content | self.perturbation.to_dict(), sort_keys=True))


@dataclass(frozen=True)
class Suite:
    """Conditions that belong together.

    Attributes:
        name: of the file; None for conditions from the command line.
        about: what it shows, in a sentence.
        worlds: Gymnasium names.
        episodes: of each condition.
        conditions: in the order of tables and curves.
        kinds: by the conditions' names.
    """

    name: str | None
    about: str
    worlds: tuple[str, ...]
    episodes: int
    conditions: tuple[Condition, ...]
    kinds: Mapping[str, Kind]


def suites() -> dict[str, Path]:
    """The shipped suites by name."""
    root = models.share() / "config" / "suites"
    return {path.stem: path for path in sorted(root.glob("*.yaml"))}


def read_suite(
    name: str, options: Mapping[str, Any] | None = None, seconds: float | None = None
) -> Suite:
    """A shipped suite by its name, or one's own by its file.

    Args:
        name: such as "paper", or the path of a YAML file of the same form.
        options: of the world, instead of those that the whole suite has; a condition's own stay.
        seconds: length of an episode instead of the suite's [s].

    Raises:
        InputError: no such suite, or a file that is none.
    """
    path = Path(name) if Path(name).suffix in (".yaml", ".yml") else suites().get(name)
    if path is None or not path.is_file():
        raise InputError(
            f"No suite {name!r}: expected one of {nearest_first(name, suites())}, or a YAML file."
        )
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML ({error}); look at config/suites.") from error
    content = _known(content, _SUITE, str(path))
    whole = merged(_options(content.get("options"), str(path)), options or {})
    conditions, kinds = [], {}
    for kind, entry in _known(content.get("conditions"), None, f"{path}: conditions").items():
        entry = _known(entry, _KIND, f"{path}: {kind}")
        clean = entry.get("clean")
        kinds[kind] = Kind(
            str(entry.get("unit", "")),
            str(entry.get("about", "")),
            None if clean is None else _number(clean, f"{path}: {kind}: clean"),
        )
        for level, values in _known(entry.get("levels"), None, f"{path}: {kind}: levels").items():
            where = f"{path}: {kind}={level}"
            values = _known(values or {}, _LEVEL, where)
            own = _options(values.pop("options", None), where)
            length = values.pop("seconds", content.get("seconds"))
            conditions.append(
                Condition(
                    kind,
                    _number(level, where),
                    _length(length if seconds is None else seconds, where),
                    merged(whole, own),
                    Perturbation.from_dict(values),
                )
            )
    episodes, worlds = content.get("episodes", 100), content.get("worlds") or []
    if not isinstance(episodes, int) or episodes < 1 or not isinstance(worlds, list) or not worlds:
        raise InputError(
            f"{path} needs `worlds`, a list of names, and `episodes`, a whole number above 0; got "
            f"{worlds!r} and {episodes!r}."
        )
    return Suite(
        path.stem,
        str(content.get("about", "")),
        tuple(map(str, worlds)),
        episodes,
        tuple(conditions),
        kinds,
    )


def plain(
    world: str, noise: float, seconds: float | None, options: Mapping[str, Any], episodes: int = 100
) -> Suite:
    """One condition from the command line, clean or noisy."""
    perturbation = Perturbation(noise=noise)
    name = "noise" if noise else CLEAN
    condition = Condition(name, float(noise), _length(seconds, "--seconds"), options, perturbation)
    kind = Kind("variance on [0, 1]", "Gaussian noise on the frames", 0.0) if noise else Kind()
    return Suite(None, "", (world,), episodes, (condition,), {name: kind})


def chosen(suite: Suite, names: Sequence[str]) -> Suite:
    """A suite with some of its conditions: "fog" for all levels, "fog=12" for one.

    Raises:
        InputError: a name that the suite does not have.
    """
    known = [*suite.kinds, *(each.key for each in suite.conditions if each.key not in suite.kinds)]
    for name in names:
        if name not in known:
            raise InputError(
                f"The suite {suite.name} has no condition {name!r}; it has "
                f"{nearest_first(name, known)}."
            )
    kept = tuple(e for e in suite.conditions if not names or {e.name, e.key} & set(names))
    return replace(suite, conditions=kept)


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a world with others on top; camera effects are merged by name."""
    found = {**first, **second}
    if isinstance(first.get("effects"), Mapping) and isinstance(second.get("effects"), Mapping):
        found["effects"] = {**first["effects"], **second["effects"]}
    return found


def _known(content: Any, names: Sequence[str] | None, where: str) -> dict:
    if not isinstance(content, dict) or not (content or names):
        raise InputError(
            f"{where} must hold {', '.join(names) if names else 'at least one entry'}, got "
            f"{content!r}; look at config/suites."
        )
    for name in content if names else ():
        if name not in names:
            raise InputError(f"{where} has no {name!r}; it may have {nearest_first(name, names)}.")
    return dict(content)


def _options(content: Any, where: str) -> dict[str, Any]:
    if content is not None and not isinstance(content, dict):
        raise InputError(
            f"{where}: options: expected names with values, such as {{season: summer}}, got "
            f"{content!r}."
        )
    return content or {}


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: expected a number, got {value!r}.")
    return float(value)


def _length(seconds: Any, where: str) -> float | None:
    if seconds is None:
        return None
    if not 0 < _number(seconds, where) < math.inf:
        raise InputError(
            f"{where}: an episode lasts more than 0 s and has an end, got {seconds}; leave it out "
            "for the world's own time."
        )
    return float(seconds)
