"""An hour of simulated driving through the real nodes: does anything leak, hang or die?

    python benchmarks/soak.py                     an hour of Driving-v1, in lockstep
    python benchmarks/soak.py --write             also results/soak.json, docs/soak.png and table

Simulator, policy, safety node and recorder run as in `liquid-control drive --mode lockstep`; this
process listens to the decisions and to the attention map of every frame, and looks at the nodes'
processes every few seconds: private memory (resident, not shared), file descriptors, threads, and
whether they live. The bag holds decisions, neurons, commands and diagnostics, no images, so that it
stays small, and is thrown away. Ctrl-C ends the drive early, with its results.

How fast memory grows is a straight line through the means of 12 equal parts of the drive, after a
warm-up; its 95 % interval is Student's with 10 degrees of freedom, for samples of one part depend
on each other. It is called flat if the interval's upper end lies below 1 % of the memory an hour.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil
import rclpy
import tyro
from page import put
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from scipy import stats
from sensor_msgs.msg import Image, JointState

from liquid_control import models
from liquid_control.data.messages import read_named_vector
from liquid_control.ros import processes
from liquid_control.ros.conversion import nanoseconds
from liquid_control.ros.drive import nodes
from liquid_control.ros.runtime import SENSOR, Stop

HERE = Path(__file__).resolve().parent
RECORDED = [
    *(f"policy/{name}" for name in ("facts", "decision", "neurons", "latency")),
    *("cmd_vel", "cmd_vel_safe", "safety/state", "simulator/state", "odom", "/diagnostics"),
]
# Of a drive; caches fill and the allocator's arenas grow in it.
WARM_UP = 0.1
PARTS = 12
FLAT = 0.01
# Without a decision for so long [s] the drive is over, though every process lives.
SILENCE = 60.0
QUANTITIES = ("private_mb", "resident_mb", "descriptors", "threads")


class Listener(Node):
    """Counts decisions and attention maps; begins to count time when the car moves."""

    def __init__(self) -> None:
        super().__init__("soak")
        self.decisions = self.maps = 0
        self.state: dict[str, float] = {}
        self.begin = self.now = 0.0
        self.create_subscription(JointState, "policy/decision", self._on_decision, 50)
        self.create_subscription(Image, "policy/attention", self._on_attention, SENSOR)
        self.create_subscription(JointState, "simulator/state", self._on_state, 50)

    @property
    def seconds(self) -> float:
        """Simulated time since the car began to move [s]."""
        return self.now - self.begin if self.begin else 0.0

    def _on_decision(self, message: JointState) -> None:
        self.decisions += 1

    def _on_attention(self, message: Image) -> None:
        self.maps += 1

    def _on_state(self, message: JointState) -> None:
        self.state = read_named_vector(message)
        self.now = nanoseconds(message.header.stamp) * 1e-9
        if not self.begin and not self.state["waiting"]:
            self.begin = self.now


def sample(process: psutil.Process) -> dict[str, float]:
    memory = process.memory_info()
    return {
        "private_mb": (memory.rss - memory.shared) / 2**20,
        "resident_mb": memory.rss / 2**20,
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
    }


def growth(seconds: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Growth an hour with the ends of its 95 % interval, of samples at times [s]."""
    kept = seconds >= seconds[-1] * WARM_UP
    hours, values = seconds[kept] / 3600, values[kept]
    parts = np.array_split(np.arange(len(hours)), PARTS)
    line = stats.linregress(
        [hours[part].mean() for part in parts], [values[part].mean() for part in parts]
    )
    margin = stats.t.ppf(0.975, PARTS - 2) * line.stderr
    return float(line.slope), float(line.slope - margin), float(line.slope + margin)


def drive(
    model: str, world: str, seed: int, seconds: float, every: float, folder: Path
) -> tuple[Listener, dict[str, list], list[str]]:
    """Drive, and look at the processes `every` so many seconds on the clock.

    Returns:
        The listener; samples: "seconds" (simulated) and "clock_s", numbers, and for each node its
        dictionaries; and what went wrong, in words.
    """
    (folder / "log").mkdir()
    asked = Stop(patience=0)
    asked.listen()
    os.environ.update(processes.environment(folder / "log"))
    parameters = models.share() / "config" / "drive.yaml"
    plan = nodes(models.find(model).resolve(), world, seed, "lockstep", parameters, folder / "bag")
    children = []
    for node in plan:
        more = ["-p", f"topics:=[{', '.join(RECORDED)}]"] if node.name == "recorder" else []
        arguments = ["--ros-args", *node.arguments, *more]
        module = f"liquid_control.ros.{node.name}_node"
        children.append(processes.start(node.name, module, arguments, os.environ, folder / "log"))
    samples: dict[str, list] = defaultdict(list)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    listener = Listener()
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    try:
        trouble = _watch(listener, executor, children, samples, seconds, every, asked)
    finally:
        trouble_at_end = [said for child in children if (said := processes.stop(child))]
        executor.shutdown()
        listener.destroy_node()
        rclpy.try_shutdown()
    return listener, samples, trouble + trouble_at_end


def _watch(
    listener: Listener,
    executor: SingleThreadedExecutor,
    children: list[processes.Child],
    samples: dict[str, list],
    seconds: float,
    every: float,
    asked: Stop,
) -> list[str]:
    watched = {child.name: psutil.Process(child.process.pid) for child in children}
    watched["listener"] = psutil.Process()
    began = heard = sampled = said = time.monotonic()
    while listener.seconds < seconds and asked.code is None:
        decisions = listener.decisions
        executor.spin_once(timeout_sec=0.1)
        now = time.monotonic()
        heard = now if listener.decisions != decisions else heard
        ended = [child for child in children if child.code is not None]
        if ended:
            return [f"{child.name} ended: {child.last_words()}" for child in ended]
        if now - heard > SILENCE:
            return [f"no decision for {SILENCE:.0f} s"]
        if listener.begin and now - sampled >= every:
            sampled = now
            samples["seconds"].append(listener.seconds)
            samples["clock_s"].append(now - began)
            for name, process in watched.items():
                samples[name].append(sample(process))
        if now - said >= 60:
            said = now
            print(
                f"{listener.seconds:7.0f} s simulated in {now - began:5.0f} s, "
                f"{listener.decisions} decisions",
                flush=True,
            )
    return []


def rows_of(samples: dict[str, list]) -> list[dict]:
    """What became of each process: begin (after the warm-up), end, largest, and growth an hour."""
    seconds = np.array(samples["seconds"])
    first = int(np.searchsorted(seconds, seconds[-1] * WARM_UP))
    rows = []
    for name in samples.keys() - {"seconds", "clock_s"}:
        row: dict = {"process": name}
        for quantity in QUANTITIES:
            values = np.array([item[quantity] for item in samples[name]])
            row[quantity] = {
                "begin": float(values[first]),
                "end": float(values[-1]),
                "largest": float(values.max()),
            }
        values = np.array([item["private_mb"] for item in samples[name]])
        row["growth_mb_per_hour"] = growth(seconds, values)
        row["flat"] = row["growth_mb_per_hour"][2] < FLAT * row["private_mb"]["begin"]
        rows.append(row)
    return sorted(rows, key=lambda row: row["process"])


def table(rows: list[dict]) -> str:
    lines = [
        "| process | memory, from, to [MB] | growth an hour [MB] | flat | descriptors | threads |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        slope, low, high = row["growth_mb_per_hour"]
        spans = {name: row[name] for name in QUANTITIES}
        memory, files, threads = (spans[name] for name in ("private_mb", "descriptors", "threads"))
        lines.append(
            f"| {row['process']} | {memory['begin']:.1f} to {memory['end']:.1f} | "
            f"{slope:+.2f} ({low:+.2f} to {high:+.2f}) | {'yes' if row['flat'] else 'no'} | "
            f"{files['begin']:.0f} to {files['end']:.0f} | "
            f"{threads['begin']:.0f} to {threads['end']:.0f} |"
        )
    return "\n".join(lines)


def sentence(outcome: dict) -> str:
    """What became of the drive, in words."""
    return (
        f"{outcome['simulated_s']:.0f} s simulated in {outcome['clock_s']:.0f} s on the clock: "
        f"{outcome['decisions']} decisions, {outcome['attention_maps']} attention maps, "
        f"{outcome['roads']} roads, left {outcome['crashes']} times; "
        f"{'; '.join(outcome['trouble']) or 'no process lost'}."
    )


def draw(samples: dict[str, list], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = sorted(samples.keys() - {"seconds", "clock_s"})
    minutes = np.array(samples["seconds"]) / 60
    figure, axes = plt.subplots(1, len(names), figsize=(2.9 * len(names), 2.7))
    for axis, name in zip(axes, names, strict=True):
        values = np.array([item["private_mb"] for item in samples[name]])
        axis.plot(minutes, values, linewidth=1)
        axis.axvspan(0, minutes[-1] * WARM_UP, color="0.9", zorder=0)
        axis.set(title=name, xlabel="simulated time [min]", ylim=(0, 1.25 * values.max()))
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("private memory [MB]")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main(
    model: str = "driving_ncp",
    world: str = "liquid_control/Driving-v1",
    seed: int = 1,
    seconds: float = 3600.0,
    every: float = 5.0,
    write: bool = False,
) -> None:
    """Drive and watch.

    Args:
        model: name or folder of the policy.
        world: Gymnasium id of the world.
        seed: of the first road; after its end or a crash the next one's follows.
        seconds: simulated time [s].
        every: time between two looks at the processes, on the clock [s].
        write: also write benchmarks/results/soak.json, docs/soak.png and the table of its page.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        listener, samples, trouble = drive(model, world, seed, seconds, every, Path(name))
    if len(samples["seconds"]) < PARTS / (1 - WARM_UP):
        raise SystemExit("; ".join(trouble) or "Too short a drive for a line; give more --seconds.")
    rows = rows_of(samples)
    outcome = {
        "simulated_s": listener.seconds,
        "clock_s": time.monotonic() - began,
        "decisions": listener.decisions,
        "attention_maps": listener.maps,
        "roads": int(listener.state["episode"]) + 1,
        "crashes": int(listener.state["crashes"]),
        "trouble": trouble,
    }
    text = table(rows) + "\n\n" + sentence(outcome)
    print(text)
    if write:
        results = {
            "command": "python benchmarks/soak.py --write",
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
            "model": model,
            "world": world,
            "seed": seed,
            **outcome,
            "processes": rows,
        }
        (HERE / "results" / "soak.json").write_text(json.dumps(results, indent=1) + "\n")
        draw(samples, HERE.parent / "docs" / "soak.png")
        put("latency.md", "benchmarks/soak.py", text)
    raise SystemExit(1 if trouble or not all(row["flat"] for row in rows) else 0)


if __name__ == "__main__":
    tyro.cli(main)
