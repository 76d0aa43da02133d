"""Frames, labels and elapsed times of a bag fit together, however the bag was recorded."""

import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.camera import CameraSetup
from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.data.drive import SESSION_TOPIC, Drive, find_bags, load_drive, load_drives
from liquid_control.errors import InputError

MS = 1_000_000
FRAME = np.full((78, 200, 3), (10, 100, 200), np.uint8)


def frame_numbers(drive: Drive) -> list[int]:
    """The numbers that conftest's `picture` painted into the frames' bars."""
    bars = [frame[40, frame[40, :, 1] == 255][0, 0] for frame in drive.frames]
    return [int(bar) for bar in bars]


@pytest.mark.parametrize("cache", [True, False])
def test_every_frame_has_its_own_label(
    tmp_path: Path, make_drive_bag: Callable, cache: bool
) -> None:
    drive = load_drive(
        make_drive_bag(tmp_path / "bag"), outputs=["speed", "curvature"], cache=cache
    )
    assert drive.frames.shape == (60, 78, 200, 3)
    assert frame_numbers(drive) == list(range(60))
    assert drive.labels.dtype == np.float32
    assert np.allclose(drive.labels[:, 0], 8.0)
    assert np.allclose(drive.labels[:, 1], np.arange(60) * 1e-3)
    assert drive.label_topic == "/expert/command"
    assert drive.period == pytest.approx(1 / 30, rel=1e-3)
    assert (tmp_path / "bag" / ".cache").exists() == cache


def test_frames_pass_through_the_camera_setup(tmp_path: Path, make_drive_bag: Callable) -> None:
    path = make_drive_bag(tmp_path / "bag", frames=3)
    camera = CameraSetup(height=20, width=50, top=0.25)
    drive = load_drive(path, camera)
    with BagReader(path) as bag:
        expected = [
            camera.apply(messages.decode_image(message))
            for _, _, message in bag.messages(["/camera/image_raw/compressed"])
        ]
    assert np.array_equal(drive.frames, expected)


def test_a_deleted_cache_is_built_again_and_equal(tmp_path: Path, make_drive_bag: Callable) -> None:
    path = make_drive_bag(tmp_path / "bag")
    first = load_drive(path)
    frames, labels = np.array(first.frames), first.labels
    shutil.rmtree(path / ".cache")
    again = load_drive(path)
    assert np.array_equal(again.frames, frames)
    assert np.array_equal(again.labels, labels)


def test_a_kept_cache_is_used_and_never_for_another_camera_or_recording(
    tmp_path: Path, make_drive_bag: Callable
) -> None:
    path = make_drive_bag(tmp_path / "bag", frames=10)
    load_drive(path)
    (kept,) = (path / ".cache").iterdir()
    before = (kept / "frames.npy").stat().st_mtime_ns
    assert len(load_drive(path, outputs=["speed"])) == 10
    assert (kept / "frames.npy").stat().st_mtime_ns == before
    assert load_drive(path, CameraSetup(height=40)).frames.shape == (10, 40, 200, 3)
    # The same name with other content: the cache goes by content.
    caches = path / ".cache"
    caches.rename(tmp_path / "caches")
    shutil.rmtree(path)
    make_drive_bag(path, frames=12)
    (tmp_path / "caches").rename(caches)
    assert frame_numbers(load_drive(path)) == list(range(12))


@pytest.mark.parametrize("file", ["frames.npy", "drive.npz"])
def test_a_cut_cache_is_built_again(tmp_path: Path, make_drive_bag: Callable, file: str) -> None:
    path = make_drive_bag(tmp_path / "bag", frames=10)
    load_drive(path)
    (kept,) = (path / ".cache").iterdir()
    (kept / file).write_bytes((kept / file).read_bytes()[:100])
    assert frame_numbers(load_drive(path)) == list(range(10))


def test_what_a_killed_process_left_of_a_cache_is_removed(
    tmp_path: Path, make_drive_bag: Callable
) -> None:
    path = make_drive_bag(tmp_path / "bag", frames=10)
    with subprocess.Popen(["true"]) as gone:
        pass
    leftover = path / ".cache" / f".0123abcd.{gone.pid}"
    leftover.mkdir(parents=True)
    (leftover / "frames.npy").write_bytes(b"half")
    load_drive(path)
    assert not leftover.exists()
    assert [x.name[0] == "." for x in (path / ".cache").iterdir()] == [False]


def test_the_bag_stays_a_bag_with_a_cache_in_it(tmp_path: Path, make_drive_bag: Callable) -> None:
    path = make_drive_bag(tmp_path / "bag", frames=5)
    load_drive(path)
    assert BagReader(path).topics["/expert/command"][1] == 5


def robot_bag(path: Path, stamped: bool, label_rate_hz: int, offset_ms: int = 0) -> Path:
    """A robot's recording: 2 s of 20 Hz raw frames and a velocity that grows with time."""
    with BagWriter(path) as bag:
        for number in range(40):
            stamp_ns = number * 50 * MS + 1
            bag.write("/front/image", messages.image(FRAME, stamp_ns), stamp_ns)
        for number in range(2 * label_rate_hz):
            stamp_ns = number * 1000 * MS // label_rate_hz + offset_ms * MS + 1
            seconds = stamp_ns * 1e-9
            twist = messages.twist_stamped(4.0, 4.0 * 0.01 * seconds, stamp_ns)
            bag.write("/cmd_vel", twist if stamped else twist.twist, stamp_ns)
    return path


@pytest.mark.parametrize("stamped", [True, False])
def test_a_robots_velocity_becomes_curvature_and_speed(tmp_path: Path, stamped: bool) -> None:
    drive = load_drive(robot_bag(tmp_path / "bag", stamped, label_rate_hz=20))
    assert drive.label_topic == "/cmd_vel"
    assert np.allclose(drive.labels[:, 1], 4.0)
    assert np.allclose(drive.labels[:, 0], 0.01 * drive.stamps * 1e-9, atol=1e-6)
    assert drive.skipped["without label"] == 0


def test_a_frame_takes_the_nearest_label_and_none_that_is_far(tmp_path: Path) -> None:
    drive = load_drive(robot_bag(tmp_path / "slow", True, label_rate_hz=10))
    error_s = np.abs(drive.labels[:, 0] / 0.01 - drive.stamps * 1e-9)
    assert error_s.max() <= 0.05 + 1e-6
    late = load_drive(robot_bag(tmp_path / "late", True, label_rate_hz=20, offset_ms=1000))
    # Frames of the first second have no label within half a period of 50 ms.
    assert late.skipped["without label"] == 20
    assert late.stamps[0] == 1000 * MS + 1


def test_a_standing_robot_has_no_curvature(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for stamp_ns in (1, 50 * MS):
            bag.write("/camera/image_raw", messages.image(FRAME, stamp_ns), stamp_ns)
            bag.write("/cmd_vel", messages.twist_stamped(0.0, 0.3, stamp_ns), stamp_ns)
    assert load_drive(tmp_path / "bag").labels.tolist() == [[0, 0], [0, 0]]


def test_frames_that_cannot_be_used_are_left_out_with_their_labels_and_counted(
    tmp_path: Path,
) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for number in range(8):
            log_ns = (number + 1) * 33 * MS
            # Frame 3 repeats the stamp of frame 2.
            stamp_ns = log_ns - 33 * MS if number == 3 else log_ns
            image = messages.png_image(FRAME, stamp_ns)
            if number == 5:
                image.data = image.data[:40]
            bag.write("/camera/image_raw/compressed", image, log_ns)
            value = np.nan if number == 6 else number
            bag.write(
                "/expert/command", messages.named_vector(["steering"], [value], log_ns), log_ns
            )
    for cache in (False, True):
        drive = load_drive(tmp_path / "bag", outputs=["steering"], cache=cache)
        assert drive.labels[:, 0].tolist() == [0, 1, 2, 4, 7]
        assert len(drive.frames) == 5
        assert drive.skipped == {"out of order": 1, "without label": 1, "damaged": 1}


def test_gaps_are_missing_time_and_changes_of_session(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for number in range(20):
            stamp_ns = number * 50 * MS + (500 * MS if number >= 5 else 0)
            if number in (0, 12):
                bag.write(SESSION_TOPIC, messages.string(str(number)), stamp_ns)
            bag.write("/camera/image_raw", messages.image(FRAME, stamp_ns), stamp_ns)
            bag.write("/expert/command", messages.named_vector(["speed"], [1], stamp_ns), stamp_ns)
    drive = load_drive(tmp_path / "bag", outputs=["speed"])
    assert drive.gaps.tolist() == [5, 12]
    assert drive.runs() == [(0, 5), (5, 12), (12, 20)]
    assert drive.runs(max_gap_s=1.0) == [(0, 12), (12, 20)]
    assert drive.period == pytest.approx(0.05)


def test_a_clock_set_back_is_refused(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for log_ns in range(0, 4000 * MS, 100 * MS):
            stamp_ns = log_ns % (2000 * MS) + 1
            bag.write("/camera/image_raw", messages.image(FRAME, stamp_ns), log_ns)
            bag.write("/expert/command", messages.named_vector(["speed"], [1], stamp_ns), log_ns)
    with pytest.raises(InputError, match=r"set back by 1\.9 s"):
        load_drive(tmp_path / "bag", outputs=["speed"])


def test_bags_without_what_training_needs_are_refused(
    tmp_path: Path, make_drive_bag: Callable
) -> None:
    with BagWriter(tmp_path / "blind") as bag:
        bag.write("/expert/command", messages.named_vector(["speed"], [1], 1), 1)
    with BagWriter(tmp_path / "unlabelled") as bag:
        bag.write("/camera/image_raw", messages.image(FRAME, 1), 1)
    with BagWriter(tmp_path / "apart") as bag:
        bag.write("/camera/image_raw", messages.image(FRAME, 1), 1)
        bag.write("/expert/command", messages.named_vector(["speed"], [1], 900 * MS), 900 * MS)
    for name, sentence in {
        "blind": "0 image topics",
        "unlabelled": "holds no label",
        "apart": "same clock",
    }.items():
        with pytest.raises(InputError, match=sentence):
            load_drive(tmp_path / name, outputs=["speed"])
    with pytest.raises(InputError, match="are curvature, speed, not steering"):
        load_drive(make_drive_bag(tmp_path / "good"), outputs=["steering"])


def test_the_other_of_two_cameras_can_be_named(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for name, value in (("/left", 1), ("/right", 2)):
            bag.write(name, messages.image(np.full_like(FRAME, value), 1), 1)
        bag.write("/expert/command", messages.named_vector(["speed"], [1], 1), 1)
    with pytest.raises(InputError, match="name the camera's topic"):
        load_drive(tmp_path / "bag", outputs=["speed"])
    assert load_drive(tmp_path / "bag", outputs=["speed"], topic="/right").frames.max() == 2


def test_a_killed_recorders_bag_trains_too(tmp_path: Path, make_drive_bag: Callable) -> None:
    path = make_drive_bag(tmp_path / "bag", frames=60)
    (path / "metadata.yaml").unlink()
    file = path / "bag_0.mcap"
    file.write_bytes(file.read_bytes()[:-20])
    assert frame_numbers(load_drive(path)) == list(range(60))


def test_bags_are_found_below_a_folder(tmp_path: Path, make_drive_bag: Callable) -> None:
    for name in ("b/two", "a"):
        make_drive_bag(tmp_path / "all" / name, frames=4)
    assert find_bags(tmp_path / "all") == [tmp_path / "all" / "a", tmp_path / "all" / "b" / "two"]
    assert find_bags(tmp_path / "all" / "a") == [tmp_path / "all" / "a"]
    assert [len(drive) for drive in load_drives([tmp_path / "all"])] == [4, 4]
    with pytest.raises(InputError, match="no bag at or below"):
        find_bags(tmp_path / "none")


def test_a_bag_of_compressed_files_is_a_bag(tmp_path: Path, make_drive_bag: Callable) -> None:
    """As `ros2 bag record --compression-mode file --compression-format zstd` leaves them."""
    bag = make_drive_bag(tmp_path / "all" / "a", 5)
    file = bag / "a_0.mcap"
    (bag / "a_0.mcap.zstd").write_bytes(zstandard.ZstdCompressor().compress(file.read_bytes()))
    file.unlink()
    text = (bag / "metadata.yaml").read_text().replace(file.name, f"{file.name}.zstd")
    text = text.replace("compression_format: ''", "compression_format: zstd")
    text = text.replace("compression_mode: ''", "compression_mode: FILE")
    (bag / "metadata.yaml").write_text(text)
    assert find_bags(tmp_path / "all") == [bag]
    assert len(load_drive(bag)) == 5


def test_a_tub_in_the_place_of_a_bag_is_told_what_to_do(tmp_path: Path, make_tub: Callable) -> None:
    with pytest.raises(InputError, match="tub, no bag; make one of it first"):
        find_bags(make_tub(tmp_path / "tub", [{}]))


def test_a_pickled_drive_reopens_its_frames_instead_of_carrying_them(
    tmp_path: Path, make_drive_bag: Callable
) -> None:
    drive = load_drive(make_drive_bag(tmp_path / "bag"))
    carried = pickle.dumps(drive)
    assert len(carried) < drive.frames.nbytes / 100
    assert np.array_equal(pickle.loads(carried).frames, drive.frames)


@given(
    steps_ms=st.lists(st.integers(1, 400), max_size=60),
    sessions=st.lists(st.booleans(), min_size=60, max_size=60),
    max_gap_ms=st.integers(1, 500),
)
def test_runs_cover_every_frame_once_and_break_only_at_gaps(
    steps_ms: list[int], sessions: list[bool], max_gap_ms: int
) -> None:
    stamps = np.cumsum([0, *steps_ms]).astype(np.int64) * MS
    session = np.cumsum(sessions[: len(stamps)])[: len(stamps)]
    session = np.concatenate([session, np.full(len(stamps) - len(session), session[-1])])
    drive = Drive(Path(), stamps, stamps, stamps, session, (), "", {})
    runs = drive.runs(max_gap_ms / 1000)
    assert [frame for start, stop in runs for frame in range(start, stop)] == list(
        range(len(drive))
    )
    for start, stop in runs:
        assert (np.diff(stamps[start:stop]) <= max_gap_ms * MS).all()
        assert len(set(session[start:stop].tolist())) == 1
    for start, _ in runs[1:]:
        apart = stamps[start] - stamps[start - 1] > max_gap_ms * MS
        assert apart or session[start] != session[start - 1]
