"""What a run leaves behind beside its bag: `results.json`, `attention.mp4` and `report.html`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tqdm import tqdm

import liquid_control
from liquid_control.evaluation.figure_flight import flight_charts
from liquid_control.evaluation.figure_neurons import neuron_activity
from liquid_control.evaluation.figure_road import roads_from_above
from liquid_control.evaluation.figures import (
    commands_over_time,
    imitation_over_time,
    imitation_scatter,
    latency,
    lateral_error,
    speed,
)
from liquid_control.evaluation.page import Figures, render
from liquid_control.evaluation.run_data import RunData, read_run, trim
from liquid_control.evaluation.run_results import measure, verdict
from liquid_control.evaluation.run_views import views
from liquid_control.evaluation.video import write_video

__all__ = ["software", "write_run"]

PACKAGES = ("torch", "numpy", "mujoco", "gymnasium", "rclpy", "ros-rclpy", "opencv-python-headless")


def write_run(
    folder: str | Path,
    title: str,
    failures: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    *,
    bag: str | Path | None = None,
    versions: Mapping[str, str] | None = None,
) -> dict:
    """Measure a closed bag and write results, video and report into `folder`.

    All files are made in a hidden folder first and then moved, so that a failure leaves the
    files of before, or none. Slow runs show a progress bar on a terminal. Everything is told of the
    time in which the policy was at work (see `run_data.trim`).

    Args:
        folder: the run folder; made if needed.
        title: heading of the report ("driving_ncp on seed 7").
        failures: full sentences on what went wrong outside of the bag ("The node policy ended with
            exit status -9."); any of them makes the verdict a failed one.
        facts: what only the caller knows, in the order to show it: model, seed, command line.
        bag: the bag, where it is not `folder/bag`.
        versions: of the software that drove, where that was not this process (see `software`).

    Returns:
        What is written to `results.json`; "ok" and "verdict" are the short answer.

    Raises:
        InputError: no bag there, a bag without a camera topic, or a damaged frame.
    """
    folder = Path(folder)
    run = read_run(folder / "bag" if bag is None else bag)
    run = trim(run, to_end=bool(failures))
    results = measure(run)
    ok, sentence = verdict(results, tuple(failures))
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    results = {
        "title": title,
        "ok": ok,
        "verdict": sentence,
        "failures": list(failures),
        "facts": {str(name): str(value) for name, value in (facts or {}).items()},
        **results,
        "software": dict(versions or software()),
        "written": f"Written by liquid_control {liquid_control.__version__}, {now}.",
    }
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".report-", dir=folder))
    try:
        _write(made, run, results)
        for path in sorted(made.iterdir()):
            path.chmod(0o644)
            os.replace(path, folder / path.name)
        # A video of before would not belong to this report.
        if not len(run.frames):
            (folder / "attention.mp4").unlink(missing_ok=True)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return results


def software() -> dict[str, str]:
    """Versions of what computes and moves a run; only what is installed."""
    found = {"liquid_control": liquid_control.__version__, "Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found.setdefault(package.removeprefix("ros-"), version(package))
        except PackageNotFoundError:
            continue
    return found


def _write(made: Path, run: RunData, results: dict) -> None:
    film, video = None, None
    if len(run.frames):
        video = made / "attention.mp4"
        bar = tqdm(views(run), "video", len(run.frames), unit=" frames", delay=1, disable=None)
        film = write_video(video, run, bar, results["title"])
    charts = (
        imitation_over_time(run),
        lateral_error(run),
        commands_over_time(run) if run.kind != "replay" and not run.flies else None,
        speed(run),
        *flight_charts(run),
    )
    figures = Figures(
        roads=roads_from_above(run),
        over_time=tuple(chart for chart in charts if chart),
        scatter=imitation_scatter(run),
        latency=latency(run),
        neurons=neuron_activity(run),
    )
    page = render(results, figures, film, video)
    (made / "report.html").write_text(page, encoding="utf-8")
    text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (made / "results.json").write_text(text, encoding="utf-8")
