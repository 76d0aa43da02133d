"""Single keys from a terminal, which is left as it was found."""

from __future__ import annotations

import os
import select
import sys
import termios
from types import TracebackType

from liquid_control.errors import InputError

__all__ = ["Keys"]

_NAMES = {
    **{
        f"\x1b{mode}{letter}": name
        for mode in "[O"
        for letter, name in zip("ABCD", ("up", "down", "right", "left"), strict=True)
    },
    "\r": "enter",
    "\n": "enter",
    "\x04": "end",
}
_LFLAG, _CC = 3, 6


class Keys:
    """A context in which a terminal gives every key at once and shows none of them.

    Ctrl-C still interrupts. Ctrl-Z and Ctrl-backslash do not reach the program: it would be
    suspended or end with the terminal in this mode.

    Raises:
        InputError: the input is no terminal.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._before: list | None = None
        self._rest = ""

    def __enter__(self) -> Keys:
        if not os.isatty(self._descriptor):
            raise InputError(
                "A keyboard needs a terminal, and the standard input is none; run it in one, or "
                "use a joystick with --input joystick."
            )
        self._before = termios.tcgetattr(self._descriptor)
        mode = termios.tcgetattr(self._descriptor)
        mode[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        off = os.fpathconf(self._descriptor, "PC_VDISABLE").to_bytes()
        mode[_CC][termios.VSUSP] = mode[_CC][termios.VQUIT] = off
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, mode)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # Flushing also drops keys that the shell would take as its own input.
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)
        except termios.error:
            return  # the terminal itself has gone

    def read(self) -> list[str]:
        """The keys pressed since the last call, without waiting: characters, or "up", "down",
        "left", "right", "enter", and "end" when the terminal has gone or Ctrl-D was pressed."""
        while select.select([self._descriptor], [], [], 0.0)[0]:
            try:
                data = os.read(self._descriptor, 1024)
            except OSError:
                data = b""
            if not data:
                return ["end"]
            self._rest += data.decode(errors="replace")
        return self._split()

    def _split(self) -> list[str]:
        keys = []
        while self._rest:
            size = 3 if self._rest[0] == "\x1b" and self._rest[1:2] in ("", "[", "O") else 1
            if len(self._rest) < size:
                break  # the rest of an arrow key is under way
            key, self._rest = self._rest[:size], self._rest[size:]
            keys.append(_NAMES.get(key, key))
        return keys
