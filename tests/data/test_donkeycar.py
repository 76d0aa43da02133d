"""Donkeycar tubs become bags: deletions count, damage is told, nothing is left half-done."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from liquid_control.data import messages
from liquid_control.data.bag import BagReader
from liquid_control.data.drive import load_drive
from liquid_control.data.importers.donkeycar import import_donkeycar
from liquid_control.errors import InputError

TRACK = Path(__file__).resolve().parents[3] / "shared" / "data" / "rc_track"


def command_line(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "liquid_control.cli", "import", "donkeycar", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_only_what_a_person_drove_and_kept_is_imported(tmp_path: Path, make_tub: Callable) -> None:
    records = [{"user/angle": number / 10} for number in range(10)]
    records[2]["cam/image_array"] = "cut.jpg"
    records[3]["cam/image_array"] = "missing.jpg"
    records[6]["user/mode"] = "local"
    records[7]["user/angle"] = None
    tub = make_tub(tmp_path / "tub", records, deleted=(0, 5), current_index=9)
    with (tub / "catalog_1.catalog").open("a") as catalog:
        catalog.write('{"_index": 10, "_session\n')
    report = import_donkeycar(tub, tmp_path / "bag")
    assert report.frames == 3
    assert report.skipped == {
        "deleted by the driver": 2,
        "image damaged": 1,
        "image missing": 1,
        "not driven by a person": 1,
        "unreadable record": 2,
        "beyond the manifest's current index": 1,
    }
    drive = load_drive(tmp_path / "bag", outputs=["steering", "throttle"])
    # Donkeycar's angle is positive to the right, a command's steering to the left.
    assert drive.labels[:, 0] == pytest.approx([-0.1, -0.4, -0.8])
    assert drive.labels[:, 1] == pytest.approx([0.3, 0.3, 0.3])
    assert (drive.stamps // 1_000_000 - 1_668_220_932_000).tolist() == [50, 200, 400]


def test_images_are_stored_as_they_are(tmp_path: Path, make_tub: Callable, look: Callable) -> None:
    tub = make_tub(tmp_path / "tub", [{}])
    import_donkeycar(tub, tmp_path / "bag")
    look(tmp_path / "bag", 1)
    with BagReader(tmp_path / "bag") as bag:
        ((_, stamp_ns, message),) = bag.messages(["/camera/image_raw/compressed"])
    assert bytes(message.data) == (tub / "images" / "whole.jpg").read_bytes()
    assert message.format == "jpeg"
    assert messages.stamp_of(message) == stamp_ns


def test_sessions_and_pauses_are_gaps(tmp_path: Path, make_tub: Callable) -> None:
    times = [0, 50, 100, 700, 750, 800, 850]
    sessions = ["a"] * 5 + ["b"] * 2
    tub = make_tub(
        tmp_path / "tub",
        [{"_timestamp_ms": t, "_session_id": s} for t, s in zip(times, sessions, strict=True)],
    )
    report = import_donkeycar(tub, tmp_path / "bag")
    assert report.gaps.tolist() == pytest.approx([0.6, 0.05])
    assert report.rate_hz == pytest.approx(20)
    assert report.driven_s == pytest.approx(0.2)
    assert load_drive(tmp_path / "bag", outputs=["steering"]).gaps.tolist() == [3, 5]


def test_stamps_increase_whatever_the_cars_clock_did(tmp_path: Path, make_tub: Callable) -> None:
    times = [60_000, 60_050, 60_050, 60_040, 60_100, 5_000, 5_050]
    tub = make_tub(tmp_path / "tub", [{"_timestamp_ms": t} for t in times])
    report = import_donkeycar(tub, tmp_path / "bag")
    assert (report.stamps // 1_000_000).tolist() == [
        *(60_000, 60_050, 60_051, 60_052, 60_100),
        *(61_100, 61_150),
    ]
    assert (report.clock_jitter, report.clock_jumps) == (2, 1)
    assert load_drive(tmp_path / "bag", outputs=["steering"]).gaps.tolist() == [5]


def test_an_existing_bag_is_replaced_only_on_request_and_other_folders_never(
    tmp_path: Path, make_tub: Callable
) -> None:
    tub = make_tub(tmp_path / "tub", [{}] * 4)
    import_donkeycar(tub, tmp_path / "bag")
    smaller = make_tub(tmp_path / "smaller", [{}] * 2)
    with pytest.raises(InputError, match="exists already"):
        import_donkeycar(smaller, tmp_path / "bag")
    assert BagReader(tmp_path / "bag").topics["/expert/command"][1] == 4
    import_donkeycar(smaller, tmp_path / "bag", overwrite=True)
    assert BagReader(tmp_path / "bag").topics["/expert/command"][1] == 2
    with pytest.raises(InputError, match="is no bag"):
        import_donkeycar(tub, smaller, overwrite=True)
    assert (smaller / "manifest.json").exists()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["bag", "smaller", "tub"]


@pytest.mark.parametrize("last", ["", "\0" * 40 + "\n", '{"paths": ["catalog_0.ca\n'])
def test_a_tub_whose_car_lost_its_power_is_imported_with_all_its_records(
    tmp_path: Path, make_tub: Callable, last: str
) -> None:
    tub = make_tub(tmp_path / "tub", [{}] * 12, deleted=(2,))
    (tub / "catalog_1.catalog").rename(tub / "catalog_10.catalog")
    (tub / "catalog_2.catalog").write_text(
        (tub / "catalog_0.catalog").read_text().replace('"user/angle": 0.25', '"user/angle": 1')
    )
    kept = (tub / "manifest.json").read_text().splitlines(keepends=True)[:4]
    (tub / "manifest.json").write_text("".join(kept) + last)
    report = import_donkeycar(tub, tmp_path / "bag")
    assert report.commands[:, 0].tolist() == [-0.25] * 6 + [-1] * 6 + [-0.25] * 6
    assert any("damaged" in note for note in report.notes)


def test_of_several_cameras_the_one_that_donkeycar_drives_by_is_taken(
    tmp_path: Path, make_tub: Callable
) -> None:
    tub = make_tub(tmp_path / "tub", [{"cam/second": "cut.jpg"}] * 3)
    text = (tub / "manifest.json").read_text()
    text = text.replace('"user/mode"]', '"user/mode", "cam/second"]', 1)
    (tub / "manifest.json").write_text(text.replace('"str"]', '"str", "image_array"]', 1))
    assert import_donkeycar(tub, tmp_path / "bag").frames == 3


def test_an_image_that_cannot_be_read_is_not_called_missing(
    tmp_path: Path, make_tub: Callable
) -> None:
    tub = make_tub(tmp_path / "tub", [{}, {"cam/image_array": "folder"}])
    (tub / "images" / "folder").mkdir()
    report = import_donkeycar(tub, tmp_path / "bag")
    assert report.skipped == {"image unreadable (Is a directory)": 1}


def break_manifest(tub: Path) -> None:
    (tub / "manifest.json").write_text("[1]\n{}\n")


def remove_manifest(tub: Path) -> None:
    (tub / "manifest.json").unlink()


def remove_catalog(tub: Path) -> None:
    (tub / "catalog_1.catalog").unlink()


def remove_images(tub: Path) -> None:
    for image in (tub / "images").iterdir():
        image.unlink()


def remove_angle(tub: Path) -> None:
    text = (tub / "manifest.json").read_text()
    (tub / "manifest.json").write_text(text.replace("user/angle", "pilot/angle"))


@pytest.mark.parametrize(
    "damage", [break_manifest, remove_manifest, remove_catalog, remove_images, remove_angle]
)
def test_what_is_no_usable_tub_is_refused_and_leaves_nothing(
    tmp_path: Path, make_tub: Callable, damage: Callable
) -> None:
    tub = make_tub(tmp_path / "tub", [{}] * 4)
    damage(tub)
    with pytest.raises(InputError):
        import_donkeycar(tub, tmp_path / "bag")
    assert [x.name for x in tmp_path.iterdir()] == ["tub"]


def test_an_interrupted_import_leaves_nothing_behind(tmp_path: Path, make_tub: Callable) -> None:
    tub = make_tub(tmp_path / "tub", [{}] * 60_000)
    arguments = ["import", "donkeycar", str(tub), str(tmp_path / "bag")]
    with subprocess.Popen(
        [sys.executable, "-m", "liquid_control.cli", *arguments],
        stderr=subprocess.PIPE,
        # A process that a shell started in the background would ignore the signal otherwise.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as importer:
        unfinished = tmp_path / ".bag.importing" / "bag_0.mcap"
        until = time.monotonic() + 30
        while not (unfinished.exists() and unfinished.stat().st_size > 10_000):
            assert time.monotonic() < until
            assert importer.poll() is None
            time.sleep(0.01)
        importer.send_signal(signal.SIGINT)
        errors = importer.stderr.read().decode()
    assert importer.returncode == 130
    assert "Traceback" not in errors
    assert [x.name for x in tmp_path.iterdir()] == ["tub"]


def test_the_command_line_imports_and_reports(tmp_path: Path, make_tub: Callable) -> None:
    tub = make_tub(tmp_path / "tub", [{}] * 6, deleted=(2,))
    done = command_line(tub, tmp_path / "bag")
    assert done.returncode == 0, done.stderr
    assert "1 deleted by the driver" in done.stdout
    assert BagReader(tmp_path / "bag").topics["/expert/command"][1] == 5
    again = command_line(tub, tmp_path / "bag")
    assert again.returncode == 2
    assert again.stderr.startswith("liquid-control: ")
    assert again.stderr.count("\n") == 1
    assert command_line(tub, tmp_path / "bag", "--overwrite").returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not TRACK.is_dir(), reason=f"the recording {TRACK} is not on this machine")
def test_a_real_cars_recording_is_imported_whole(tmp_path: Path) -> None:
    report = import_donkeycar(TRACK, tmp_path / "bag", progress=False)
    assert report.frames == 9815
    assert report.skipped == {"deleted by the driver": 5863}
    assert report.rate_hz == pytest.approx(20, rel=0.01)
    assert (report.clock_jitter, report.clock_jumps) == (0, 0)
    drive = load_drive(tmp_path / "bag", outputs=["steering"])
    assert len(drive) == 9815
    assert len(drive.gaps) == len(report.gaps)
    # One record against the tub itself, sign included.
    record = json.loads((TRACK / "catalog_0.catalog").read_text().splitlines()[20])
    row = np.searchsorted(drive.stamps, record["_timestamp_ms"] * 1_000_000)
    assert drive.labels[row, 0] == pytest.approx(-record["user/angle"])
