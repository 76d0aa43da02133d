"""Where many jobs run: on this machine's cores, or on the machines of a Ray cluster.

Evaluation, recording, DAgger and tuning spread their jobs through this one place; the outcome is
the same wherever they run. What a job needs travels by content (`bundle`), what it makes comes back
as its result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeVar

from liquid_control.errors import InputError
from liquid_control.rollout.workers import in_parallel

__all__ = ["HERE", "Engine", "spread"]

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Engine:
    """Where jobs run.

    Args:
        workers: processes; with ray how many jobs run at once, each on one CPU.
        engine: local runs on this machine; ray on a Ray cluster, its own unless --address names
            one.
        address: HOST:PORT of the head of a running Ray cluster, which this machine has joined.

    Raises:
        InputError: `workers` below 1, an address without ray, or one that is none.
    """

    workers: int = 1
    engine: Literal["local", "ray"] = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"The number of workers must be 1 or more, got {self.workers}.")
        if self.engine not in ("local", "ray"):
            raise InputError(f"No engine {self.engine!r}: expected local or ray.")
        if self.address is None:
            return
        if self.engine != "ray":
            raise InputError(
                f"--address {self.address} is that of a Ray cluster: add --engine ray, or leave "
                "the address out to run on this machine."
            )
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit() or "/" in host:
            raise InputError(
                f"--address is HOST:PORT of a Ray cluster's head, 10.0.0.1:6379, got "
                f"{self.address!r}; on a machine of the cluster `ray status` tells it."
            )

    def spread(
        self, function: Callable[[Job], Result], jobs: Iterable[Job]
    ) -> Iterator[tuple[Job, Result]]:
        """`spread` with these settings."""
        return spread(function, jobs, self.workers, self.engine, self.address)

    def session(self) -> AbstractContextManager[None]:
        """Within it one cluster serves every `spread`, which else starts one each time."""
        if self.engine == "local":
            return nullcontext()
        from liquid_control.rollout.cluster import session

        return session(self.workers, self.address)


HERE = Engine()


def spread(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
) -> Iterator[tuple[Job, Result]]:
    """(job, function(job)) of all jobs as they finish, each job once.

    `function` and the jobs are pickled; what is costly to make (a world, a policy) `function` keeps
    per process. A path in a job means the same on one machine only: put folders of models into
    jobs as `bundle.Bundle`, and return what was made instead of writing it. Torch uses one thread
    in each worker, so that the results do not depend on how many there are.

    Where a machine of a Ray cluster goes down, the others do its unfinished jobs again. When the
    iteration ends early (Ctrl-C, an error, `close`), running jobs are interrupted so that their
    `finally` blocks run, and nothing is left running.

    Args:
        function: of a module, so that other processes find it.
        jobs: any objects that can be pickled.
        workers, engine, address: as for `Engine`.

    Raises:
        InputError: as for `Engine`; Ray is not installed, no cluster answers, its head went away,
            or a job took its worker down each time.
        Exception: the first that `function` raises, with a note that names the job.
    """
    chosen = Engine(workers, engine, address)
    if chosen.engine == "local":
        yield from in_parallel(function, jobs, workers)
    else:
        from liquid_control.rollout.cluster import on_ray

        yield from on_ray(function, jobs, workers, address)
