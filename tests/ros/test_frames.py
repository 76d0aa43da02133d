"""Stamps that can be driven by, and those that cannot, on a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from liquid_control.ros import conversion
from liquid_control.ros.frames import Frames, Refusal

MS = 1_000_000
NOW = 1_700_000_000_000 * MS
GREY = np.full((8, 10, 3), 128, np.uint8)


class Clock:
    """The node's clock: `now` [ns], simulated or not."""

    def __init__(self, now: int = NOW, simulated: bool = False) -> None:
        self.time, self.ros_time_is_active = now, simulated

    def now(self) -> SimpleNamespace:
        return SimpleNamespace(nanoseconds=self.time)


def frames_of(clock: Clock, max_frame_age: float = 0.5) -> Frames:
    parameters = {"max_gap": 0.2, "nominal_period": 0.04, "max_frame_age": max_frame_age}
    return Frames(parameters, clock)


def image(stamp: int) -> object:
    return conversion.image(GREY, stamp, "camera")


def test_elapsed_times_are_those_between_the_stamps_of_decided_frames():
    frames = frames_of(Clock())
    first = frames.read(image(NOW - 100 * MS))
    assert (first.elapsed, first.afresh) == (0.04, "")
    assert first.age == pytest.approx(0.1)
    frames.decided(first)
    # One that was read and not decided on leaves no trace.
    frames.read(image(NOW - 60 * MS))
    assert frames.read(image(NOW - 20 * MS)).elapsed == pytest.approx(0.08)


@pytest.mark.parametrize("step", [-1, -3_600_000, 201])
def test_a_jump_back_and_a_gap_begin_afresh(step):
    frames = frames_of(Clock(), max_frame_age=0.0)
    frames.decided(frames.read(image(NOW - 500 * MS)))
    later = frames.read(image(NOW - 500 * MS + step * MS))
    assert later.elapsed == 0.04
    assert f"went on by {step / 1000:.3f} s" in later.afresh


def test_a_stamp_of_zero_is_refused_and_stops_the_vehicle():
    with pytest.raises(Refusal, match="stamp of 0") as refusal:
        frames_of(Clock()).read(image(0))
    assert refusal.value.stop
    assert refusal.value.reason == "no_stamp"


@pytest.mark.parametrize(("simulated", "allowed"), [(False, 100), (True, 2000)])
def test_a_stamp_ahead_of_the_clock_is_refused_and_stops_the_vehicle(simulated, allowed):
    frames = frames_of(Clock(simulated=simulated))
    frames.read(image(NOW + allowed * MS))
    with pytest.raises(Refusal, match="ahead of the node's clock") as refusal:
        frames.read(image(NOW + (allowed + 1) * MS))
    assert refusal.value.stop
    assert refusal.value.reason == "future"


def test_a_simulated_clock_that_has_not_begun_says_nothing_of_a_stamp():
    frames = frames_of(Clock(now=0, simulated=True))
    assert frames.read(image(5_000 * MS)).age == 0.0


def test_one_frame_that_is_too_old_is_left_out_and_many_stop_the_vehicle(monkeypatch):
    steady = 100.0
    monkeypatch.setattr("liquid_control.ros.frames.time.monotonic", lambda: steady)
    frames = frames_of(Clock())
    frames.decided(frames.read(image(NOW - 499 * MS)))
    with pytest.raises(
        Refusal, match=r"0.60 s old when they arrive, and max_frame_age is 0.5"
    ) as one:
        frames.read(image(NOW - 600 * MS))
    assert (one.value.stop, one.value.reason) == (False, "too_old")
    steady += 0.21
    with pytest.raises(Refusal) as many:
        frames.read(image(NOW - 600 * MS))
    assert many.value.stop
    assert frames_of(Clock(), max_frame_age=0.0).read(image(NOW - 600 * MS)).age > 0.5


def test_frames_that_were_published_and_not_read_are_counted():
    frames = frames_of(Clock())
    for number in (7, 8, 12, 13):
        frames.count({"publication_sequence_number": number})
    assert frames.dropped == 3
    # Another publisher counts from its own beginning; some middlewares do not count.
    frames.begin(lambda pixels: pixels)
    for number in (100, None, 0, 101):
        frames.count({"publication_sequence_number": number})
    assert frames.dropped == 3


def test_what_cannot_be_shown_is_refused_with_its_sentence():
    broken = image(NOW)
    broken.encoding = "16UC1"
    with pytest.raises(Refusal, match="16UC1") as refusal:
        frames_of(Clock()).read(broken)
    assert refusal.value.reason == "picture"
