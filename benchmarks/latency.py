"""From a camera's frame to the command, over DDS between processes: policy node, head, bare echo.

    python benchmarks/latency.py                  4 minutes; prints the table
    python benchmarks/latency.py --write          also results/latency.json and docs/latency.*

A camera in this process publishes 640 x 480 rgb8 frames and hears the commands that answer them.
Three nodes take turns in being sent frames, so that a change of the machine's speed meets all:

- echo: subscribes the image and publishes a TwistStamped with its stamp; what ROS 2 itself takes;
- head: the same, with the vision head in between;
- policy: the whole node. Another process listens to its attention, neurons and decisions, and the
  recorder writes them, with commands and latency, into a bag.

Each is a process of its own on a ROS domain of this run. Time counts from just before the camera
publishes to the command's callback here. A frame is lost when no command carries its stamp. Warm-up
frames of each turn do not count. Processor time and memory are the node's own (psutil).
"""

from __future__ import annotations

import gc
import json
import os
import platform
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import psutil
import rclpy
import tyro
from geometry_msgs.msg import TwistStamped
from page import put
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image, JointState

from liquid_control.data.messages import read_named_vector
from liquid_control.ros import conversion, processes, transport
from liquid_control.ros.runtime import COMMAND, SENSOR

HERE = Path(__file__).resolve().parent
ROWS, COLUMNS = 480, 640
WARM_UP = 1.0  # [s], of every turn
# A command that has not come by then is not going to [s].
PATIENCE = 1.0
MEMORY = 1 / 2**20  # MB
RECORDED = ["attention", "neurons", "decision", "latency", "facts"]


@dataclass
class Contender:
    """A node that turns frames into commands, in the namespace of its name."""

    name: str
    children: list[processes.Child]
    sent: dict[float, int] = field(default_factory=dict)
    ages: dict[float, list[float]] = field(default_factory=dict)
    inference: dict[float, list[float]] = field(default_factory=dict)
    shares: dict[str, dict[float, list[float]]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


def frames(count: int = 30) -> list[array]:
    """Smooth random pictures that differ: their bytes as an Image message takes them."""
    generator = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        coarse = generator.integers(0, 256, (12, 16, 3), np.uint8)
        picture = cv2.resize(coarse, (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC)
        pictures.append(array("B", picture.tobytes()))
    return pictures


class Camera(Node):
    """Publishes frames at a rate and notes when each one's command comes."""

    def __init__(self) -> None:
        super().__init__("camera")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._pictures = frames()
        self._outs: dict[str, object] = {}
        self._commands: dict[int, int] = {}
        self._inference: dict[int, float] = {}

    def connect(self, contender: str) -> None:
        self._outs[contender] = self.create_publisher(Image, f"/{contender}/image", SENSOR)
        self.create_subscription(TwistStamped, f"/{contender}/cmd_vel", self._on_command, COMMAND)
        if contender == "policy":
            self.create_subscription(JointState, "/policy/policy/latency", self._on_latency, 50)

    def connected(self, contender: str) -> bool:
        self._executor.spin_once(timeout_sec=0.05)
        return self._outs[contender].get_subscription_count() > 0

    def _on_command(self, message: TwistStamped) -> None:
        self._commands[conversion.nanoseconds(message.header.stamp)] = time.time_ns()

    def _on_latency(self, message: JointState) -> None:
        stamp = conversion.nanoseconds(message.header.stamp)
        self._inference[stamp] = read_named_vector(message)["inference"]

    def run(self, contender: str, rate: float, seconds: float) -> list[int]:
        """Send frames for some time; the stamps of those sent [ns]."""
        message = Image(height=ROWS, width=COLUMNS, encoding="rgb8", step=3 * COLUMNS)
        message.header.frame_id = "camera"
        stamps, began = [], time.monotonic()
        for number in range(round(seconds * rate)):
            self._listen(began + number / rate)
            message.data = self._pictures[number % len(self._pictures)]
            stamp = time.time_ns()
            message.header.stamp = conversion.time_message(stamp)
            self._outs[contender].publish(message)
            stamps.append(stamp)
        return stamps

    def _listen(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def answers(self, stamps: list[int]) -> tuple[list[float], list[float]]:
        """Frame to command and inference [ms] of the frames that were answered."""
        end = time.monotonic() + PATIENCE
        while stamps[-1] not in self._commands and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)
        self._listen(time.monotonic() + 0.1)
        ages = [
            (self._commands[stamp] - stamp) * 1e-6 for stamp in stamps if stamp in self._commands
        ]
        inference = [self._inference[stamp] * 1e3 for stamp in stamps if stamp in self._inference]
        return ages, inference


@contextmanager
def contenders(model: str, folder: Path) -> Iterator[list[Contender]]:
    """The nodes' processes, for as long as they are needed."""
    transport.choose()
    environment = {
        **processes.environment(folder),
        "PYTHONPATH": f"{HERE}:{HERE.parent}:{os.environ.get('PYTHONPATH', '')}",
    }
    os.environ.update(environment)
    children: list[processes.Child] = []

    def start(name: str, module: str, namespace: str, *arguments: str) -> processes.Child:
        role = [name] if module == "latency_nodes" else []
        given = [*role, "--ros-args", "-r", f"__ns:=/{namespace}", *arguments]
        children.append(processes.start(name, module, given, environment, folder))
        return children[-1]

    try:
        echo = start("echo", "latency_nodes", "echo")
        head = start("head", "latency_nodes", "head", "-p", f"model:={model}")
        policy = start(
            "policy", "liquid_control.ros.policy_node", "policy", "-p", f"model:={model}"
        )
        observer = start("observer", "latency_nodes", "policy")
        topics = ", ".join([*(f"policy/{name}" for name in RECORDED), "cmd_vel"])
        recorder = start(
            "recorder",
            *("liquid_control.ros.recorder_node", "policy"),
            *("-p", f"bag:={folder / 'bag'}", "-p", f"topics:=[{topics}]"),
        )
        yield [
            Contender("echo", [echo]),
            Contender("head", [head]),
            Contender("policy", [policy, observer, recorder]),
        ]
    finally:
        for child in children:
            processes.stop(child)


def turn(camera: Camera, contender: Contender, rate: float, seconds: float) -> None:
    """Feed one node for some time and note how it did."""
    camera.run(contender.name, rate, WARM_UP)
    watched = {child.name: psutil.Process(child.process.pid) for child in contender.children}
    before = {name: process.cpu_times() for name, process in watched.items()}
    began = time.monotonic()
    stamps = camera.run(contender.name, rate, seconds)
    took = time.monotonic() - began
    for name, process in watched.items():
        used = process.cpu_times()
        share = (used.user + used.system - before[name].user - before[name].system) / took
        contender.shares.setdefault(name, {}).setdefault(rate, []).append(share)
        contender.memory[name] = process.memory_info().rss * MEMORY
    ages, inference = camera.answers(stamps)
    contender.sent[rate] = contender.sent.get(rate, 0) + len(stamps)
    contender.ages.setdefault(rate, []).extend(ages)
    contender.inference.setdefault(rate, []).extend(inference)


def percentiles(values: list[float]) -> dict[str, float]:
    levels = {"p50": 50, "p95": 95, "p99": 99}
    return {name: float(np.percentile(values, level)) for name, level in levels.items()}


def rows_of(contender: Contender) -> list[dict]:
    """What was measured of one node, a row for every rate; milliseconds, cores, MB."""
    rows = []
    for rate, ages in contender.ages.items():
        rows.append(
            {
                "node": contender.name,
                "rate_hz": rate,
                "frames": contender.sent[rate],
                "lost": contender.sent[rate] - len(ages),
                "frame_to_command_ms": percentiles(ages),
                "cores": {
                    name: float(np.mean(shares[rate])) for name, shares in contender.shares.items()
                },
                "memory_mb": dict(contender.memory),
            }
        )
        if contender.inference.get(rate):
            rows[-1]["inference_ms"] = percentiles(contender.inference[rate])
    return rows


def aims(rows: list[dict]) -> list[str]:
    """What was aimed at, and what came of it, in words."""
    of = {(row["node"], row["rate_hz"]): row for row in rows}
    said = []
    for rate in sorted({row["rate_hz"] for row in rows}):
        echo, policy = of["echo", rate], of["policy", rate]
        late, inference = policy["frame_to_command_ms"]["p99"], policy["inference_ms"]["p50"]
        allowed = echo["frame_to_command_ms"]["p99"] + 2 * inference
        verdict = "reached" if late <= allowed else "missed"
        said.append(
            f"{rate:g} Hz: p99 of the node {late:.2f} ms, allowed {allowed:.2f} ms (p99 of the "
            f"echo + 2 x {inference:.2f} ms of inference): {verdict}; "
            f"{policy['lost']} of {policy['frames']} frames lost; "
            f"{policy['cores']['policy']:.2f} cores"
        )
    return said


def table(rows: list[dict]) -> str:
    lines = [
        "| node | rate [Hz] | p50 [ms] | p95 [ms] | p99 [ms] | frames lost | cores | memory [MB] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        late, name = row["frame_to_command_ms"], row["node"]
        lines.append(
            f"| {name} | {row['rate_hz']:g} | {late['p50']:.2f} | {late['p95']:.2f} | "
            f"{late['p99']:.2f} | {row['lost']} of {row['frames']} | {row['cores'][name]:.2f} | "
            f"{row['memory_mb'][name]:.0f} |"
        )
    return "\n".join(lines)


def draw(measured: list[Contender], path: Path) -> None:
    """The share of frames that took longer than a time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib import ticker

    rates = sorted(measured[0].ages)
    figure, axes = plt.subplots(1, len(rates), figsize=(4.6 * len(rates), 3.4), sharey=True)
    for axis, rate in zip(np.atleast_1d(axes), rates, strict=True):
        for contender in measured:
            ages = np.sort(contender.ages[rate])
            later = 1 - np.arange(len(ages)) / len(ages)
            axis.step(ages, later, where="post", label=contender.name)
        axis.axhline(0.01, color="0.6", linewidth=0.8, linestyle="--")
        axis.set(yscale="log", xscale="log", xlabel="frame to command [ms]", title=f"{rate:g} Hz")
        axis.xaxis.set_major_locator(ticker.FixedLocator([1, 2, 5, 10, 20, 50, 100]))
        axis.xaxis.set_major_formatter(ticker.ScalarFormatter())
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.grid(alpha=0.25, which="both")
    np.atleast_1d(axes)[0].set_ylabel("share of frames that took longer")
    np.atleast_1d(axes)[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main(
    model: str = "driving_ncp",
    rates: tuple[float, ...] = (30.0, 60.0),
    seconds: float = 10.0,
    rounds: int = 3,
    write: bool = False,
) -> None:
    """Measure.

    Args:
        model: name or folder of the policy.
        rates: of the camera [Hz].
        seconds: of one turn [s].
        rounds: how often each node has its turn at each rate.
        write: also write benchmarks/results/latency.json, docs/latency.png and the page's table.
    """
    with tempfile.TemporaryDirectory() as name, contenders(model, Path(name)) as measured:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        camera = Camera()
        for contender in measured:
            camera.connect(contender.name)
        children = [child for contender in measured for child in contender.children]
        while not all(camera.connected(contender.name) for contender in measured):
            for child in children:
                if child.code is not None:
                    raise SystemExit(f"{child.name} ended: {child.last_words()}")
        # A pause of the collector here would look like one of the node.
        gc.collect()
        gc.disable()
        for _ in range(rounds):
            for rate in rates:
                for contender in measured:
                    turn(camera, contender, rate, seconds)
        camera.destroy_node()
        rclpy.try_shutdown()
    rows = [row for contender in measured for row in rows_of(contender)]
    text = table(rows) + "\n\n" + "\n".join(f"- {said}" for said in aims(rows))
    print(text)
    if write:
        results = {
            "command": "python benchmarks/latency.py --write",
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
            "load_average": os.getloadavg(),
            "model": model,
            "frame": [ROWS, COLUMNS],
            "rows": rows,
            "aims": aims(rows),
        }
        (HERE / "results" / "latency.json").write_text(json.dumps(results, indent=1) + "\n")
        draw(measured, HERE.parent / "docs" / "latency.png")
        put("latency.md", "benchmarks/latency.py", text)


if __name__ == "__main__":
    tyro.cli(main)
