"""The page of an evaluation: what drives best, where it fails, and what failing looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from liquid_control.evaluation.figure_style import model_css
from liquid_control.evaluation.page_parts import (
    Card,
    Cell,
    cards,
    chart,
    data_uri,
    document,
    facts,
    interval_text,
    legend,
    number,
    section,
    sortable,
    tag,
)
from liquid_control.evaluation.page_style import SORT_SCRIPT
from liquid_control.evaluation.suite import CLEAN
from liquid_control.evaluation.suite_data import Evaluation
from liquid_control.evaluation.suite_figures import (
    FIGURES,
    curves,
    differences,
    headlines,
    side_by_side,
    value,
)
from liquid_control.evaluation.suite_roads import Tile
from liquid_control.evaluation.suite_video import Film

__all__ = ["EMBED_BYTES", "Cases", "render"]

# All videos within the page together; base64 makes a third more of it.
EMBED_BYTES = 9_000_000
MOST_CARDS = 6


@dataclass(frozen=True)
class Cases:
    """What was looked at one by one.

    Args:
        tiles: of each world, roads with crashes and how many roads had any.
        films: the worst episodes.
        refused: why others could not be driven again.
    """

    tiles: dict[str, tuple[list[Tile], int]]
    films: tuple[Film, ...]
    refused: tuple[str, ...]


def render(evaluation: Evaluation, cases: Cases, written: str) -> str:
    """The page as text; `written` is the line at its foot."""
    title = _title(evaluation)
    parts = [_header(evaluation, title), cards(_headline(evaluation))]
    for world in evaluation.worlds:
        if len(evaluation.worlds) > 1:
            parts.append(f'<h2 class="world">{escape(_short(world))}</h2>')
        parts += [
            _overview(evaluation, world),
            chart(side_by_side(evaluation, world), wide=True),
            *(chart(each, wide=True) for each in curves(evaluation, world)),
            *(
                chart(differences(evaluation, world, name), wide=True)
                for name in headlines(evaluation, world)
            ),
            _roads(evaluation, world, *cases.tiles.get(world, ([], 0))),
        ]
    parts += [_films(evaluation, cases), _all_figures(evaluation), _pairs(evaluation)]
    parts.append(facts("The evaluation", _method(evaluation)))
    return document(title, parts, written, SORT_SCRIPT)


def _title(evaluation: Evaluation) -> str:
    suite, models = evaluation.results.get("suite"), evaluation.models
    who = " and ".join(models) if len(models) < 3 else f"{len(models)} models"
    if not suite:
        return f"{who} in {', '.join(map(_short, evaluation.worlds))}"
    return f"Suite {suite}: {who}"


def _short(world: str) -> str:
    return world.removeprefix("liquid_control/")


def _header(evaluation: Evaluation, title: str) -> str:
    groups = evaluation.results["groups"]
    total = sum(group["episodes"] for group in groups)
    broken = sum(group["broken"] for group in groups)
    crashed = sum(len(group["crashed_seeds"]) for group in groups)
    about = (evaluation.results.get("about") or "").strip()
    minutes = sum(row.episode.seconds for row in evaluation.rows) / 60
    time = f"{minutes / 60:,.1f} hours" if minutes >= 100 else f"{minutes:.0f} minutes"
    sentence = f"{about} {total:,} episodes, {time} of driving, {crashed:,} crashes.".strip()
    alarm = ""
    if broken:
        alarm = (
            f'<p class="verdict failed"><b>Broken</b><span>{broken} of {total} episodes broke and '
            "are in no figure; evaluate again to try them once more.</span></p>\n"
        )
    return (
        '<header>\n<p class="kicker">liquid_control · Closed-loop evaluation</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(sentence)}</p>\n{alarm}</header>'
    )


def _headline(evaluation: Evaluation) -> list[Card]:
    """The clean figures of the first world, and over all conditions where there are several."""
    world = evaluation.worlds[0]
    levels = evaluation.levels(world)
    first = CLEAN if CLEAN in levels else next(iter(levels))
    place = (world, first, levels[first][0])
    found = []
    for model in evaluation.models[:MOST_CARDS]:
        group = evaluation.group(model, place)
        shown = value(group, "crash_free")
        if shown is None:
            continue
        name = evaluation.name(*place[1:])
        note = f"crash-free, {name}: {interval_text(shown[1:])} %"
        safe, count = _pooled(evaluation, model, world)
        if len(levels) > 1 and count:
            note += f"; all conditions: {100 * safe / count:.0f} %"
        found.append(Card(model, number(shown[0]), "%", note, shown[0] < 50))
        lateral = value(group, "lateral_error")
        if lateral and len(evaluation.models) <= 2:
            ends = interval_text(lateral[1:])
            note = f"lateral error, {name}" + (f": {ends} m" if ends else "")
            found.append(Card(model, number(lateral[0]), "m", note))
    return found


def _pooled(evaluation: Evaluation, model: str, world: str) -> tuple[int, int]:
    """Crash-free and whole episodes of a model over all conditions of a world."""
    groups = [
        group
        for group in evaluation.results["groups"]
        if (group["model"], group["world"]) == (model, world)
    ]
    return (
        sum(group["crash_free"]["count"] for group in groups),
        sum(group["episodes"] - group["broken"] for group in groups),
    )


def _overview(evaluation: Evaluation, world: str) -> str:
    """The crash-free share of every model in every condition."""
    css = model_css(evaluation.models)
    rows = []
    for condition, levels in evaluation.levels(world).items():
        for level in levels:
            place = (world, condition, level)
            groups = [evaluation.group(model, place) for model in evaluation.models]
            shares = [value(group, "crash_free") for group in groups]
            top = max((share[0] for share in shares if share), default=None)
            episodes = max((group["episodes"] for group in groups if group), default=0)
            cells = [
                _heat(share, len(groups) > 1 and share and share[0] == top) for share in shares
            ]
            order = len(rows)
            name = Cell(escape(evaluation.name(condition, level)), order)
            rows.append([name, *cells, Cell(str(episodes), episodes)])
    heads = ["condition", *evaluation.models, "episodes"]
    note = (
        "Share of episodes without a crash [%], with 95 % intervals; the best of a row is bold. "
        "A click on a heading sorts."
    )
    keys = legend([(css[model], model) for model in evaluation.models])
    table = sortable(heads, rows, 1)
    return section("Crash-free in every condition", table, note, keys, "heat")


def _heat(share: tuple[float, float, float] | None, best: bool) -> Cell:
    if share is None:
        return Cell("–", -1.0)
    weight = round(0.55 * (100 - share[0]))
    text = (
        f'<span class="heat" style="--w: {weight}%">{number(share[0])}'
        f'<span class="range">{interval_text(share[1:])}</span></span>'
    )
    return Cell(text, share[0], best)


def _roads(evaluation: Evaluation, world: str, tiles: Sequence[Tile], roads: int) -> str:
    if not tiles:
        return ""
    css = model_css(evaluation.models)
    figures = "\n".join(
        f'<figure title="{escape(tile.text, quote=True)}">{tile.svg}<figcaption><b>Seed {tile.seed}'
        f"</b> · {tile.crashes} of {tile.episodes} crashed</figcaption></figure>"
        for tile in tiles
    )
    note = "Crosses: where episodes ended in a crash, driven from the circle. "
    if roads > len(tiles):
        note += f"The {len(tiles)} roads with the most crashes, of {roads} with any. "
    note += "Point at a road for who crashed there, and in which condition."
    keys = legend([(css[model], model) for model in evaluation.models])
    return section("Roads with crashes", f'<div class="tiles">\n{figures}\n</div>', note, keys)


def _films(evaluation: Evaluation, cases: Cases) -> str:
    if not cases.films and not cases.refused:
        return ""
    left, items, inside = EMBED_BYTES, [], 0
    for film in cases.films:
        content = film.path.read_bytes()
        embedded = len(content) <= left
        if embedded:
            left, inside = left - len(content), inside + 1
        items.append(_film(evaluation, film, content if embedded else None))
    note = (
        "The worst episodes, each model in its turn: crashes before others, early ones first. "
        "Driven again for this page: what the model saw, where it looked (VisualBackProp, "
        "over the smoothed frame in noise), its command, and the road from above. "
    )
    if inside < len(items):
        note += (
            f"{inside} of {len(items)} videos are within this page (at most "
            f"{EMBED_BYTES / 1e6:.0f} MB); the others are played from the files beside it. "
        )
    else:
        note += "All are within this page, and also files beside it. "
    refused = "".join(f"<p>{escape(sentence)}</p>" for sentence in cases.refused)
    return section("Worst cases", f'<div class="films">{"".join(items)}</div>{refused}', note)


def _film(evaluation: Evaluation, film: Film, content: bytes | None) -> str:
    episode = film.row.episode
    source = film.path.name if content is None else data_uri("video/mp4", content)
    name = escape(evaluation.name(film.row.condition, film.row.level))
    world = f", {escape(_short(film.row.world))}" if len(evaluation.worlds) > 1 else ""
    end = f"crashed after {episode.seconds:.1f} s" if episode.crashed else "no crash"
    if episode.lateral_error_max == episode.lateral_error_max:
        end += f", at most {episode.lateral_error_max:.2f} m beside the lane"
    end += f". Shown: {film.begin:.1f} s to {film.end:.1f} s. "
    if film.differs:
        again = (
            '<b class="bad">Driven again it came out otherwise</b> than in the table, in '
            f"{escape(', '.join(film.differs))}: another machine or version than evaluated it."
        )
    else:
        again = "Driven again, every figure came out as in the table, to the bit."
    head = f"{tag(model_css(evaluation.models)[film.row.model], film.row.model)}"
    return (
        f'<figure><video controls muted playsinline preload="metadata" '
        f'poster="{data_uri("image/jpeg", film.poster)}" src="{source}"></video>'
        f"<figcaption><b>{head} · {name}{world} · seed {episode.seed}</b>: {escape(end)}{again} "
        f"<code>{escape(film.path.name)}</code></figcaption></figure>"
    )


def _all_figures(evaluation: Evaluation) -> str:
    """Every figure of every group in one table that can be sorted, folded away."""
    css = model_css(evaluation.models)
    groups = evaluation.results["groups"]
    names = [name for name in FIGURES if any(value(group, name) for group in groups)]
    several = len(evaluation.worlds) > 1
    rows = []
    for index, group in enumerate(groups):
        cells: list[Cell | str] = [Cell(tag(css[group["model"]], group["model"]))]
        if several:
            cells.append(_short(group["world"]))
        cells.append(Cell(escape(evaluation.name(group["condition"], group["level"])), index))
        count = group["episodes"] - group["broken"]
        cells.append(Cell(str(count), count))
        for name in names:
            shown = value(group, name)
            if shown is None:
                none = "none seen" if name == "distance_per_intervention" else "–"
                cells.append(Cell(none, float("1e300")))
                continue
            text = f'{number(shown[0])}<br><span class="range">{interval_text(shown[1:])}</span>'
            cells.append(Cell(text, shown[0]))
        rows.append(cells)
    heads = ["model", *(["world"] if several else []), "condition", "episodes"]
    heads += [FIGURES[name].label for name in names]
    note = "Means over episodes; below them 95 % intervals."
    table = sortable(heads, rows, 3 if several else 2)
    return section("All figures", _folded(f"{len(rows)} groups", table, len(rows) > 12), note)


def _pairs(evaluation: Evaluation) -> str:
    """Every paired difference, folded away."""
    css, several = model_css(evaluation.models), len(evaluation.worlds) > 1
    rows = []
    for index, row in enumerate(evaluation.results["paired"]):
        figure = FIGURES.get(row["figure"])
        scale = figure.scale if figure else 1.0
        before, after, difference = (
            scale * row[name] for name in ("before", "after", "difference")
        )
        verdict = ""
        if row["certain"] and figure and figure.high is not None:
            better = (row["difference"] > 0) == figure.high
            verdict = f"{row['model'] if better else row['reference']} is better"
        elif row["certain"]:
            verdict = "differs"
        name = evaluation.name(row["condition"], row["level"])
        rows.append(
            [
                Cell(tag(css[row["model"]], row["model"])),
                Cell(escape(f"{_short(row['world'])}, {name}" if several else name), index),
                figure.label if figure else row["figure"].replace("_", " "),
                Cell(str(row["pairs"]), row["pairs"]),
                *(Cell(number(each), each) for each in (before, after, difference)),
                Cell(interval_text(row["interval"], scale=scale)),
                Cell(escape(verdict), best=bool(verdict)),
            ]
        )
    if not rows:
        return ""
    reference = evaluation.results["paired"][0]["reference"]
    heads = ["model", "condition", "figure", "pairs", reference, "model", "difference"]
    heads += ["95 % interval", ""]
    certain = sum(bool(row["certain"]) for row in evaluation.results["paired"])
    text = f"{len(rows)} differences, {certain} of them certain"
    note = (
        f"Each model less {reference}, on the same seeds. With so many differences some intervals "
        "exclude 0 by chance: 1 in 20 where nothing differs."
    )
    return section("In pairs", _folded(text, sortable(heads, rows, 3), len(rows) > 12), note)


def _folded(summary: str, content: str, closed: bool) -> str:
    state = "" if closed else " open"
    return f"<details{state}><summary>{escape(summary)}</summary>{content}</details>"


def _method(evaluation: Evaluation) -> dict[str, str]:
    seeds = [row.episode.seed for row in evaluation.rows]
    found = {
        "Worlds": ", ".join(evaluation.worlds),
        "Seeds": f"{min(seeds)} to {max(seeds)}" if seeds else "none",
        "Intervals": "95 %: Wilson for shares, Newcombe for differences of shares in pairs, "
        "bootstrap over episodes for the rest",
        "Evaluated by": f"liquid_control {evaluation.results['version']}",
        "Folder": str(Path(evaluation.folder)),
    }
    for name, model in evaluation.results["models"].items():
        text = f"{model['circuit']}, {model['parameters']:,} parameters"
        if model["weights_sha256"]:
            text += f", weights {model['weights_sha256'][:12]}"
        found[name] = text
    return found
