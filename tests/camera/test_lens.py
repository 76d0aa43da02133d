"""Lenses against the formula, OpenCV and themselves."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.camera import Intrinsics, Lens, Undistorter, intrinsics
from liquid_control.errors import InputError

WIDE = (-0.13, 0.015, 0.002, -0.003, -0.001)


def pattern(camera):
    """A smooth picture of the world at infinity, (height, width, 3) uint8, for any pinhole."""
    x, y = np.moveaxis(camera.rays(), -1, 0)
    waves = [np.sin(9 * x) * np.cos(9 * y), np.cos(7 * x + 5 * y), np.sin(11 * y - 3 * x)]
    return np.rint(127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


def test_a_pinhole_has_the_field_of_view_that_is_asked_for():
    camera = intrinsics(200, 78, np.deg2rad(37))
    assert camera.fovy == pytest.approx(np.deg2rad(37))
    assert camera.fx == camera.fy
    # The edge of the image is half a pixel beyond its last pixel's centre.
    assert np.arctan((78 - 0.5 - camera.cy) / camera.fy) == pytest.approx(np.deg2rad(37 / 2))
    assert Intrinsics(**camera.to_dict()) == camera


@settings(deadline=None, max_examples=30)
@given(
    k1=st.floats(-0.1, 0.25),
    k2=st.floats(0, 0.05),
    p1=st.floats(-0.01, 0.01),
    p2=st.floats(-0.01, 0.01),
    fovy=st.floats(0.4, 1.1),
)
def test_every_pixel_of_a_lens_shows_the_ray_that_the_formula_sends_there(k1, k2, p1, p2, fovy):
    camera = intrinsics(64, 40, fovy, (k1, k2, p1, p2, 0.0))
    lens = Lens(camera)
    rays = lens.apply(lens.pinhole.rays())
    points = np.concatenate([rays, np.ones_like(rays[..., :1])], -1).reshape(-1, 1, 3)
    pixels = cv2.projectPoints(
        points.astype(np.float64),
        np.zeros(3),
        np.zeros(3),
        camera.matrix,
        np.array(camera.distortion),
    )[0]
    v, u = np.mgrid[:40, :64]
    assert np.abs(pixels.reshape(40, 64, 2) - np.stack([u, v], -1)).max() < 0.1


def test_a_lens_without_distortion_changes_nothing():
    camera = intrinsics(200, 78, np.deg2rad(60))
    lens = Lens(camera)
    assert lens.pinhole.width - camera.width in (0, 2)
    frame = lens.apply(pattern(lens.pinhole))
    assert np.abs(frame.astype(int) - pattern(camera)).max() <= 2


def test_a_barrel_bends_straight_lines_and_needs_more_than_the_frame():
    camera = intrinsics(160, 120, np.deg2rad(70), WIDE)
    lens = Lens(camera)
    assert lens.pinhole.width > camera.width
    assert lens.pinhole.height > camera.height
    assert lens.pinhole.fovy > camera.fovy
    picture = np.zeros((lens.pinhole.height, lens.pinhole.width, 3), np.uint8)
    picture[:, -24:-18] = 255
    columns = lens.apply(picture)[..., 0].argmax(1)
    assert columns[60] > max(columns[2], columns[-3]) + 2


def test_undistorting_gives_back_what_a_pinhole_sees():
    camera = intrinsics(200, 120, np.deg2rad(55), WIDE)
    lens = Lens(camera)
    bent = lens.apply(pattern(lens.pinhole))
    straight = Undistorter(camera).apply(bent)
    expected = pattern(intrinsics(200, 120, np.deg2rad(55)))
    inside = (slice(12, -12), slice(20, -20))
    error = np.abs(straight.astype(int) - expected)[inside].mean()
    assert error < 2
    assert np.abs(bent.astype(int) - expected)[inside].mean() > 5 * error


def test_undistortion_is_that_of_opencv_for_a_calibrated_camera():
    camera = Intrinsics(160, 120, 95.0, 97.0, 82.0, 57.5, (-0.3, 0.08, 0.001, 0.002, 0.0))
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    expected = cv2.undistort(image, camera.matrix, np.array(camera.distortion))
    seen = Undistorter(camera).apply(image)
    assert np.abs(seen.astype(int) - expected).mean() < 2


def test_undistortion_into_another_pinhole():
    camera = intrinsics(200, 120, np.deg2rad(55), WIDE)
    target = intrinsics(100, 60, np.deg2rad(40))
    lens = Lens(camera)
    seen = Undistorter(camera, target).apply(lens.apply(pattern(lens.pinhole)))
    assert np.abs(seen.astype(int) - pattern(target)).mean() < 4


def test_a_distortion_that_folds_the_image_is_refused():
    with pytest.raises(InputError, match="folds"):
        Lens(intrinsics(200, 78, np.deg2rad(60), (-0.6, 0.0, 0.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 0},
        {"fx": 0.0},
        {"fy": np.nan},
        {"cx": np.inf},
        {"distortion": (0.1, 0.2)},
        {"distortion": (np.nan, 0, 0, 0, 0)},
    ],
)
def test_impossible_intrinsics_are_refused(fields):
    good = {"width": 20, "height": 10, "fx": 9.0, "fy": 9.0, "cx": 10.0, "cy": 5.0}
    with pytest.raises(InputError):
        Intrinsics(**(good | fields))


@pytest.mark.parametrize("fovy", [0.0, 3.2, -1.0])
def test_an_impossible_field_of_view_is_refused(fovy):
    with pytest.raises(InputError, match="radians"):
        intrinsics(20, 10, fovy)


def test_images_of_another_size_than_was_calibrated_are_refused():
    with pytest.raises(InputError, match="200 x 120 px, got 64 x 48"):
        Undistorter(intrinsics(200, 120, 1.0)).apply(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="pinhole renders"):
        Lens(intrinsics(200, 120, 1.0, WIDE)).apply(np.zeros((48, 64, 3), np.uint8))
