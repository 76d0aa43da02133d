"""Parameters with a description and a range, as `ros2 param describe` shows them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node

from liquid_control.errors import InputError
from liquid_control.safety import Limits
from liquid_control.training.online_settings import Settings

__all__ = ["declare", "declare_learning", "declare_limits"]


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
        return node.declare_parameter(name, default, descriptor).value
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


def declare_limits(node: Node) -> Limits:
    """Declare every field of `safety.Limits` as a parameter and return them."""
    return Limits(
        **{
            item.name: declare(
                node, item.name, item.default, item.metadata["text"], 0.0, item.metadata["high"]
            )
            for item in fields(Limits)
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
