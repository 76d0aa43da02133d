"""An evaluation as a page of docs/results: tables, a picture, and the numbers themselves.

    liquid-control evaluate --suite paper --model A --model B --output runs/results/paper
    python benchmarks/results.py runs/results/paper            prints the tables
    python benchmarks/results.py runs/results/paper --latency runs/compare/* --write

`--write` puts the tables into docs/results/NAME.md, where NAME is that of the folder, the picture
beside it, and `results.json` and `episodes.csv` into docs/results/NAME. The page's text is written
by people: it must exist, with the places of the tables in it.

Latency is the time from a frame to its command with everything an audit needs (`policy.Driver`), in
one thread, the median over the rounds, in which the models take turns.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
import torch
import tyro
from page import put

from liquid_control.evaluation.suite_data import Evaluation, Place, read_evaluation
from liquid_control.evaluation.suite_figures import FIGURES, value
from liquid_control.policy import Driver, Policy

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
SHARE, ERROR = "crash_free", "lateral_error"
ROUNDS, CALLS = 40, 5
# Of so many conditions each gets a row, of fewer a column.
MOST_COLUMNS = 6


def places(evaluation: Evaluation) -> list[Place]:
    """Worlds, conditions and levels, in the suite's order."""
    return [
        (world, condition, level)
        for world in evaluation.worlds
        for condition, levels in evaluation.levels(world).items()
        for level in levels
    ]


def cell(evaluation: Evaluation, model: str, place: Place, name: str) -> str:
    """A figure with its interval."""
    group = evaluation.group(model, place)
    found = value(group, name)
    if found is None:
        return "–"
    if name == SHARE:
        mean, low, high = found
        return f"{mean:.0f} % ({low:.0f} to {high:.0f})"
    return "{:.3f} ({:.3f} to {:.3f})".format(*found)


def _roads(evaluation: Evaluation, model: str) -> str:
    """How many episodes a model has in each condition."""
    counts = {
        group["episodes"]
        for place in places(evaluation)
        if (group := evaluation.group(model, place)) is not None
    }
    return f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(*counts)


def title(evaluation: Evaluation, place: Place) -> str:
    _, condition, level = place
    if len(places(evaluation)) <= MOST_COLUMNS and condition != "clean":
        return f"{condition.replace('_', ' ')} {level:g}"
    return evaluation.name(condition, level)


def table(evaluation: Evaluation, name: str, latency: dict[str, float]) -> str:
    """Markdown: models and conditions, and what is known of each model."""
    where, models = places(evaluation), evaluation.models
    about = evaluation.results["models"]
    facts = {}
    if name == SHARE:
        facts["network"] = [str(about[model]["circuit"]) for model in models]
        facts["parameters"] = [f"{about[model]['parameters']:,}" for model in models]
        roads = [_roads(evaluation, model) for model in models]
        if len(set(roads)) > 1:
            facts["roads"] = roads
    if latency:
        facts["latency"] = [
            f"{1e3 * latency[model]:.2f} ms" if model in latency else "–" for model in models
        ]
    columns = [[cell(evaluation, model, place, name) for model in models] for place in where]
    titles = [title(evaluation, place) for place in where]
    if len(where) <= MOST_COLUMNS:
        head = ["model", *facts, *titles]
        rows = [
            [f"`{model}`", *(each[place] for each in facts.values()), *(c[place] for c in columns)]
            for place, model in enumerate(models)
        ]
    else:
        head = ["condition", *(f"`{model}`" for model in models)]
        rows = [[fact, *each] for fact, each in facts.items()]
        rows += [[each, *column] for each, column in zip(titles, columns, strict=True)]
    return lines(head, rows)


def pairs(evaluation: Evaluation, name: str) -> str:
    """Markdown: every model less the first one on the same seeds; many conditions have a row each.

    In these a difference whose interval excludes 0 is bold.
    """
    scale, where = FIGURES[name].scale, places(evaluation)
    found = {
        (row["model"], (row["world"], row["condition"], row["level"])): row
        for row in evaluation.results["paired"]
        if row["figure"] == name
    }

    def difference(row: dict) -> str:
        low, high = (scale * end for end in row["interval"])
        return f"{scale * row['difference']:+.3g} ({low:+.3g} to {high:+.3g})"

    if len(where) > MOST_COLUMNS:
        models = [model for model in evaluation.models if any(model == each for each, _ in found)]
        rows = [
            [
                title(evaluation, place),
                *(
                    "–"
                    if (row := found.get((model, place))) is None
                    else f"**{difference(row)}**"
                    if row["certain"]
                    else difference(row)
                    for model in models
                ),
            ]
            for place in where
        ]
        return lines(["condition", *(f"`{model}`" for model in models)], rows)
    rows = [
        [
            f"`{model}`",
            title(evaluation, place),
            str(row["pairs"]),
            difference(row),
            "yes" if row["certain"] else "no",
        ]
        for (model, place), row in found.items()
    ]
    head = ["model", "condition", "pairs", f"{FIGURES[name].label}, difference", "excludes 0"]
    return lines(head, rows)


def lines(head: list[str], rows: list[list[str]]) -> str:
    text = [" | ".join(row) for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {line} |" for line in text)


def draw(evaluation: Evaluation, path: Path) -> None:
    """Crash-free share and lateral error of every model: curves over the levels of each condition,
    or where there are many conditions, a map with a row for each level."""
    if len(places(evaluation)) > MOST_COLUMNS:
        draw_map(evaluation, path)
    else:
        draw_curves(evaluation, path)


def draw_map(evaluation: Evaluation, path: Path) -> None:
    """A column for each model, a row for each level, coloured, with the numbers in it."""
    where, models = places(evaluation), evaluation.models
    size = 3.4 + 1.5 * len(models), 1.4 + 0.26 * len(where)
    figure, axes = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    for axis, name in zip(axes, (SHARE, ERROR), strict=True):
        found = [
            [value(evaluation.group(model, place), name) for model in models] for place in where
        ]
        means = np.array([[np.nan if each is None else each[0] for each in row] for row in found])
        share = name == SHARE
        low, high = (0, 100) if share else (0, np.nanmax(means))
        # Dark is bad in both.
        axis.imshow(
            means, cmap="viridis" if share else "viridis_r", vmin=low, vmax=high, aspect="auto"
        )
        for (row, column), mean in np.ndenumerate(means):
            if np.isnan(mean):
                continue
            bright = (mean / high > 0.6) == share
            axis.text(
                *(column, row, f"{mean:.0f}" if share else f"{mean:.2f}"),
                ha="center",
                va="center",
                fontsize=8,
                color="black" if bright else "white",
            )
        # A line where another condition begins.
        for row in range(1, len(where)):
            if where[row][:2] != where[row - 1][:2]:
                axis.axhline(row - 0.5, color="white", linewidth=2)
        axis.set_title(FIGURES[name].label, loc="left", fontsize=10)
        axis.set_xticks(range(len(models)), models, rotation=30, ha="right")
        axis.set_yticks(range(len(where)), [title(evaluation, place) for place in where])
        axis.tick_params(length=0, labelsize=8)
        axis.spines[:].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_curves(evaluation: Evaluation, path: Path) -> None:
    """Curves with their intervals over the levels of each condition."""
    conditions = {
        (world, name): levels
        for world in evaluation.worlds
        for name, levels in evaluation.levels(world).items()
        if name != "clean"
    }
    columns = min(4, len(conditions) * 2)
    faint = min(0.12, 0.36 / len(evaluation.models))
    rows = -(-len(conditions) * 2 // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.2 * columns, 3.3 * rows), squeeze=False, layout="constrained"
    )
    for place, axis in zip(
        [(key, name) for key in conditions for name in (SHARE, ERROR)], axes.flat, strict=False
    ):
        (world, condition), name = place
        clean = evaluation.kind(condition)["clean"]
        points = [(level, condition, level) for level in conditions[world, condition]]
        if clean is not None:
            points.append((clean, "clean", 0.0))
        for model in evaluation.models:
            seen = [
                (level, *found)
                for level, at, its in sorted(points)
                if (found := value(evaluation.group(model, (world, at, its)), name))
            ]
            if not seen:
                continue
            level, mean, low, high = np.array(seen).T
            (line,) = axis.plot(level, mean, "o-", markersize=4, label=model)
            axis.fill_between(level, low, high, color=line.get_color(), alpha=faint, linewidth=0)
        unit = evaluation.kind(condition)["unit"]
        axis.set_xlabel(condition.replace("_", " ") + (f" [{unit}]" if unit else ""))
        axis.set_title(FIGURES[name].label, loc="left", fontsize=10)
        axis.set_ylim(*((-3, 103) if name == SHARE else (0, None)))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.3)
    for axis in list(axes.flat)[2 * len(conditions) :]:
        axis.remove()
    axes.flat[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def measure(folders: tuple[Path, ...]) -> dict[str, float]:
    """Median seconds from a frame to its decision, by a model's folder name."""
    torch.set_num_threads(1)
    drivers = {folder.name: Driver(Policy.load(folder)) for folder in folders}
    frames = {
        name: np.random.default_rng(0).integers(0, 256, (*driver.policy.head.size, 3), np.uint8)
        for name, driver in drivers.items()
    }
    times: dict[str, list[float]] = {name: [] for name in drivers}
    for number in range(ROUNDS + 1):
        for name, driver in drivers.items():
            began = time.perf_counter()
            for _ in range(CALLS):
                driver.step(frames[name], 1 / 30)
            if number:  # the first call compiles and allocates
                times[name].append((time.perf_counter() - began) / CALLS)
    return {name: statistics.median(each) for name, each in times.items()}


def main(
    folder: Path,
    /,
    latency: tuple[Path, ...] = (),
    write: bool = False,
) -> None:
    """Print an evaluation as tables, or write it into docs/results.

    Args:
        folder: what `liquid-control evaluate` wrote.
        latency: folders of models whose latency is measured here and now.
        write: into docs/results/NAME.md, which must exist; a picture and the numbers beside it.
    """
    evaluation = read_evaluation(folder)
    measured = measure(latency)
    texts = {
        SHARE: table(evaluation, SHARE, measured),
        ERROR: table(evaluation, ERROR, {}),
        "pairs": pairs(evaluation, SHARE),
        "pairs of lateral_error": pairs(evaluation, ERROR),
    }
    for name, text in texts.items():
        print(f"{name}\n\n{text}\n")
    if not write:
        return
    target = RESULTS / folder.name
    target.mkdir(exist_ok=True)
    for name in ("results.json", "episodes.csv"):
        shutil.copyfile(folder / name, target / name)
    draw(evaluation, RESULTS / f"{folder.name}.png")
    page = RESULTS / f"{folder.name}.md"
    for name, text in texts.items():
        if f"<!-- table: {name} -->" in page.read_text():
            put(f"results/{folder.name}.md", name, text)


if __name__ == "__main__":
    tyro.cli(main)
