"""Time and memory of our circuits beside those of ncps, in one run.

    python benchmarks/circuits.py                 one thread, prints the tables
    python benchmarks/circuits.py --json-file F   writes them as JSON, too

Needs ncps, and numba for compiled code (pip install -e '.[test,fast]'). Both libraries have
the same wiring and weights (but see `cfc_pair`), and outputs are compared first. Contenders take
turns, so that a change of the machine's speed meets all; quote the ratio of the medians. Beside
the time on the clock stands the processor time of this process, which other programs disturb less.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import ncps.torch
import ncps.wirings
import numpy as np
import torch
import tyro
from torch import Tensor, nn

from liquid_control.circuits import LTC, CfC, Circuit, Stepper, from_ncps, ncp
from liquid_control.circuits.fused_sequence import torch_operations

BATCH, TIME, INPUTS = 32, 32, 32


@dataclass
class Contender:
    """One way to do a task; `call` does it `calls` times a turn."""

    name: str
    call: Callable[[], object]
    calls: int = 1
    wall_s: list[float] = field(default_factory=list)
    process_s: list[float] = field(default_factory=list)

    def turn(self) -> None:
        wall, process = time.perf_counter(), time.process_time()
        for _ in range(self.calls):
            self.call()
        self.wall_s.append((time.perf_counter() - wall) / self.calls)
        self.process_s.append((time.process_time() - process) / self.calls)


def take_turns(contenders: list[Contender], turns: int) -> list[dict]:
    """Rows of a table; the first contender is what the others are compared with."""
    for contender in contenders:
        contender.call()  # the first call compiles, allocates, warms up
    gc.collect()
    gc.disable()
    for _ in range(turns):
        for contender in contenders:
            contender.turn()
    gc.enable()
    rows = []
    for contender in contenders:
        row = {"name": contender.name, "turns": turns, "calls": contender.calls}
        for clock in ("wall_s", "process_s"):
            values = getattr(contender, clock)
            base = statistics.median(getattr(contenders[0], clock))
            row[clock] = statistics.median(values)
            row[f"{clock}_range"] = [min(values), max(values)]
            row[f"{clock}_times_faster"] = base / row[clock]
        rows.append(row)
    return rows


def ltc_pair() -> tuple[nn.Module, Circuit]:
    """19 neurons and 253 synapses in ncps, and ours with its weights."""
    ours = ncp()
    order = [18, *range(18)]  # ncps numbers the motor neuron first
    # Not ncps.wirings.NCP: it draws synapses twice, and LTC has it draw again.
    theirs = ncps.wirings.Wiring(19)
    theirs.set_input_dim(INPUTS)
    theirs.set_output_dim(1)
    theirs.adjacency_matrix = ours.adjacency[np.ix_(order, order)].astype(np.int32)
    theirs.sensory_adjacency_matrix = ours.sensory[:, order].astype(np.int32)
    network = ncps.torch.LTC(INPUTS, theirs)
    return network, from_ncps(network)


def cfc_pair() -> tuple[nn.Module, Circuit]:
    """CfC of 12 inter, 6 command and 1 motor neurons; ours is on the 253 synapses.

    Weights cannot be the same: ncps links all neurons of neighbouring layers, whatever the wiring.
    """
    return ncps.torch.CfC(INPUTS, ncps.wirings.NCP(12, 6, 1, 6, 4, 7, 6)), CfC(ncp())


def dense_pair(units: int, **options: bool) -> tuple[nn.Module, Circuit]:
    """A CfC without a wiring in ncps, and ours with its weights."""
    network = ncps.torch.CfC(INPUTS, units, **options)
    return network, from_ncps(network)


def trainer(network: nn.Module, inputs: Tensor) -> Callable[[], None]:
    """Forward and backward through sequences, gradients dropped first."""

    def call() -> None:
        network.zero_grad()
        network(inputs)[0].sum().backward()

    return call


def runner(network: nn.Module, inputs: Tensor) -> Callable[[], None]:
    def call() -> None:
        with torch.no_grad():
            network(inputs)

    return call


def by_torch(call: Callable[[], None]) -> Callable[[], None]:
    """The same without the compiled solver."""

    def plain() -> None:
        with torch_operations():
            call()

    return plain


def stepping(theirs: nn.Module, ours: Circuit) -> list[Contender]:
    """One sample of one row in inference mode; a cell of ncps alone checks and stacks nothing."""
    sample, state = torch.randn(1, INPUTS), torch.zeros(1, 19)
    cell, elapsed = theirs.rnn_cell, torch.ones(1, 1)

    def step() -> None:
        ours.step(sample, state, 1.0)

    def inference(call: Callable[[], object]) -> Callable[[], object]:
        return torch.inference_mode()(call)

    contenders = [
        Contender("ncps", inference(lambda: theirs(sample[:, None], state)), 50),
        Contender("ncps, its cell alone", inference(lambda: cell(sample, state, elapsed)), 50),
        Contender("ours, torch operations", inference(by_torch(step)), 50),
        Contender("ours, step()", inference(step), 50),
    ]
    if isinstance(ours, LTC):
        stepper, array = Stepper(ours), sample[0].numpy()
        contenders.append(Contender("ours, Stepper", lambda: stepper(array, 1.0), 50))
    return contenders


def kept_for_backward(network: nn.Module, inputs: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, without parameters and inputs."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), inputs)}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = network(inputs)  # holds what was kept, so that no address is used twice
    del outputs
    return sum(kept.values())


def scaling(ours: Circuit, turns: int) -> list[dict]:
    """Forward and backward over sizes; a cost linear in both shows as a constant time a sample."""
    sizes = [(32, 32), (32, 128), (32, 512), (128, 32), (512, 32), (4, 32), (20, 16)]
    contenders = [
        Contender(f"{batch} x {steps}", trainer(ours, torch.randn(batch, steps, INPUTS)), 4)
        for batch, steps in sizes
    ]
    rows = take_turns(contenders, turns)
    for row, (batch, steps) in zip(rows, sizes, strict=True):
        for clock in ("wall_s", "process_s"):
            row[f"{clock}_per_sample"] = row[clock] / (batch * steps)
    return rows


def memory(theirs: nn.Module, ours: Circuit) -> list[dict]:
    rows = []
    for steps in (32, 256):
        inputs = torch.randn(BATCH, steps, INPUTS)
        row = {"batch": BATCH, "time": steps, "ncps": kept_for_backward(theirs, inputs)}
        row["ours_compiled"] = kept_for_backward(ours, inputs)
        with torch_operations():
            row["ours_by_torch_operations"] = kept_for_backward(ours, inputs)
            ours.checkpoint_every = 16
            row["ours_by_torch_operations_checkpointed"] = kept_for_backward(ours, inputs)
            ours.checkpoint_every = None
        rows.append(row)
    return rows


def machine() -> dict:
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if line.startswith("model n")), model)
    versions = {name: importlib.metadata.version(name) for name in ("torch", "ncps", "numpy")}
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        **versions,
    }


def show(title: str, rows: list[dict]) -> None:
    print(f"\n{title}")
    print(f"{'':26}{'clock, ms':>11}{'(range)':>18}{'x':>7}{'processor, ms':>16}{'x':>7}")
    for row in rows:
        low, high = (1e3 * value for value in row["wall_s_range"])
        print(
            f"{row['name']:26}{1e3 * row['wall_s']:11.3f}{f'({low:.3f} to {high:.3f})':>18}"
            f"{row['wall_s_times_faster']:7.1f}{1e3 * row['process_s']:16.3f}"
            f"{row['process_s_times_faster']:7.1f}"
        )


def main(turns: int = 15, threads: int = 1, json_file: Path | None = None) -> None:
    """Measure.

    Args:
        turns: how often each contender has its turn.
        threads: of torch.
        json_file: also write the tables here.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    theirs, ours = ltc_pair()
    inputs = torch.randn(BATCH, TIME, INPUTS)
    with torch.no_grad():
        difference = (theirs(inputs)[0] - ours(inputs)[0]).abs().max().item()
    if difference > 1e-5:
        raise SystemExit(f"Outputs differ by {difference:.1e}: this would compare unequal things.")
    found: dict = {"machine": machine(), "difference": difference, "tables": {}}
    print(", ".join(f"{key} {value}" for key, value in found["machine"].items()))
    print(f"Largest difference of outputs: {difference:.1e}")

    pairs = {
        "LTC, 19 neurons, 253 synapses": (theirs, ours),
        "CfC, 19 neurons": cfc_pair(),
        "dense CfC, 19 neurons, backbone 128": dense_pair(19),
        "dense CfC, 64 neurons, backbone 128": dense_pair(64),
        "dense CfC, 64 neurons, mixed memory": dense_pair(64, mixed_memory=True),
    }
    for name, pair in pairs.items():
        for what, make in (("forward and backward", trainer), ("forward", runner)):
            title = f"{name}, batch {BATCH} x {TIME} steps, {what}"
            call = make(pair[1], inputs)
            contenders = [
                Contender("ncps", make(pair[0], inputs)),
                Contender("ours, torch operations", by_torch(call)),
                Contender("ours, as it comes", call, 5),
            ]
            found["tables"][title] = take_turns(contenders, turns)
            show(title, found["tables"][title])
    for name, pair in list(pairs.items())[:2]:
        title = f"{name}, one step, batch 1"
        found["tables"][title] = take_turns(stepping(*pair), turns)
        show(title, found["tables"][title])

    title = "LTC compiled, forward and backward over batch x time"
    found["tables"][title] = scaling(ours, turns)
    print(f"\n{title}")
    for row in found["tables"][title]:
        print(
            f"{row['name']:12}{1e3 * row['process_s']:9.3f} ms of the processor,"
            f"{1e6 * row['process_s_per_sample']:9.3f} microseconds a sample"
        )
    title = "kept for the backward pass, bytes"
    found["tables"][title] = memory(theirs, ours)
    print(f"\n{title}")
    for row in found["tables"][title]:
        print(", ".join(f"{key} {value:,}" for key, value in row.items()))
    if json_file:
        json_file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
