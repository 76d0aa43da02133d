"""Shadows of trees lie on the ground where geometry puts them."""

import math

import numpy as np
import pytest

from liquid_control.camera import GroundShadows, TreeShadow, intrinsics

HEIGHT = 1.4


@pytest.fixture
def ground():
    return GroundShadows(intrinsics(200, 80, math.radians(40)), 0.0, HEIGHT)


def rows_of(seen: np.ndarray) -> np.ndarray:
    return np.flatnonzero((seen < 200).any((1, 2)))


def test_a_shadow_across_the_way_lies_where_a_level_camera_sees_its_distance(ground):
    frames = np.full((1, 80, 200, 3), 200, np.uint8)
    across = TreeShadow(6.0, 4.0, -math.pi / 2, 8.0, 2.0, widest=0.5, tip=1.0)
    seen = ground.cast(frames, [across], 0.75)
    assert set(np.unique(seen)) == {50, 200}
    camera = ground.camera
    # Where it is widest, it reaches from 5 to 7 m ahead.
    nearest, farthest = (camera.cy + camera.fy * HEIGHT / ahead for ahead in (5.0, 7.0))
    rows = rows_of(seen[0])
    assert abs(rows[-1] - nearest) <= 1
    assert abs(rows[0] - farthest) <= 1
    assert np.array_equal(frames, np.full_like(frames, 200))


def test_it_comes_nearer_and_passes_below_the_camera(ground):
    frames = np.full((4, 80, 200, 3), 200, np.uint8)
    seen = ground.cast(frames, [TreeShadow(12.0, 2.0, -math.pi / 2, 4.0, 1.0)], 0.5, step=3.5)
    last = [rows_of(frame)[-1] for frame in seen[:3]]
    assert last == sorted(set(last))
    behind = ground.cast(frames[:1], [TreeShadow(-3.0, 0.0, 3.0, 6.0, 1.0)], 0.5)
    assert np.array_equal(behind[0], frames[0])


def test_one_that_reaches_from_before_the_camera_to_behind_it_is_cut_off_at_the_camera(ground):
    frames = np.full((1, 80, 200, 3), 200, np.uint8)
    long = TreeShadow(20.0, 0.0, math.pi, 40.0, 6.0, widest=0.5, tip=1.0)
    seen = ground.cast(frames, [long], 0.5)[0]
    assert (seen[-1, 60:140] == 100).all()
    assert (seen[:40] == 200).all()
