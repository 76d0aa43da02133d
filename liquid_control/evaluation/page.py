"""`report.html`: one file with everything in it, for people; fetches nothing, light and dark."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np

from liquid_control.evaluation.figure_road import ERROR_END_M
from liquid_control.evaluation.figure_style import ERROR_MAP
from liquid_control.evaluation.figures import Chart
from liquid_control.evaluation.page_parts import (
    Card,
    cards,
    chart,
    data_uri,
    document,
    facts,
    grid,
)
from liquid_control.evaluation.page_style import SCRIPT
from liquid_control.evaluation.run_results import UNITS
from liquid_control.evaluation.video import Film, Still

__all__ = ["Figures", "render"]

EMBED_BYTES = 8_000_000


@dataclass(frozen=True)
class Figures:
    """What the page shows; None where the run has no data for it."""

    roads: tuple[Chart, ...]
    over_time: tuple[Chart, ...]
    scatter: Chart | None
    latency: Chart | None
    neurons: Chart | None


def render(results: dict, figures: Figures, film: Film | None, video: Path | None) -> str:
    """The page as text.

    Args:
        results: as in `results.json`, with "title", "ok", "verdict", "facts" and "software".
        figures: the charts.
        film: stills and timing of the video, None without frames.
        video: where the video lies now; embedded if it is smaller than 8 MB, linked otherwise.
    """
    parts = [_header(results), _cards(results), _video(film, video)]
    roads = [_road(each) for each in figures.roads]
    parts.append(grid(*roads) if len(roads) > 1 else "".join(roads))
    parts += [chart(each) for each in figures.over_time]
    parts.append(chart(figures.neurons))
    parts += [_stills(film), _missing(results["missing"])]
    told = facts("The run", results["facts"] | _software(results["software"]))
    numbers = facts("In numbers", _numbers(results))
    parts.append(grid(chart(figures.scatter), chart(figures.latency), numbers, told))
    return document(results["title"], parts, results["written"], SCRIPT)


def _header(results: dict) -> str:
    kinds = {"drive": "Closed-loop drive", "replay": "Replay of a recording"}
    if results["flights"]:
        kinds["drive"] = "Closed-loop flight"
    kind = kinds.get(results["kind"], "Recording")
    state, word = ("", "Passed") if results["ok"] else (" failed", "Failed")
    return (
        f'<header>\n<p class="kicker">liquid_control · {kind}</p>\n'
        f"<h1>{escape(results['title'])}</h1>\n"
        f'<p class="verdict{state}"><b>{word}</b><span>{escape(results["verdict"])}</span></p>\n'
        "</header>"
    )


def _cards(results: dict) -> str:
    frames, lateral = results["frames"], results["lateral_error_m"]
    found: list[Card] = []
    for name, figure in results["imitation"].items():
        unit = UNITS.get(name, "")
        unit = f"({unit})²" if unit not in ("", "1") else ""
        zero = f"always 0: {figure['mse_always_zero']:.3g}"
        found.append(Card(f"MSE of {name}", f"{figure['mse']:.3g}", unit, zero))
        if figure["correlation"] is not None:
            over = f"over {figure['frames']:,} frames"
            value = f"{figure['correlation']:.3f}".replace("-", "−")
            found.append(Card(f"Correlation, {name}", value, "", over))
    if results["distance_m"] is not None:
        speed = results["mean_speed_m_s"]
        note = "" if speed is None else f"mean {speed:.1f} m/s"
        found.append(Card("Distance", f"{results['distance_m']:.0f}", "m", note))
    found.append(Card("Time", f"{results['duration_s']:.1f}", "s", "camera time"))
    if results["crashes"] is not None:
        lanes = results["lane_departures"]
        note = "" if lanes is None else f"lane departures {lanes}"
        found.append(Card("Crashes", str(results["crashes"]), "", note, results["crashes"] > 0))
    if results["flights"]:
        note = f"flights begun {results['flights']}"
        found.append(Card("Goals reached", str(results["targets_reached"]), "", note))
    if lateral:
        note = f"at most {lateral['max_abs']:.2f} m"
        found.append(Card("Mean lateral error", f"{lateral['mean_abs']:.2f}", "m", note))
    if latency := results["frame_to_command_ms"]:
        note = f"p50; p99 {latency['p99']:.1f} ms"
        found.append(Card("Frame to command", f"{latency['p50']:.1f}", "ms", note))
    lost = f"missing {frames['missing']}, unanswered {frames['unanswered']}"
    found.append(Card("Camera frames", f"{frames['camera']:,}", "", lost))
    return cards(found)


def _video(film: Film | None, video: Path | None) -> str:
    if film is None or video is None:
        return ""
    size = video.stat().st_size
    if size < EMBED_BYTES:
        source = data_uri("video/mp4", video.read_bytes())
        note = f"Also beside this page as {video.name}."
    else:
        source = video.name
        note = f"Played from {video.name} beside this page ({size / 1e6:.0f} MB)."
    sync = escape(json.dumps([[round(a, 4), round(b, 4)] for a, b in film.sync]), quote=True)
    attended = any(still.attended for still in film.stills)
    title = "What the policy saw and attended to" if attended else "What the camera saw"
    return (
        f'<section>\n<div class="head"><h2>{title}</h2></div>\n'
        f'<p class="note">{note} A click on a chart over time seeks to that moment.</p>\n'
        f'<video controls muted playsinline preload="metadata" data-sync="{sync}" '
        f'src="{source}"></video>\n</section>'
    )


def _road(road: Chart) -> str:
    if road.legend:
        return chart(road)
    stops = ", ".join(_hex(ERROR_MAP(share)) for share in np.linspace(0, 1, 5))
    ramp = (
        f'<span>lateral error 0 m <i class="ramp" style="margin: 0 5px; background: '
        f'linear-gradient(90deg, {stops})"></i> {ERROR_END_M:g} m and more</span>'
    )
    return chart(road, ramp)


def _stills(film: Film | None) -> str:
    if film is None or not film.stills:
        return ""
    attended = all(still.attended for still in film.stills)
    title = "Attention through the run" if attended else "Frames through the run"
    note = (
        "VisualBackProp: warm colours mark what the convolutions answered to the most."
        if attended
        else "Attention was recorded for some of these frames; the others show the camera alone."
        if any(still.attended for still in film.stills)
        else "No attention was recorded; these are frames of the camera."
    )
    figures = "\n".join(_still(still) for still in film.stills)
    return (
        f'<section>\n<div class="head"><h2>{title}</h2></div>\n<p class="note">{note}</p>\n'
        f'<div class="stills">\n{figures}\n</div>\n</section>'
    )


def _still(still: Still) -> str:
    rows, columns = still.image.shape[:2]
    scale = max(1, round(480 / columns))
    size = (columns * scale, rows * scale)
    image = cv2.resize(still.image, size, interpolation=cv2.INTER_CUBIC)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 86]
    data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1].tobytes()
    text = f"<b>{still.time:.1f} s</b>"
    if np.isfinite(still.command):
        unit = UNITS.get(still.output, "")
        number = f"{still.command:+.3f}".replace("-", "−")
        text += f" · {escape(still.output)} {number} {'' if unit == '1' else escape(unit)}"
    alt = f"Frame at {still.time:.1f} s"
    source = data_uri("image/jpeg", data)
    return f'<figure><img src="{source}" alt="{alt}"><figcaption>{text}</figcaption></figure>'


def _missing(sentences: dict[str, str]) -> str:
    if not sentences:
        return ""
    items = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences.values())
    return (
        '<section>\n<div class="head"><h2>What this bag does not hold</h2></div>\n'
        f"<ul>\n{items}\n</ul>\n</section>"
    )


def _numbers(results: dict) -> dict[str, str]:
    frames, safety = results["frames"], results["safety"]
    numbers: dict[str, str] = {}
    for name, figure in results["commands"].items():
        unit = "" if figure["unit"] in ("", "1") else f" {figure['unit']}"
        numbers[f"{name.capitalize()} asked, smallest to largest"] = (
            f"{figure['min']:.3f} to {figure['max']:.3f}{unit}".replace("-", "−")
        )
        numbers[f"{name.capitalize()} asked, mean change per frame"] = (
            f"{figure['mean_abs_step']:.4f}{unit}"
        )
    if heading := results["heading_error_rad"]:
        numbers["Heading error, mean and largest"] = (
            f"{heading['mean_abs']:.3f} and {heading['max_abs']:.3f} rad"
        )
    if inference := results["inference_ms"]:
        numbers["Inference, median and p99"] = (
            f"{inference['p50']:.1f} and {inference['p99']:.1f} ms"
        )
    if frames["period_ms"]:
        numbers["Camera period"] = f"{frames['period_ms']:.1f} ms"
    numbers["Decisions recorded"] = f"{frames['decisions']:,}"
    numbers["Frames before the first and after the last decision"] = (
        f"{frames['before_policy']:,} and {frames['after_policy']:,}"
    )
    numbers["Frames that no decision answers"] = f"{frames['unanswered']:,}"
    numbers["Fresh starts of the hidden state"] = f"{frames['resets']:,}"
    if safety:
        numbers["Commands that the safety node changed"] = (
            f"{safety['changed']:,} of {safety['passed_on']:,}"
        )
    return numbers


def _software(versions: dict[str, str]) -> dict[str, str]:
    return {"Software": ", ".join(f"{name} {version}" for name, version in versions.items())}


def _hex(color: tuple) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in color[:3])
