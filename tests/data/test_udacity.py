"""Udacity's simulator logs become bags, wherever and by whichever system they were recorded."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_control.data.bag import BagReader
from liquid_control.data.drive import load_drive
from liquid_control.data.importers.udacity import COLUMNS, import_udacity
from liquid_control.data.messages import decode_image
from liquid_control.errors import InputError

WINDOWS = "C:\\Users\\me\\sim\\IMG\\"


@pytest.fixture
def make_log() -> Callable[..., Path]:
    """make(path, rows, ...): a recording of one row every 100 ms; `rows` replaces cells."""

    def make(
        path: Path, rows: list[dict], header: bool = False, prefix: str = "", timed: bool = True
    ) -> Path:
        (path / "IMG").mkdir(parents=True)
        lines = [",".join(COLUMNS)] if header else []
        for index, row in enumerate(rows):
            name = f"2016_12_01_13_30_{48 + index // 10:02d}_{index % 10}00" if timed else index
            cells = {side: f"{prefix}{side}_{name}.jpg" for side in ("center", "left", "right")}
            for number, cell in enumerate(cells.values()):
                image = np.full((16, 32, 3), 60 * number + index, np.uint8)
                cv2.imwrite(str(path / "IMG" / cell.removeprefix(prefix)), image)
            cells |= {"steering": 0.25, "throttle": 0.5, "brake": 0, "speed": 10} | row
            lines.append(", ".join(str(cells[column]) for column in COLUMNS))
        (path / "driving_log.csv").write_text("\n".join(lines) + "\n")
        return path

    return make


@pytest.mark.parametrize(("header", "prefix"), [(False, "IMG/"), (True, "IMG/"), (False, WINDOWS)])
def test_left_is_positive_and_times_come_from_the_names(
    tmp_path: Path, make_log: Callable, look: Callable, header: bool, prefix: str
) -> None:
    log = make_log(tmp_path / "log", [{}, {"steering": -1}, {"brake": 0.75}], header, prefix)
    report = import_udacity(log, tmp_path / "bag", progress=False)
    assert (report.frames, report.skipped) == (3, {})
    assert report.rate_hz == pytest.approx(10)
    if header:
        look(tmp_path / "bag", 3)
    drive = load_drive(tmp_path / "bag", outputs=["steering", "throttle", "brake"])
    expected = [[-0.25, 0.5, 0], [1, 0.5, 0], [-0.25, 0.5, 0.75]]
    assert drive.labels == pytest.approx(np.array(expected))
    # 2016-12-01 13:30:48 UTC.
    assert drive.stamps[0] == 1_480_599_048_000_000_000
    with BagReader(tmp_path / "bag") as bag:
        twist = next(message for *_, message in bag.messages(["/vehicle/twist"]))
        right = next(m for *_, m in bag.messages(["/camera/right/image_raw/compressed"]))
        assert bag.topics["/camera/left/image_raw/compressed"][1] == 3
    assert twist.twist.linear.x == pytest.approx(4.4704)
    assert decode_image(right)[0, 0, 0] == pytest.approx(120, abs=2)


def test_damage_is_left_out_and_counted(tmp_path: Path, make_log: Callable) -> None:
    rows = [{}, {"steering": "nan"}, {"steering": 3}, {}, {"center": "center_no_time.jpg"}, {}, {}]
    rows.append({"speed": "?"})
    log = make_log(tmp_path / "log", rows)
    images = sorted((log / "IMG").glob("center_2*.jpg"))
    images[3].write_bytes(images[3].read_bytes()[:200])
    images[5].unlink()
    sorted((log / "IMG").glob("left_*.jpg"))[0].unlink()
    with (log / "driving_log.csv").open("a") as file:
        file.write("center_2016_12_01_13_31_50_000.jpg, le")
    report = import_udacity(log, tmp_path / "bag", progress=False)
    assert report.frames == 3
    assert report.skipped == {
        "unreadable record": 2,
        "steering outside of [-1, 1]": 1,
        "image damaged": 1,
        "image without a time in its name": 1,
        "image missing": 1,
        "left image missing": 1,
        "unreadable speed": 1,
    }
    with BagReader(tmp_path / "bag") as bag:
        assert "1 image damaged" in bag.facts["skipped"]


def test_times_are_made_up_only_where_there_are_none(tmp_path: Path, make_log: Callable) -> None:
    log = make_log(tmp_path / "log", [{}, {"steering": "x"}, {}], timed=False)
    with pytest.raises(InputError, match="--rate"):
        import_udacity(log, tmp_path / "bag", progress=False)
    report = import_udacity(log, tmp_path / "bag", rate=20, progress=False)
    # The row that is left out leaves its time empty.
    assert np.diff(report.stamps).tolist() == [100_000_000]
    assert "made up at 20 Hz" in report.notes[0]
    timed = make_log(tmp_path / "timed", [{}])
    with pytest.raises(InputError, match="no place"):
        import_udacity(timed, tmp_path / "other", rate=20, progress=False)


def test_what_is_no_log_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        import_udacity(tmp_path / "log", tmp_path / "bag")
    for text in ("", "a,b\n1,2\n", "center,left,right,steering\n"):
        (tmp_path / "log" / "driving_log.csv").write_text(text)
        with pytest.raises(InputError):
            import_udacity(tmp_path / "log", tmp_path / "bag")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
