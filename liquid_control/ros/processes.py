"""Nodes as child processes that are certainly gone afterwards.

Three things see to that: an orderly stop with growing force; the kernel, which ends the children
of a supervisor that was killed; and process groups, so that nothing a child started outlives it.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from liquid_control.errors import InputError

__all__ = ["Child", "environment", "free_domain", "setting", "start", "stop"]

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: looking up a library between fork and exec may wait on a lock for ever.
_LIBC = ctypes.CDLL(None, use_errno=True)
# Signals in growing force, and how long each is given [s]. A recorder may have megabytes to write.
_FORCE = ((signal.SIGINT, 10.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0))
# Discovery of a domain listens at this port plus 250 a domain (OMG DDSI-RTPS 2.5, 9.6.2.3).
_FIRST_PORT, _PORTS_PER_DOMAIN, _UNICAST = 7400, 250, 10
# Higher domains reach into the ports that Linux hands out to clients.
_DOMAINS = range(1, 101)


@dataclass
class Child:
    """A node's process, its log file, and whether its end before the others is a failure."""

    name: str
    process: subprocess.Popen
    log: Path
    may_end: bool = False

    @property
    def code(self) -> int | None:
        """Exit code; the signal's number, negative, where one ended it; None while it runs."""
        return self.process.poll()

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def free_domain() -> int:
    """A ROS_DOMAIN_ID that no participant on this machine uses now.

    Raises:
        InputError: all are in use.
    """
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        port = _FIRST_PORT + _PORTS_PER_DOMAIN * domain + _UNICAST
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return domain
    raise InputError(
        "No ROS domain from 1 to 100 is free on this machine; end other ROS programs or set "
        "ROS_DOMAIN_ID."
    )


def environment(log_folder: Path) -> dict[str, str]:
    """The environment of the nodes: a domain of their own on this machine, unless one is set."""
    return {
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "RCUTILS_COLORIZED_OUTPUT": "0",
        **os.environ,
        "ROS_LOG_DIR": str(log_folder),
        "PYTHONUNBUFFERED": "1",
        # Inference of one frame gains nothing from threads, and they disturb the other nodes.
        "OMP_NUM_THREADS": "1",
    }


def setting(name: str, value: str | Path) -> list[str]:
    """The arguments that set a parameter to a text.

    ROS 2 reads values as YAML: unquoted, a folder "run #2" would end before the "#".
    """
    return ["-p", f"{name}:={json.dumps(str(value), ensure_ascii=False)}"]


def start(
    name: str,
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log_folder: Path,
    may_end: bool = False,
) -> Child:
    """Start `python -m module arguments` in a session of its own, so that Ctrl-C spares it."""
    log = log_folder / f"{name}.log"
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    return Child(name, process, log, may_end)


def stop(child: Child) -> str | None:
    """End a child and all that it started.

    Returns:
        None after a clean end; else what was wrong, in words.
    """
    trouble = None
    for number, patience in _FORCE:
        if child.process.poll() is not None:
            break
        if number != _FORCE[0][0]:
            trouble = f"{child.name} did not end by itself and was sent {number.name}"
        _signal_group(child, number)
        try:
            child.process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    _signal_group(child, signal.SIGKILL)
    return trouble


def _signal_group(child: Child, number: signal.Signals) -> None:
    try:
        os.killpg(child.process.pid, number)
    except ProcessLookupError:
        return
