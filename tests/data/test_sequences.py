"""Windows stay inside of what was driven without a break, and carry real times."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from liquid_control.data.drive import Drive, load_drive
from liquid_control.data.sequences import SequenceDataset, elapsed_times, windows
from liquid_control.errors import InputError

MS = 1_000_000
torch.set_num_threads(1)


def drive_of(stamps_ms: list[int], sessions: list[int] | None = None) -> Drive:
    """A drive whose labels and frames count its frames."""
    count = len(stamps_ms)
    return Drive(
        path=Path("made"),
        stamps=np.array(stamps_ms, np.int64) * MS,
        frames=np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(3, axis=3),
        labels=np.arange(count, dtype=np.float32)[:, None],
        sessions=np.array(sessions or [0] * count, np.int64),
        outputs=("steering",),
        label_topic="/expert/command",
        skipped={},
    )


DRIVES = st.lists(
    st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=80).map(
        lambda steps: drive_of(
            np.cumsum([step for step, _ in steps]).tolist(),
            np.cumsum([ends and step > 250 for step, ends in steps]).tolist(),
        )
    ),
    max_size=3,
)


@given(
    drives=DRIVES,
    length=st.integers(1, 10),
    shift=st.integers(1, 12),
    stride=st.integers(1, 4),
    max_gap_ms=st.integers(20, 400),
)
def test_no_window_crosses_a_gap_and_none_that_fits_is_forgotten(
    drives: list[Drive], length: int, shift: int, stride: int, max_gap_ms: int
) -> None:
    found = windows(drives, length, shift, max_gap_ms / 1000, stride)
    assert found.shape == (len(found), 2)
    span = (length - 1) * stride + 1
    for number, first in found:
        rows = slice(first, first + span)
        stamps, sessions = drives[number].stamps[rows], drives[number].sessions[rows]
        assert len(stamps) == span
        assert (np.diff(stamps) <= max_gap_ms * MS).all()
        assert len(set(sessions.tolist())) == 1
    if shift == 1:
        expected = sum(
            (np.diff(drive.stamps[i : i + span]) <= max_gap_ms * MS).all()
            and len(set(drive.sessions[i : i + span].tolist())) == 1
            for drive in drives
            for i in range(len(drive) - span + 1)
        )
        assert len(found) == expected


def test_elapsed_times_are_the_stamps_and_the_median_where_a_run_begins() -> None:
    drive = drive_of([0, 50, 110, 160, 5000, 5050, 5100])
    expected = [0.05, 0.05, 0.06, 0.05, 0.05, 0.05, 0.05]
    assert elapsed_times(drive) == pytest.approx(expected)
    # Every second frame: the time since the frame two before, twice the median at a beginning.
    assert elapsed_times(drive, stride=2) == pytest.approx([0.1, 0.1, 0.11, 0.11, 0.1, 0.1, 0.1])


def test_a_window_holds_its_frames_labels_and_times() -> None:
    dataset = SequenceDataset([drive_of([0, 50, 110, 160, 210])], length=2, shift=1, stride=2)
    assert len(dataset) == 3
    item = dataset[1]
    assert item["frames"][:, 0, 0, 0].tolist() == [1, 3]
    assert item["labels"].tolist() == [[1], [3]]
    assert item["elapsed"].tolist() == pytest.approx([0.1, 0.11])


def test_batches_from_worker_processes_equal_the_recording(
    tmp_path: Path, make_drive_bag: Callable
) -> None:
    drives = [
        load_drive(make_drive_bag(tmp_path / "a")),
        load_drive(make_drive_bag(tmp_path / "b", skip=tuple(range(20, 30)))),
    ]
    dataset = SequenceDataset(drives, length=16, shift=16)
    # Drive b has 20 frames before its gap and 30 behind it.
    assert dataset.index.tolist() == [[0, 0], [0, 16], [0, 32], [1, 0], [1, 20]]
    (batch,) = DataLoader(dataset, batch_size=8, num_workers=1, multiprocessing_context="spawn")
    assert batch["frames"].shape == (5, 16, 78, 200, 3)
    assert batch["frames"].dtype == torch.uint8
    assert np.array_equal(batch["frames"][4], drives[1].frames[20:36])
    assert np.array_equal(batch["labels"][4], drives[1].labels[20:36])
    assert torch.allclose(batch["elapsed"], torch.full((5, 16), 1 / 30), atol=1e-6)


def test_a_batch_may_be_changed_without_changing_the_recording(
    tmp_path: Path, make_drive_bag: Callable
) -> None:
    dataset = SequenceDataset([load_drive(make_drive_bag(tmp_path / "a"))], length=4, shift=4)
    for tensor in dataset[0].values():
        tensor.zero_()
    assert dataset[0]["frames"].any()
    assert dataset[0]["labels"].any()
    assert dataset[0]["elapsed"].all()


def test_recordings_that_are_too_short_are_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match=r"longest stretch .* has 3 frames"):
        SequenceDataset([drive_of([0, 50, 100, 5000])], length=16)
    with pytest.raises(InputError, match="at least 1"):
        windows([], length=16, shift=0)
