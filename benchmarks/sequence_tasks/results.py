"""Results on disk: one line of JSON a training, written after each, so that a run can go on."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from liquid_control.files import replace_file
from sequence_tasks.data import Task
from sequence_tasks.models import MODELS, VARIANTS
from sequence_tasks.training import Result

__all__ = ["Summary", "add", "read", "summaries", "summary_rows", "table"]


def read(path: Path) -> list[Result]:
    """The results of a file, none where there is no file."""
    if not path.is_file():
        return []
    return [Result(**json.loads(line)) for line in path.read_text().splitlines()]


def add(path: Path, result: Result) -> None:
    """Write a result; it takes the place of one of the same task, model, seed and rate."""

    def key(each: Result) -> tuple:
        return each.task, each.model, each.seed, each.recipe["rate"]

    kept = [each for each in read(path) if key(each) != key(result)]
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(each)) for each in (*kept, result)]
    replace_file(path, "".join(f"{line}\n" for line in lines))


@dataclass(frozen=True)
class Summary:
    """The results of one network on one task over its seeds.

    Attributes:
        seeds: number of trainings.
        mean, deviation: of the test score; the deviation is that of the sample, 0 for one seed.
        parameters: values that were trained (median over seeds: wirings differ).
        epoch_s: processor time of an epoch, median over seeds.
        cut: trainings that the cap ended early.
    """

    model: str
    seeds: int
    mean: float
    deviation: float
    parameters: int
    epoch_s: float
    cut: int


def summaries(results: list[Result], task: str) -> dict[str, Summary]:
    """Summaries of a task by network, in the order of `MODELS`, variants behind."""
    found = {}
    for model in (*MODELS, *VARIANTS):
        own = [each for each in results if (each.task, each.model) == (task, model)]
        if not own:
            continue
        scores = [each.test for each in own]
        found[model] = Summary(
            model=model,
            seeds=len(own),
            mean=statistics.fmean(scores),
            deviation=statistics.stdev(scores) if len(own) > 1 else 0.0,
            parameters=round(statistics.median(each.parameters for each in own)),
            epoch_s=statistics.median(each.epoch_process_s for each in own),
            cut=sum(each.ended == "cap" for each in own),
        )
    return found


def summary_rows(tasks: list[Task], results: list[Result]) -> list[dict]:
    """The summaries of all tasks as flat rows, for a CSV file."""
    return [
        {"task": task.name, **asdict(row), "published": task.published.get(row.model, "")}
        for task in tasks
        for row in summaries(results, task.name).values()
    ]


def table(task: Task, results: list[Result]) -> str:
    """A Markdown table of a task, the best network in bold, published figures beside."""
    rows = summaries(results, task.name)
    if not rows:
        return f"### {task.title}\n\nNo results yet."
    best = (max if task.classifies else min)(rows.values(), key=lambda row: row.mean).model

    def shown(value: float) -> str:
        return f"{100 * value:.1f} %" if task.classifies else f"{value:.3f}"

    heads = ["network", "accuracy" if task.classifies else "squared error", "seeds", "parameters"]
    heads += ["s per epoch", *(["published"] if task.published else [])]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for model, row in rows.items():
        value = f"{shown(row.mean)} ± {shown(row.deviation)}"
        value = f"**{value}**" if model == best else value
        cut = f" ({row.cut} cut)" if row.cut else ""
        cells = [(MODELS | VARIANTS)[model], value, f"{row.seeds}{cut}", f"{row.parameters:,}"]
        cells.append(f"{row.epoch_s:.2f}")
        if task.published:
            known = task.published.get(model)
            cells.append("" if known is None else shown(known))
        lines.append(f"| {' | '.join(cells)} |")
    known = f"Published: {task.note}" if task.note else ""
    plain = "the largest class" if task.classifies else "the last observation again"
    reference = next(each.reference for each in results if each.task == task.name)
    below = f"Always {plain}: {shown(reference)}. {known}".strip()
    return "\n".join((f"### {task.title}", "", *lines, "", below))
