"""Which windows a step sees follows from seed, epoch and step; nothing is lost or doubled."""

import numpy as np
import pytest
import torch

from liquid_control.data.drive import load_drives
from liquid_control.errors import InputError
from liquid_control.training.batches import Order, Windows, training_stream, validation_loader
from liquid_control.training.imitation import fit
from liquid_control.training.recipe import Augmentation
from liquid_control.training.split import part_of


@pytest.fixture(scope="module")
def drives(posts, write_posts, tmp_path_factory):
    other = write_posts(tmp_path_factory.mktemp("more") / "short", 30, seed=1, period=50_000_000)
    return load_drives([posts, other], outputs=("curvature",))


def test_every_epoch_shows_every_window_once_in_another_order(small, drives):
    windows = Windows(drives, small(batch=2), varied=False)
    order = Order(windows, small(batch=2))
    plans = [order.plan(epoch)[0] for epoch in (0, 1)]
    for items in plans:
        assert len(np.unique(items)) == items.size == len(windows) - len(windows) % 2
    assert not np.array_equal(*plans)
    assert np.array_equal(order.plan(1)[0], plans[1])


@pytest.mark.parametrize("strides", [(1,), (1, 2)])
def test_stateful_rows_go_on_where_they_ended_and_say_where_they_begin(small, drives, strides):
    recipe = small(mode="stateful", batch=3, strides=strides)
    windows = Windows(drives, recipe, varied=False)
    items, fresh = Order(windows, recipe).plan(3)
    assert len(np.unique(items)) == items.size
    assert fresh[0].all()
    assert 0 < (~fresh).sum() < fresh.size

    def end(item):
        number, row = windows._place(item)
        found = windows.sets[number]
        drive, first = found.index[row]
        return number, drive, first, first + found.length * found.stride

    for step in range(1, len(items)):
        for before, item, new in zip(items[step - 1], items[step], fresh[step], strict=True):
            set_before, drive_before, _, stop = end(before)
            number, drive, first, _ = end(item)
            goes_on = (number, drive, first) == (set_before, drive_before, stop)
            assert goes_on or new


def test_a_stateful_row_never_goes_on_over_a_gap(small, posts):
    (drive,) = load_drives([posts], outputs=("curvature",))
    drive.stamps = drive.stamps + np.where(np.arange(len(drive)) >= 8, 10**9, 0)
    recipe = small(mode="stateful", batch=1)
    windows = Windows([drive], recipe, varied=False)
    assert windows.follows().tolist()[:4] == [False, True, False, True]


def test_elapsed_times_are_those_of_the_stamps(small, drives):
    recipe = small(batch=8)
    windows = Windows(drives, recipe, varied=False)
    batch = next(iter(training_stream(drives, recipe)))
    for item, elapsed in zip(batch["item"], batch["elapsed"], strict=True):
        period = 0.05 if "short" in windows.where(int(item)) else 1 / 30
        torch.testing.assert_close(elapsed, torch.full((4,), period), atol=1e-6, rtol=0)


def test_processes_share_a_batch(small, drives):
    recipe = small(batch=4)
    windows = Windows(drives, recipe, varied=False)
    whole = list(Order(windows, recipe))
    halves = [list(Order(windows, recipe, rank, 2)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert sorted(k.item for k in batch) == sorted(k.item for k in first + second)
    with pytest.raises(InputError, match="batch of 4 windows cannot be shared by 3"):
        Order(windows, recipe, 0, 3)


def test_a_stream_begins_at_any_step_with_the_same_batches(small, drives):
    recipe = small(batch=4, augmentation=Augmentation(noise=0.2, gamma=0.5, shift=0.2))
    stream = training_stream(drives, recipe)
    both = [*stream, *stream]
    resumed = training_stream(drives, recipe)
    at = len(stream) + 2
    resumed.load_state_dict({"step": at})
    rest = list(resumed)
    assert len(rest) == len(both) - at
    for expected, batch in zip(both[at:], rest, strict=True):
        for name, value in expected.items():
            assert torch.equal(value, batch[name]), name
    assert resumed.state_dict() == {"step": len(both)}


def test_batches_from_other_processes_are_the_same(small, drives):
    recipe = small(batch=8, augmentation=Augmentation(noise=0.2))
    here, there = (next(iter(training_stream(drives, recipe, workers=n))) for n in (0, 1))
    assert torch.equal(here["frames"], there["frames"])


def test_too_short_a_recording_is_said(small, tmp_path, posts, write_posts):
    with pytest.raises(InputError, match=r"No window of 200 frames .* longest .* has 96 frames"):
        fit(small(length=200), tmp_path / "model", work=tmp_path / "work")
    with pytest.raises(InputError, match="hold 24 windows of 4 frames, fewer than a batch of 32"):
        fit(small(batch=32), tmp_path / "model", work=tmp_path / "work")
    assert not (tmp_path / "model").exists()


def test_a_bag_without_the_wanted_command_is_named(small, posts, tmp_path):
    with pytest.raises(InputError, match=r"posts on /expert/command are curvature, speed, not vx"):
        fit(small(outputs=("vx",)), tmp_path / "model", work=tmp_path / "work")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_label_that_is_no_number_names_bag_and_frame(small, posts, value):
    (drive,) = load_drives([posts], outputs=("curvature",))
    drive.labels = drive.labels.copy()
    drive.labels[17, 0] = value
    with pytest.raises(InputError, match=r"'curvature' of frame 17 of .*posts is (nan|inf)"):
        Windows([drive], small(), varied=True)


def test_a_validation_part_that_is_too_short_is_named(small, drives):
    with pytest.raises(InputError, match=r"validation part \(validation: 0.02\).* has 3 frames"):
        validation_loader([part_of(drives[0], 0, 3)], small(validation=0.02))
