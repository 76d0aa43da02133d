"""From a robot's image to a policy's frame, and sensor noise as the paper adds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.camera import CameraSetup, gaussian
from liquid_control.errors import InputError


def image_of(rows, columns, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


@settings(deadline=None)
@given(
    rows=st.integers(8, 300),
    columns=st.integers(1, 300),
    top=st.floats(0, 0.5),
    bottom=st.floats(0.7, 1),
)
def test_any_image_becomes_a_frame_of_the_right_size_within_its_range(rows, columns, top, bottom):
    image = image_of(rows, columns)
    frame = CameraSetup(top=top, bottom=bottom).apply(image)
    assert (frame.shape, frame.dtype) == ((78, 200, 3), np.uint8)
    region = image[round(top * rows) : round(bottom * rows)]
    assert frame.min() >= region.min()
    assert frame.max() <= region.max()


def test_an_image_that_fits_is_not_copied():
    image = image_of(78, 200)
    assert np.shares_memory(CameraSetup().apply(image), image)
    assert np.array_equal(CameraSetup().apply(image), image)


def test_shrinking_averages_areas():
    image = image_of(156, 400)
    expected = image.reshape(78, 2, 200, 2, 3).astype(float).mean((1, 3))
    assert np.abs(CameraSetup().apply(image) - expected).max() <= 0.51


def test_the_region_of_interest_is_cut_in_shares_of_the_height():
    image = np.zeros((100, 200, 3), np.uint8)
    image[22:] = 200
    assert (CameraSetup(top=0.22).apply(image) == 200).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((78, 200), np.uint8),
        np.zeros((78, 200, 4), np.uint8),
        np.zeros((78, 200, 3), np.float32),
    ],
)
def test_images_that_are_not_8_bit_rgb_are_refused(image):
    with pytest.raises(InputError, match="uint8 RGB"):
        CameraSetup().apply(image)


@pytest.mark.parametrize("rows", [0, 1])
def test_an_image_without_a_row_in_the_region_is_refused(rows):
    with pytest.raises(InputError, match="holds no pixel"):
        CameraSetup(top=0.6, bottom=0.9).apply(np.zeros((rows, 200, 3), np.uint8))


@pytest.mark.parametrize(
    "fields", [{"top": 0.5, "bottom": 0.5}, {"top": -0.1}, {"bottom": 1.1}, {"height": 0}]
)
def test_setups_that_make_no_sense_are_refused(fields):
    with pytest.raises(InputError, match="needs"):
        CameraSetup(**fields)


def test_a_setup_survives_its_dictionary():
    setup = CameraSetup(top=0.3)
    assert CameraSetup(**setup.to_dict()) == setup


@pytest.mark.parametrize("variance", [0.001, 0.003])
def test_noise_has_the_asked_variance_on_the_scale_0_to_1(variance):
    grey = np.full((200, 400, 3), 128, np.uint8)
    noisy = gaussian(grey, variance, np.random.default_rng(0))
    assert noisy.dtype == np.uint8
    assert (noisy / 255.0).var() == pytest.approx(variance, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.3)


def test_noise_is_clipped_and_repeats_with_its_seed():
    image = image_of(78, 200)
    noisy = gaussian(image, 0.3, np.random.default_rng(5))
    assert (noisy.min(), noisy.max()) == (0, 255)
    assert np.array_equal(noisy, gaussian(image, 0.3, np.random.default_rng(5)))
    assert not np.array_equal(noisy, gaussian(image, 0.3, np.random.default_rng(6)))


def test_without_variance_there_is_no_noise():
    image = image_of(78, 200)
    assert np.array_equal(gaussian(image, 0, np.random.default_rng(0)), image)
