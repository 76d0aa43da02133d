"""`OnlineAdaptation` in a process of its own, so that learning never holds up a control loop.

A thread would not do: it shares the interpreter's lock, for which inference asks some hundred times
a frame. The process has one thread and low priority, takes samples through a pipe, and sends back
an `Update` whenever it has learnt. It ends with the pipe, so with the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from dataclasses import asdict
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from liquid_control.training.online import OnlineAdaptation, Sample, Update
from liquid_control.training.online_settings import Settings

__all__ = ["LearnerProcess"]

# Samples that travel together: a quarter of a second at 30 Hz, some 5 kB.
_TOGETHER = 8
# Messages that may wait while the learner starts or is busy: half a minute.
_QUEUED = 120
_NICE = 10


class LearnerProcess:
    """Learns beside the process that drives; no call of it waits.

    Args:
        model: folder of the policy.
        settings: how it learns.

    Attributes:
        dropped: samples that were not sent, as the learner was busy for long.
    """

    def __init__(self, model: Path, settings: Settings) -> None:
        self._pipe, theirs = Pipe()
        numbers = [str(each) for each in asdict(settings).values()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno()), str(model), *numbers],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            # Inherited: Ctrl-C on a terminal is for the process that drives.
            preexec_fn=_ignore_interrupts,
        )
        theirs.close()
        self._received: deque[tuple[int, Update]] = deque()
        # Half a message may come from a process of low priority; the rest is waited for elsewhere.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._waiting: list[Sample] = []
        self._queue: deque[tuple[int, list[Sample]]] = deque()
        self._epoch = 0
        self._gap = False
        self.dropped = 0

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def add(self, sample: Sample) -> None:
        """Take in one decision, as `OnlineAdaptation.add`."""
        if self._gap:
            sample, self._gap = sample._replace(reset=True), False
        self._waiting.append(sample)
        if len(self._waiting) < _TOGETHER:
            return
        if len(self._queue) < _QUEUED:
            self._queue.append((self._epoch, self._waiting))
        else:
            self.dropped += len(self._waiting)
            self._gap = True
        self._waiting = []
        self._flush()

    def updates(self) -> list[Update]:
        """Updates that came since the last call."""
        found = []
        self._flush()
        while self._received:
            epoch, update = self._received.popleft()
            # What was learnt before `forget` is to be forgotten, too.
            if epoch == self._epoch:
                found.append(update)
        return found

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._received.append(self._pipe.recv())

    def forget(self) -> None:
        """Back to the shipped weights; updates that are under way are dropped."""
        self._epoch += 1
        self._waiting = []
        self._queue.clear()
        self._queue.append((self._epoch, []))
        self._flush()

    def close(self) -> None:
        """End the process."""
        # It keeps nothing that could be lost.
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._pipe.close()

    def _flush(self) -> None:
        """Send what can be sent at once."""
        with contextlib.suppress(OSError):
            # A Unix socket takes messages of this size whole as soon as it takes any.
            while self._queue and select.select([], [self._pipe], [], 0)[1]:
                self._pipe.send(self._queue[0])
                self._queue.popleft()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _learn(pipe: Connection, model: Path, settings: Settings) -> None:
    """What the process does until its pipe ends."""
    import torch

    from liquid_control.policy import Policy

    torch.set_num_threads(1)
    adaptation, epoch = OnlineAdaptation(Policy.load(model), settings), 0
    while True:
        now, samples = pipe.recv()
        if now != epoch:
            adaptation.forget()
            epoch = now
        for sample in samples:
            adaptation.add(sample)
        update = adaptation.update()
        if update is not None:
            pipe.send((epoch, update))


def _main(arguments: list[str]) -> int:
    number, model, *numbers = arguments
    os.nice(_NICE)
    kinds = [type(value) for value in asdict(Settings()).values()]
    settings = Settings(*(kind(text) for kind, text in zip(kinds, numbers, strict=True)))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _learn(Connection(int(number)), Path(model), settings)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
