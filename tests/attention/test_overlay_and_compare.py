"""Overlays colour what is salient and nothing else; SSIM is the one of Wang et al."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.attention.compare import ssim
from liquid_control.attention.overlay import overlay
from liquid_control.errors import InputError


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (78, 200, 3), dtype=np.uint8)


def test_what_is_not_salient_stays_as_it_is(image):
    saliency = np.zeros((78, 200), np.float32)
    saliency[10:20, 50:60] = 1
    drawn = overlay(image, saliency)
    outside = saliency == 0
    assert np.array_equal(drawn[outside], image[outside])
    assert (drawn.dtype, drawn.shape) == (np.uint8, image.shape)


def test_what_is_salient_turns_red(image):
    drawn = overlay(np.full_like(image, 100), np.ones((78, 200), np.float32))
    red, green, blue = drawn[0, 0].astype(int)
    assert red > green + 50
    assert red > blue + 50


def test_the_image_itself_is_not_drawn_on(image):
    before = image.copy()
    overlay(image, np.ones((78, 200), np.float32))
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("shape", "dtype", "saliency"),
    [
        ((78, 200, 3), np.float32, (78, 200)),
        ((78, 200, 3), np.uint8, (39, 100)),
        ((78, 200), np.uint8, (78, 200)),
        ((78, 200, 3), np.uint8, (78, 200, 3)),
    ],
)
def test_maps_and_images_that_do_not_fit_are_refused(shape, dtype, saliency):
    with pytest.raises(InputError, match="of its rows and columns"):
        overlay(np.zeros(shape, dtype), np.zeros(saliency))


def slow_ssim(first, second):
    """By the definition, one window after the other."""
    axis = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(axis, axis) / axis.sum() ** 2
    values = []
    for row, column in np.ndindex(first.shape[0] - 10, first.shape[1] - 10):
        a = 255 * first[row : row + 11, column : column + 11].astype(float)
        b = 255 * second[row : row + 11, column : column + 11].astype(float)
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a = (weights * (a - mean_a) ** 2).sum()
        var_b = (weights * (b - mean_b) ** 2).sum()
        both = (weights * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
        values.append(luminance * (2 * both + 58.5225) / (var_a + var_b + 58.5225))
    return np.mean(values)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), noise=st.floats(0, 1))
def test_ssim_equals_its_definition_and_lies_between_its_limits(seed, noise):
    rng = np.random.default_rng(seed)
    first = rng.random((16, 21), np.float32)
    second = np.clip(first + noise * rng.standard_normal(first.shape), 0, 1)
    value = ssim(first, second)
    assert value == pytest.approx(slow_ssim(first, second), abs=1e-6)
    assert value == pytest.approx(ssim(second, first))
    assert -1 <= value <= 1 + 1e-9


def test_equal_maps_are_alike_and_more_noise_makes_them_less_so():
    rng = np.random.default_rng(0)
    clean, noise = rng.random((78, 200)), rng.standard_normal((78, 200))
    values = [ssim(clean, np.clip(clean + sigma * noise, 0, 1)) for sigma in (0, 0.1, 0.3, 0.6)]
    assert values[0] == pytest.approx(1)
    assert sorted(values, reverse=True) == values


@pytest.mark.parametrize("shapes", [((78, 200), (78, 199)), ((10, 20), (10, 20))])
def test_maps_that_cannot_be_compared_are_refused(shapes):
    with pytest.raises(InputError, match="two maps of one size"):
        ssim(*(np.zeros(shape) for shape in shapes))
