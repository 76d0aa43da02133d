"""Hills of Driving-v1: smooth, bounded, and flat where flat ground is asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.envs.driving.terrain import MAX_SLOPE, MIN_RADIUS, draw, flat
from liquid_control.errors import InputError

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, hills=st.floats(0, 1), scale=st.sampled_from([1.0, 0.1]))
def test_slopes_and_bends_keep_their_bounds(seed, hills, scale):
    terrain = draw(np.random.default_rng(seed), hills, scale)
    step = 0.5 * scale
    x, y = np.meshgrid(*2 * [np.arange(0, 600 * scale, 7 * scale)])
    dx, dy = terrain.gradient(x, y)
    assert np.hypot(dx, dy).max() <= hills * MAX_SLOPE + 1e-12
    # Bend of the ground along x, y and both diagonals, by central differences.
    for along, across in ((step, 0.0), (0.0, step), (step, step), (step, -step)):
        ahead, behind = (terrain.height(x + k * along, y + k * across) for k in (1, -1))
        bend = (ahead - 2 * terrain.height(x, y) + behind) / (along**2 + across**2)
        assert np.abs(bend).max() <= hills / (MIN_RADIUS * scale) * (1 + 1e-6) + 1e-9
    assert MIN_RADIUS >= 150


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, x=st.floats(-1e3, 1e3), y=st.floats(-1e3, 1e3))
def test_the_gradient_is_that_of_the_height(seed, x, y):
    terrain, step = draw(np.random.default_rng(seed), 1.0), 1e-3
    dx, dy = terrain.gradient(x, y)
    rise = terrain.height(x + step, y) - terrain.height(x - step, y)
    assert dx == pytest.approx(rise / (2 * step), abs=1e-6)
    rise = terrain.height(x, y + step) - terrain.height(x, y - step)
    assert dy == pytest.approx(rise / (2 * step), abs=1e-6)


def test_hills_are_felt_on_a_drive_and_scale_with_the_world():
    along = np.arange(0.0, 1200.0)
    steepest = []
    for seed in range(30):
        terrain = draw(np.random.default_rng(seed), 1.0)
        steepest.append(np.abs(terrain.gradient(along, 0 * along)[0]).max())
        small = draw(np.random.default_rng(seed), 1.0, scale=0.1)
        assert small.height(along / 10, 0) == pytest.approx(terrain.height(along, 0) / 10)
    assert np.mean(steepest) > 0.04
    assert np.max(steepest) > 0.07


def test_flat_is_exactly_flat_and_every_draw_takes_the_same_numbers():
    after = []
    for hills in (0.0, 0.5, 1.0):
        rng = np.random.default_rng(5)
        terrain = draw(rng, hills)
        after.append(rng.random())
        if not hills:
            assert np.all(terrain.height(np.arange(9.0), 3.0) == 0)
            assert np.all(np.array(terrain.gradient(np.arange(9.0), 3.0)) == 0)
    assert len(set(after)) == 1
    assert np.all(flat().height(np.ones((2, 3)), np.ones((2, 3))) == np.zeros((2, 3)))


def test_a_point_and_an_array_of_points_get_the_same_height():
    terrain = draw(np.random.default_rng(1), 0.7)
    x, y = np.random.default_rng(2).uniform(-500, 500, (2, 4, 5))
    height = terrain.height(x, y)
    assert height.shape == (4, 5)
    assert float(terrain.height(x[1, 2], y[1, 2])) == pytest.approx(height[1, 2], abs=1e-12)


@pytest.mark.parametrize("hills", [-0.1, 1.5, float("nan")])
def test_hills_outside_their_range_are_refused(hills):
    with pytest.raises(InputError, match="Hills go from 0"):
        draw(np.random.default_rng(0), hills)
