"""Reading a run: topics under other names, overlays joined to their frames by stamp."""

import numpy as np
import pytest

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.errors import InputError
from liquid_control.evaluation.run_data import Series, read_run
from liquid_control.evaluation.run_views import views

GREY = np.full((78, 200, 3), 90, np.uint8)


def frame(number: int) -> int:
    return 1_000_000_000 + number * 50_000_000


def picture(number: int) -> np.ndarray:
    """An image whose level says which frame it belongs to."""
    return np.full((78, 200, 3), 10 * number, np.uint8)


@pytest.mark.parametrize("delay", [-1, 0, 3])
def test_overlays_join_the_frame_of_their_stamp_however_late_they_come(tmp_path, delay):
    with BagWriter(tmp_path / "bag") as bag:
        for number in range(12):
            image = messages.image(picture(number), frame(number))
            bag.write("/camera/image_raw", image, frame(number))
            shown = number - delay
            if 0 <= shown < 12 and shown != 5:
                attention = messages.image(picture(shown), frame(shown))
                bag.write("/policy/attention/overlay", attention, frame(number) + 1)
    seen = list(views(read_run(tmp_path / "bag")))
    assert [view.stamp for view in seen] == [frame(number) for number in range(12)]
    for number, view in enumerate(seen):
        assert view.camera[0, 0, 0] == 10 * number
        if view.attention is not None:
            assert view.attention[0, 0, 0] == 10 * number
    joined = [number for number, view in enumerate(seen) if view.attention is not None]
    expected = set(range(12)) - {5} - set(range(12 - delay, 12)) - set(range(-delay))
    assert set(joined) == expected


def test_topics_under_a_namespace_are_found(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/car1/camera/image_raw", messages.image(GREY, frame(0)), frame(0))
        names, values = ["inter_0", "elapsed", "reset", "curvature"], [0.1, 0.05, 1.0, 0.02]
        audit = messages.named_vector(names, values, frame(0))
        bag.write("/car1/policy/decision", audit, frame(0))
    run = read_run(tmp_path / "bag")
    assert run.camera == "/car1/camera/image_raw"
    assert run.commands.names == ("curvature",)
    assert run.resets.tolist() == [frame(0)]


def test_one_camera_of_another_name_is_taken_but_two_are_not(tmp_path):
    for count in (1, 2):
        with BagWriter(tmp_path / f"bag{count}") as bag:
            for number in range(count):
                bag.write(f"/eye{number}", messages.image(GREY, frame(0)), frame(0))
    assert read_run(tmp_path / "bag1").camera == "/eye0"
    with pytest.raises(InputError, match=r"found /eye0, /eye1"):
        read_run(tmp_path / "bag2")


def test_a_frame_that_was_sent_again_counts_once(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for number in (0, 0, 0, 1):
            bag.write("/camera/image_raw", messages.image(GREY, frame(number)), frame(number))
    run = read_run(tmp_path / "bag")
    assert run.frames.tolist() == [frame(0), frame(1)]
    assert [view.stamp for view in views(run)] == [frame(0), frame(1)]


def test_rows_join_by_exact_stamp_and_are_nan_elsewhere():
    series = Series(np.array([10, 20, 30]), ("a", "b"), np.arange(6.0).reshape(3, 2))
    joined = series.at(np.array([30, 11, 10]))
    np.testing.assert_array_equal(joined["b"], [5.0, np.nan, 1.0])
