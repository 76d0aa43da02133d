"""What the live page's viewers get: always the newest, never a queue.

A topic's message becomes text or a JPEG once, however many viewers there are. Each viewer has a
place for the newest of each kind, and is sent an update when it has drawn all but one of those
before: a slow one gets fewer updates with newer pictures, and none waits in a socket's buffer.

    update = length of the text (4 bytes, little endian), text (JSON), picture (JPEG or nothing)
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

__all__ = ["STREAMS", "Hub", "Viewer"]

STREAMS = ("attention", "camera")
# Updates that a viewer may have on their way: one is drawn while the next one travels.
_WINDOW = 2
# What comes without a picture waits this long for one [s].
_PATIENCE = 0.04
# Points of a plot that wait for a slow viewer: 10 s at 30 Hz; older ones leave a gap.
_POINTS = 300


class Viewer:
    """One open page. All of it belongs to the event loop's thread, but `ready` may be read."""

    def __init__(self) -> None:
        self.stream: str | None = None
        # Of the last picture drawn, from its message's arrival here to its drawing there [s].
        self.delay = 0.0
        self._newest: dict[str, str] = {}
        self._points: deque[str] = deque(maxlen=_POINTS)
        self._picture: tuple[float, bytes] | None = None
        self._number = 0
        self._under_way: dict[int, float] = {}
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> bool:
        """Whether a picture would be sent at once."""
        return len(self._under_way) < _WINDOW

    def put(self, kind: str, text: str) -> None:
        self._newest[kind] = text
        self._soon()

    def point(self, text: str) -> None:
        self._points.append(text)
        self._soon()

    def picture(self, data: bytes, arrived: float) -> None:
        self._picture = arrived, data
        self._wake.set()

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._wake.set)

    def drawn(self, number: int) -> None:
        """The page has drawn this update."""
        arrived = self._under_way.pop(number, None)
        if arrived:
            self.delay = time.monotonic() - arrived
        self._wake.set()

    def _update(self) -> bytes:
        self._number += 1
        arrived, data = self._picture or (0.0, b"")
        self._under_way[self._number] = arrived
        parts = [f'"number":{self._number},"delay":{self.delay:.4f}']
        if data:
            parts.append(f'"picture":"{self.stream}"')
        if self._points:
            parts.append(f'"points":[{",".join(self._points)}]')
        parts += [f'"{kind}":{text}' for kind, text in self._newest.items()]
        self._newest.clear()
        self._points.clear()
        self._picture = None
        text = f"{{{','.join(parts)}}}".encode()
        return len(text).to_bytes(4, "little") + text + data

    async def pump(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send updates until it is cancelled or the connection ends."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self.ready or not (self._newest or self._points or self._picture):
                continue
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            await send(self._update())


class Hub:
    """All viewers; says when somebody begins or ends to look, and at which pictures.

    Args:
        changed: called with the number of viewers and the streams of pictures that they show.
    """

    def __init__(self, changed: Callable[[int, frozenset[str]], None]) -> None:
        self._changed = changed
        # Replaced, never changed: the nodes' thread reads it.
        self._viewers: tuple[Viewer, ...] = ()
        self._newest: dict[str, str] = {}
        self._said: tuple[int, frozenset[str]] = 0, frozenset()

    def ready(self, stream: str) -> bool:
        """Whether a picture of this stream is worth encoding; from any thread."""
        return any(viewer.stream == stream and viewer.ready for viewer in self._viewers)

    def enter(self, viewer: Viewer) -> None:
        self._viewers = (*self._viewers, viewer)
        for kind, text in self._newest.items():
            viewer.put(kind, text)
        self._say()

    def leave(self, viewer: Viewer) -> None:
        self._viewers = tuple(each for each in self._viewers if each is not viewer)
        if not self._viewers:
            self._newest.clear()
        self._say()

    def show(self, viewer: Viewer, stream: str | None) -> None:
        """The viewer shows this stream's pictures from now on; None: its page is not seen."""
        viewer.stream = stream
        self._say()

    def _say(self) -> None:
        streams = frozenset(viewer.stream for viewer in self._viewers if viewer.stream)
        said = len(self._viewers), streams
        if said != self._said:
            self._said = said
            self._changed(*said)

    def put(self, kind: str, text: str, keep: bool = True) -> None:
        """The newest of a kind, JSON; kept for viewers who come later."""
        if keep and self._viewers:
            self._newest[kind] = text
        for viewer in self._viewers:
            viewer.put(kind, text)

    def point(self, text: str) -> None:
        """One moment of the plots, JSON."""
        for viewer in self._viewers:
            viewer.point(text)

    def picture(self, stream: str, data: bytes, arrived: float) -> None:
        """A JPEG that came at this time of the monotonic clock [s]."""
        for viewer in self._viewers:
            if viewer.stream == stream:
                viewer.picture(data, arrived)
