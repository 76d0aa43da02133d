"""The reference page of the commands: what `--help` says of each."""

from __future__ import annotations

import contextlib
import io
import os
import re

from liquid_control import cli

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def page() -> str:
    """The page, in Markdown."""
    # rich asks for it.
    os.environ.update(COLUMNS="96", NO_COLOR="1", TERM="dumb")
    parts = [
        "# Commands\n\nWhat `liquid-control COMMAND --help` prints. Exit codes: 0 done, 1 failed "
        "(a crash, a broken episode), 2 input that does not fit, said in one sentence, 130 "
        "interrupted.\n"
    ]
    for name, (_, text) in cli.COMMANDS.items():
        parts.append(f"## {name}\n\n{text[0].upper()}{text[1:]}.\n\n```text\n{told(name)}\n```\n")
    return "\n".join(parts)


def told(name: str) -> str:
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.suppress(SystemExit):
        cli.main([*name.split(), "--help"])
    text = ESCAPES.sub("", heard.getvalue()).rstrip()
    if not text:
        raise RuntimeError(f"`liquid-control {name} --help` says nothing.")
    return text
