"""Pages of docs/results say what the numbers beside them say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import results

from liquid_control.evaluation.suite_data import read_evaluation

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "docs" / "results").glob("*/results.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_page_has_the_tables_of_its_numbers(folder):
    evaluation = read_evaluation(folder)
    page = folder.with_suffix(".md").read_text()
    assert results.table(evaluation, results.ERROR, {}) in page
    assert results.pairs(evaluation, results.SHARE) in page
    # The latency, between the parameters and the shares, was measured apart.
    for line in results.table(evaluation, results.SHARE, {}).splitlines()[2:]:
        model, network, parameters, *shares = line.strip("| ").split(" | ")
        shares = shares[-len(results.places(evaluation)) :]  # behind the roads, where they differ
        row = next(each for each in page.splitlines() if each.startswith(f"| {model} | {network}"))
        assert row.startswith(f"| {model} | {network} | {parameters} | ")
        assert row.endswith(f" | {' | '.join(shares)} |")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_shares_are_those_of_the_episodes(folder):
    evaluation = read_evaluation(folder)
    for place in results.places(evaluation):
        for model in evaluation.models:
            mine = [
                row.episode
                for row in evaluation.rows
                if (row.model, row.world, row.condition, row.level) == (model, *place)
            ]
            group = evaluation.group(model, place)
            assert group["episodes"] == len(mine)
            assert group["crash_free"]["count"] == sum(not each.crashed for each in mine)


def test_with_many_conditions_each_has_a_row(monkeypatch):
    evaluation = read_evaluation(FOLDERS[0])
    monkeypatch.setattr(results, "MOST_COLUMNS", 2)
    head, _, *rows = results.table(evaluation, results.SHARE, {}).splitlines()
    assert head == f"| condition | {' | '.join(f'`{model}`' for model in evaluation.models)} |"
    about = [row for row in rows if row.startswith(("| network", "| parameters", "| roads"))]
    assert len(rows) - len(about) == len(results.places(evaluation))
    head, _, *rows = results.pairs(evaluation, results.SHARE).splitlines()
    others = evaluation.models[1:]
    assert head == f"| condition | {' | '.join(f'`{model}`' for model in others)} |"
    assert len(rows) == len(results.places(evaluation))
    certain = sum(
        row["certain"] for row in evaluation.results["paired"] if row["figure"] == results.SHARE
    )
    assert sum(row.count("**") for row in rows) == 2 * certain


@pytest.mark.parametrize("most", [2, 6])
def test_the_picture_shows_every_model(tmp_path, monkeypatch, most):
    evaluation, shown = read_evaluation(FOLDERS[0]), []
    monkeypatch.setattr(results, "MOST_COLUMNS", most)
    monkeypatch.setattr(results.plt, "close", shown.append)
    results.draw(evaluation, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"
    texts = {text.get_text() for text in shown[0].findobj(results.plt.Text)}
    assert set(evaluation.models) <= texts
