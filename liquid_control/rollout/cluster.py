"""Jobs on a Ray cluster: one that is started for them, or one that already runs."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from types import ModuleType
from typing import Any, TypeVar

from liquid_control import __version__
from liquid_control.errors import InputError
from liquid_control.rollout.bundle import Bundle, Content, pack, unpack
from liquid_control.rollout.workers import naming, one_thread

__all__ = ["on_ray", "session"]

Job = TypeVar("Job")
Result = TypeVar("Result")

# How often a job that took its worker or its machine down is begun again.
RETRIES = 5
# How long a cluster's head may be silent before it counts as gone [s], and how often it is asked.
_SILENCE_S = 10.0
_ASK_S = 1.0
# How long interrupted jobs have to clean up [s].
_CLEAN_UP_S = 5.0
# Of an own cluster's memory for results: at least Ray's minimum, and a few recorded bags a worker.
_STORE_BYTES, _STORE_BYTES_A_WORKER = 128 * 2**20, 64 * 2**20


def on_ray(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int, address: str | None
) -> Iterator[tuple[Job, Result]]:
    """As `engine.spread`, on the cluster of a running `session` or one for these jobs alone."""
    with session(workers, address):
        yield from _Spreading(function, workers).results(iter(jobs))


@contextmanager
def session(workers: int, address: str | None) -> Iterator[None]:
    """Start a cluster of this machine and end it, or join the one at `address` and leave it.

    Within a session another one changes nothing.

    Raises:
        InputError: Ray is not installed, or no cluster that fits answers at `address`.
    """
    ray = _ray(alone=address is None)
    if ray.is_initialized():
        yield
        return
    scratch = None
    try:
        if address is None:
            # Short, and not below TMPDIR: a socket's path has at most 107 bytes.
            scratch = tempfile.mkdtemp(prefix="lc-ray-", dir="/tmp")
            _start(ray, workers, scratch)
        else:
            _join(ray, address)
        yield
    finally:
        ray.shutdown()
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def _ray(alone: bool = False) -> ModuleType:
    """Ray, without its reports to its makers; `alone`, a new cluster stays off the network."""
    if find_spec("ray") is None:
        raise InputError(
            "--engine ray needs the Python package ray, which is not installed; run "
            "`pip install 'liquid_control[scale]'`, or leave --engine out."
        )
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if alone:
        # Read at Ray's first import: its own name for a cluster that listens on loopback only.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # Its wheel warns of changes to come, once for each process.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def _start(ray: ModuleType, workers: int, scratch: str) -> None:
    # Others on this machine or its network must not run code in the cluster: Ray asks for a token,
    # which without this line it would write into the home folder.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray.init(
        # Not what RAY_ADDRESS names.
        address="local",
        num_cpus=workers,
        num_gpus=0,
        object_store_memory=_STORE_BYTES + workers * _STORE_BYTES_A_WORKER,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=scratch,
        # By default 15, at which anything else on the machine comes first, and jobs that run out of
        # memory are begun again for ever.
        _system_config={"worker_niceness": 0, "task_oom_retries": RETRIES},
    )


def _join(ray: ModuleType, address: str) -> None:
    if not _answers(address):
        raise InputError(
            f"No Ray cluster answers at {address}; start one with `ray start --head`, let this "
            "machine join it, and give the address that it prints."
        )
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, ConnectionError, ValueError) as error:
        raise InputError(
            f"The Ray cluster at {address} cannot be joined from this machine ({_first(error)}); "
            "run `ray start` with this address here first, with the same versions of Ray and "
            "Python as there."
        ) from error


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_ASK_S):
            return True
    except OSError:
        return False


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


class _Spreading:
    """The jobs of one call: at most `workers` at once, each asked for once.

    Ray repeats a job whose worker or machine went down; a result that has come stays.
    """

    def __init__(self, function: Callable, workers: int) -> None:
        self._function, self._workers = function, workers
        self._ray = _ray()
        self._head = self._ray.get_runtime_context().gcs_address
        self._asked = time.monotonic()
        self._silent_since: float | None = None
        # Not all on the first machine until it is full.
        self._task = self._ray.remote(
            num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD"
        )(_run)
        self._contents: dict[str, Any] = {}
        self._pending: dict[Any, Any] = {}

    def results(self, jobs: Iterator[Job]) -> Iterator[tuple[Job, Result]]:
        alive = True
        try:
            self._submit(jobs)
            while self._pending:
                ready = self._ready()
                # New work first: what follows may take a while.
                done = [(self._pending.pop(ref), ref) for ref in ready]
                self._submit(jobs)
                for job, ref in done:
                    yield job, self._result(job, ref)
        except _HeadGone as gone:
            alive = False
            raise InputError(
                f"The head of the Ray cluster at {self._head} is gone; what was finished is kept, "
                "run the same command again when it is back."
            ) from gone
        finally:
            if self._pending and alive:
                self._interrupt()

    def _submit(self, jobs: Iterator[Job]) -> None:
        for job in islice(jobs, self._workers - len(self._pending)):
            packed, bundles = pack((self._function, job))
            names = [bundle.sha256 for bundle in bundles]
            contents = [self._content(bundle) for bundle in bundles]
            said = {"version": __version__, "path": sys.path}
            self._pending[self._task.remote(said, packed, names, *contents)] = job

    def _content(self, bundle: Bundle) -> Any:
        """The bundle in the cluster's object store, from which each machine takes it once."""
        if bundle.sha256 not in self._contents:
            self._contents[bundle.sha256] = self._ray.put(bundle.content())
        return self._contents[bundle.sha256]

    def _ready(self) -> list:
        refs = list(self._pending)
        while True:
            self._check_head()
            ready, _ = self._ray.wait(refs, timeout=_ASK_S)
            if ready:
                # All that came meanwhile, too: asking for one among a thousand takes as long.
                return self._ray.wait(refs, num_returns=len(refs), timeout=0)[0]

    def _check_head(self) -> None:
        """Ray itself would end this process, without a word, a minute after its head has gone."""
        if time.monotonic() - self._asked < _ASK_S:
            return
        self._asked = time.monotonic()
        if _answers(self._head):
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = self._asked
        elif self._asked - self._silent_since > _SILENCE_S:
            raise _HeadGone

    def _result(self, job: Job, ref: Any) -> Any:
        exceptions = self._ray.exceptions
        with naming(job):
            try:
                return self._ray.get(ref)
            except exceptions.RayTaskError as error:
                if isinstance(error.cause, Exception):
                    raise error.cause from error
                raise
            except (
                exceptions.WorkerCrashedError,
                exceptions.NodeDiedError,
                exceptions.OutOfMemoryError,
                exceptions.ObjectLostError,
            ) as error:
                raise InputError(
                    f"A job took its worker down {RETRIES + 1} times ({_first(error)}); see that "
                    "the machines have memory for --workers of them."
                ) from error

    def _interrupt(self) -> None:
        refs = list(self._pending)
        for ref in refs:
            self._ray.cancel(ref)
        self._ray.wait(refs, num_returns=len(refs), timeout=_CLEAN_UP_S, fetch_local=False)


class _HeadGone(Exception):
    pass


def _run(command: dict[str, Any], packed: bytes, names: list[str], *contents: Content) -> Any:
    """One job, in a worker process of any machine."""
    if command["version"] != __version__:
        raise InputError(
            f"The machine {socket.gethostname()} has liquid_control {__version__}, but the command "
            f"was given to {command['version']}; install the same version on all machines."
        )
    # Where the command finds modules of its user's worlds, if this machine has them there.
    sys.path.extend(place for place in command["path"] if place not in sys.path)
    one_thread()
    function, job = unpack(packed, dict(zip(names, contents, strict=True)).__getitem__)
    return function(job)
