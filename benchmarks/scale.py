"""What it costs to spread episodes: processes on their own, `--workers`, and a Ray cluster.

    python benchmarks/scale.py                  10 minutes; prints the tables
    python benchmarks/scale.py --write          also results/scale.json and docs/scale.md

Throughput: a model drives episodes of Driving-v1 with two workers, in three ways: two processes
that know nothing of one another, each with half of the episodes; `--workers 2`; and `--engine ray
--workers 2`. They take turns, so that a change of the machine's speed meets all. A worker's rate
counts from the end of its first episode to the end of its last one, with everything in between;
start-up is told apart, from the call to the first result. What must be at least 0.9 is the engines'
rate as a share of the independent processes' in the same turn, of which the median is printed.
Where something else uses the cores, look at the processor time of an episode (with all that the
worker does between episodes): the independent processes' as a share of the engines'.

Driver: how many results a second one command takes in, with jobs that do nothing and as many in
flight as on a large cluster; and how fast it takes in bags, with jobs that return some megabytes.

Bytes: what goes out for an episode and what comes back, counted on the pickled objects and files.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from page import put
from scale_jobs import WORLD, Drive, drive, megabytes, nothing

from liquid_control import models
from liquid_control.files import replace_file
from liquid_control.rollout.bundle import model_bundle, pack
from liquid_control.rollout.engine import Engine
from liquid_control.rollout.episode_bag import Settings
from liquid_control.rollout.recording import record_episodes

HERE = Path(__file__).resolve().parent
MODEL = "driving_ncp"
CONTENDERS = ("independent", "local", "ray")


def jobs(seconds: float, first: int, count: int) -> list[Drive]:
    model = model_bundle(models.find(MODEL))
    return [Drive(model, seconds, first + index) for index in range(count)]


def alone(seconds: float, first: int, count: int) -> None:
    """What each of the independent processes does: its episodes, one after the other."""
    ended = [result for _, result in Engine().spread(drive, jobs(seconds, first, count))]
    print(json.dumps([[each.process, each.at, each.spent] for each in ended]))


@dataclass(frozen=True)
class Turn:
    """Episodes a second of both workers, processor time of an episode and of the start [s]."""

    rate: float
    spent: float
    start: float


def turn(contender: str, seconds: float, count: int) -> Turn:
    began = time.monotonic()
    if contender == "independent":
        command = [sys.executable, __file__, "--alone", str(seconds), "--episodes", str(count // 2)]
        both = [
            subprocess.Popen([*command, "--first", str(first)], stdout=subprocess.PIPE, text=True)
            for first in (0, count // 2)
        ]
        ends = [end for each in both for end in json.loads(each.communicate()[0])]
    else:
        done = Engine(2, contender).spread(drive, jobs(seconds, 0, count))
        ends = [[result.process, result.at, result.spent] for _, result in done]
    by_process = defaultdict(list)
    for process, *times in ends:
        by_process[process].append(times)
    # From the first end to the last, (wall, processor time) and the episodes in between.
    spans = [(*np.ptp(times, axis=0), len(times) - 1) for times in by_process.values()]
    spans = [span for span in spans if span[2]]
    return Turn(
        rate=float(sum(episodes / wall for wall, _, episodes in spans)),
        spent=float(sum(span[1] for span in spans) / sum(span[2] for span in spans)),
        start=min(at for _, at, _ in ends) - began,
    )


def throughput(seconds: float, count: int, turns: int) -> dict:
    found = defaultdict(list)
    for number in range(turns):
        for contender in CONTENDERS:
            found[contender].append(one := turn(contender, seconds, count))
            print(f"turn {number + 1}: {contender} {one}", flush=True)
    alone = found["independent"]
    return {
        name: {
            "rate": statistics.median(each.rate for each in found[name]),
            "shares": [e.rate / a.rate for e, a in zip(found[name], alone, strict=True)],
            "spent": statistics.median(each.spent for each in found[name]),
            "spent_shares": [a.spent / e.spent for e, a in zip(found[name], alone, strict=True)],
            "start": statistics.median(each.start for each in found[name]),
        }
        for name in CONTENDERS
    }


def driver(count: int, in_flight: int, size: int, bags: int) -> dict:
    with Engine(2, "ray").session():
        list(Engine(2, "ray").spread(nothing, range(100)))
        began = time.monotonic()
        for _ in Engine(in_flight, "ray").spread(nothing, range(count)):
            pass
        rate = count / (time.monotonic() - began)
        with tempfile.TemporaryDirectory() as place:
            began = time.monotonic()
            for number, (_, content) in enumerate(
                Engine(2, "ray").spread(megabytes, [size] * bags)
            ):
                content.tofile(Path(place) / str(number))
            bandwidth = size * bags / (time.monotonic() - began)
    return {"results_per_second": rate, "in_flight": in_flight, "megabytes_per_second": bandwidth}


def sizes(seconds: float) -> dict:
    (job,) = jobs(seconds, 0, 1)
    packed, (bundle,) = pack((drive, job))
    episode = drive(job).episode
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "000000"
        settings = Settings(WORLD, seconds=18.0)
        list(record_episodes([(settings, 0, folder)], Engine()))
        bag = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "job": len(packed),
        "model": sum(len(content) for _, content in bundle.content()),
        "result": len(pickle.dumps(episode, protocol=pickle.HIGHEST_PROTOCOL)),
        "bag": bag,
    }


def _range(shares: list[float]) -> str:
    return f"{statistics.median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})"


def tables(found: dict) -> str:
    shares, into, out = found["throughput"], found["driver"], found["bytes"]
    names = {
        "independent": "two independent processes",
        "local": "`--workers 2`",
        "ray": "`--workers 2 --engine ray`",
    }
    rows = [
        f"| {names[name]} | {each['rate']:.2f} | {_range(each['shares'])} | {each['spent']:.2f} | "
        f"{_range(each['spent_shares'])} | {each['start']:.0f} |"
        for name, each in shares.items()
    ]
    size = {name: f"{value:,}" for name, value in out.items()}
    return "\n".join(
        [
            "| two workers | episodes/s | share of the independent (turns) "
            "| processor time of an episode, s | share of the independent (turns) "
            "| first result, s |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "| one command takes in | |",
            "|---|---|",
            f"| results of jobs that do nothing, {into['in_flight']} in flight | "
            f"{into['results_per_second']:,.0f} /s |",
            f"| files, from object store to disk | {into['megabytes_per_second']:,.0f} MB/s |",
            "",
            "| bytes | once a machine | an episode |",
            "|---|---|---|",
            f"| out: model `{MODEL}` (weights and configuration) | {size['model']} | |",
            f"| out: job | | {size['job']} |",
            f"| back: figures of an evaluation | | {size['result']} |",
            f"| back: bag of 18 s of Driving-v1 | | {size['bag']} |",
            "",
            f"{found['machine']}",
        ]
    )


def main(
    seconds: float = 4.0,
    episodes: int = 12,
    turns: int = 5,
    results: int = 5000,
    write: bool = False,
    alone: float = 0.0,
    first: int = 0,
) -> None:
    """Measure what spreading costs.

    Args:
        seconds: of an episode [s].
        episodes: of both workers in a turn.
        turns: of each contender.
        results: of jobs that do nothing.
        write: results/scale.json and docs/scale.md.
        alone: be one of the independent processes, with episodes of this length [s].
        first: seed of such a process.
    """
    if alone:
        globals()["alone"](alone, first, episodes)
        return
    load = os.getloadavg()[0]
    found = {
        "throughput": throughput(seconds, episodes, turns),
        "driver": driver(results, 1000, 16, 20),
        "bytes": sizes(seconds),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}; load average {load:.1f} before the first turn; episodes of "
        f"{seconds:g} s, {episodes} a turn, {turns} turns.",
    }
    text = tables(found)
    print(text)
    if write:
        content = json.dumps(found, indent=1) + "\n"
        replace_file(HERE / "results" / "scale.json", content)
        put("scale.md", "benchmarks/scale.py", text)


if __name__ == "__main__":
    tyro.cli(main)
