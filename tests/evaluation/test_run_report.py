"""A run's results, video and page: right numbers, valid files, nothing half-written."""

import json
import re
from html.parser import HTMLParser

import av
import numpy as np
import pytest

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.errors import InputError
from liquid_control.evaluation import page
from liquid_control.evaluation.report_command import report
from liquid_control.evaluation.run_report import write_run

pytestmark = pytest.mark.one_worker
PRODUCTS = {"results.json", "attention.mp4", "report.html"}


class _Page(HTMLParser):
    """Open tags, ids and everything that a browser would fetch."""

    VOID = frozenset({"meta", "img", "br", "input", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.ids, self.sources, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href"):
                self.sources.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag]
        self.open.pop()


def read_page(folder) -> tuple[str, _Page]:
    text = (folder / "report.html").read_text(encoding="utf-8")
    parsed = _Page(text)
    assert parsed.open == []
    return text, parsed


@pytest.fixture(scope="module")
def driven(make_drive):
    """A clean drive of 4 s in which 3 frames were not recorded and 2 not answered."""
    folder, signals = make_drive(120, skip=(50, 51, 52), unanswered=(80, 90))
    results = write_run(folder, "driving_ncp, seed 7", facts={"Model": "driving_ncp <&>"})
    return folder, signals, results


def test_results_equal_the_numbers_that_the_bag_was_made_from(driven):
    _, signals, results = driven
    recorded = np.setdiff1d(np.arange(120), [50, 51, 52])
    lateral = np.abs(signals["lateral_error"][recorded])
    decided = np.setdiff1d(recorded, [80, 90])
    ages = signals["age"][decided] * 1e3
    assert results["lateral_error_m"]["mean_abs"] == pytest.approx(lateral.mean())
    assert results["lateral_error_m"]["max_abs"] == pytest.approx(lateral.max())
    assert results["distance_m"] == pytest.approx(signals["distance"][-1])
    assert results["duration_s"] == pytest.approx(119 / 30, abs=1e-3)
    assert results["crashes"] == 0
    assert results["frame_to_command_ms"]["p50"] == pytest.approx(np.percentile(ages, 50))
    assert results["frame_to_command_ms"]["p99"] == pytest.approx(np.percentile(ages, 99))
    assert results["commands"]["curvature"]["std"] == pytest.approx(signals["asked"][decided].std())
    clipped = np.abs(signals["asked"][decided] * 8.0) > 0.1
    assert results["safety"]["changed"] == clipped.sum() > 0
    assert results["time_constants_s"]["motor_0"] > results["time_constants_s"]["inter_0"]


def test_missing_and_unanswered_frames_are_counted_from_stamps(driven):
    frames = driven[2]["frames"]
    assert frames["camera"] == 117
    assert frames["missing"] == 3
    assert frames["decisions"] == 115
    assert frames["unanswered"] == 2
    assert frames["decisions_without_frame"] == 0


def test_results_file_holds_what_was_returned(driven):
    folder, _, results = driven
    assert json.loads((folder / "results.json").read_text()) == results
    assert results["ok"]
    assert results["software"]["liquid_control"]


def test_video_has_one_picture_per_frame_with_its_real_time(driven):
    folder, _, _ = driven
    with av.open(str(folder / "attention.mp4")) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.width % 2 == stream.height % 2 == 0
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in file.decode(stream)]
    times = np.array([time for time, _ in frames])
    assert len(frames) == 117
    assert np.diff(times)[10] == pytest.approx(1 / 30, abs=1e-3)
    assert np.diff(times)[49] == pytest.approx(4 / 30, abs=1e-3)
    first, last = frames[0][1].astype(int), frames[-1][1].astype(int)
    assert np.abs(first - last).mean() > 1, "the pictures must differ"


def test_video_index_comes_before_its_pictures(driven):
    data = (driven[0] / "attention.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_page_fetches_nothing_and_is_well_formed(driven):
    text, parsed = read_page(driven[0])
    assert not re.search(r"https?://|url\([^#)]|@import", text)
    assert all(source.startswith(("data:", "#")) for source in parsed.sources)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert "video" in parsed.tags
    references = {source[1:] for source in parsed.sources if source.startswith("#")}
    references |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert references
    assert references <= set(parsed.ids)


def test_page_shows_every_part_of_a_drive(driven):
    text, _ = read_page(driven[0])
    for heading in ("Road from above", "Lateral error", "Curvature asked", "Latency", "Neurons"):
        assert heading in text
    assert text.count("<figure>") == 8
    assert "inter 11" in text
    assert "command 5" in text
    assert "motor 0" in text
    assert "What this bag does not hold" not in text
    assert "prefers-color-scheme: dark" in text


def test_facts_are_shown_as_text_not_as_markup(driven):
    text, _ = read_page(driven[0])
    assert "driving_ncp &lt;&amp;&gt;" in text


def test_large_video_is_linked_not_embedded(make_drive, monkeypatch):
    monkeypatch.setattr(page, "EMBED_BYTES", 1000)
    folder, _ = make_drive(6)
    write_run(folder, "large")
    _, parsed = read_page(folder)
    assert "attention.mp4" in parsed.sources


def test_crash_fails_the_run_and_is_marked(make_drive):
    folder, _ = make_drive(30, crash_at=29)
    results = write_run(folder, "crash")
    text, _ = read_page(folder)
    assert (results["crashes"], results["ok"]) == (1, False)
    assert "off the road at 1.0 s" in text
    assert "Failed" in text


def test_failures_from_outside_of_the_bag_fail_the_run(make_drive):
    folder, _ = make_drive(5)
    results = write_run(folder, "dead node", ["The node policy ended with SIGKILL."])
    text, _ = read_page(folder)
    assert not results["ok"]
    assert "The node policy ended with SIGKILL." in text


def test_only_the_time_in_which_the_policy_worked_counts(make_drive):
    idle = (*range(10), *range(40, 50))
    folder, signals = make_drive(50, crash_at=45, unanswered=idle)
    results = write_run(folder, "idle at both ends")
    assert results["crashes"] == 0
    assert results["frames"]["before_policy"] == results["frames"]["after_policy"] == 10
    driven_m = signals["distance"][39] - signals["distance"][10]
    assert results["distance_m"] == pytest.approx(driven_m)
    later = write_run(folder, "policy died", ["The node policy ended."])
    assert later["crashes"] == 1


def test_pause_before_a_new_road_is_neither_distance_nor_missing_frames(tmp_path):
    frame = np.zeros((78, 200, 3), np.uint8)
    names = ["time", "distance", "x", "y", "lateral_error", "off_road"]
    with BagWriter(tmp_path / "bag") as bag:
        for road, begin in enumerate((0, 3_000_000_000)):
            for row in range(10):
                at = 1_000_000_000 + begin + row * 50_000_000
                bag.write("/camera/image_raw", messages.image(frame, at), at)
                values = [row * 0.05, row * 0.4, row * 0.4, road, 0.0, float(row == 9)]
                bag.write("/simulator/state", messages.named_vector(names, values, at), at)
    results = write_run(tmp_path, "two roads")
    text, _ = read_page(tmp_path)
    assert results["distance_m"] == pytest.approx(2 * 9 * 0.4)
    assert results["duration_s"] == pytest.approx(2 * 9 * 0.05)
    assert results["frames"]["missing"] == 0
    assert results["crashes"] == 2
    assert "Road 2 from above" in text


def test_replay_is_compared_with_the_human(make_replay):
    folder, shown, asked = make_replay(60)
    results = write_run(folder, "rc_track_ncp on rc_track")
    figures = results["imitation"]["steering"]
    text, _ = read_page(folder)
    assert results["kind"] == "replay"
    assert figures["frames"] == 60
    assert figures["mse"] == pytest.approx(np.mean((asked - shown) ** 2))
    assert figures["mse_always_zero"] == pytest.approx(np.mean(shown**2))
    assert figures["correlation"] == pytest.approx(np.corrcoef(asked, shown)[0, 1])
    assert "Steering beside the recording" in text
    assert "Frame by frame" in text
    assert "/simulator/state" not in text, "a recording has no simulator to miss"


TOPICS = (
    "/policy/neurons",
    "/policy/latency",
    "/policy/attention",
    "/policy/attention/overlay/compressed",
    "/simulator/state",
    "/simulator/road",
    "/odom",
    "/cmd_vel_safe",
)


def test_missing_topics_are_named_in_the_page(make_drive):
    folder, _ = make_drive(6, without=TOPICS)
    results = write_run(folder, "bare")
    text, _ = read_page(folder)
    assert "No attention was recorded" in text
    assert text.count("<figure>") == 6
    for topic in set(TOPICS) - {"/policy/attention"}:
        assert f"{topic} was not recorded" in text
    assert results["lateral_error_m"] is None
    assert results["crashes"] is None
    assert "nothing in the bag tells where the road was" in results["verdict"]


def test_overlay_is_drawn_from_saliency_maps_where_only_they_were_recorded(make_drive):
    folder, _ = make_drive(6, without=("/policy/attention/overlay/compressed",))
    write_run(folder, "saliency only")
    text, _ = read_page(folder)
    assert "Attention through the run" in text


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_shortest_runs_still_give_a_valid_page(make_drive, frames):
    folder, _ = make_drive(frames, crash_at=frames - 1 if frames else None)
    results = write_run(folder, "short")
    text, _ = read_page(folder)
    assert results["frames"]["camera"] == frames
    assert not results["ok"]
    assert (folder / "attention.mp4").exists() == (frames > 0)
    assert ("no camera frame" in text) == (frames == 0)


def test_a_drive_without_a_decision_is_a_failed_run(make_drive):
    folder, _ = make_drive(3, unanswered=(0, 1, 2))
    results = write_run(folder, "no policy")
    assert results["verdict"].startswith("The policy never decided")
    read_page(folder)


def test_folder_without_a_bag_is_refused_and_stays_empty(tmp_path):
    with pytest.raises(InputError, match="No bag"):
        write_run(tmp_path, "nothing")
    assert list(tmp_path.iterdir()) == []


def test_bag_without_a_camera_is_refused_and_nothing_is_written(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/odom", messages.odometry(0, 0, 0, 1, 0, 1), 1)
    with pytest.raises(InputError, match=r"no camera topic.*/odom"):
        write_run(tmp_path, "blind")
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_damaged_frame_leaves_the_files_of_before(make_drive, tmp_path):
    folder, _ = make_drive(3, folder=tmp_path)
    write_run(folder, "before")
    before = {name: (folder / name).read_bytes() for name in PRODUCTS}
    broken = tmp_path / "broken"
    with BagWriter(broken) as bag:
        for at in (1, 50_000_001):
            message = messages.compressed_image(b"no image", at)
            bag.write("/camera/image_raw/compressed", message, at)
    with pytest.raises(InputError, match="cannot be decoded"):
        write_run(folder, "after", bag=broken)
    assert {name: (folder / name).read_bytes() for name in PRODUCTS} == before
    assert {path.name for path in folder.iterdir()} == PRODUCTS | {"bag", "broken"}


def test_report_command_writes_a_run_again_with_what_it_was_told(make_drive, capsys):
    folder, _ = make_drive(4)
    first = write_run(folder, "seed 9", ["A node died."], {"Seed": "9"}, versions={"torch": "0.1"})
    assert report(folder) == 0
    again = json.loads((folder / "results.json").read_text())
    assert {**again, "written": ""} == {**first, "written": ""}
    assert "A node died." in capsys.readouterr().out


def test_report_command_takes_a_bag_of_any_name(make_drive, tmp_path):
    folder, _ = make_drive(3)
    bag = (folder / "bag").rename(tmp_path / "monday")
    assert report(bag) == 0
    made = tmp_path / "monday-report"
    assert {path.name for path in made.iterdir()} == PRODUCTS
