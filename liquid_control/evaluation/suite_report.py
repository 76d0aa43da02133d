"""`report.html` of an evaluation, and the videos of its worst episodes beside it."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

import liquid_control
from liquid_control.errors import InputError
from liquid_control.evaluation.suite_data import (
    MOST_VIDEOS,
    Evaluation,
    check_videos,
    read_evaluation,
)
from liquid_control.evaluation.suite_data import worst as worst_rows
from liquid_control.evaluation.suite_page import Cases, render
from liquid_control.evaluation.suite_roads import tiles
from liquid_control.evaluation.suite_video import Film, film

__all__ = ["write_report"]

MOST_TILES = 12
VIDEO = "worst-{}.mp4"


def write_report(folder: str | Path, worst: int = 3) -> Path:
    """Write `report.html` of an evaluation, with videos `worst-1.mp4`, ... beside it.

    All files are made in a hidden folder first and then moved, so that a failure leaves those of
    before. Slow parts show a progress bar on a terminal.

    Args:
        folder: what `liquid-control evaluate` wrote.
        worst: how many of the worst episodes are driven again for a video, 0 to 20.

    Returns:
        The page.

    Raises:
        InputError: no evaluation there, or `worst` out of its range.
    """
    check_videos(worst)
    evaluation = read_evaluation(folder)
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    written = f"Written by liquid_control {liquid_control.__version__}, {now}."
    made = Path(tempfile.mkdtemp(prefix=".report-", dir=evaluation.folder))
    try:
        films, refused = _films(evaluation, worst, made)
        cases = Cases(_tiles(evaluation), films, refused)
        page = made / "report.html"
        page.write_text(render(evaluation, cases, written), encoding="utf-8")
        # Videos of before would not belong to this page.
        for number in range(len(films) + 1, MOST_VIDEOS + 1):
            (evaluation.folder / VIDEO.format(number)).unlink(missing_ok=True)
        # The page last: it needs the videos.
        for path in sorted(made.iterdir(), key=lambda path: path == page):
            path.chmod(0o644)
            os.replace(path, evaluation.folder / path.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return evaluation.folder / "report.html"


def _films(
    evaluation: Evaluation, worst: int, made: Path
) -> tuple[tuple[Film, ...], tuple[str, ...]]:
    """Videos of the worst episodes, and why some could not be driven again."""
    films: list[Film] = []
    refused: list[str] = []
    rows = worst_rows(evaluation.rows, worst)
    with tqdm(desc="worst episodes", unit=" steps", delay=1, disable=None) as bar:
        for row in rows:
            path = made / VIDEO.format(len(films) + 1)
            try:
                films.append(film(evaluation, row, path, bar.update))
            except InputError as error:
                refused.append(f"{row.model}, seed {row.episode.seed}: {error}")
    return tuple(films), tuple(dict.fromkeys(refused))


def _tiles(evaluation: Evaluation) -> dict:
    with tqdm(desc="roads", unit=" roads", delay=1, disable=None) as bar:
        return {
            world: tiles(evaluation, world, MOST_TILES, bar.update) for world in evaluation.worlds
        }
