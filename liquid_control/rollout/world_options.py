"""Options of a world on the command line."""

from __future__ import annotations

import json
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_control.errors import InputError

__all__ = ["parse_options"]


def parse_options(options: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE of the command line, typed as YAML 1.2 types them."""
    found: dict[str, Any] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(
                f"A world's option is NAME=VALUE, got {text!r}; write --option season=winter."
            )
        try:
            found[name] = YAML(typ="safe", pure=True).load(value)
            json.dumps(found[name])
        except (YAMLError, TypeError) as error:
            raise InputError(
                f"The value of --option {text!r} is no number, word, truth value or list; quote it "
                "if it is a word."
            ) from error
    return found
