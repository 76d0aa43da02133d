"""What the live page shows a second, and what it costs the vehicle: a drive with and without it.

    python benchmarks/view.py                  4 minutes; prints the table
    python benchmarks/view.py --write          also results/view.json and the table of docs/view.md

A real drive (simulator at 30 Hz, policy, safety) goes on all the time. In turns, so that a change
of the machine's speed meets all: without the page's node; with it and nobody looking; with one
viewer; with three; with one who looks at the plain camera, whose frames the page's node compresses;
with headless Chromium. A viewer that is no browser takes updates and says at once that it has drawn
them. Shown is counted at the viewer; decisions are heard by this process in every turn; processor
time is the nodes' own (psutil).
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import rclpy
import tyro
from page import put
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from liquid_control import models
from liquid_control.ros import processes, transport
from liquid_control.ros.drive import nodes
from liquid_control.ros.monitor import Monitor

HERE = Path(__file__).resolve().parent
PATIENCE = 90.0  # until the first decision [s]
WARM_UP = 2.0  # of every turn [s]
# Of a turn: whether the page's node runs, how many viewers there are, and what they look at.
TURNS = {
    "no page": (False, 0, ""),
    "nobody looks": (True, 0, ""),
    "one viewer": (True, 1, "attention"),
    "three viewers": (True, 3, "attention"),
    "plain camera": (True, 1, "camera"),
    "Chromium": (True, 1, "browser"),
}


@dataclass
class Turn:
    """What was measured in all turns of a kind."""

    decisions: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    page: list[float] = field(default_factory=list)
    policy: list[float] = field(default_factory=list)


@contextmanager
def drive(model: str, folder: Path) -> Iterator[processes.Child]:
    """The policy of a drive that goes on."""
    config = models.share() / "config" / "drive.yaml"
    world = "liquid_control/Driving-v1"
    plan = nodes(models.find(model).resolve(), world, 5, "realtime", config, folder / "bag")
    children = [
        processes.start(
            node.name,
            f"liquid_control.ros.{node.name}_node",
            ["--ros-args", *node.arguments],
            os.environ,
            folder,
        )
        for node in plan
        if node.name != "recorder"
    ]
    try:
        yield children[0]
    finally:
        for child in children:
            processes.stop(child)


@contextmanager
def page(folder: Path) -> Iterator[tuple[processes.Child, str]]:
    """The page's node and its address."""
    arguments = ["--ros-args", "-p", "port:=0"]
    module = "liquid_control.ros.view_node"
    child = processes.start("view", module, arguments, os.environ, folder)
    try:
        while not (found := re.search(r"Live page: (\S+)/", child.log.read_text())):
            if child.code is not None:
                raise SystemExit(f"view ended: {child.last_words()}")
            time.sleep(0.05)
        yield child, found[1]
    finally:
        processes.stop(child)


class Viewers:
    """Viewers in a thread of their own; counts the pictures that they were sent."""

    def __init__(self, url: str, count: int, stream: str) -> None:
        self.shown, self.delays = 0, []
        self._end = threading.Event()
        self._task = threading.Thread(target=lambda: asyncio.run(self._run(url, count, stream)))
        self._task.start()

    async def _run(self, url: str, count: int, stream: str) -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._watch(session, url, stream) for _ in range(count)))

    async def _watch(self, session: aiohttp.ClientSession, url: str, stream: str) -> None:
        options = {"headers": {"Origin": url}, "max_msg_size": 0}
        async with session.ws_connect(f"{url}/live", **options) as socket:
            await socket.send_json({"show": stream})
            while not self._end.is_set():
                try:
                    data = (await socket.receive(timeout=0.2)).data
                except TimeoutError:
                    continue
                size = int.from_bytes(data[:4], "little")
                told = json.loads(data[4 : 4 + size])
                await socket.send_json({"drawn": told["number"]})
                self.shown += len(data) > 4 + size
                self.delays.append(told["delay"])

    def close(self) -> None:
        self._end.set()
        self._task.join()


class Chromium:
    """The page in a real browser without a screen; `shown` as the page itself counts."""

    def __init__(self, url: str) -> None:
        self.delays: list[float] = []
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", url]
        command += [f"--user-data-dir={self._profile.name}", "--remote-debugging-port=0"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, **quiet)

    async def _ask(self) -> int:
        file = Path(self._profile.name, "DevToolsActivePort")
        while not (file.is_file() and file.read_text()):
            await asyncio.sleep(0.1)
        port = file.read_text().split()[0]
        code = "+document.getElementById('picture')?.dataset.frames || 0"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                (tab,) = [each for each in await answer.json() if each["type"] == "page"]
            async with session.ws_connect(tab["webSocketDebuggerUrl"]) as socket:
                asked = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": code}}
                await socket.send_json(asked)
                answer = await socket.receive_json()
        # A page that is being loaded has no answer yet.
        return answer["result"]["result"]["value"] if "result" in answer else 0

    @property
    def shown(self) -> int:
        return asyncio.run(self._ask())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._profile.cleanup()


def used(child: processes.Child) -> float:
    """Processor time of a process [s]."""
    times = psutil.Process(child.process.pid).cpu_times()
    return times.user + times.system


def listen(executor: SingleThreadedExecutor, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


def measure(
    turn: Turn,
    executor: SingleThreadedExecutor,
    monitor: Monitor,
    policy: processes.Child,
    viewers: Viewers | Chromium | None,
    server: processes.Child | None,
    count: int,
    seconds: float,
) -> None:
    if isinstance(viewers, Chromium):
        while viewers.shown < 30:  # the wiring is drawn meanwhile
            listen(executor, 0.5)
    listen(executor, WARM_UP)
    nodes_used = [(child, used(child)) for child in (policy, server) if child is not None]
    began, heard = time.monotonic(), monitor.frames
    shown = viewers.shown if viewers else 0
    if viewers:
        viewers.delays.clear()
    listen(executor, seconds)
    took = time.monotonic() - began
    shares = [(used(child) - before) / took for child, before in nodes_used]
    turn.decisions.append((monitor.frames - heard) / took)
    turn.latencies.append(monitor.latency[0])
    turn.policy.append(shares[0])
    turn.page += shares[1:]
    if viewers:
        turn.shown.append((viewers.shown - shown) / took / count)
        turn.delays += viewers.delays


def table(turns: dict[str, Turn]) -> str:
    lines = [
        "| | decisions/s | frame to command p50 [ms] | policy [cores] | page [cores] | "
        "pictures/s and viewer | of the decisions | behind p50 [ms] |",
        "|---|---|---|---|---|---|---|---|",
    ]

    def mean(values: list[float], digits: int = 2) -> str:
        return f"{np.mean(values):.{digits}f}" if values else ""

    for name, turn in turns.items():
        share = f"{np.mean(turn.shown) / np.mean(turn.decisions):.0%}" if turn.shown else ""
        delay = f"{1e3 * np.median(turn.delays):.0f}" if turn.delays else ""
        lines.append(
            f"| {name} | {mean(turn.decisions, 1)} | {mean(turn.latencies, 1)} | "
            f"{mean(turn.policy)} | {mean(turn.page, 3)} | {mean(turn.shown, 1)} | {share} | "
            f"{delay} |"
        )
    return "\n".join(lines)


def main(
    model: str = "driving_ncp", seconds: float = 8.0, rounds: int = 3, write: bool = False
) -> None:
    """Measure.

    Args:
        model: name or folder of the policy.
        seconds: of one turn [s].
        rounds: how often each has its turn.
        write: also write benchmarks/results/view.json and the page's table.
    """
    turns = {name: Turn() for name in TURNS if name != "Chromium" or shutil.which("chromium")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(processes.environment(folder))
        transport.choose(shared_memory=False)
        with drive(model, folder) as policy:
            rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
            monitor, executor = Monitor(), SingleThreadedExecutor()
            executor.add_node(monitor)
            end = time.monotonic() + PATIENCE
            while monitor.frames < 30:
                executor.spin_once(timeout_sec=0.1)
                if time.monotonic() > end:
                    raise SystemExit(f"No decision within {PATIENCE} s: {policy.last_words()}")
            given = executor, monitor, policy
            for _ in range(rounds):
                for name, turn in turns.items():
                    with_page, count, stream = TURNS[name]
                    if not with_page:
                        measure(turn, *given, None, None, 0, seconds)
                        continue
                    with page(folder) as (server, url):
                        viewers = None
                        if count:
                            browser = stream == "browser"
                            viewers = Chromium(url) if browser else Viewers(url, count, stream)
                        try:
                            measure(turn, *given, viewers, server, count, seconds)
                        finally:
                            if viewers:
                                viewers.close()
            rclpy.try_shutdown()
    text = table(turns)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(f"{text}\n{machine}, load average {os.getloadavg()[0]:.1f}")
    if write:
        results = {
            "command": "python benchmarks/view.py --write",
            "machine": machine,
            "load_average": os.getloadavg(),
            "turns": {
                name: vars(turn) | {"delays": turn.delays[:1000]} for name, turn in turns.items()
            },
        }
        file = HERE / "results" / "view.json"
        file.write_text(json.dumps(results, indent=1) + "\n")
        put("view.md", "benchmarks/view.py", text)


if __name__ == "__main__":
    tyro.cli(main)
