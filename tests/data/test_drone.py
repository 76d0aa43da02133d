"""Folders of drone runs become one bag with a session for each."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_control.data.drive import load_drive
from liquid_control.data.importers.drone import import_drone
from liquid_control.errors import InputError


def make_run(folder: Path, count: int, header: str = "vx,vy,vz,omega_z", first: str = "") -> Path:
    folder.mkdir(parents=True)
    lines = [header]
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:06d}.png"), np.full((12, 20, 3), index, np.uint8))
        lines.append(first.format(index=index, time=index / 10) + f"{index},0.5,-0.25,0.1")
    (folder / "data_out.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_every_run_below_a_folder_is_a_session(tmp_path: Path, look: Callable) -> None:
    make_run(tmp_path / "runs" / "1628106140.64", 4)
    # As pandas writes a table: with a nameless first column.
    make_run(tmp_path / "runs" / "1628106200.12", 3, ",vx,vy,vz,omega_z", "{index},")
    report = import_drone(tmp_path / "runs", tmp_path / "bag", rate=5, progress=False)
    assert (report.frames, report.skipped) == (7, {})
    assert report.sessions.tolist() == [1, 1, 1, 1, 2, 2, 2]
    assert report.rate_hz == pytest.approx(5)
    assert "made up at 5 Hz" in report.notes[0]
    look(tmp_path / "bag", 7)
    drive = load_drive(tmp_path / "bag", outputs=["vx", "vy", "vz", "yaw_rate"])
    assert drive.labels[:, 0].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert drive.labels[0].tolist() == pytest.approx([0, 0.5, -0.25, 0.1])
    assert 4 in drive.gaps


def test_one_run_is_enough_and_times_of_its_own_are_kept(tmp_path: Path) -> None:
    make_run(tmp_path / "run", 3, "time,vx,vy,vz,yaw_rate", "{time},")
    with pytest.raises(InputError, match="no place"):
        import_drone(tmp_path / "run", tmp_path / "bag", rate=5, progress=False)
    report = import_drone(tmp_path / "run", tmp_path / "bag", progress=False)
    assert np.diff(report.stamps).tolist() == [100_000_000, 100_000_000]
    assert report.notes == []


def test_damage_is_left_out_and_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 6)
    data = (run / "000001.png").read_bytes()
    (run / "000001.png").write_bytes(data[: len(data) - 20])
    (run / "000002.png").unlink()
    lines = (run / "data_out.csv").read_text().splitlines()
    (run / "data_out.csv").write_text("\n".join([*lines[:4], "inf,0,0,0", *lines[5:6], "1,2\0"]))
    cv2.imwrite(str(run / "000017.png"), np.zeros((12, 20, 3), np.uint8))
    report = import_drone(run, tmp_path / "bag", rate=10, progress=False)
    assert report.frames == 2
    assert report.skipped == {
        "image damaged": 1,
        "image missing": 1,
        "unreadable record": 2,
        "image without a row in the table": 1,
    }
    assert np.diff(report.stamps).tolist() == [400_000_000]


def test_what_is_no_run_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no run"):
        import_drone(tmp_path, tmp_path / "bag", rate=10)
    run = make_run(tmp_path / "run", 1)
    with pytest.raises(InputError, match="--rate"):
        import_drone(run, tmp_path / "bag")
    with pytest.raises(InputError, match="above 0, got 0"):
        import_drone(run, tmp_path / "bag", rate=0)
    (run / "data_out.csv").write_text("vx,vy,vz\n1,2,3\n")
    with pytest.raises(InputError, match="lacks the column omega_z"):
        import_drone(run, tmp_path / "bag", rate=10)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
