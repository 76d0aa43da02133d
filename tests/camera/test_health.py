"""Black, frozen and disordered: what counts as a fault of a camera, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from liquid_control.camera.health import Frozen, StampOrder, is_black

RNG = np.random.default_rng(5)
PICTURE = RNG.integers(0, 256, (78, 200, 3), np.uint8)
OTHER = np.roll(PICTURE, 1, axis=1)
MS = 1_000_000


def frozen_after(watch: Frozen, pictures, period: float, moving: bool = True) -> float | None:
    """When a camera that sends `pictures` every `period` [s] counts as frozen [s]."""
    for number, picture in enumerate(pictures):
        if watch.look(picture, number * period, moving):
            return number * period
    return None


@pytest.mark.parametrize("level", [0, 5, 16])
def test_a_dark_picture_with_hot_pixels_is_black(level):
    picture = np.full((480, 640, 3), level, np.uint8)
    picture[100, 100] = picture[300, 200] = 255
    assert is_black(picture)


def test_lights_in_the_night_are_not_black():
    picture = np.full((480, 640, 3), 4, np.uint8)
    picture[200:220, 300:360] = 200
    assert not is_black(picture)
    assert not is_black(PICTURE)


@pytest.mark.parametrize("rate", [10.0, 15.0, 30.0, 60.0])
def test_a_camera_that_repeats_a_picture_is_frozen_within_its_time(rate):
    after = frozen_after(Frozen(), [PICTURE.copy() for _ in range(60)], 1 / rate)
    assert max(0.15, 3 / rate) <= after <= max(0.15, 3 / rate) + 1 / rate


def test_one_other_bit_is_another_picture():
    watch = Frozen()
    for number in range(100):
        noisy = PICTURE.copy()
        noisy[-1, -1, 0] ^= 1 + number % 2
        assert not watch.look(noisy, number / 30, True)


def test_each_picture_twice_is_a_slow_camera_and_no_frozen_one():
    pictures = [np.roll(PICTURE, number // 2, axis=1) for number in range(120)]
    assert frozen_after(Frozen(), pictures, 1 / 60) is None


def test_the_same_picture_is_no_fault_while_the_vehicle_stands():
    watch = Frozen()
    assert frozen_after(watch, [PICTURE] * 90, 1 / 30, moving=False) is None
    # It starts: the picture that it stood before may stay for a moment longer.
    assert not watch.look(PICTURE, 3.05, True)
    assert not watch.look(OTHER, 3.08, True)


def test_a_frozen_camera_stays_so_once_the_vehicle_stands_until_its_picture_changes():
    watch = Frozen()
    assert frozen_after(watch, [PICTURE] * 10, 1 / 30) is not None
    assert watch.look(PICTURE, 1.0, False)
    assert not watch.look(OTHER, 1.1, True)
    assert not watch.look(PICTURE, 1.2, True)


def test_a_clock_set_back_once_is_no_fault():
    order = StampOrder()
    stamps = [*range(1000, 2000, 33), *range(0, 2000, 33)]
    assert not any(order.look(stamp * MS, n * 0.033) for n, stamp in enumerate(stamps))


def test_stamps_that_jump_to_and_fro_are_a_fault_until_they_are_in_order_for_a_second():
    order = StampOrder()
    jumping = [order.look((33 * n - 1000 * (n % 2)) * MS, n * 0.033) for n in range(30)]
    assert not any(jumping[:3])
    assert all(jumping[4:])
    healed = [order.look(33 * n * MS, n * 0.033) for n in range(30, 100)]
    assert all(healed[:25])
    assert not any(healed[31:])
