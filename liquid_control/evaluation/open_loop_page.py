"""The page of an open-loop measurement: figures with intervals, commands beside the recording."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from liquid_control.evaluation import open_loop_charts as charts
from liquid_control.evaluation.figure_style import model_css
from liquid_control.evaluation.open_loop_recordings import Recording
from liquid_control.evaluation.page_parts import (
    Card,
    Cell,
    cards,
    chart,
    document,
    facts,
    interval_text,
    number,
    section,
    sortable,
    tag,
)
from liquid_control.evaluation.page_style import SCRIPT, SORT_SCRIPT

__all__ = ["render"]

NAMES = {"mse": "MSE", "mae": "MAE", "correlation": "correlation"}
HIGH_IS_GOOD = ("correlation",)


def render(results: dict, recordings: Sequence[Recording]) -> str:
    """The page as text.

    Args:
        results: as in `results.json`.
        recordings: what they were computed from.
    """
    models = list(results["models"])
    title = " and ".join(models) if len(models) < 3 else f"{len(models)} models"
    count = len(recordings)
    told = f"{count} recordings" if count > 1 else recordings[0].path.name
    sentence = (
        f"{title} on {told}: {results['frames']:,} frames, {results['seconds'] / 60:.1f} minutes. "
        "Whoever was recorded drove; the models only said what they would have done."
    )
    parts = [
        '<header>\n<p class="kicker">liquid_control · Open loop</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(sentence)}</p>\n</header>',
        cards(_headline(results)),
        _table(results),
        _paired(results),
        _autonomy(results),
        chart(charts.beside(recordings, models)),
    ]
    for output in dict.fromkeys(group["output"] for group in results["groups"]):
        having = [group for group in results["groups"] if group["output"] == output]
        names, unit = [group["model"] for group in having], having[0]["unit"]
        parts.append(chart(charts.by_bin(having, output), wide=True))
        parts += [chart(each) for each in charts.stretches(recordings, output, unit, names)]
        parts.append(chart(charts.scatter(recordings, output, unit, names), wide=True))
    parts.append(facts("How it was measured", _method(results)))
    return document(f"{title}, open loop", parts, results["written"], SCRIPT + SORT_SCRIPT)


def _headline(results: dict) -> list[Card]:
    found = []
    for group in results["groups"][:4]:
        figure = group["figures"]["mae"]
        unit = "" if group["unit"] == "1" else group["unit"]
        note = _note(f"mean |error| of {group['output']}", figure)
        found.append(Card(group["model"], number(figure["mean"]), unit, note))
        if len(results["groups"]) <= 3:
            figure = group["figures"]["correlation"]
            note = _note(f"correlation of {group['output']}", figure)
            found.append(Card(group["model"], number(figure["mean"]), "", note))
    for name, figure in results.get("autonomy", {}).items():
        share = figure["autonomy"]
        note = f"autonomy; interventions: {figure['interventions']}"
        found.append(Card(name, number(share["mean"]), "%", note))
    return found


def _note(text: str, figure: dict) -> str:
    ends = interval_text(figure["interval"])
    return f"{text}: {ends}" if ends else text


def _table(results: dict) -> str:
    css = model_css(results["models"])
    heads = ["model", "output", "MSE", "MAE", "bias", "correlation", "MSE of always 0"]
    heads.append("disagreements / min")
    best = {
        (output, name): _best(results["groups"], output, name)
        for output in {group["output"] for group in results["groups"]}
        for name in ("mse", "mae", "correlation")
    }
    rows = []
    for group in results["groups"]:
        cells: list[Cell | str] = [
            Cell(tag(css[group["model"]], group["model"])),
            f"{group['output']} [{group['unit']}]",
        ]
        for name in ("mse", "mae", "bias", "correlation"):
            figure = group["figures"][name]
            leads = best.get((group["output"], name)) == group["model"]
            cells.append(_figure(figure, leads))
        rate = group["disagreements_per_minute"]
        for value in (group["mse_of_zero"], rate):
            cells.append(Cell(number(value), value))
        rows.append(cells)
    note = (
        "Below each figure its 95 % interval. A disagreement: the mean error over 0.5 s exceeds a "
        "fifth of half the output's range. Bias: asked less recorded."
    )
    return section("Every model against the recording", sortable(heads, rows, 2), note)


def _figure(figure: dict, best: bool) -> Cell:
    interval = interval_text(figure["interval"])
    text = f'{number(figure["mean"])}<br><span class="range">{interval}</span>'
    return Cell(text, figure["mean"] if figure["mean"] is not None else float("inf"), best)


def _best(groups: Sequence[dict], output: str, name: str) -> str | None:
    having = [
        (group["figures"][name]["mean"], group["model"])
        for group in groups
        if group["output"] == output and group["figures"][name]["mean"] is not None
    ]
    if len(having) < 2:
        return None
    return (max if name in HIGH_IS_GOOD else min)(having)[1]


def _paired(results: dict) -> str:
    if not results["paired"]:
        return ""
    css = model_css(results["models"])
    rows = []
    for row in results["paired"]:
        before, after = row["models"]
        verdict = "no certain difference"
        if row["certain"]:
            better = (row["difference"] > 0) == (row["figure"] in HIGH_IS_GOOD)
            verdict = f"{after if better else before} is better"
        rows.append(
            [
                Cell(tag(css[after], f"{after} less {before}")),
                f"{row['output']}, {NAMES[row['figure']]}",
                Cell(number(row["before"]), row["before"]),
                Cell(number(row["after"]), row["after"]),
                Cell(number(row["difference"]), row["difference"]),
                Cell(interval_text(row["interval"])),
                Cell(escape(verdict), best=row["certain"]),
            ]
        )
    heads = ["models", "figure", "first", "second", "difference", "95 % interval", ""]
    note = "On the same frames, with the same blocks drawn for both."
    return section("Model against model", sortable(heads, rows, 2), note)


def _autonomy(results: dict) -> str:
    if "autonomy" not in results:
        return section("Autonomy", f"<p>{escape(results['autonomy_refused'])}</p>")
    css = model_css(results["models"])
    rows = [
        [
            Cell(tag(css[name], name)),
            _figure(figure["autonomy"], False),
            Cell(str(figure["interventions"]), figure["interventions"]),
            Cell(number(figure["per_10_minutes"]), figure["per_10_minutes"]),
        ]
        for name, figure in results["autonomy"].items()
    ]
    heads = ["model", "autonomy [%]", "interventions", "in 10 minutes"]
    return section("Autonomy", sortable(heads, rows, 1), results["autonomy_rule"])


def _method(results: dict) -> dict[str, str]:
    names = [path.rsplit("/", 1)[-1] for path in results["data"]]
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    found = {
        "Recordings": shown,
        "Frames": f"{results['frames']:,} with a label, {results['seconds']:,.0f} s",
        "Intervals": f"95 %, bootstrap over {results['blocks']} blocks of "
        f"{results['block_s']:g} s: neighbouring frames say nearly the same",
        "State": "carried on as on the road, fresh after every gap of the recording",
    }
    for name, model in results["models"].items():
        found[name] = (
            f"{model['circuit']}, {model['parameters']:,} parameters, weights "
            f"{model['weights_sha256'][:12]}"
            + (f", {model['runtime']} in {model['precision']}" if "runtime" in model else "")
        )
    return found
