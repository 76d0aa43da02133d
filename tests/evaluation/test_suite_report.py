"""An evaluation's report: its folder's figures, its worst episodes driven again, a real page."""

import importlib.util
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import av
import pytest
import torch
from small_world import WORLD
from test_run_report import read_page

from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.errors import InputError
from liquid_control.evaluation import suite_page
from liquid_control.evaluation.episodes import Row, read_rows, write_rows
from liquid_control.evaluation.evaluate import evaluate
from liquid_control.evaluation.report_command import report
from liquid_control.evaluation.suite_data import read_evaluation, worst
from liquid_control.evaluation.suite_report import write_report
from liquid_control.evaluation.suite_video import film
from liquid_control.policy import Policy
from liquid_control.rollout import Episode

pytestmark = pytest.mark.one_worker

SUITE = """
about: Two kinds of trouble.
worlds: ["{world}"]
episodes: 3
seconds: 2
conditions:
  clean: {{levels: {{0: }}}}
  noise: {{unit: variance, about: noise, clean: 0, levels: {{0.1: {{noise: 0.1}}}}}}
  narrow:
    unit: m
    clean: 2
    levels:
      1: {{options: {{wide: 1.0}}}}
      0.6: {{options: {{wide: 0.6}}}}
"""


def save(folder: Path, seed: int) -> str:
    torch.manual_seed(seed)
    Policy(CommandSpec((CURVATURE,))).save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """An evaluation of two models in four conditions, with a report of three worst episodes."""
    root = tmp_path_factory.mktemp("suite")
    (root / "trouble.yaml").write_text(SUITE.format(world=WORLD))
    models = (save(root / "calm", 0), save(root / "wild_<b>", 1))
    options = {"suite": str(root / "trouble.yaml"), "seed": 3, "output": root / "run"}
    assert evaluate(model=models, **options) == 0
    return root / "run"


def row(model="a", condition="clean", seed=0, **figures) -> Row:
    numbers = {"seconds": 10.0, "distance": 80.0, "crashed": False, "lane_departures": 0}
    numbers |= dict.fromkeys(("lateral_error", "lateral_error_max", "heading_error"), 0.1)
    numbers |= dict.fromkeys(("speed", "steering_rate", "reward"), 1.0)
    return Row(model, "world", condition, 0.0, Episode(seed=seed, **(numbers | figures)))


def test_the_page_is_whole_and_fetches_nothing(reported):
    text, parsed = read_page(reported)
    assert not re.search(r"https?://|url\([^#)]|@import", text)
    assert all(source.startswith(("data:", "#")) for source in parsed.sources)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert "prefers-color-scheme: dark" in text


def test_the_page_shows_every_condition_model_and_part(reported):
    text, _ = read_page(reported)
    for part in ("clean", "noise 0.1 variance", "narrow 0.6 m", "calm", "Two kinds of trouble."):
        assert part in text
    for heading in ("Crash-free in every condition", "hardest level", "In pairs", "Worst cases"):
        assert heading in text
    assert "wild_&lt;b&gt;" in text
    assert "wild_<b>" not in text


def test_the_shares_of_the_page_are_those_of_the_results(reported):
    text, _ = read_page(reported)
    results = json.loads((reported / "results.json").read_text())
    table = text[text.index('class="sortable"') : text.index("</table>")]
    shown = [float(value) for value in re.findall(r'data-value="([\d.]+)" class="n', table)]
    shares = [100 * group["crash_free"]["share"] for group in results["groups"]]
    for share in shares:
        assert any(abs(share - value) < 1e-6 for value in shown)
    assert len(shown) == len(shares) + len(shares) // 2, "one column says how many episodes"


def test_worst_episodes_are_driven_again_to_the_bit_and_filmed(reported):
    text, parsed = read_page(reported)
    films = sorted(reported.glob("worst-*.mp4"))
    assert [path.name for path in films] == ["worst-1.mp4", "worst-2.mp4", "worst-3.mp4"]
    assert text.count("every figure came out as in the table, to the bit") == 3
    assert parsed.tags.count("video") == 3
    with av.open(str(films[0])) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 1280, 720)
        times = [frame.time for frame in file.decode(stream)]
    assert times == sorted(times)
    assert len(times) > 2


@pytest.mark.slow
def test_an_outcome_that_differs_from_the_table_is_said(reported, tmp_path):
    folder = shutil.copytree(reported, tmp_path / "run")
    table = (folder / "episodes.csv").read_text().splitlines()
    column = table[0].split(",").index("reward")
    for number, line in enumerate(table[1:], 1):
        cells = line.split(",")
        cells[column] = "123.0"
        table[number] = ",".join(cells)
    (folder / "episodes.csv").write_text("\n".join(table) + "\n")
    write_report(folder, worst=1)
    text, _ = read_page(folder)
    assert "Driven again it came out otherwise" in text
    assert "in reward:" in text


def test_an_episode_that_ends_elsewhere_than_evaluated_is_still_filmed(reported, tmp_path):
    evaluation = read_evaluation(reported)
    crashed = next(row for row in evaluation.rows if row.episode.crashed)
    late = replace(crashed, episode=replace(crashed.episode, seconds=60.0))
    made = film(evaluation, late, tmp_path / "late.mp4", lambda: None)
    again = film(evaluation, crashed, tmp_path / "again.mp4", lambda: None)
    assert made.differs == ("seconds",)
    assert again.differs == ()
    assert (made.begin, made.end) == (again.begin, again.end), "up to the crash that came now"


def test_a_page_of_an_evaluation_that_has_not_come_to_its_end_again_is_refused(reported, tmp_path):
    folder = shutil.copytree(reported, tmp_path / "run")
    page = (folder / "report.html").read_bytes()
    other = replace(read_rows(folder)[0], model="newcomer")
    crashed = replace(other.episode, crashed=True)
    # A second call, with one more model, was killed before it wrote its results.
    write_rows(folder, [*read_rows(folder), replace(other, episode=crashed)])
    with pytest.raises(InputError, match=r"25 episodes.* tells of 24.*same command"):
        write_report(folder, worst=0)
    assert (folder / "report.html").read_bytes() == page


def test_a_model_that_has_gone_or_changed_is_said_and_the_page_still_written(reported, tmp_path):
    folder = shutil.copytree(reported, tmp_path / "run")
    results = json.loads((folder / "results.json").read_text())
    results["models"]["calm"]["folder"] = "gone"
    results["models"]["wild_<b>"]["weights_sha256"] = "0" * 64
    (folder / "results.json").write_text(json.dumps(results))
    write_report(folder, worst=2)
    text, _ = read_page(folder)
    assert "No model &#x27;gone&#x27;" in text
    assert "other weights than the one that was evaluated" in text
    assert not list(folder.glob("worst-*.mp4")), "videos of before do not belong to this page"
    assert not list(folder.glob(".report-*"))


@pytest.mark.slow
def test_videos_beyond_the_limit_are_linked(reported, tmp_path, monkeypatch):
    folder = shutil.copytree(reported, tmp_path / "run")
    monkeypatch.setattr(suite_page, "EMBED_BYTES", 1000)
    write_report(folder, worst=1)
    text, parsed = read_page(folder)
    assert "worst-1.mp4" in parsed.sources
    assert "0 of 1 videos are within this page" in text


def test_the_report_command_writes_an_evaluation_again(reported, tmp_path, capsys):
    folder = shutil.copytree(reported, tmp_path / "run")
    (folder / "report.html").unlink()
    assert report(folder, videos=0) == 0
    text, _ = read_page(folder)
    assert "Worst cases" not in text
    assert "report.html" in capsys.readouterr().out


def test_figures_of_one_episode_are_shown_without_an_interval(tmp_path, capsys):
    (tmp_path / "trouble.yaml").write_text(SUITE.format(world=WORLD))
    options = {"suite": str(tmp_path / "trouble.yaml"), "episodes": 1, "videos": 0}
    models = (save(tmp_path / "calm", 0), save(tmp_path / "wild", 1))
    assert evaluate(model=models, **options, output=tmp_path / "run") == 0
    assert "One episode gives no interval" in capsys.readouterr().out
    text, _ = read_page(tmp_path / "run")
    table = text[text.index("All figures") : text.index("In pairs")]
    distance = read_rows(tmp_path / "run")[0].episode.distance
    assert f'data-value="{distance}" class="n">' in table
    assert "nan" not in text
    assert "– to –" not in text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "no results.json"), ("{", "is not JSON"), ('{"kind": "run"}', "no groups of episodes")],
)
def test_what_is_no_evaluation_is_refused(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(InputError, match=sentence):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_too_many_videos_are_refused_before_an_episode_is_driven(tmp_path):
    with pytest.raises(InputError, match="0 to 20 of the worst"):
        evaluate(model="expert", env=WORLD, videos=21, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_worst_are_early_crashes_first_and_every_model_has_its_turn():
    rows = [
        row("a", seed=0),
        row("a", seed=1, lateral_error_max=2.0),
        row("a", seed=2, crashed=True, seconds=9.0),
        row("a", "fog", seed=3, crashed=True, seconds=5.0),
        row("a", "fog", seed=4, crashed=True, seconds=1.0),
        row("b", seed=5, lateral_error_max=0.5),
        row("b", seed=6, error="RuntimeError"),
    ]
    seeds = [found.episode.seed for found in worst(rows, 5)]
    assert seeds == [4, 5, 2, 3, 1], "a condition comes again only after the others"
    assert worst(rows, 0) == []
    assert len(worst(rows, 99)) == 6


def test_names_carry_units(reported):
    evaluation = read_evaluation(reported)
    assert evaluation.name("narrow", 0.6) == "narrow 0.6 m"
    assert evaluation.name("clean", 0.0) == "clean"
    assert evaluation.levels(WORLD)["narrow"] == [1.0, 0.6], "the suite's order"


def _browser():
    """The browser of the live page's tests."""
    path = Path(__file__).parent.parent / "ros" / "live_page.py"
    spec = importlib.util.spec_from_file_location("live_page_of_reports", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Browser()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_a_real_browser_shows_sorts_and_plays_it_without_a_complaint(reported, width):
    with _browser() as browser:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.call("Emulation.setDeviceMetricsOverride", **size)
        browser.open((reported / "report.html").as_uri())
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.evaluate(wider) == 0, "the page itself never scrolls sideways"
        cells = "[...document.querySelectorAll('.sortable tbody tr td:nth-child(2)')].slice(0, 4)"
        values = f"{cells}.map(cell => +cell.dataset.value)"
        for _ in range(2):
            browser.evaluate("document.querySelectorAll('.sortable th button')[1].click()")
        found = browser.evaluate(values)
        assert found == sorted(found, reverse=True)
        browser.evaluate("document.querySelector('video').play(); 0")
        browser.wait("document.querySelector('video').currentTime > 0.2")
        assert browser.evaluate("document.querySelector('video').videoWidth") == 1280
        assert browser.complaints == []
