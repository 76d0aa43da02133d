"""Any camera's picture becomes the view that a policy knows: lens undone, upright, cut out."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.camera import Calibration, CameraSetup, RobotCamera, View
from liquid_control.errors import InputError

ROWS, COLUMNS = 120, 160
RNG = np.random.default_rng(5)
PICTURE = cv2.GaussianBlur(RNG.integers(0, 256, (ROWS, COLUMNS, 3), np.uint8), (0, 0), 2)
K = (100.0, 0.0, 78.0, 0.0, 101.0, 61.0, 0.0, 0.0, 1.0)
LENSES = {
    "plumb_bob": (-0.2, 0.03, 0.001, -0.002, 0.0),
    "rational_polynomial": (0.4, 0.1, 0.001, -0.001, 0.02, 0.6, 0.2, 0.03),
    "equidistant": (-0.03, 0.01, -0.002, 0.0005),
}
SETUP = CameraSetup(height=20, width=40, horizon=0.25)


def calibration(model: str = "plumb_bob", **changes: object) -> Calibration:
    entries = {"width": COLUMNS, "height": ROWS, "model": model, "d": LENSES.get(model, ()), "k": K}
    return Calibration(**{**entries, **changes})


def seen_at(model: str, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a camera sees what a pinhole would show at (u, v), by the formulas of the models."""
    fx, _, cx, _, fy, cy = K[:6]
    x, y = (u - cx) / fx, (v - cy) / fy
    square = x * x + y * y
    d = LENSES[model]
    if model == "equidistant":
        radius = np.sqrt(square)
        angle = np.arctan(radius)
        bent = angle * (1 + sum(k * angle ** (2 * n) for n, k in enumerate(d, 1)))
        share = bent / np.maximum(radius, 1e-12)
        return fx * x * share + cx, fy * y * share + cy
    k1, k2, p1, p2, k3, *below = d
    share = 1 + square * (k1 + square * (k2 + square * k3))
    if below:
        k4, k5, k6 = below
        share = share / (1 + square * (k4 + square * (k5 + square * k6)))
    bent_x = x * share + 2 * p1 * x * y + p2 * (square + 2 * x * x)
    bent_y = y * share + p1 * (square + 2 * y * y) + 2 * p2 * x * y
    return fx * bent_x + cx, fy * bent_y + cy


@pytest.mark.parametrize("model", LENSES)
def test_a_lens_is_undone_by_the_formula_of_its_model(model):
    v, u = np.mgrid[:ROWS, :COLUMNS]
    # A picture that says at each pixel which one it is.
    told = np.dstack([u, v, np.zeros_like(u)]).astype(np.uint8)
    straight = RobotCamera(View(undistort=True), SETUP, calibration(model)).apply(told)
    x, y = seen_at(model, u.astype(float), v.astype(float))
    inside = (x > 1) & (x < COLUMNS - 2) & (y > 1) & (y < ROWS - 2)
    assert inside.mean() > 0.5
    assert np.abs(straight[..., 0] - x)[inside].max() < 0.6
    assert np.abs(straight[..., 1] - y)[inside].max() < 0.6
    # And it is a lens that moves pixels.
    assert np.hypot(x - u, y - v)[inside].max() > 4


def test_undistortion_is_that_of_opencv_and_follows_the_projection_that_is_asked_for():
    lens, matrix = np.array(LENSES["plumb_bob"]), np.array(K).reshape(3, 3)
    wanted = cv2.undistort(PICTURE, matrix, lens)
    shown = RobotCamera(View(undistort=True), SETUP, calibration()).apply(PICTURE)
    assert np.array_equal(shown, wanted)
    target = matrix.copy()
    target[:2, :2] *= 0.7
    p = tuple(np.hstack([target, np.zeros((3, 1))]).ravel())
    shown = RobotCamera(View(undistort=True), SETUP, calibration(p=p)).apply(PICTURE)
    assert np.array_equal(shown, cv2.undistort(PICTURE, matrix, lens, newCameraMatrix=target))


@pytest.mark.parametrize("flip", ["none", "left_right", "up_down", "both"])
@pytest.mark.parametrize("undistort", [False, True])
def test_the_order_is_lens_then_flip_then_region(flip, undistort):
    view = View(0.25, 100.0, 10.0, 0.75, flip=flip, undistort=undistort)
    shown = RobotCamera(view, SETUP, calibration()).apply(PICTURE)
    step = PICTURE
    if undistort:
        step = RobotCamera(View(undistort=True), SETUP, calibration()).apply(step)
    down, across = {"none": (1, 1), "left_right": (1, -1), "up_down": (-1, 1)}.get(flip, (-1, -1))
    assert np.array_equal(shown, step[::down, ::across][30:100, 10:120])


def test_nothing_is_copied_where_nothing_is_asked_for():
    assert np.shares_memory(RobotCamera(View(), SETUP).apply(PICTURE), PICTURE)
    assert RobotCamera(View(), SETUP).apply(PICTURE).shape == PICTURE.shape


@pytest.mark.parametrize(
    "trained", [CameraSetup(20, 40, horizon=0.25), CameraSetup(10, 40, 0.4, 0.9, -0.1)]
)
@pytest.mark.parametrize(("horizon", "left", "right"), [(0.45, 0.0, 1.0), (70.0, 0.25, 0.75)])
def test_the_horizon_comes_to_lie_where_it_was_in_training(trained, horizon, left, right):
    """Two pictures that differ above and below: the step between them is found again."""
    row = round(horizon * ROWS if horizon <= 1 else horizon)
    picture = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    picture[row:] = 200
    camera = RobotCamera(View(left=left, right=right, horizon=horizon), trained)
    region = camera.apply(picture)
    top, bottom, _, _ = camera.region(ROWS, COLUMNS)
    seen = trained.bottom - trained.top
    # Shape of a pixel: what the policy sees of the view is as high as it is wide.
    assert region.shape[1] * trained.height / trained.width == pytest.approx(
        seen * region.shape[0], abs=1
    )
    found = (row - top) / (bottom - top)
    assert (found - trained.top) / seen == pytest.approx(trained.horizon, abs=1.5 / region.shape[0])
    if trained.horizon > 0:
        bright = trained.apply(region)[:, :, 0].mean(1)
        assert np.argmax(bright > 100) == pytest.approx(trained.horizon * trained.height, abs=1)


def test_a_horizon_needs_room_and_a_policy_that_states_one():
    with pytest.raises(InputError, match="does not say at which row"):
        RobotCamera(View(horizon=0.5), CameraSetup())
    with pytest.raises(
        InputError, match=r"rows -7 to 73 .* has 120 and 160; .* or tilt the camera"
    ):
        RobotCamera(View(horizon=0.11), SETUP).apply(PICTURE)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"top": 0.6, "bottom": 0.4}, "0 <= roi_top < roi_bottom"),
        ({"left": 50.0, "right": 40.0}, "0 <= roi_left < roi_right"),
        ({"left": -1.0}, "0 <= roi_left"),
        ({"horizon": 0.5, "top": 0.2}, "leave roi_top at 0"),
        ({"horizon": -3.0}, "0 or more, or -1"),
        ({"flip": "sideways"}, "none or left_right or up_down or both, got 'sideways'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        View(**change)


def test_a_region_outside_of_the_picture_is_refused_when_a_picture_is_there():
    for view in (View(bottom=121.0), View(left=0.5, right=80.0), View(top=0.001, bottom=0.002)):
        with pytest.raises(InputError, match="upright picture that has 120 and 160"):
            RobotCamera(view, SETUP).apply(PICTURE)


def test_a_calibration_for_another_size_or_none_is_refused():
    with pytest.raises(InputError, match="none has come"):
        RobotCamera(View(undistort=True), SETUP)
    camera = RobotCamera(View(undistort=True), SETUP, calibration())
    with pytest.raises(InputError, match="160 x 120 px, got 160 x 60"):
        camera.apply(PICTURE[:60])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"k": (0.0,) * 9}, "not calibrated"),
        ({"d": (0.1, 0.2)}, "has 0 or 4 or 5 coefficients d, got 2"),
        ({"d": (float("nan"),) * 5}, "finite"),
        ({"width": 0}, "finite numbers and a size"),
        ({"model": "omni"}, "'omni' cannot be undistorted; expected plumb_bob"),
        ({"k": K[:8]}, "9 numbers k, got 8"),
    ],
)
def test_a_camera_info_that_makes_no_sense_is_said_in_one_sentence(change, text):
    with pytest.raises(InputError, match=text):
        calibration(**change)


def message(**changes: object) -> SimpleNamespace:
    roi = SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0)
    entries = {
        "width": COLUMNS,
        "height": ROWS,
        "distortion_model": "plumb_bob",
        "d": list(LENSES["plumb_bob"]),
        "k": np.array(K),
        "r": np.eye(3).ravel(),
        "p": [0.0] * 12,
        "binning_x": 0,
        "binning_y": 1,
        "roi": roi,
    }
    return SimpleNamespace(**{**entries, **changes})


def test_a_calibration_goes_through_json_to_the_bit():
    one = Calibration.of(message(d=[-0.1, 1 / 3, 1e-17, 0.0, 0.0]))
    assert Calibration.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert one.r == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"binning_x": 2},
        {"roi": SimpleNamespace(x_offset=4, y_offset=0, height=100, width=100)},
    ],
)
def test_a_picture_that_the_camera_has_cut_is_refused(change):
    with pytest.raises(InputError, match="binning or a region of interest"):
        Calibration.of(message(**change))


def test_settings_are_read_from_a_nodes_parameters_and_from_older_ones_that_lack_them():
    told = {"roi_top": 0.2, "roi_right": 90.0, "flip": "both", "undistort": True, "speed": 1.0}
    assert View.of(told) == View(top=0.2, right=90.0, flip="both", undistort=True)
    assert View.of({"speed": 1.0}) == View()


LENGTHS = st.one_of(st.floats(0, 1), st.floats(0, 200))


@given(
    st.tuples(LENGTHS, LENGTHS, LENGTHS, LENGTHS),
    st.one_of(st.just(-1.0), LENGTHS),
    st.sampled_from(["none", "left_right", "up_down", "both"]),
    st.booleans(),
    st.tuples(st.integers(1, 130), st.integers(1, 170)),
)
def test_a_view_shows_its_region_or_says_why_not(sides, horizon, flip, undistort, size):
    image = np.zeros((*size, 3), np.uint8)
    lens = calibration(width=size[1], height=size[0]) if undistort else None
    try:
        camera = RobotCamera(View(*sides, horizon, flip, undistort), SETUP, lens)
        shown = camera.apply(image)
    except InputError:
        return
    top, bottom, left, right = camera.region(*size)
    assert shown.shape == (bottom - top, right - left, 3)
    assert SETUP.apply(shown).shape == (20, 40, 3)
