"""`liquid-control --print-completion SHELL`: a script with which a shell completes our commands."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

from liquid_control.errors import InputError

__all__ = ["SHELLS", "completion"]

SHELLS = ("bash", "zsh", "fish", "tcsh")


def completion(commands: Mapping[str, str], shell: str) -> str:
    """The script, with every command, option and choice.

    Args:
        commands: module:function by name, which may be two words.
        shell: one of `SHELLS`.

    Raises:
        InputError: another shell.
    """
    import tyro

    if shell not in SHELLS:
        raise InputError(
            f"No completion for {shell!r}: expected {', '.join(SHELLS)}, as in `liquid-control "
            "--print-completion bash`."
        )
    found: dict[str, Any] = {}
    for name, where in commands.items():
        *group, last = name.split()
        try:
            command = _command(where)
        except ModuleNotFoundError as error:
            # Such a command cannot be given either.
            print(f"liquid-control: {name} is left out, no {error.name}", file=sys.stderr)
            continue
        (found.setdefault(group[0], {}) if group else found)[last] = command
    script = io.StringIO()
    arguments = ["--tyro-print-completion", shell]
    with contextlib.redirect_stdout(script), contextlib.suppress(SystemExit):
        tyro.cli(_choice(found), prog="liquid-control", args=arguments)
    # Where nothing of ours fits, files.
    return script.getvalue().replace("complete -F ", "complete -o bashdefault -o default -F ")


def _command(where: str) -> Callable[..., int]:
    module, function = where.split(":")
    command = getattr(importlib.import_module(module), function)
    for_arguments = getattr(command, "for_arguments", None)
    return for_arguments([]) if for_arguments else command


def _choice(commands: Mapping[str, Any]) -> Any:
    """The type of which tyro makes subcommands."""
    import tyro

    parts = []
    for name, command in commands.items():
        if callable(command):
            named = tyro.conf.subcommand(name=name, constructor=command)
            parts.append(Annotated[Any, named])
        else:
            parts.append(Annotated[_choice(command), tyro.conf.subcommand(name=name)])
    return Union[tuple(parts)]  # noqa: UP007  (`|` takes no tuple)
