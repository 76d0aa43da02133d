"""Runs nodes as child processes until a run is over, and leaves none behind."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor

from liquid_control.errors import InputError
from liquid_control.ros import processes, transport
from liquid_control.ros.live import View
from liquid_control.ros.monitor import Monitor
from liquid_control.ros.runtime import Stop, begin

__all__ = ["NodePlan", "Outcome", "finish", "new_folder", "supervise"]

# A first decision takes 4 s on a quiet machine, most of it loading PyTorch [s].
_START_UP = 90.0
# Without a decision for so long something is wrong, though every process lives [s].
_SILENCE = 10.0
# No second copy of each log under a name of ROS's own.
_QUIET = ("--disable-external-lib-logs",)


@dataclass(frozen=True)
class NodePlan:
    """A node to run. The order of a list of them is the order in which they are stopped.

    Args:
        name: of the node and of its log file.
        arguments: what follows `--ros-args`.
        ends_run: the run is over when this node has ended by itself.
        spare: the run goes on without it.
    """

    name: str
    arguments: Sequence[str]
    ends_run: bool = False
    spare: bool = False


@dataclass
class Outcome:
    """What the supervisor saw of a run; counts of a simulator are None where there is none."""

    seconds: float = 0.0
    frames: int = 0
    crashes: int | None = None
    successes: int | None = None
    failures: list[str] = field(default_factory=list)
    interrupted: bool = False


def new_folder(root: Path, kind: str) -> Path:
    """A new folder `<root>/<time>-<kind>` with a folder `log` in it.

    Raises:
        InputError: it cannot be made.
    """
    stamp = f"{datetime.now():%Y-%m-%d-%H%M%S}-{kind}"
    for name in (stamp, *(f"{stamp}-{number}" for number in range(2, 100))):
        try:
            (root / name / "log").mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(
                f"The run's folder {root / name} cannot be made ({error.strerror}); give another "
                "one with --out."
            ) from error
        return (root / name).resolve()
    raise InputError(f"{root} holds a hundred runs of this second; give another --out.")


def supervise(
    nodes: Sequence[NodePlan], folder: Path, title: str, seconds: float | None = None
) -> Outcome:
    """Run nodes until `seconds` [s] of frames were decided on, a node ends the run, or Ctrl-C.

    Args:
        folder: gets the nodes' logs in `log/`.
        seconds: on the frames' own stamps; None: only a node or Ctrl-C ends the run.

    Raises:
        InputError: a node refused its input (exit code 2); the sentence is the node's.
    """
    asked = Stop(patience=0)
    asked.listen(signal.SIGHUP)
    outcome = Outcome()
    log = folder / "log"
    os.environ.update(processes.environment(log))
    # Who watches nodes die shares no memory with them; they choose for themselves.
    transport.choose(shared_memory=False)
    children: list[processes.Child] = []
    spare = {node.name for node in nodes if node.spare}
    try:
        for node in nodes:
            module = f"liquid_control.ros.{node.name}_node"
            arguments = ["--ros-args", *_QUIET, *node.arguments]
            children.append(
                processes.start(node.name, module, arguments, os.environ, log, node.ends_run)
            )
        # Only now: a process with the middleware's threads is not safe to fork.
        begin(["--ros-args", *_QUIET])
        needed = [child for child in children if child.name not in spare]
        _watch(needed, asked, outcome, title, seconds)
    finally:
        rclpy.try_shutdown()
        refused = [child for child in children if child.code == 2 and child.name not in spare]
        for child in children:
            outcome.failures += filter(None, [processes.stop(child)])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if refused:
        raise InputError(refused[0].last_words().partition(": ")[2] or refused[0].last_words())
    outcome.failures += [
        f"{child.name} ended with {_end(child)}: {child.last_words()}"
        for child in children
        if child.code
        and not any(child.name in failure for failure in outcome.failures)
        # Ctrl-C before a node has begun to listen for it ends Python with an exit code.
        and (outcome.frames or not outcome.interrupted)
    ]
    return outcome


def _watch(
    children: list[processes.Child],
    asked: Stop,
    outcome: Outcome,
    title: str,
    seconds: float | None,
) -> None:
    monitor = Monitor()
    executor = SingleThreadedExecutor()
    executor.add_node(monitor)
    started = heard = time.monotonic()
    try:
        with View(title, seconds) as view:
            while asked.code is None:
                frames = monitor.frames
                executor.spin_once(timeout_sec=0.05)
                now = time.monotonic()
                heard = now if monitor.frames != frames else heard
                view.update(monitor)
                ended = [child for child in children if child.code is not None]
                if ended:
                    outcome.failures += [
                        f"{child.name} ended by {_end(child)} during the run: {child.last_words()}"
                        for child in ended
                        if child.code or not child.may_end
                    ]
                    break
                if seconds is not None and monitor.seconds >= seconds:
                    break
                # A recording may pause for any time; a car's camera does not.
                silence = _SILENCE if seconds is not None else math.inf
                if now - heard > (silence if monitor.frames else _START_UP):
                    outcome.failures.append(
                        f"No decision for {now - heard:.0f} s, {now - started:.0f} s after the "
                        "start; see the logs in the run's folder."
                    )
                    break
    finally:
        outcome.interrupted = asked.code is not None
        outcome.seconds, outcome.frames = monitor.seconds, monitor.frames
        if monitor.state:
            outcome.crashes, outcome.successes = monitor.crashes, monitor.successes
        executor.shutdown()
        monitor.destroy_node()


def _end(child: processes.Child) -> str:
    if child.code is not None and child.code < 0:
        return signal.Signals(-child.code).name
    return f"exit code {child.code}"


def finish(
    folder: Path, title: str, outcome: Outcome, facts: Mapping[str, str], report: bool
) -> int:
    """Say how a run went, write its report if asked to, and give the command's exit code.

    Args:
        facts: what the report tells of the run besides what is in the bag: model, seed.
    """
    for failure in outcome.failures:
        print(failure)
    if outcome.interrupted:
        print(f"Stopped early, after {outcome.seconds:.1f} s.")
    if report:
        print("Writing the report ...", flush=True)
        # Draws with matplotlib and PyAV, which a robot need not have.
        from liquid_control.evaluation.run_report import write_run

        try:
            results = write_run(folder, title, outcome.failures, facts)
            print(f"{title}: {results['verdict']}\nReport: {folder / 'report.html'}")
        except InputError as error:
            if not (outcome.failures or outcome.interrupted):
                raise
            # A run that ended at its start has nothing to report; its failure was said above.
            print(f"No report: {error}")
    else:
        print(f"{title}: {outcome.frames} decisions in {outcome.seconds:.1f} s.")
        if outcome.crashes is not None:
            print(f"Crashes: {outcome.crashes}, successes: {outcome.successes}.")
    print(folder)
    return 1 if outcome.failures or outcome.crashes else 0
