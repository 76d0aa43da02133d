"""The zero-shot variants change the pixels that they are meant to change, and nothing else."""

import cv2
import numpy as np
import pytest

from liquid_control.envs.car_racing import CarRacingEnv
from liquid_control.envs.car_racing.variants import VARIANTS, colour_shift, noise

STEPS = 70  # from the start into the first bend, past the zoom of the first second
PANEL = 84  # [px], the first row of the indicators


@pytest.fixture(scope="module")
def drive():
    """What the expert sees at the end of `steps` steps, and what happened until then."""
    env = CarRacingEnv(render_mode="rgb_array")
    known = {}

    def drive(seed=2, steps=STEPS, anew=False, **options):
        key = (seed, steps, *sorted(options.items()))
        if anew or key not in known:
            env.reset(seed=seed, options=options)
            happened = []
            for _ in range(steps):
                frame, *rest = env.step(env.expert_action())
                happened.append(rest)
            known[key] = frame.astype(int), env.render().astype(int), happened
        return known[key]

    yield drive
    env.close()


def parts(frame):
    """Masks (96, 96) of road, field, patches, a pixel away from any edge, and of pure red."""
    red, green, blue = np.moveaxis(frame, -1, 0)
    grey = (abs(red - green) < 2) & (abs(green - blue) < 2) & (red > 95) & (red < 110)
    field = (abs(red - 101) < 3) & (abs(green - 203) < 3)
    patch = (abs(red - 101) < 3) & (abs(green - 229) < 3)
    inner = [
        cv2.erode(part.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
        for part in (grey, field, patch)
    ]
    return (*inner, (red > 198) & (green < 2) & (blue < 2))


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"plain"}))
def test_physics_and_rewards_are_those_of_the_plain_world(drive, variant):
    frame, picture, happened = drive(variant=variant)
    assert happened == drive()[2]
    assert not np.array_equal(frame, drive()[0])
    assert not np.array_equal(picture, drive()[1])
    assert np.array_equal(frame[PANEL + 1 :], drive()[0][PANEL + 1 :]), "the indicators stay"


@pytest.mark.parametrize("variant", ["color", "color3"])
def test_colours_of_road_and_field_change_and_nothing_else(drive, variant):
    road, field, patch, red = parts(drive()[0])
    assert min(part.sum() for part in (road, field, patch, red)) > 8
    change = (drive(variant=variant)[0] - drive()[0])[:PANEL]
    road, field, patch, red = (part[:PANEL] for part in (road, field, patch, red))
    assert not change[patch].any()
    assert np.median(abs(change[red]).max(-1)) == 0, "car and kerbs stay, but for their edges"
    for part in (road, field):
        shift = change[part]
        assert np.ptp(shift, axis=0).max() <= 2, "one colour for all of it, but for rounding"
        assert 0 < abs(shift.mean(0)).max() <= 0.2 * 255 + 1
        assert (np.ptp(shift.mean(0)) < 1.5) == (variant == "color")


def test_colours_come_from_the_seed(drive):
    first = drive(seed=1, steps=3, variant="color3")[1]
    other = drive(seed=2, steps=3, variant="color3")[1]
    assert np.array_equal(drive(seed=1, steps=3, variant="color3", anew=True)[1], first)
    assert not np.array_equal(first, other)


def test_shifts_fill_their_interval():
    rng = np.random.default_rng(0)
    for variant, free in (("color", 1), ("color3", 3)):
        shifts = np.array([colour_shift(variant, rng) for _ in range(500)])
        assert shifts.shape == (500, 2, 3)
        assert len(np.unique(shifts[0])) == 2 * free
        assert abs(shifts).max() <= 51
        assert shifts.min() < -48
        assert shifts.max() > 48
        assert abs(np.corrcoef(shifts[:, 0, 0], shifts[:, 1, 0])[0, 1]) < 0.15


def test_bars_are_black_and_as_wide_as_in_the_paper(drive):
    frame, picture, _ = drive(variant="bar")
    changed = (frame != drive()[0]).any((0, 2))
    # 75 of 1000 px are 7.2 of 96.
    assert changed[:7].all()
    assert changed[-7:].all()
    assert not changed[8:-8].any()
    assert frame[:PANEL, :7].max() == frame[:PANEL, -7:].max() == 0
    assert picture[:350, :44].max() == picture[:350, -44:].max() == 0
    assert np.array_equal(picture[:, 46:-46], drive()[1][:, 46:-46])


def test_the_blob_is_red_and_stays_at_its_place_beside_the_car(drive):
    places = set()
    for steps in (STEPS - 10, STEPS):
        frame = drive(steps=steps, variant="blob")[0]
        before = drive(steps=steps)[0]
        changed = (frame != before).any(-1)
        rows, columns = np.nonzero(changed)
        places.add((rows.min(), rows.max(), columns.min(), columns.max()))
        core = frame[rows.min() + 2 : rows.max() - 1, columns.min() + 2 : columns.max() - 1]
        assert abs(core - (202, 0, 0)).max() <= 3
    assert len(places) == 1
    top, bottom, left, right = places.pop()
    # 8 m at 16.2 window px a metre: 12.4 x 15.6 px of the frame; above and to the right of the car.
    assert right - left == pytest.approx(12.4, abs=2)
    assert bottom - top == pytest.approx(15.6, abs=2)
    assert left > 52
    assert bottom < 70


def test_noise_replaces_the_field_alone(drive):
    frame = drive(variant="noise")[0]
    road, field, patch, _ = parts(drive()[0])
    changed = (frame != drive()[0]).any(-1)
    assert changed[field | patch].mean() > 0.999
    assert not changed[road].any()
    assert not changed[PANEL:].any()
    was = drive()[0][changed]
    assert (abs(was[:, ::2] - 101) <= 3).all(), "nothing but field and patches"
    assert (abs(was[:, 1] - 216) <= 16).all()
    values = frame[field]
    assert abs(values.mean() - 127.5) < 5
    assert abs(values.std() - 73.9) < 3
    assert abs(np.corrcoef(values[:, 0], values[:, 1])[0, 1]) < 0.05


def test_noise_is_new_in_each_frame_and_comes_from_the_seed():
    env = CarRacingEnv(render_mode="rgb_array", variant="noise")
    frames = []
    for _ in range(2):
        env.reset(seed=3)
        frames.append([env.step(np.zeros(3))[0] for _ in range(3)])
        assert np.array_equal(env.render(), env.render())
    assert np.array_equal(*frames)
    first, second = frames[0][1:]
    assert (first != second).any(-1).mean() > 0.2
    env.close()


def test_noise_leaves_other_colours_alone():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:20] = (100, 202, 100)
    picture[20:] = (102, 102, 102)
    colours = (np.array([102, 204, 102]), np.array([102, 230, 102]))
    noisy = noise(picture, colours, np.random.default_rng(0))
    assert np.array_equal(noisy[20:], picture[20:])
    assert (noisy[:20] != picture[:20]).any(-1).all()


def test_a_variant_goes_with_random_colours(drive):
    plain = drive(steps=25, domain_randomize=True)
    noisy = drive(steps=25, domain_randomize=True, variant="noise")
    assert noisy[2] == plain[2]
    assert (noisy[0] != plain[0]).any(-1)[:PANEL].mean() > 0.4
    assert np.array_equal(noisy[0][74, 47:49], plain[0][74, 47:49]), "the car"
