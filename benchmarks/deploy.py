"""One policy in every program that can run it: circuit step, frame to command, memory, start-up.

    python benchmarks/deploy.py              prints the table; 5 minutes
    python benchmarks/deploy.py --write      also results/deploy.json and docs/deploy.md

Everything runs in one thread, on one row, and takes turns, so that a change of the machine's speed
meets all; the medians over the turns are shown. A frame is an image of the policy's size that comes
as an array; what comes out is a command in physical units. "Head" is the vision head alone in the
same program, from the same frame; "frame" is everything: head, circuit, limits. "Decision" is what
the policy node does in Python: also the hash of the frame and what else an audit needs.

Start-up is the time from starting a process to its first command, memory what its resident set has
grown by since Python began, or all of it where there is no Python.

Needs ncps, onnxruntime and a C compiler; OpenVINO is left out where it is not installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import torch
import tyro
from circuits import ltc_pair
from page import put
from tqdm import tqdm

from liquid_control import models
from liquid_control.circuits.fused_sequence import torch_operations
from liquid_control.deploy.c_build import build
from liquid_control.deploy.c_export import export_c
from liquid_control.deploy.export_files import CIRCUIT, GRAPH
from liquid_control.deploy.onnx_export import export_onnx
from liquid_control.deploy.runtime import ExportDriver
from liquid_control.deploy.sessions import RUNTIMES
from liquid_control.files import replace_file
from liquid_control.policy import Driver, Policy

PERIOD = 1 / 30
CALLS = {"circuit": 100, "head": 5, "frame": 5, "decision": 5}  # a turn
C_TURNS = 6
RESULTS = Path(__file__).resolve().parent / "results" / "deploy.json"
# What a small robot's computer has: a Raspberry Pi Zero 2 W, one of its cores.
PI_HZ, PI_MEMORY = 1.0e9, 512

BEGIN = """
import os, sys, numpy as np
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
before = resident()
frame = np.random.default_rng(0).integers(0, 256, ({rows}, {columns}, 3), np.uint8)
"""
END = """
print(resident() - before, flush=True)
"""
TORCH = """
import torch
torch.set_num_threads(1)
from liquid_control.policy import Driver, Policy
from liquid_control.circuits.fused_sequence import torch_operations
from contextlib import nullcontext
with {context}():
    Driver(Policy.load({folder!r})).step(frame, 1 / 30)
"""
NCPS = """
import torch, ncps.torch, ncps.wirings
torch.set_num_threads(1)
from liquid_control.perception import VisionHead
head = VisionHead({rows}, {columns})
network = ncps.torch.LTC(32, ncps.wirings.NCP(12, 6, 1, 6, 4, 7, 6))
with torch.inference_mode():
    network(head(torch.from_numpy(frame[None]))[:, None])[0].numpy()
"""
EXPORT = """
from liquid_control.deploy.runtime import ExportDriver
ExportDriver({folder!r}, {runtime!r}).step(frame, 1 / 30)
"""


@dataclass
class Contender:
    """One program; calls of None are not measured."""

    name: str
    circuit: Callable[[], object] | None
    head: Callable[[], object] | None
    frame: Callable[[], object] | None
    decision: Callable[[], object] | None
    start: list[str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory_mib: float = float("nan")
    start_s: float = float("inf")

    def turn(self) -> None:
        for name, calls in CALLS.items():
            call = getattr(self, name)
            if call is None:
                continue
            began = time.perf_counter()
            for _ in range(calls):
                call()
            self.seconds.setdefault(name, []).append((time.perf_counter() - began) / calls)


class C:
    """The exported C, whose own program keeps the time."""

    def __init__(self, folder: Path, head: str, calibrate: Path | None, work: Path) -> None:
        target = work / f"c_{head}"
        made = export_c(folder, target, head, calibrate=calibrate)
        self.programs = {
            name: build(
                [target / f"{name}.c", target / f"{made.prefix}.c"],
                *(target / name, "-O3", "-march=native"),
            )
            for name in ("main", "benchmark")
        }

    def measure(self, contender: Contender) -> None:
        done = subprocess.run(
            [str(self.programs["benchmark"])], capture_output=True, text=True, check=True
        )
        told = json.loads(done.stdout)
        for name, key in (("circuit", "step"), ("head", "head"), ("frame", "frame")):
            contender.seconds.setdefault(name, []).append(told[f"{key}_median_ns"] * 1e-9)
        contender.memory_mib = told["memory_kib"] / 1024


def inference(call: Callable[[], object], context: Callable = nullcontext) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode(), context():
            return call()

    return run


def by_ncps(policy: Policy, frame: np.ndarray, start: list[str]) -> Contender:
    """ncps behind our head, as somebody would write it."""
    network, _ = ltc_pair()
    pixels = torch.from_numpy(frame[None])
    features, state = torch.rand(1, 32), torch.zeros(1, 19)
    spec = policy.spec

    def decide() -> np.ndarray:
        output, _ = network(policy.head(pixels)[:, None], state)
        return spec.clip(output[0, 0].numpy() * spec.high[:1])

    return Contender(
        "ncps, torch",
        inference(lambda: network(features[:, None], state)),
        inference(lambda: policy.head(pixels)),
        inference(decide),
        None,
        start,
    )


def by_torch(
    name: str, policy: Policy, frame: np.ndarray, context: Callable, start: list[str]
) -> Contender:
    driver, circuit = Driver(policy), policy.circuit
    pixels = torch.from_numpy(frame[None])
    features, state, prepared = torch.rand(1, 32), torch.zeros(1, 19), circuit.prepare()
    spec = policy.spec

    def command() -> np.ndarray:
        outputs, _ = circuit.step(policy.head(pixels), state, PERIOD, prepared)
        return spec.clip((outputs * policy.scale)[0].numpy())

    def decide() -> object:
        with context():
            return driver.step(frame, PERIOD)

    return Contender(
        name,
        inference(lambda: circuit.step(features, state, PERIOD, prepared), context),
        inference(lambda: policy.head(pixels)),
        inference(command, context),
        decide,
        start,
    )


def by_export(name: str, folder: Path, runtime: str, frame: np.ndarray, start: list) -> Contender:
    driver = ExportDriver(folder, runtime)
    rng = np.random.default_rng(0)
    circuit = RUNTIMES[runtime]((folder / CIRCUIT).read_bytes())
    feeds = {
        "features": rng.random((1, 32), np.float32),
        "state": np.zeros((1, 19), np.float32),
        "elapsed": np.array([PERIOD], np.float32),
    }
    extractor = onnx.utils.Extractor(onnx.load(folder / GRAPH))
    alone = extractor.extract_model(["frames"], ["features"]).SerializeToString()
    head = RUNTIMES[runtime](alone)
    whole = RUNTIMES[runtime]((folder / GRAPH).read_bytes())
    given = {"frames": frame[None], "state": feeds["state"], "elapsed": feeds["elapsed"]}
    return Contender(
        name,
        lambda: circuit.run(["command", "next_state"], feeds),
        lambda: head.run(["features"], {"frames": frame[None]}),
        lambda: whole.run(["command", "next_state"], given),
        lambda: driver.step(frame, PERIOD),
        start,
    )


def python(code: str, **values: object) -> list[str]:
    """The command of a process that drives one frame and says what memory that took."""
    text = BEGIN.format(**values) + code.format(**values) + END
    return [sys.executable, "-c", text]


def start_up(contender: Contender, image: bytes) -> None:
    """Time and memory of a fresh process until its first command."""
    began = time.perf_counter()
    process = subprocess.Popen(contender.start, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(image)
    process.stdin.close()
    said = process.stdout.readline()
    contender.start_s = min(contender.start_s, time.perf_counter() - began)
    process.stdout.close()
    if process.wait() or not said:
        raise SystemExit(f"{contender.name} gave no command in a fresh process.")
    if contender.start[0] == sys.executable:
        contender.memory_mib = float(said)


def contenders(
    folder: Path, calibrate: Path | None, work: Path
) -> tuple[list[Contender], list[tuple[C, Contender]]]:
    policy = Policy.load(folder)
    size = {"rows": policy.camera.height, "columns": policy.camera.width}
    frame = np.random.default_rng(0).integers(0, 256, (*policy.head.size, 3), np.uint8)
    own = {"folder": str(folder.resolve())}
    found = [
        by_ncps(policy, frame, python(NCPS, **size)),
        by_torch(
            *("torch, eager", policy, frame, torch_operations),
            python(TORCH, **size, **own, context="torch_operations"),
        ),
        by_torch(
            *("torch, compiled circuit", policy, frame, nullcontext),
            python(TORCH, **size, **own, context="nullcontext"),
        ),
    ]
    precisions = ("float32", "int8") if calibrate else ("float32",)
    for precision in precisions:
        export_onnx(folder, work / precision, precision, calibrate if precision == "int8" else None)
    names = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}
    for runtime, title in names.items():
        if runtime == "openvino" and importlib.util.find_spec("openvino") is None:
            continue
        for precision in precisions:
            out = work / precision
            start = python(EXPORT, **size, folder=str(out), runtime=runtime)
            found.append(by_export(f"{title}, {precision}", out, runtime, frame, start))
    in_c = []
    for head in ("float", "int8") if calibrate else ("float",):
        program = C(folder, head, calibrate if head == "int8" else None, work)
        start = [str(program.programs["main"]), str(PERIOD)]
        contender = Contender(f"C, {head}", None, None, None, None, start)
        found.append(contender)
        in_c.append((program, contender))
    return found, in_c


def measure(folder: Path, calibrate: Path | None, turns: int, fresh: int) -> dict:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        found, in_c = contenders(folder, calibrate, Path(work))
        policy = Policy.load(folder)
        rows, columns = policy.head.size
        image = f"P6 {columns} {rows} 255\n".encode() + bytes(range(256)) * (
            -(-rows * columns * 3 // 256)
        )
        image = image[: len(f"P6 {columns} {rows} 255\n") + rows * columns * 3]
        for contender in found:
            contender.turn()  # the first call compiles, allocates, warms up
            contender.seconds.clear()
        for turn in tqdm(range(turns), unit="turn", disable=None):
            for contender in found:
                contender.turn()
            if turn * C_TURNS % turns < C_TURNS:
                for program, contender in in_c:
                    program.measure(contender)
        for _ in range(fresh):
            for contender in found:
                start_up(contender, image)
    table = []
    for contender in found:
        median = {name: statistics.median(each) for name, each in contender.seconds.items()}
        table.append(
            {
                "name": contender.name,
                **{f"{name}_s": value for name, value in median.items()},
                "frame_per_head": median["frame"] / median["head"],
                "memory_mib": contender.memory_mib,
                "start_s": contender.start_s,
                "fastest": {name: min(each) for name, each in contender.seconds.items()},
            }
        )
    return {
        "command": "python benchmarks/deploy.py --write",
        "model": folder.name,
        "processor": _processor(),
        "clock_hz": _clock(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "turns": turns,
        "rows": table,
    }


def markdown(results: dict) -> str:
    lines = [
        "| program | circuit step | head alone | frame to command | frame / head | decision "
        "| memory | start-up |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row['name']} | {1e6 * row['circuit_s']:.1f} µs | {1e3 * row['head_s']:.2f} ms "
        f"| {1e3 * row['frame_s']:.2f} ms | {row['frame_per_head']:.2f} "
        f"| {_milliseconds(row.get('decision_s'))} "
        f"| {row['memory_mib']:.0f} MiB | {row['start_s']:.2f} s |"
        for row in results["rows"]
    ]
    ratio = results["clock_hz"] / PI_HZ
    fits = [
        f"{row['name']} {1e3 * row['frame_s'] * ratio:.0f} ms"
        for row in results["rows"]
        if row["frame_s"] * ratio < PERIOD and row["memory_mib"] < PI_MEMORY
    ]
    said = (
        f"{results['model']} on one core of {results['processor']} at "
        f"{results['clock_hz'] / 1e9:.1f} GHz, medians of {results['turns']} turns, Python "
        f"{results['python']}; `{results['command']}`."
    )
    budget = (
        f"A core of {PI_HZ / 1e9:g} GHz with {PI_MEMORY} MB, as a Raspberry Pi Zero 2 W has, by "
        f"the ratio of the clocks alone ({ratio:.1f}): frame to command within the 33 ms of "
        f"30 Hz with {', '.join(fits) or 'none of them'}. Its core also does less in a cycle."
    )
    return "\n".join([*lines, "", said, "", budget])


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.2f} ms"


def _processor() -> str:
    told = Path("/proc/cpuinfo").read_text()
    names = [line.split(":", 1)[1].strip() for line in told.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _clock() -> float:
    """Of the processor now [Hz]."""
    told = Path("/proc/cpuinfo").read_text()
    speeds = [float(line.split(":", 1)[1]) for line in told.splitlines() if "cpu MHz" in line]
    return 1e6 * max(speeds, default=float("nan"))


def main(
    model: str = "driving_ncp",
    calibrate: Path = Path("data/driving_v1"),
    turns: int = 60,
    fresh: int = 3,
    write: bool = False,
) -> None:
    """Measure a policy in every program that runs it.

    Args:
        model: name or folder of a flagship.
        calibrate: bags for the ranges of int8, which is left out where they are not there.
        turns: how often each is measured.
        fresh: processes started of each for memory and start-up; the fastest counts.
        write: also write results/deploy.json and the table of docs/deploy.md.
    """
    bags = calibrate if calibrate.exists() else None
    results = measure(models.find(model), bags, turns, fresh)
    text = markdown(results)
    print(text)
    if write:
        replace_file(RESULTS, json.dumps(results, indent=1) + "\n")
        put("deploy.md", "benchmarks/deploy.py", text)


if __name__ == "__main__":
    tyro.cli(main)
