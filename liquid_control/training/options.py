"""Commands whose options have the values of a recipe as their defaults."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["with_defaults"]


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
