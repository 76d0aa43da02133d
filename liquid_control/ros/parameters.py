"""Parameters with a description, a range and a time at which they may change.

`ros2 param describe` shows all three.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from liquid_control.errors import InputError
from liquid_control.safety import AnyLimits, Limits
from liquid_control.training.online_settings import Settings

__all__ = [
    "Item",
    "Parameters",
    "When",
    "declare",
    "declare_learning",
    "declare_limits",
    "undeclared",
]

When = Literal["never", "unconfigured", "inactive", "always"]
_WHEN: dict[When, str] = {
    "never": "",
    "unconfigured": "changes only while the node is unconfigured",
    "inactive": "changes only while the node is not active",
    "always": "changes at once, at any time",
}
_FIRST = {"unconfigured": "deactivate it and clean it up first", "inactive": "deactivate it first"}


@dataclass(frozen=True)
class Item:
    """One parameter.

    Args:
        name: of it.
        default: its value where none is given; also says its type.
        text: what it is, with its unit in square brackets.
        low, high: its range, for numbers.
        when: the node may be set anew; "never": the value given at start holds.
        choices: the only values, for texts.
    """

    name: str
    default: bool | int | float | str
    text: str
    low: float | None = None
    high: float | None = None
    when: When = "never"
    choices: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """`text`, and when it may change."""
        return "; ".join(part for part in (self.text, _WHEN[self.when]) if part)


class Parameters(Mapping[str, Any]):
    """The parameters of a node by name, as they are now.

    A value that is no choice, comes at the wrong time, or does not fit the others is refused with
    a sentence, at start as well as later.

    Args:
        node: to declare them for.
        items: them.
        phase: says whether the node is "unconfigured", "inactive" or "active".
        check: of all values together: what does not fit in one sentence, else "".
        changed: called after values have changed.

    Raises:
        InputError: a value given at start is refused.
    """

    def __init__(
        self,
        node: Node,
        items: Sequence[Item],
        phase: Callable[[], str],
        check: Callable[[Mapping[str, Any]], str] = lambda values: "",
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._node, self._phase, self._check, self._changed = node, phase, check, changed
        self._items = {item.name: item for item in items}
        self._values = {
            item.name: declare(
                node,
                item.name,
                item.default,
                item.description,
                item.low,
                item.high,
                changeable=item.when != "never",
            )
            for item in items
        }
        if trouble := self._choices(self._values) or check(self._values):
            raise InputError(trouble)
        node.add_on_set_parameters_callback(self._on_set)
        node.add_post_set_parameters_callback(self._on_changed)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _on_set(self, asked: list[Parameter]) -> SetParametersResult:
        news = {each.name: each.value for each in asked if each.name in self._items}
        trouble = self._time(news) or self._choices(news)
        trouble = trouble or (self._check({**self._values, **news}) if news else "")
        return SetParametersResult(successful=not trouble, reason=trouble)

    def _on_changed(self, done: list[Parameter]) -> None:
        news = {each.name: each.value for each in done if each.name in self._items}
        if news:
            self._values |= news
            self._changed()

    def _time(self, news: Mapping[str, Any]) -> str:
        phase = self._phase()
        for name in news:
            when = self._items[name].when
            if phase == "unconfigured" or when == "always" or when == phase:
                continue
            return f"Parameter {name} {_WHEN[when]}, and it is {phase}; {_FIRST[when]}."
        return ""

    def _choices(self, values: Mapping[str, Any]) -> str:
        for name, value in values.items():
            choices = self._items[name].choices
            if choices and value not in choices:
                return f"Parameter {name} must be {' or '.join(choices)}, got {value!r}."
        return ""


def declare(
    node: Node,
    name: str,
    default: bool | int | float | str | list[str],
    text: str,
    low: float | None = None,
    high: float | None = None,
    changeable: bool = False,
) -> Any:
    """Declare a parameter and return its value.

    Args:
        low: smallest value allowed; with `high`, for numbers only.
        changeable: may be set while the node runs; otherwise it is read once.

    Raises:
        InputError: the value given at start has another type or lies outside its range.
    """
    descriptor = ParameterDescriptor(description=text, read_only=not changeable)
    if low is not None and high is not None:
        if isinstance(default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(low), to_value=int(high), step=1)
            ]
    try:
        value = node.declare_parameter(name, default, descriptor).value
        # An empty list says no type in YAML, and ROS 2 takes it as no value, whatever it is for.
        if value is None and isinstance(default, list):
            return []
        if value is None:
            raise ParameterUninitializedException(name)
        return value
    except (
        InvalidParameterTypeException,
        InvalidParameterValueException,
        ParameterUninitializedException,
    ) as error:
        allowed = type(default).__name__
        if low is not None:
            allowed += f" from {low} to {high}"
        raise InputError(
            f"Parameter {name} of node {node.get_fully_qualified_name()} must be a {allowed} "
            f"({text}); {str(error).rstrip('.')}."
        ) from error


def undeclared(node: Node) -> str:
    """Which values this node was given at start and has no parameter for, in one sentence; else "".

    ROS 2 ignores them without a word: a limit with a slip in its name keeps its default.
    """
    known = node.get_parameters_by_prefix("")
    given = sorted(set(getattr(node, "_parameter_overrides", ())) - set(known))
    if not given:
        return ""
    text = f"{node.get_fully_qualified_name()} has no parameter {', '.join(given)}"
    likely = [near for name in given for near in difflib.get_close_matches(name, known, n=1)]
    meant = f"; was {', '.join(likely)} meant?" if likely else "."
    return f"{text}, and goes on without{meant}"


def declare_limits(node: Node, kind: type[AnyLimits] = Limits) -> AnyLimits:
    """Declare every field of a vehicle's limits as a parameter and return them."""
    return kind(
        **{
            item.name: declare(
                node, item.name, item.default, item.metadata["text"], 0.0, item.metadata["high"]
            )
            for item in fields(kind)
        }
    )


def declare_learning(node: Node) -> Settings | None:
    """Declare `adapt` and every field of `Settings` as `adapt_<field>`; None without `adapt`."""
    asked = declare(node, "adapt", False, "learn from a person's `intervention` while driving")
    settings = Settings(
        **{
            item.name: declare(
                node,
                f"adapt_{item.name}",
                item.default,
                item.metadata["text"],
                item.metadata["low"],
                item.metadata["high"],
            )
            for item in fields(Settings)
        }
    )
    return settings if asked else None
