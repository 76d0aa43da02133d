"""What becomes of a vehicle when something fails: time to the stop, and who noticed.

    python benchmarks/faults.py                    every fault five times, on a quiet machine
    python benchmarks/faults.py --only black past  some of them
    python benchmarks/faults.py --show             the table of the last results, nothing is run

Every fault is struck at real processes that talk over DDS: camera, policy, safety node, recorder.
The times are those of the wall clock, from the fault (a signal sent, the first bad frame published)
to the arrival on `cmd_vel_safe` of the first slower command and of the command to stand, from
3 m/s. Results go into benchmarks/results/faults.json, run by run, so that an interrupted benchmark
loses nothing; the table goes into docs/faults.md. The same functions are tests in tests/faults.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import tyro
from fault_rig import survived
from fault_rig.faults import FAULTS, strike
from fault_rig.floods import TARGETS, flooded
from fault_rig.rig import Rig, untrained

from liquid_control import models
from liquid_control.files import replace_file

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "faults.json"
PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- table: benchmarks/faults.py -->", "<!-- end of table -->"
FLOODS = [f"flood_{target}" for target in TARGETS]
OTHERS = {
    "policy_slowed": "policy slowed to 30 ms in 400 ms",
    "policy_continued": "policy continued after 2 s (SIGCONT)",
    "safety_killed": "safety node killed (SIGKILL), simulated vehicle",
    "two_policies": "two policies on `cmd_vel`",
    "disk_full": "disk full while recording",
    "parameters": "parameters set while driving",
    "model_truncated": "model file truncated at configure",
    "model_nan": "model file of NaN at configure",
}


def main(runs: int = 5, only: tuple[str, ...] = (), show: bool = False) -> None:
    """Strike the faults and write down what came of them.

    Args:
        runs: how often each fault is struck.
        only: names of faults; all by default.
        show: only print the table of the results there are.
    """
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"faults": {}}
    if not show:
        wanted = set(only) or {*FAULTS, *FLOODS, *OTHERS}
        if unknown := wanted - {*FAULTS, *FLOODS, *OTHERS}:
            raise SystemExit(f"No fault {', '.join(sorted(unknown))}.")
        with tempfile.TemporaryDirectory() as folder:
            for name, outcome in _struck(Path(folder), wanted, runs):
                kept = results["faults"].setdefault(name, [])
                kept.append(outcome)
                del kept[:-runs]
                load = os.getloadavg()[0]
                results["machine"] = {"cores": os.cpu_count(), "platform": platform.platform()}
                outcome["load"] = round(load, 2)
                replace_file(RESULTS, (json.dumps(results, indent=1) + "\n").encode())
                print(f"{name}: {outcome}", flush=True)
    text = table(results)
    print(text)
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    replace_file(PAGE, f"{head}{BEGIN}\n{text}{END}{rest.split(END)[1]}".encode())


def _struck(folder: Path, wanted: set[str], runs: int) -> Iterator[tuple[str, dict]]:
    """Every wanted fault, `runs` times: its name and what came of it."""
    model = untrained(folder / "untrained")
    kinds: dict[tuple[bool, str], list[str]] = {}
    for name, fault in FAULTS.items():
        if name in wanted:
            kinds.setdefault((fault.compressed, fault.policy), []).append(name)
    for (compressed, policy), names in kinds.items():
        with Rig(folder / "log", model, compressed, policy) as rig:
            rig.start_all()
            for name in names * runs:
                yield name, _tried(lambda name=name: asdict(strike(rig, FAULTS[name])))
    driving: dict[str, Callable[[Rig], dict]] = {
        "policy_slowed": lambda rig: _row(*survived.policy_slowed(rig)),
        "policy_continued": lambda rig: _row(None, None, survived.continued(rig)),
        "two_policies": lambda rig: _row(None, None, survived.two_policies(rig)),
        "parameters": lambda rig: _row(None, None, survived.parameters_changed(rig)),
        "disk_full": _disk_full,
        **{f"flood_{target}": _flood(target) for target in TARGETS},
    }
    chosen = [name for name in driving if name in wanted]
    if chosen:
        with Rig(folder / "log", model) as rig:
            rig.start_all()
            for name in chosen * runs:
                yield name, _tried(lambda name=name: driving[name](rig))
    alone = {
        "safety_killed": _safety_killed,
        "model_truncated": lambda where: _model(where, model, survived.truncate, "truncated"),
        "model_nan": lambda where: _model(where, model, survived.poison, "not finite"),
    }
    for name in [name for name in alone if name in wanted] * runs:
        with tempfile.TemporaryDirectory(dir=folder) as where:
            yield name, _tried(lambda name=name, where=where: alone[name](Path(where)))


def _tried(fault: Callable[[], dict]) -> dict:
    try:
        return fault()
    except AssertionError as error:
        return {"failed": str(error)[:500]}


def _row(to_stop: float | None, to_standstill: float | None, noticed: str) -> dict:
    return {"to_stop": to_stop, "to_standstill": to_standstill, "noticed": noticed}


def _disk_full(rig: Rig) -> dict:
    with tempfile.TemporaryDirectory() as folder, survived.small_disk(Path(folder) / "d") as disk:
        said = survived.disk_full(rig, disk)
    # The bag's folder is another one each time.
    return _row(None, None, said.replace(str(disk), "..."))


def _flood(target: str) -> Callable[[Rig], dict]:
    def strike_it(rig: Rig) -> dict:
        outcome = flooded(rig, target)
        what = "drove on" if outcome.moving else "was stopped"
        told = f"vehicle {what}; memory {outcome.growth:+.0f} MB; stopped by emergency_stop"
        if outcome.sent:
            told = f"{outcome.sent}; {told}"
        return _row(outcome.to_stop, None, told)

    return strike_it


def _safety_killed(folder: Path) -> dict:
    with Rig(folder, models.find("driving_v0_ncp").resolve()) as rig:
        return _row(*survived.safety_killed(rig))


def _model(folder: Path, model: Path, spoil: Callable[[Path, Path], Path], says: str) -> dict:
    with Rig(folder / "log", model) as rig:
        said = survived.refused_model(rig, spoil(model, folder / "broken"), says)
    return _row(None, None, said.replace(str(folder), "..."))


def table(results: dict) -> str:
    """The results as Markdown."""
    lines = [
        "| fault | time to stop, median / worst | to standstill, median | who noticed | runs |",
        "|---|---|---|---|---|",
    ]
    titles = {name: fault.title for name, fault in FAULTS.items()} | OTHERS
    titles |= {f"flood_{target}": f"1,000 a second on {target}" for target in TARGETS}
    for name, title in titles.items():
        outcomes = results["faults"].get(name, [])
        good = [outcome for outcome in outcomes if "failed" not in outcome]
        if not outcomes:
            continue
        stops = [outcome["to_stop"] for outcome in good if outcome["to_stop"] is not None]
        stands = [o["to_standstill"] for o in good if o["to_standstill"] is not None]
        stop = f"{statistics.median(stops):.3f} / {max(stops):.3f} s" if stops else "drives on"
        if name.startswith("model"):
            stop = "never starts"
        stand = f"{statistics.median(stands):.2f} s" if stands else ""
        noticed = good[-1]["noticed"].replace("|", "/") if good else "nobody"
        ran = str(len(good)) + (f" of {len(outcomes)}" if len(good) < len(outcomes) else "")
        lines.append(f"| {title} | {stop} | {stand} | {noticed} | {ran} |")
    loads = [outcome["load"] for runs in results["faults"].values() for outcome in runs]
    lines += ["", f"On {os.cpu_count()} cores, at a load average of {min(loads)} to {max(loads)}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    tyro.cli(main)
