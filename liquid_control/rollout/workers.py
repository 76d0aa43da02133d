"""Many episodes in parallel processes, with the same outcome for any number of workers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

import gymnasium

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control.errors import InputError

__all__ = ["check_world", "in_parallel", "make_world"]

Job = TypeVar("Job")
Result = TypeVar("Result")


def make_world(world: str, **options) -> gymnasium.Env:
    """`gymnasium.make` for the worlds of liquid_control, with a clear answer to other names.

    Raises:
        InputError: no such world; the known ones are named.
    """
    known = [name for name in gymnasium.registry if name.startswith("liquid_control/")]
    if world not in known:
        raise InputError(
            f"No world {world!r}: expected one that says what its actions mean and has an expert, "
            f"{', '.join(known)}; choose one of these."
        )
    return gymnasium.make(world, **options)


def check_world(world: str, **options) -> None:
    """Make a world and draw its first frame, before anything is written for it.

    Raises:
        InputError: no such world, or no OpenGL.
    """
    env = make_world(world, **options)
    env.reset(seed=0)
    env.close()


def in_parallel(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Iterator[tuple[Job, Result]]:
    """(job, function(job)) of all jobs as they finish, in `workers` processes.

    `function` is pickled once a job; what is costly to make (a world, a policy) it caches per
    process. With one worker it runs in this process. Torch uses one thread in each worker: the
    results must not depend on how many there are.

    Raises:
        InputError: `workers` is below 1. Whatever `function` raises.
    """
    if workers < 1:
        raise InputError(f"The number of workers must be 1 or more, got {workers}.")
    if workers == 1:
        _one_thread()
        for job in jobs:
            yield job, function(job)
        return
    # A forked child would share the parent's OpenGL and thread state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_one_thread) as pool:
        futures = {pool.submit(function, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            # On Ctrl-C or an error, what has not begun is not begun any more.
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
