"""`liquid-control evaluate`: how well models drive, over many seeds, worlds and conditions."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.box import SIMPLE_HEAD
from rich.table import Table

from liquid_control import __version__
from liquid_control.deploy.export_files import export_facts
from liquid_control.errors import InputError
from liquid_control.evaluation.episodes import Row, write_rows
from liquid_control.evaluation.open_loop_command import measure
from liquid_control.evaluation.output import alone, console
from liquid_control.evaluation.suite import Suite, chosen, plain, read_suite
from liquid_control.evaluation.suite_data import check_videos
from liquid_control.evaluation.suite_run import check, drive, jobs_of, named_models, resume
from liquid_control.evaluation.suite_summary import check_metrics, group_rows, paired, summarise
from liquid_control.files import check_folder, replace_file
from liquid_control.policy import Policy
from liquid_control.rollout import parse_options
from liquid_control.rollout.bundle import Bundle
from liquid_control.rollout.engine import HERE, Engine

__all__ = ["evaluate"]

Several = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
SEED, VIDEOS = 1000, 3
SHOWN = ("crash_free", "distance_per_intervention", "lateral_error", "jerk", "success")


def evaluate(
    model: Several,
    env: Several = (),
    episodes: int | None = None,
    seed: int = SEED,
    noise: float = 0.0,
    seconds: float | None = None,
    output: Path | None = None,
    option: Several = (),
    suite: str | None = None,
    conditions: tuple[str, ...] = (),
    metrics: tuple[str, ...] = SHOWN,
    report: bool = True,
    videos: int = VIDEOS,
    data: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = (),
    camera_height: float | None = None,
    engine: Annotated[Engine, tyro.conf.arg(name="")] = HERE,
) -> int:
    """Drive models through many seeds of worlds, clean or hindered, and measure how well.

    With --data they drive nothing: their commands are compared with recorded ones.

    Run it again to go on after an interruption: finished episodes are kept in `episodes.csv`. Other
    models, conditions and seeds join those that are there. The result is the same for any number of
    workers.

    Args:
        model: name of a shipped model, folder of a trained one, or "expert"; once for each. The
            others are compared with the first one, seed by seed.
        env: the world; once for each. By default the suite's, or liquid_control/Driving-v0.
        episodes: how many in each condition; their seeds follow `seed`. By default the suite's
            number, or 100.
        seed: of the first episode; training used seeds below 1000.
        noise: without a suite: variance of Gaussian noise on the frames, on the scale [0, 1].
        seconds: time limit of an episode [s]; the suite's or the world's own by default.
        output: folder for results.json and episodes.csv; runs/evaluate-<suite or model> by default.
        option: of the worlds, as NAME=VALUE with a YAML value (season=winter); once for each.
        suite: conditions to drive in: smoke, paper, robustness, carracing, drone-ood, or a file of
            that form.
        conditions: some of the suite's: fog for all its levels, fog=12 for one.
        metrics: what the printed table shows; results.json holds all.
        report: also write report.html.
        videos: of the worst episodes, which are driven again for the report; 0 for none.
        data: open loop: a bag, a folder of bags or a Donkeycar tub; once for each.
        camera_height: with --data: of the recordings' camera above the road [m]; autonomy is then
            measured on frames as from where the model would have been.
        engine: where the episodes are driven.
    """
    models, env = _several(model), _several(env)
    if camera_height is not None and not data:
        raise InputError(
            "--camera-height belongs to --data: a world knows its own camera; leave it out, or "
            "give recordings."
        )
    if data:
        of_worlds = {
            "--env": env,
            "--suite": suite is not None,
            "--conditions": conditions,
            "--option": option,
            "--noise": noise,
            "--seconds": seconds is not None,
            "--episodes": episodes is not None,
            "--seed": seed != SEED,
            "--metrics": metrics != SHOWN,
            "--videos": videos != VIDEOS,
            "--workers, --engine or --address": engine != HERE,
        }
        if given := [name for name, value in of_worlds.items() if value]:
            raise InputError(
                "--data measures on recordings, where there is no world and nothing is driven: "
                f"leave {', '.join(given)} out."
            )
        return measure(models, data, output, camera_height, report)
    check_metrics(metrics)
    check_videos(videos)
    whole, part = _suites(suite, env, noise, seconds, parse_options(option), conditions)
    count = part.episodes if episodes is None else episodes
    if count < 1 or seed < 0:
        raise InputError(
            f"An evaluation needs at least 1 episode and a seed of 0 or more, got {count} and "
            f"{seed}."
        )
    sources, worlds = named_models(models), list(dict.fromkeys(env or part.worlds))
    output = output or Path("runs") / f"evaluate-{part.name or '-'.join(sources)}"
    check_folder(output)
    # A broken model, or one for another world, is refused before anything is written.
    check(sources, worlds, part)
    settings = {
        "suite": part.name,
        "models": {name: _facts(source) for name, source in sources.items()},
        "worlds": worlds,
        "conditions": {
            each.key: {"name": each.name, "level": each.level}
            | vars(part.kinds[each.name])
            | {"definition": each.definition}
            for each in part.conditions
        },
    }
    jobs = jobs_of(sources, worlds, part, range(seed, seed + count))
    output.mkdir(parents=True, exist_ok=True)
    # Each call writes the whole table at its end: of two at once the first one's rows were lost.
    with alone(output):
        settings, rows = resume(output, settings, [each.key for each in whole.conditions])
        before, started = len(rows), time.perf_counter()
        rows = drive(jobs, rows, output, engine)
        results = _write(output, settings, rows, whole)
    _show(results, metrics)
    fresh, seconds_gone = len(rows) - before, time.perf_counter() - started
    screen = console()
    screen.print(f"{output}/results.json, {fresh} new episodes in {seconds_gone:.0f} s")
    if report:
        # Drawing needs matplotlib and PyAV, measuring does not.
        from liquid_control.evaluation.suite_report import write_report

        screen.print(str(write_report(output, videos)))
    broken = [rows[job.key] for job in jobs if rows[job.key].episode.error is not None]
    for row in broken[:10]:
        screen.print(
            f"broken: {row.model}, {row.condition}={row.level:g}, seed {row.episode.seed}: "
            f"{row.episode.error}",
            style="red",
            markup=False,
        )
    if broken:
        screen.print(f"{len(broken)} episodes are broken; run the same command to try them again.")
    return 1 if broken else 0


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _suites(
    name: str | None,
    env: Sequence[str],
    noise: float,
    seconds: float | None,
    options: Mapping[str, Any],
    conditions: Sequence[str],
) -> tuple[Suite, Suite]:
    """The whole suite, and what of it was asked for."""
    if name is None:
        if conditions:
            raise InputError("--conditions are those of a suite; give a --suite as well.")
        world = env[0] if env else "liquid_control/Driving-v0"
        whole = plain(world, noise, seconds, options)
        return whole, whole
    if noise:
        raise InputError(
            "A suite says how noisy frames are; leave --noise out, or write a suite of your own."
        )
    whole = read_suite(name, options, seconds)
    return whole, chosen(whole, conditions)


def _facts(source: Bundle | None) -> dict[str, Any]:
    """What identifies a model, and what it is."""
    if source is None:
        return {"weights_sha256": None, "circuit": "expert", "parameters": 0}
    policy = Policy.load(source.folder)
    config = json.loads((source.folder / "config.json").read_text(encoding="utf-8"))
    return {
        "weights_sha256": config["weights_sha256"],
        "folder": str(source.folder),
        "circuit": type(policy.circuit).__name__,
        "parameters": sum(each.numel() for each in policy.parameters()),
        **export_facts(source.folder),
    }


def _write(
    output: Path, settings: dict[str, Any], rows: Mapping[tuple, Row], suite: Suite
) -> dict[str, Any]:
    """Write the table in its order, and what it comes to."""
    conditions = list(settings["conditions"].values())
    orders = (
        list(settings["models"]),
        settings["worlds"],
        [(each["name"], each["level"]) for each in conditions],
    )

    def place(row: Row) -> tuple[int, ...]:
        name = row.condition, row.level
        found = (orders[1].index(row.world), orders[2].index(name), orders[0].index(row.model))
        return *found, row.episode.seed

    table = sorted(rows.values(), key=place)
    write_rows(output, table)
    groups = group_rows(table)
    results = {
        "suite": settings["suite"],
        "about": suite.about,
        "version": __version__,
        "models": settings["models"],
        "settings": {"worlds": settings["worlds"], "conditions": conditions},
        "groups": [
            dict(zip(("model", "world", "condition", "level"), group, strict=True))
            | summarise(episodes)
            for group, episodes in groups.items()
        ],
        "paired": paired(groups, orders[0]),
    }
    replace_file(output / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    return results


def _show(results: Mapping[str, Any], metrics: Sequence[str]) -> None:
    """A row for each group, or all figures of the only one."""
    groups = results["groups"]
    if len(groups) == 1:
        table = Table("figure", "mean", "95 % interval", title=_title(groups[0]))
        for name in ("crash_free", *groups[0]["figures"]):
            table.add_row(name, *_cell(groups[0], name))
    else:
        # In the table of a terminal there is room for the intervals of one figure.
        names = [name for name in metrics if any(_cell(each, name)[0] for each in groups)]
        worlds = len({each["world"] for each in groups}) > 1
        table = Table(box=SIMPLE_HEAD)
        for name in ("model", *(["world"] if worlds else []), "condition", "of", *names):
            table.add_column(name.replace("_", "\n"), no_wrap=True)
        for each in groups:
            cells = [_cell(each, name)[0] for name in names]
            if "crash_free" in names:
                cells[names.index("crash_free")] = " ".join(_cell(each, "crash_free"))
            where = [each["world"].removeprefix("liquid_control/")] if worlds else []
            condition = each["condition"] if each["condition"] == "clean" else _condition(each)
            table.add_row(each["model"], *where, condition, str(each["episodes"]), *cells)
    screen = console()
    screen.print(table)
    if all(each["episodes"] - each["broken"] == 1 for each in groups):
        screen.print("One episode gives no interval, but for shares and where nothing happened.")
    if len(groups) == 1 and groups[0]["crashed_seeds"]:
        screen.print(f"crashed: seeds {groups[0]['crashed_seeds']}")


def _title(group: Mapping[str, Any]) -> str:
    condition = "" if group["condition"] == "clean" else f", {_condition(group)}"
    return f"{group['model']} in {group['world']}{condition}, {group['episodes']} episodes"


def _condition(group: Mapping[str, Any]) -> str:
    return f"{group['condition']} {group['level']:g}"


def _cell(group: Mapping[str, Any], name: str) -> tuple[str, str]:
    """A figure and its interval as text; empty where the group has none."""
    if name == "crash_free":
        free = group["crash_free"]
        if free["share"] is None:
            return "", ""
        low, high = free["interval"]
        return f"{free['share']:.0%}", f"({100 * low:.0f}–{100 * high:.0f})"
    figure = group["figures"].get(name)
    if figure is None:
        return "", ""
    # Without an intervention nobody knows how far it would have gone.
    mean, *ends = (
        "∞" if value is None else f"{value:.3g}"
        for value in (figure["mean"], *(figure["interval"] or ()))
    )
    return mean, " to ".join(ends)
