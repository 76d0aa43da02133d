"""`liquid-control evaluate`: how often a model crashes, over many seeds of a world."""

from __future__ import annotations

import csv
import functools
import json
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from liquid_control import __version__, models
from liquid_control.errors import InputError
from liquid_control.evaluation.episodes import TABLE, read_episodes, write_episodes
from liquid_control.evaluation.statistics import bootstrap_interval, wilson_interval
from liquid_control.files import replace_file
from liquid_control.policy import Policy
from liquid_control.rollout import (
    Episode,
    ExpertPilot,
    PolicyPilot,
    check_world,
    in_parallel,
    make_world,
    parse_options,
    run_episode,
    split_options,
)

__all__ = ["evaluate", "summarise"]

EXPERT = "expert"


@dataclass(frozen=True)
class _Job:
    """What one process needs to run one episode; `made` and `reset` are options as JSON."""

    world: str
    model: str
    seed: int
    noise: float
    made: str
    reset: str


def evaluate(
    model: str,
    env: str = "liquid_control/Driving-v0",
    episodes: int = 100,
    seed: int = 1000,
    noise: float = 0.0,
    seconds: float | None = None,
    workers: int = 1,
    output: Path | None = None,
    option: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
) -> int:
    """Drive a model through many seeds of a world and count crashes.

    Run it again to go on after an interruption: finished episodes are kept in `episodes.csv`. The
    result is the same for any number of workers.

    Args:
        model: name of a shipped model, folder of a trained one, or "expert".
        env: the world.
        episodes: how many; their seeds follow `seed`.
        seed: of the first episode; training used seeds below 1000.
        noise: variance of Gaussian noise on the frames, on the scale [0, 1].
        seconds: time limit of an episode [s]; the world's own by default.
        workers: processes.
        output: folder for results.json and episodes.csv; runs/evaluate-<model> by default.
        option: of the world, as NAME=VALUE with a YAML value (season=winter); once for each.
    """
    if episodes < 1 or (seconds is not None and seconds <= 0) or noise < 0:
        raise InputError(
            "An evaluation needs at least 1 episode, a length above 0 s and a noise variance of 0 "
            f"or more, got {episodes}, {seconds} and {noise}."
        )
    folder = None if model == EXPERT else models.find(model)
    options = parse_options(option)
    # The world keeps the time, as it says at the end of it whether the episode was a success.
    limit = {} if seconds is None else {"seconds": seconds}
    made, reset = split_options(env, limit | options)
    # A broken model, or one for another world, is refused before anything is written.
    check_world(env, reset, _pilot(str(folder) if folder else EXPERT), **made)
    name = folder.name if folder else EXPERT
    output = output or Path("runs") / f"evaluate-{name}"
    output.mkdir(parents=True, exist_ok=True)
    settings = {
        "model": name,
        "weights_sha256": _weights_hash(folder),
        "env": env,
        "noise": noise,
        "seconds": seconds,
    }
    if options:
        settings["options"] = options
    done = _resume(output, settings)
    jobs = [
        _Job(
            *(env, str(folder) if folder else EXPERT, seed + index, noise),
            *(json.dumps(made), json.dumps(reset)),
        )
        for index in range(episodes)
    ]
    todo = [job for job in jobs if job.seed not in done]
    started = time.perf_counter()
    with (
        (output / TABLE).open("a", newline="") as file,
        tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="episode") as bar,
    ):
        rows = csv.DictWriter(file, [field.name for field in fields(Episode)])
        for job, episode in in_parallel(_run, todo, workers):
            done[job.seed] = episode
            rows.writerow(asdict(episode))
            file.flush()
            bar.update()
            bar.set_postfix(crashes=sum(done[j.seed].crashed for j in jobs if j.seed in done))
    chosen = [done[job.seed] for job in jobs]
    write_episodes(output, chosen)
    results = {
        **settings,
        "episodes": episodes,
        "seed": seed,
        **summarise(chosen),
        "version": __version__,
    }
    replace_file(output / "results.json", json.dumps(results, indent=1) + "\n")
    _show(results, output, time.perf_counter() - started, len(todo))
    return 0


def summarise(episodes: list[Episode]) -> dict:
    """Crash-free share with its 95 % Wilson interval, and means with 95 % bootstrap intervals."""
    safe = sum(not episode.crashed for episode in episodes)
    figures = {
        name: {
            "mean": float(np.mean(values)),
            "interval": bootstrap_interval(values),
        }
        for name in (
            "distance",
            "seconds",
            "lane_departures",
            "lateral_error",
            "lateral_error_max",
            "heading_error",
            "speed",
            "steering_rate",
            "reward",
            "success",
        )
        if np.all(np.isfinite(values := np.array([getattr(e, name) for e in episodes], float)))
    }
    return {
        "crash_free": {
            "count": safe,
            "share": safe / len(episodes),
            "interval": wilson_interval(safe, len(episodes)),
        },
        "crashed_seeds": [episode.seed for episode in episodes if episode.crashed],
        "figures": figures,
    }


@functools.lru_cache(maxsize=1)
def _world(world: str, made: str):
    return make_world(world, **json.loads(made))


@functools.lru_cache(maxsize=1)
def _pilot(model: str):
    return ExpertPilot() if model == EXPERT else PolicyPilot(Policy.load(Path(model)))


def _run(job: _Job) -> Episode:
    return run_episode(
        *(_world(job.world, job.made), _pilot(job.model), job.seed, job.noise),
        options=json.loads(job.reset) or None,
    )


def _weights_hash(folder: Path | None) -> str | None:
    return json.loads((folder / "config.json").read_text())["weights_sha256"] if folder else None


def _resume(output: Path, settings: dict) -> dict[int, Episode]:
    """Episodes of an earlier run into the same folder; they must have the same settings."""
    path, table = output / "settings.json", output / TABLE
    if path.is_file() and table.is_file():
        if (before := json.loads(path.read_text())) != settings:
            changed = [key for key in settings if before.get(key) != settings[key]]
            raise InputError(
                f"{output} holds an evaluation with another {', '.join(changed)}; give another "
                "--output or remove it."
            )
        # A killed run may have left half a row.
        episodes = read_episodes(output)
        write_episodes(output, episodes)
        return {episode.seed: episode for episode in episodes}
    replace_file(path, json.dumps(settings, indent=1) + "\n")
    write_episodes(output, [])
    return {}


def _show(results: dict, output: Path, seconds: float, count: int) -> None:
    free = results["crash_free"]
    low, high = free["interval"]
    table = Table(title=f"{results['model']} in {results['env']}, noise {results['noise']}")
    for column in ("figure", "mean", "95 % interval"):
        table.add_column(column)
    share = f"{free['share']:.1%} ({free['count']} of {results['episodes']})"
    table.add_row("crash-free", share, f"{low:.1%} to {high:.1%}")
    for name, figure in results["figures"].items():
        low, high = figure["interval"]
        table.add_row(name, f"{figure['mean']:.4g}", f"{low:.4g} to {high:.4g}")
    console = Console()
    console.print(table)
    if results["crashed_seeds"]:
        console.print(f"crashed: seeds {results['crashed_seeds']}")
    console.print(f"{output}/results.json, {count} new episodes in {seconds:.0f} s")
