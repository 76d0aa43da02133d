"""Settings that replace others: on the command line, in a file, in what an older version kept."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["merged", "with_defaults"]


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `changes`, also within entries that have parts."""
    result = dict(base)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if both else value
    return result


def with_defaults(command: Callable[..., int], **defaults: Any) -> Callable[..., int]:
    """`command` with other defaults for some of its parameters, for tyro to show and change."""
    signature = inspect.signature(command, eval_str=True)
    parameters = [
        each.replace(default=defaults.get(each.name, each.default))
        for each in signature.parameters.values()
    ]

    @functools.wraps(command)
    def changed(*args, **kwargs) -> int:
        return command(*args, **{**defaults, **kwargs})

    changed.__signature__ = signature.replace(parameters=parameters)
    return changed
