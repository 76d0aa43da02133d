"""What a camera does to its frames: each effect by what it is meant to do."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.camera import CameraEffects, CameraPipeline, gaussian, intrinsics
from liquid_control.errors import InputError

CAMERA = intrinsics(200, 78, np.deg2rad(37))
ALL = CameraEffects(
    exposure=0.4,
    gamma=1.1,
    auto_exposure=0.5,
    white_balance=0.2,
    motion_blur=0.5,
    defocus=0.7,
    dirt=0.5,
    vignette=0.4,
    noise=0.003,
    jpeg=60,
    dropped=0.2,
    late=1,
    jitter=2,
)


def scene(seed=0, rows=78, columns=200):
    """A smooth picture with something in it everywhere."""
    small = np.random.default_rng(seed).integers(40, 216, (rows // 8, columns // 8, 3))
    return cv2.resize(small.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_CUBIC)


def pipeline(seed=0, **effects):
    return CameraPipeline(
        CameraEffects(**effects), np.random.default_rng(seed), CAMERA, np.deg2rad(9), 1.35
    )


def numbered(count):
    """Frames that tell by their grey which one they are."""
    return [np.full((8, 16, 3), index, np.uint8) for index in range(count)]


def test_a_perfect_camera_returns_the_frame_itself():
    frame = scene()
    assert pipeline().apply(frame, yaw_rate=1.0, speed=9.0) is frame


def test_effects_survive_json():
    again = CameraEffects.from_dict(json.loads(json.dumps(ALL.to_dict())))
    assert again == ALL
    assert CameraEffects.from_dict({}) == CameraEffects()
    assert CameraEffects(noise=np.float32(0.5)).to_dict()["noise"] == 0.5


def test_an_unknown_effect_is_refused_with_the_nearest_first():
    with pytest.raises(InputError, match=r"no camera effect 'blur'; those there are: motion_blur"):
        CameraEffects.from_dict({"blur": 0.5})


@pytest.mark.parametrize(
    "values",
    [
        {"exposure": 9},
        {"gamma": 0},
        {"auto_exposure": -1},
        {"white_balance": np.nan},
        {"motion_blur": 1.1},
        {"defocus": -0.1},
        {"dirt": 2},
        {"vignette": "much"},
        {"noise": -0.1},
        {"jpeg": 50.5},
        {"dropped": None},
        {"late": -1},
        {"jitter": True},
    ],
)
def test_effects_out_of_range_are_refused(values):
    (name,) = values
    with pytest.raises(InputError, match=f"{name}.*from"):
        CameraEffects(**values)


def test_the_same_seed_repeats_to_the_bit_also_after_a_reset():
    frames = [scene(seed) for seed in range(12)]

    def run(camera):
        return [camera.apply(frame, 0.3, 1 / 30, 8.0) for frame in frames]

    camera = CameraPipeline(ALL, np.random.default_rng(3), CAMERA)
    first = np.array(run(camera))
    camera.reset(np.random.default_rng(3))
    assert np.array_equal(first, run(camera))
    assert np.array_equal(first, run(CameraPipeline(ALL, np.random.default_rng(3), CAMERA)))
    camera.reset(np.random.default_rng(4))
    assert not np.array_equal(first, run(camera))


@settings(deadline=None, max_examples=40)
@given(
    effects=st.builds(
        CameraEffects,
        exposure=st.floats(-6, 6),
        gamma=st.floats(0.2, 5),
        auto_exposure=st.floats(0, 10),
        white_balance=st.floats(-1, 1),
        motion_blur=st.floats(0, 1),
        defocus=st.floats(0, 20),
        dirt=st.floats(0, 1),
        vignette=st.floats(0, 1),
        noise=st.floats(0, 1),
        jpeg=st.integers(0, 100),
        dropped=st.floats(0, 1),
        late=st.integers(0, 5),
        jitter=st.integers(0, 5),
    ),
    rows=st.integers(1, 60),
    columns=st.integers(1, 60),
    yaw_rate=st.floats(-20, 20),
    speed=st.floats(-40, 40),
)
def test_any_effects_give_a_frame_of_the_same_kind_and_leave_the_given_one(
    effects, rows, columns, yaw_rate, speed
):
    camera = CameraPipeline(effects, np.random.default_rng(0))
    frame = np.random.default_rng(1).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    before = frame.copy()
    for _ in range(3):
        seen = camera.apply(frame, yaw_rate, 1 / 30, speed)
        assert (seen.shape, seen.dtype) == (frame.shape, np.uint8)
    assert np.array_equal(frame, before)


def test_a_stop_doubles_the_light():
    grey = np.full((8, 8, 3), 100, np.uint8)
    brighter = pipeline(exposure=1.0).apply(grey)
    assert ((brighter / 255) ** 2.2).mean() == pytest.approx(2 * (100 / 255) ** 2.2, rel=0.02)
    assert pipeline(exposure=-6.0).apply(grey).max() < 20


def test_gamma_is_the_exponent_of_the_brightness():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    expected = np.rint(255 * (np.arange(256) / 255) ** 1.7)
    assert np.array_equal(pipeline(gamma=1.7).apply(ramp)[0, :, 0], expected)


def test_white_balance_goes_to_red_and_to_blue():
    grey = np.full((8, 8, 3), 120, np.uint8)
    for value, order in ((0.7, 1), (-0.7, -1)):
        red, green, blue = pipeline(white_balance=value).apply(grey)[0, 0].astype(int)
        assert order * red > order * green > order * blue


def test_automatic_exposure_adapts_with_its_time_constant():
    camera = pipeline(auto_exposure=0.4)
    bright, dark = np.full((8, 8, 3), 140, np.uint8), np.full((8, 8, 3), 70, np.uint8)
    assert camera.apply(bright).mean() / 255 == pytest.approx(0.42, abs=0.01)
    means = [camera.apply(dark, seconds=0.1).mean() for _ in range(40)]
    assert means[-1] / 255 == pytest.approx(0.42, abs=0.01)
    assert means[0] < 65 + 20
    # After one time constant 63 % of the way is done, in stops.
    stops = np.log2(means)
    start = np.log2(0.42 * 255 * 70 / 140)
    assert (stops[3] - start) / (stops[-1] - start) == pytest.approx(1 - np.exp(-1), abs=0.04)


def streak(frame, axis):
    """Standard deviation [px] of where the light of a frame is, along an axis."""
    light = frame[..., 1].astype(float).sum(1 - axis)
    place = np.arange(len(light))
    mean = (light * place).sum() / light.sum()
    return np.sqrt((light * (place - mean) ** 2).sum() / light.sum())


def dot(row, column):
    frame = np.zeros((78, 200, 3), np.uint8)
    frame[row - 1 : row + 2, column - 1 : column + 2] = 255
    return frame


@pytest.mark.parametrize("yaw_rate", [2.0, -2.0])
def test_turning_smears_sideways_by_what_was_turned_while_the_shutter_was_open(yaw_rate):
    plain = dot(30, 100)
    seen = pipeline(motion_blur=0.5).apply(plain, yaw_rate=yaw_rate)
    length = CAMERA.fx * 2.0 * 0.5 / 30  # [px]; a box of that length has a deviation of L / sqrt 12
    grown = np.sqrt(streak(seen, 1) ** 2 - streak(plain, 1) ** 2)
    assert grown == pytest.approx(length / np.sqrt(12), rel=0.2)
    assert streak(seen, 0) == pytest.approx(streak(plain, 0), abs=0.1)


def test_driving_smears_the_near_ground_lengthwise_and_leaves_the_sky():
    camera = pipeline(motion_blur=1.0)
    sky, ground = dot(8, 60), dot(66, 100)
    assert np.array_equal(camera.apply(sky, speed=12.0), sky)
    seen = camera.apply(ground, speed=12.0)
    # The ground below this pixel comes nearer by 0.4 m in 1/30 s.
    y = (66 - CAMERA.cy) / CAMERA.fy
    pitch = np.deg2rad(9)
    distance = 1.35 / np.tan(pitch + np.arctan(y))

    def row(away):
        return CAMERA.fy * np.tan(np.arctan2(1.35, away) - pitch)

    length = row(distance - 0.2) - row(distance + 0.2)
    grown = np.sqrt(streak(seen, 0) ** 2 - streak(ground, 0) ** 2)
    assert grown == pytest.approx(length / np.sqrt(12), rel=0.25)
    assert streak(seen, 1) < streak(ground, 1) + 0.2


def test_standing_still_smears_nothing():
    frame = scene()
    assert np.array_equal(pipeline(motion_blur=1.0).apply(frame), frame)


def test_defocus_spreads_a_point_by_its_deviation():
    seen = pipeline(defocus=2.0).apply(dot(40, 100))
    assert streak(seen, 0) == pytest.approx(np.hypot(2.0, np.sqrt(2 / 3)), rel=0.05)


def test_a_vignette_takes_its_share_of_the_corners_and_nothing_of_the_middle():
    white = np.full((79, 201, 3), 200, np.uint8)
    seen = pipeline(vignette=0.5).apply(white)
    assert seen[39, 100, 0] == 200
    assert seen[0, 0, 0] == pytest.approx(100, abs=1)
    assert (np.diff(seen[39, 100:, 0].astype(int)) <= 0).all()


def test_dirt_stays_until_the_reset():
    camera = pipeline(dirt=0.8)
    white, black = np.full((78, 200, 3), 220, np.uint8), np.zeros((78, 200, 3), np.uint8)
    first = camera.apply(white)
    assert np.array_equal(camera.apply(white), first)
    dirty = first[..., 0] < 200
    assert 0.01 < dirty.mean() < 0.6
    assert (camera.apply(black)[dirty] > 0).all()
    camera.reset(np.random.default_rng(9))
    assert not np.array_equal(camera.apply(white), first)


def test_noise_is_that_of_the_paper():
    frame, rng = np.full((78, 200, 3), 128, np.uint8), np.random.default_rng(2)
    camera = CameraPipeline(CameraEffects(noise=0.003), rng)
    rest = np.random.default_rng()
    rest.bit_generator.state = rng.bit_generator.state
    assert np.array_equal(camera.apply(frame), gaussian(frame, 0.003, rest))


def test_jpeg_loses_the_more_the_lower_its_quality():
    frame = scene()
    errors = [
        np.abs(pipeline(jpeg=quality).apply(frame).astype(int) - frame).mean()
        for quality in (95, 50, 5)
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 40
    # Colours stay what they are: red is no blue.
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(pipeline(jpeg=90).apply(red).astype(int) - red).max() < 10


def test_of_dropped_frames_the_one_before_is_seen_again():
    camera = pipeline(dropped=0.3)
    seen = [int(camera.apply(frame)[0, 0, 0]) for frame in numbered(250)]
    assert seen[0] == 0
    fresh = np.array(seen) == np.arange(250)
    assert 0.2 < 1 - fresh.mean() < 0.4
    for index in np.flatnonzero(~fresh):
        assert seen[index] == seen[index - 1]


def test_late_frames_are_those_from_before():
    camera = pipeline(late=3)
    seen = [int(camera.apply(frame)[0, 0, 0]) for frame in numbered(10)]
    assert seen == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]


def test_jitter_delays_by_up_to_its_frames_and_keeps_their_order():
    camera = pipeline(late=1, jitter=3)
    seen = np.array([int(camera.apply(frame)[0, 0, 0]) for frame in numbered(200)])
    lags = (np.arange(200) - seen)[4:]
    assert set(lags) == {1, 2, 3, 4}
    assert (np.diff(seen) >= 0).all()


def test_a_buffer_that_is_used_again_does_not_change_late_frames():
    camera, buffer, seen = pipeline(late=1), np.zeros((8, 16, 3), np.uint8), []
    for index in range(5):
        buffer[:] = index
        seen.append(int(camera.apply(buffer)[0, 0, 0]))
    assert seen == [0, 0, 1, 2, 3]


def test_images_of_another_kind_or_size_are_refused():
    with pytest.raises(InputError, match="uint8 RGB"):
        pipeline(noise=0.1).apply(np.zeros((78, 200), np.uint8))
    with pytest.raises(InputError, match="200 x 78 px, got 64 x 48"):
        pipeline(motion_blur=0.5).apply(np.zeros((48, 64, 3), np.uint8))
