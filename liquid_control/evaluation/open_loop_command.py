"""Open loop: how a model's commands compare with those that a person or expert gave.

`measure` runs models over bags or tubs and writes `results.json`, `frames.csv` and `report.html`;
`liquid-control evaluate --data` calls it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.table import Table
from tqdm import tqdm

from liquid_control import __version__, models
from liquid_control.command import CURVATURE
from liquid_control.deploy.runtime import load_driver
from liquid_control.errors import InputError
from liquid_control.evaluation.open_loop import Exported
from liquid_control.evaluation.open_loop_autonomy import AWAY_M, TAKEOVER_S, autonomy
from liquid_control.evaluation.open_loop_figures import (
    Blocks,
    bin_edges,
    binned,
    block_numbers,
    disagreements,
    figures,
    paired,
)
from liquid_control.evaluation.open_loop_recordings import Recording, bags_of, follow
from liquid_control.evaluation.output import console
from liquid_control.evaluation.page_parts import interval_text, number
from liquid_control.files import check_folder, replace_file
from liquid_control.policy import Policy

__all__ = ["BLOCK_S", "measure"]

BLOCK_S = 5.0  # longer than a bend is felt in a command


def measure(
    names: Sequence[str],
    data: Sequence[Path],
    output: Path | None = None,
    camera_height: float | None = None,
    report: bool = True,
) -> int:
    """Measure models on recordings and write the figures into a folder.

    Args:
        names: of shipped models or folders of trained ones; the first is compared with the others.
        data: bags, folders of bags, Donkeycar tubs.
        output: folder; runs/open-loop-<first model> by default.
        camera_height: of the recordings' camera above the road [m], see `follow`.
        report: also write report.html.

    Raises:
        InputError: no such model or recording, or the two do not fit.
    """
    if camera_height is not None and not 0 < camera_height < 100:
        raise InputError(
            f"--camera-height is the camera's height above the road in metres, got {camera_height};"
            " give a number above 0."
        )
    folders = {str(name): models.find(name) for name in names}
    short = {folder.name: folder for folder in folders.values()}
    if len(short) < len(names):
        raise InputError(
            f"Each model is measured once and needs a name of its own, got {', '.join(names)}; "
            "leave doubles out or rename a folder."
        )
    policies = {name: Policy.load(folder) for name, folder in short.items()}
    drivers = {name: load_driver(folder) for name, folder in short.items()}
    exports = {name: each for name, each in drivers.items() if isinstance(each, Exported)}
    if camera_height is not None and exports:
        raise InputError(
            f"--camera-height shows a model the road from elsewhere, which an export "
            f"({', '.join(exports)}) is not made for; leave it out or name the model itself."
        )
    if camera_height is not None and not any(
        CURVATURE.name in p.spec.names for p in policies.values()
    ):
        raise InputError(
            "--camera-height is for autonomy, which only a model with the output curvature has; "
            f"got outputs {', '.join(next(iter(policies.values())).spec.names)}; leave it out."
        )
    output = output or Path("runs") / f"open-loop-{next(iter(short))}"
    check_folder(output)
    bags = bags_of(data, output / "bags")
    recordings = []
    with tqdm(desc="open loop", unit=" frames", disable=None) as bar:
        for bag in bags:
            recordings.append(follow(bag, policies, camera_height, bar.update, exports))
    if max(map(len, recordings)) < 2:
        raise InputError(
            f"There is but one frame in {', '.join(str(each.path) for each in recordings)}, which "
            "tells no time; give a longer recording."
        )
    results = summarise(recordings, policies, camera_height)
    for name, folder in short.items():
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        results["models"][name]["weights_sha256"] = config["weights_sha256"]
        if name in exports:
            results["models"][name] |= {
                key: exports[name].facts[key] for key in ("runtime", "precision")
            }
    results["written"] = (
        f"Written by liquid_control {__version__}, "
        f"{datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z')}."
    )
    output.mkdir(parents=True, exist_ok=True)
    replace_file(output / "frames.csv", table(recordings))
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    replace_file(output / "results.json", text)
    if report:
        # Drawing needs matplotlib, measuring does not.
        from liquid_control.evaluation.open_loop_page import render

        replace_file(output / "report.html", render(results, recordings))
    _show(results, output, report)
    return 0


def summarise(
    recordings: Sequence[Recording], policies: dict[str, Policy], camera_height: float | None
) -> dict:
    """All figures as JSON: "groups" by model and output, "paired" differences, "autonomy"."""
    runs, count = [], 0
    for recording in recordings:
        runs.append(recording.run_numbers + count)
        count += len(recording.runs)
    runs = np.concatenate(runs)
    stamps = np.concatenate([recording.stamps for recording in recordings])
    blocks = Blocks.of(block_numbers(stamps, runs, BLOCK_S))
    seconds = float(sum(recording.elapsed.sum() for recording in recordings))
    period = float(np.median([recording.period for recording in recordings]))
    found: dict = {
        "kind": "open_loop",
        "version": __version__,
        "data": [str(recording.path) for recording in recordings],
        "frames": len(stamps),
        "seconds": seconds,
        "blocks": blocks.count,
        "block_s": BLOCK_S,
        "models": {name: _facts(policy) for name, policy in policies.items()},
        "groups": [],
        "paired": [],
    }
    outputs = dict.fromkeys(name for policy in policies.values() for name in policy.spec.names)
    for output in outputs:
        have = [name for name, policy in policies.items() if output in policy.spec.names]
        recorded = np.concatenate([each.recorded[output] for each in recordings])
        edges = bin_edges(recorded)
        commands = {
            name: np.concatenate([each.asked[name][output] for each in recordings]) for name in have
        }
        for name, asked in commands.items():
            spec = policies[name].spec.outputs[policies[name].spec.names.index(output)]
            half = (spec.high - spec.low) / 2
            apart = disagreements(recorded, asked, period, runs, half)
            found["groups"].append(
                {
                    "model": name,
                    "output": output,
                    "unit": spec.unit,
                    "figures": figures(recorded, asked, blocks),
                    "mse_of_zero": float(np.mean(recorded**2)),
                    "disagreements_per_minute": 60 * apart / seconds,
                    "bins": binned(recorded, asked, blocks, edges),
                }
            )
        found["paired"] += [
            {"output": output, "models": [have[0], name], "figure": figure, **row}
            for name in have[1:]
            for figure, row in paired(recorded, commands[have[0]], commands[name], blocks).items()
        ]
    return found | _autonomy(recordings, policies, blocks, camera_height)


def _autonomy(
    recordings: Sequence[Recording],
    policies: dict[str, Policy],
    blocks: Blocks,
    camera_height: float | None,
) -> dict:
    steers = [name for name, policy in policies.items() if CURVATURE.name in policy.spec.names]
    if not steers:
        return {
            "autonomy_refused": "Autonomy counts metres beside the recorded path, and these "
            "commands have no metric geometry (a share of full lock is no curvature): no figure is "
            "invented for it; lasting disagreements are counted instead."
        }
    if any(recording.speed is None for recording in recordings):
        return {
            "autonomy_refused": "Autonomy needs the recorded speed (/odom, or a label `speed`), "
            "which not every recording holds."
        }
    elapsed = np.concatenate([recording.elapsed for recording in recordings])
    shown = (
        "The model was shown the recorded frames, so that it could not correct itself and its "
        "errors only add up: a lower bound."
        if camera_height is None
        else f"The model was shown each frame as from where it would have been (a camera "
        f"{camera_height:g} m above level ground)."
    )
    return {
        "autonomy_rule": f"(1 - interventions * {TAKEOVER_S:g} s / elapsed time) * 100 %; an "
        f"intervention is counted, and the vehicle set back onto the recorded path, where it would "
        f"be more than {AWAY_M:g} m beside it. {shown}",
        "autonomy": {
            name: autonomy(
                np.concatenate([recording.away[name] for recording in recordings]), elapsed, blocks
            )
            for name in steers
        },
    }


def table(recordings: Sequence[Recording]) -> str:
    """`frames.csv`: a row for each frame with what was recorded and asked, and metres beside."""
    text = io.StringIO()
    first = recordings[0]
    heads = ["bag", "stamp_ns", "run", *(f"{name}_recorded" for name in first.recorded)]
    heads += [f"{output}_{model}" for model, asked in first.asked.items() for output in asked]
    # Not every recording tells a speed: cells of the others stay empty.
    heads += dict.fromkeys(f"left_{model}" for each in recordings for model in each.left)
    writer = csv.DictWriter(text, heads, lineterminator="\n")
    writer.writeheader()
    for recording in recordings:
        columns = {f"{name}_recorded": values for name, values in recording.recorded.items()}
        for model, asked in recording.asked.items():
            columns |= {f"{output}_{model}": values for output, values in asked.items()}
        columns |= {f"left_{model}": values for model, values in recording.left.items()}
        rows = np.stack(list(columns.values()), axis=1)
        for stamp, run, row in zip(recording.stamps, recording.run_numbers, rows, strict=True):
            cells = {name: f"{value:.6g}" for name, value in zip(columns, row, strict=True)}
            place = {"bag": recording.path.name, "stamp_ns": stamp, "run": run}
            writer.writerow(place | cells)
    return text.getvalue()


def _facts(policy: Policy) -> dict:
    circuit = policy.circuit
    return {
        "circuit": type(circuit).__name__,
        "parameters": sum(value.numel() for value in policy.parameters()),
        "circuit_parameters": sum(value.numel() for value in circuit.parameters()),
        "outputs": list(policy.spec.names),
    }


def _show(results: dict, output: Path, report: bool) -> None:
    shown = Table(title=f"{results['frames']:,} frames, {results['seconds']:,.0f} s")
    for column in ("model", "output", "figure", "mean", "95 % interval"):
        shown.add_column(column)
    for group in results["groups"]:
        for name, figure in group["figures"].items():
            shown.add_row(
                *(group["model"], group["output"], name, number(figure["mean"])),
                interval_text(figure["interval"]),
            )
    for name, figure in results.get("autonomy", {}).items():
        share = figure["autonomy"]
        shown.add_row(
            *(name, CURVATURE.name, "autonomy [%]", number(share["mean"])),
            interval_text(share["interval"]),
        )
    screen = console()
    screen.print(shown)
    if results["blocks"] == 1:
        screen.print(f"All lies within one block of {BLOCK_S:g} s, which gives no interval.")
    if "autonomy_refused" in results:
        screen.print(results["autonomy_refused"])
    screen.print(str(output / ("report.html" if report else "results.json")))
