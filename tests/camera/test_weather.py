"""Rain, snow, drops, headlights and a low sun in front of a camera."""

import numpy as np
import pytest

from liquid_control.camera import Headlights, LensDrops, Precipitation, glare, intrinsics
from liquid_control.errors import InputError

CAMERA = intrinsics(200, 78, np.deg2rad(37))
GREY = np.full((78, 200, 3), 90, np.uint8)
PITCH, HEIGHT = np.deg2rad(9), 1.35


def run(effect, count=5, frame=GREY, **motion):
    return np.array([effect.apply(frame, **motion) for _ in range(count)])


@pytest.fixture(params=["rain", "snow"])
def kind(request):
    return request.param


def test_where_nothing_falls_the_frame_itself_is_seen(kind):
    assert Precipitation(kind, 0.0, CAMERA, np.random.default_rng(0)).apply(GREY) is GREY
    assert LensDrops(0.0, 200, 78, np.random.default_rng(0)).apply(GREY) is GREY


def test_precipitation_repeats_with_its_seed_and_leaves_the_frame(kind):
    before = GREY.copy()
    first = run(Precipitation(kind, 0.7, CAMERA, np.random.default_rng(1)), speed=8.0)
    assert np.array_equal(GREY, before)
    again = Precipitation(kind, 0.7, CAMERA, np.random.default_rng(1))
    assert np.array_equal(first, run(again, speed=8.0))
    again.reset(np.random.default_rng(2))
    assert not np.array_equal(first, run(again, speed=8.0))


def test_more_of_it_covers_more_and_all_of_it_is_bright(kind):
    covers = []
    for amount in (0.1, 0.4, 1.0):
        seen = run(Precipitation(kind, amount, CAMERA, np.random.default_rng(1)))
        assert seen.min() >= 89
        covers.append((seen > 95).mean())
    assert 0.001 < covers[0] < covers[1] < covers[2] < 0.25


def test_every_frame_shows_other_drops_and_as_many(kind):
    effect = Precipitation(kind, 0.6, CAMERA, np.random.default_rng(1))
    frames = run(effect, 300, speed=10.0)
    assert (frames[1:] != frames[:-1]).any((1, 2, 3)).all()
    covers = (frames > 95).mean((1, 2, 3))
    assert covers[-100:].mean() == pytest.approx(covers[:100].mean(), rel=0.4)


def test_rain_streaks_run_down_and_not_across():
    seen = run(Precipitation("rain", 1.0, CAMERA, np.random.default_rng(1)), 20)[..., 0]
    seen = seen.astype(float)
    assert np.abs(np.diff(seen, axis=1)).mean() < 0.8 * np.abs(np.diff(seen, axis=2)).mean()


def test_drops_come_one_by_one_and_the_wiper_takes_them_away():
    ramp = np.tile(np.linspace(40, 220, 200).astype(np.uint8)[None, :, None], (78, 1, 3))
    drops = LensDrops(1.0, 200, 78, np.random.default_rng(0))
    changed = (run(drops, 150, ramp) != ramp).any(-1).mean((1, 2))
    jumps = np.flatnonzero(np.diff(changed) < -0.02)
    assert len(jumps) in (2, 3)  # in 5 s
    assert np.diff(jumps).min() == 60
    wiped = jumps[0] + 1
    assert changed[wiped] < 0.2 * changed[jumps[1]]
    assert (np.diff(changed[wiped : jumps[1] + 1]) >= -0.003).all()
    assert 0.01 < changed.max() < 0.5


def test_drops_repeat_with_their_seed():
    first, again = (
        run(LensDrops(0.8, 200, 78, np.random.default_rng(4)), 70, noisy) for noisy in [noise()] * 2
    )
    assert np.array_equal(first, again)


def noise():
    return np.random.default_rng(0).integers(0, 256, (78, 200, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (320, 240)])
def test_any_size_of_frame_will_do(size, kind):
    width, height = size
    frame = np.full((height, width, 3), 90, np.uint8)
    camera = intrinsics(width, height, 1.0)
    for effect in (
        Precipitation(kind, 1.0, camera, np.random.default_rng(0)),
        LensDrops(1.0, width, height, np.random.default_rng(0)),
        Headlights(camera, PITCH, HEIGHT),
    ):
        assert run(effect, 40, frame).shape == (40, height, width, 3)
    assert glare(frame, camera, 0.1, 0.1).shape == frame.shape


def row_at(distance):
    """Row of the image in which level ground at a distance [m] is seen."""
    return round(CAMERA.cy + CAMERA.fy * np.tan(np.arctan2(HEIGHT, distance) - PITCH))


def test_headlights_show_the_road_ahead_and_leave_the_sky_dark():
    lights = Headlights(CAMERA, PITCH, HEIGHT, reach=25.0)
    mask = lights.mask
    assert mask.shape == (78, 200)
    assert mask.min() >= 0
    assert 0.8 < mask.max() <= 1
    middle = mask[:, 98:102].mean(1)
    assert middle[row_at(25)] == pytest.approx(0.25, abs=0.1)
    assert middle[row_at(8)] > middle[row_at(15)] > middle[row_at(25)] > middle[row_at(60)]
    assert middle[:10].max() < 0.06
    night = lights.apply(np.full((78, 200, 3), 200, np.uint8))
    assert night.max() <= 200
    assert night[:8].max() <= 0.07 * 200
    assert night[row_at(8), 100, 0] > 100


def test_low_beams_reach_further_at_the_kerb_than_toward_who_comes():
    mask = Headlights(CAMERA, PITCH, HEIGHT).mask
    horizon = row_at(1e6)
    assert mask[horizon, 105:125].mean() > 1.5 * mask[horizon, 75:95].mean()


def test_headlights_of_a_model_car_are_those_of_a_car_a_tenth_as_large():
    full = Headlights(CAMERA, PITCH, HEIGHT, reach=25.0)
    small = Headlights(CAMERA, PITCH, HEIGHT / 10, reach=2.5, scale=0.1)
    assert np.allclose(full.mask, small.mask, atol=1e-5)


def test_the_sun_is_brightest_where_it_stands():
    azimuth, elevation = 0.25, 0.15
    seen = glare(GREY, CAMERA, azimuth, elevation).astype(int)
    row, column = np.unravel_index(seen.sum(-1).argmax(), seen.shape[:2])
    assert column < 100  # to the left
    assert row < 39  # above
    sun = CAMERA.cx - CAMERA.fx * np.tan(azimuth)
    light = (seen - 90).sum((0, 2))
    assert abs((light[:140] * np.arange(140)).sum() / light[:140].sum() - sun) < 12
    assert (seen >= 90).all()
    assert seen[-1, -1, 0] > 90  # a veil everywhere
    assert (glare(GREY, CAMERA, azimuth, elevation, 0.3) <= seen).all()


def test_a_sun_that_does_not_shine_into_the_lens_changes_nothing():
    assert glare(GREY, CAMERA, np.pi, 0.2) is GREY
    assert glare(GREY, CAMERA, 0.0, 0.2, strength=0.0) is GREY


@pytest.mark.parametrize(
    "make",
    [
        lambda: Precipitation("hail", 0.5, CAMERA, np.random.default_rng(0)),
        lambda: Precipitation("rain", 1.5, CAMERA, np.random.default_rng(0)),
        lambda: LensDrops(-0.1, 200, 78, np.random.default_rng(0)),
        lambda: Headlights(CAMERA, PITCH, 0.0),
    ],
)
def test_impossible_weather_is_refused(make):
    with pytest.raises(InputError, match="got"):
        make()
