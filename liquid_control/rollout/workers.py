"""Jobs in processes of this machine, with the same outcome for any number of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Event
from typing import TypeVar

from liquid_control.errors import InputError

__all__ = [
    "in_parallel",
    "naming",
    "one_thread",
]

Job = TypeVar("Job")
Result = TypeVar("Result")

# How soon a worker notices that the process that started it was killed [s].
_WATCH_S = 0.5
# Characters of a job that an error shows.
_SHOWN = 300


def in_parallel(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Iterator[tuple[Job, Result]]:
    """(job, function(job)) of all jobs as they finish, in `workers` processes.

    `function` is pickled once a job; what is costly to make (a world, a policy) it caches per
    process. With one worker it runs in this process. Torch uses one thread in each worker: the
    results must not depend on how many there are.

    On Ctrl-C or an error the running jobs end by SystemExit, so that their `finally` blocks run;
    the same when this process is killed.

    Raises:
        InputError: `workers` is below 1. Whatever `function` raises.
    """
    if workers < 1:
        raise InputError(f"The number of workers must be 1 or more, got {workers}.")
    if workers == 1:
        one_thread()
        for job in jobs:
            with naming(job):
                result = function(job)
            yield job, result
        return
    # A forked child would share the parent's OpenGL and thread state.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _start_worker, (stop,)) as pool:
        futures = {pool.submit(partial(_run, function), job): job for job in jobs}
        try:
            for future in as_completed(futures):
                with naming(futures[future]):
                    result = future.result()
                yield futures[future], result
        except BaseException:
            stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def naming(job: object) -> Iterator[None]:
    """An error from within says which job it came from."""
    try:
        yield
    except Exception as error:
        said = repr(job)
        error.add_note(f"in the job {said if len(said) <= _SHOWN else said[:_SHOWN] + '...'}")
        raise


def one_thread() -> None:
    """Let torch use one thread in this process."""
    import torch

    torch.set_num_threads(1)


# In a worker process only: set once it shall stop, so that no further job begins.
_stopping = threading.Event()


def _start_worker(stop: Event) -> None:
    # Ctrl-C reaches every process of a terminal; the parent decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    one_thread()


def _watch(stop: Event) -> None:
    """Interrupt the worker's job when the parent says so or is gone."""
    parent = multiprocessing.parent_process()
    while not stop.wait(_WATCH_S) and parent.is_alive():
        pass
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)


def _leave(*_: object) -> None:
    # Once: a job that is closing its files must not be interrupted again.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _stopping.set()
    raise SystemExit(143)


def _run(function: Callable[[Job], Result], job: Job) -> Result:
    if _stopping.is_set():
        raise SystemExit(143)
    try:
        return function(job)
    except SystemExit:
        # Nobody would fetch the result, and the pool's worker would wait for jobs for ever.
        if not multiprocessing.parent_process().is_alive():
            os._exit(143)
        raise
