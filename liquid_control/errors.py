"""The one exception that a user's input may raise, and help for a name that nobody knows."""

import difflib
from collections.abc import Iterable

__all__ = ["InputError", "known_only", "nearest_first"]


class InputError(Exception):
    """Input from outside does not fit.

    The message is one sentence that says what was expected, what came and what to do. The command
    line prints it and exits with 2; nodes log it and refuse to configure.
    """


def known_only(what: str, given: Iterable[object], known: Iterable[object]) -> None:
    """Refuse names that are not known.

    Raises:
        InputError: names the first one that there is not, and those there are.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise InputError(
                f"There is no {what} {name!r}; those there are: {nearest_first(name, names)}."
            )


def nearest_first(given: object, known: Iterable[object]) -> str:
    """The known names, separated by commas, those first that look most like what was given."""
    names = [str(name) for name in known]
    near = difflib.get_close_matches(str(given), names, n=max(len(names), 1), cutoff=0.5)
    return ", ".join([*near, *(name for name in names if name not in near)])
