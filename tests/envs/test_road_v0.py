"""Roads: long, twisty, and never crossing themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.envs.driving_v0.road import MAX_HEADING, SPACING, generate

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_every_road_is_long_and_curved_enough_and_drivable(seed):
    road = generate(np.random.default_rng(seed))
    assert road.length >= 1000
    assert np.mean(np.abs(road.curvature) > 0.03) >= 0.3
    assert np.abs(road.curvature).max() < 0.05
    assert np.abs(road.heading).max() <= MAX_HEADING + 0.01
    # Points more than 40 m apart along the road stay apart in space: it does not cross itself.
    points = road.centre[::8]
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    apart = round(40 / (8 * SPACING))
    assert distance[np.triu_indices(len(points), apart)].min() > 20


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, where=st.floats(0.05, 0.95), offset=st.floats(-6, 6))
def test_projection_finds_a_point_beside_the_road(seed, where, offset):
    road = generate(np.random.default_rng(seed), 300.0)
    s = where * road.length
    (x, y), heading, curvature = road.at(s)
    x, y = x - offset * np.sin(heading), y + offset * np.cos(heading)
    found = road.project(x, y, near=s + 3)
    assert found.distance == pytest.approx(s, abs=0.1)
    assert found.offset == pytest.approx(offset, abs=0.02)
    assert found.heading == pytest.approx(heading, abs=0.01)
    assert found.curvature == pytest.approx(curvature, abs=2e-3)


def test_offset_lines_lie_left_for_positive_offsets():
    road = generate(np.random.default_rng(0))
    assert np.all(road.left_edge[:50, 1] > road.lane[:50, 1])
    assert np.allclose(np.linalg.norm(road.lane - road.centre, axis=1), 1.75)
