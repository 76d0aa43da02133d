"""Varied windows: the picture and the command change together, and by the seed alone."""

import math

import numpy as np
import pytest

from liquid_control.camera import Viewpoint, cut_out, intrinsics, other_colours, recolour, shaken
from liquid_control.rollout import make_world
from liquid_control.training.augment import Augmenter
from liquid_control.training.recipe import Augmentation, Recipe

FULL = Augmentation(
    noise=0.2,
    gamma=0.5,
    shadow=0.8,
    tree_shadow=0.8,
    mirror=0.5,
    season=0.4,
    colours=0.5,
    shake=0.1,
    cut_out=0.5,
    shift=0.5,
    yaw=0.1,
)


def varied(settings, frames, labels, outputs=("curvature",), epoch=0, group=0, item=0):
    recipe = Recipe(("x",), "m", outputs=outputs, augmentation=settings)
    return Augmenter(recipe)(frames, labels, epoch, group, item)


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 255, (3, 78, 200, 3), np.uint8)


def test_mirroring_turns_the_picture_and_what_is_lateral_of_the_command(frames):
    labels = np.ones((3, 4), np.float32)
    names = ("vx", "vy", "vz", "yaw_rate")
    seen, said = varied(Augmentation(mirror=1.0), frames, labels, names)
    assert np.array_equal(seen, frames[:, :, ::-1])
    assert np.array_equal(said[0], [1, -1, 1, -1])
    assert labels.min() == 1


def test_augmentation_of_nothing_is_nothing(frames):
    labels = np.zeros((3, 1), np.float32)
    seen, said = varied(Augmentation(), frames, labels)
    assert np.array_equal(seen, frames)
    assert said is labels


def test_what_is_drawn_depends_on_seed_epoch_and_window_alone(frames):
    labels = np.zeros((3, 1), np.float32)
    first, second = varied(FULL, frames, labels, item=5), varied(FULL, frames, labels, item=5)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    others = [varied(FULL, frames, labels, epoch=1), varied(FULL, frames, labels, group=1)]
    assert not any(np.array_equal(first[0], other[0]) for other in others)


def test_a_shaken_camera_moves_the_picture_of_a_window_alike_and_leaves_the_command():
    frames = np.zeros((2, 60, 90, 3), np.uint8)
    frames[:, 20:24, 40:44] = 255
    assert np.array_equal(shaken(frames, 0.0, 1.0, 0.0), frames)
    lower = shaken(frames, 0.0, 1.0, 0.25)
    assert np.array_equal(lower[:, 15:], frames[:, :45])
    bright = np.argwhere(shaken(frames, 0.3, 1.0, 0.0)[0, :, :, 0] > 128).mean(0)
    # Left of the middle turns up and right.
    assert bright[0] < 21.5
    assert bright[1] > 41.5
    labels = np.array([[0.02], [0.03]], np.float32)
    moved = 0
    for group in range(12):
        seen, said = varied(Augmentation(shake=0.1), frames, labels, group=group)
        assert np.array_equal(seen[0], seen[1])
        assert np.array_equal(said, labels)
        moved += not np.array_equal(seen, frames)
    assert 2 <= moved <= 10


def test_other_colours_keep_shapes_alone():
    frames = np.full((2, 8, 10, 3), (10, 200, 30), np.uint8)
    frames[:, 2:5, 3:7] = (90, 90, 90)
    distances = []
    for seed in range(20):
        changed = other_colours(frames, np.random.default_rng(seed))
        inside, outside = changed[0, 3, 4], changed[0, 0, 0]
        assert (changed[:, 2:5, 3:7] == inside).all()
        assert (changed[:, :2] == outside).all()
        distances.append(np.abs(inside.astype(int) - outside).max())
    assert np.median(distances) > 40
    again = other_colours(frames, np.random.default_rng(19))
    assert np.array_equal(again, changed)


def test_a_panel_stays_as_it_is(frames):
    settings = Augmentation(noise=0.3, gamma=0.5, colours=1.0, cut_out=1.0, panel=0.25)
    for group in range(4):
        seen, _ = varied(settings, frames, np.zeros((3, 1), np.float32), group=group)
        panel = round(0.75 * 78) - 1
        assert np.array_equal(seen[:, panel + 1 :], frames[:, panel + 1 :])
        assert (seen[:, :panel] != frames[:, :panel]).mean() > 0.9


def test_windows_of_one_group_are_moved_alike(frames):
    labels = np.zeros((3, 1), np.float32)
    settings = Augmentation(shift=0.5, yaw=0.1)
    for group in range(8):
        first, second = (
            varied(settings, frames, labels, group=group, item=item) for item in (1, 2)
        )
        assert np.array_equal(first[1], second[1])
        assert np.array_equal(first[0], second[0])


def test_a_label_leads_back_to_the_path():
    """Driven along the corrected arc, the vehicle meets the old path at the distance asked for."""
    frames = np.zeros((1, 78, 200, 3), np.uint8)
    curvature, distance = 0.01, 12.0
    labels = np.full((1, 1), curvature, np.float32)
    changed = 0
    for group in range(30):
        settings = Augmentation(shift=0.5, yaw=0.05, recovery=distance)
        rng = np.random.default_rng([0, 0, group, 0])
        moved = rng.random() >= 0.5
        left, yaw = rng.uniform(-1, 1, 2) * (0.5, 0.05)
        _, ((corrected,),) = varied(settings, frames, labels, group=group)
        if not moved:
            assert corrected == np.float32(curvature)
            continue
        changed += 1
        there = left + yaw * distance + corrected * distance**2 / 2
        assert there == pytest.approx(curvature * distance**2 / 2, abs=1e-6)
    assert 5 < changed < 25


@pytest.mark.parametrize(("side", "yaw"), [(0.5, 0.0), (-0.5, 0.0), (0.0, 2.0), (0.4, 1.5)])
def test_a_moved_frame_is_what_a_moved_camera_sees(side, yaw):
    env = make_world("liquid_control/Driving-v1")
    options = {"season": "summer", "weather": "clear", "daytime": "day", "start": 0.1}
    middle, _ = env.reset(seed=3, options=options)
    moved, _ = env.reset(seed=3, options=options | {"camera_side": side, "camera_yaw": yaw})
    env.close()
    camera = intrinsics(200, 78, math.radians(37))
    viewpoint = Viewpoint(camera, math.radians(9), 1.35)

    def error(frame):
        return np.abs(frame.astype(float) - moved)[20:, 15:-15].mean()

    assert error(viewpoint.apply(middle, side, math.radians(yaw))) < 0.3 * error(middle)
    assert error(viewpoint.apply(middle, -side, -math.radians(yaw))) > error(middle)


def test_a_viewpoint_that_does_not_move_changes_nothing(frames):
    camera = intrinsics(200, 78, math.radians(37))
    viewpoint = Viewpoint(camera, math.radians(9), 1.35)
    assert viewpoint.apply(frames, 0.0, 0.0) is frames
    nearly = viewpoint.apply(frames, 0.0, 1e-9).astype(int)
    assert np.abs(nearly - frames).max() <= 1


def test_colours_turn_around_grey(frames):
    grey = np.full((2, 5, 5, 3), 120, np.uint8)
    assert np.array_equal(recolour(grey, 1.0, 0.3, 0.0), grey)
    assert np.abs(recolour(frames, 0.0, 1.0, 0.0).astype(int) - frames).max() <= 1
    bleached = recolour(frames, 0.0, 0.0, 0.0).astype(int)
    assert np.abs(bleached - bleached.mean(-1, keepdims=True)).max() <= 1
    warm = recolour(grey, 0.0, 1.0, 1.0)[0, 0, 0]
    assert warm[0] > 120 > warm[2]


def test_a_cut_out_covers_its_rectangle_alone(frames):
    covered = cut_out(frames, 10, 20, 5, 30, 77)
    assert (covered[:, 10:15, 20:50] == 77).all()
    untouched = np.ones(frames.shape, bool)
    untouched[:, 10:15, 20:50] = False
    assert np.array_equal(covered[untouched], frames[untouched])


def test_what_looks_farther_away_is_smaller_and_turns_less():
    labels = np.tile(np.array([2.0, 0.3, -0.1, 0.6], np.float32), (3, 1))
    names = ("vx", "vy", "vz", "yaw_rate")
    frames = np.zeros((3, 78, 200, 3), np.uint8)
    frames[:, 34:44, 150:160] = 255  # 10 px high, 50 to 60 px off the middle, on the horizon
    for group in range(6):
        seen, said = varied(Augmentation(afar=1.0), frames, labels, names, group=group)
        factor = labels[0, 1] / said[0, 1]
        assert 1 <= factor <= 2
        assert said[0] == pytest.approx([2.0, 0.3 / factor, -0.1, 0.6 / factor])
        rows, columns = np.nonzero(seen[0, :, :180, 0] > 127)
        assert np.ptp(rows) + 1 == pytest.approx(10 / factor, abs=1.1)
        assert columns.mean() - 99.5 == pytest.approx(55 / factor, abs=1.5)
        assert rows.mean() == pytest.approx(38.5, abs=1)
    assert factor > 1
    labels[1, 0] = 1.0  # It slows down.
    for group in range(6):
        seen, said = varied(Augmentation(afar=1.0), frames, labels, names, group=group)
        assert seen is frames
        assert said is labels


def test_shadows_of_trees_lie_on_the_way_below_the_horizon_and_leave_the_command(frames):
    bright = np.full_like(frames, 200)
    labels = np.full((3, 1), 0.02, np.float32)
    found = []
    for group in range(40):
        seen, said = varied(Augmentation(tree_shadow=0.8), bright, labels, group=group)
        assert np.array_equal(said, labels)
        found.append((seen < 200).any((0, 3)))
    dark = np.mean(found, axis=0)
    horizon = round(38.5 - 39 / math.tan(math.radians(18.5)) * math.tan(math.radians(9)))
    assert dark[: horizon - 1].max() == 0
    # Half of the windows have some, and in the middle of the way, where they mislead.
    assert 0.3 < np.mean([each.any() for each in found]) < 0.7
    assert dark[horizon + 8 : 60, 80:120].mean() > 0.1
