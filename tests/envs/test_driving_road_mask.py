"""The road mask is where the ground that a pixel shows is paved."""

import numpy as np
import pytest

from liquid_control.envs.driving.env import DrivingEnv


@pytest.fixture(scope="module")
def env():
    env = DrivingEnv(hills=0.0, weather="clear", daytime="day")
    yield env
    env.close()


def test_a_pixel_is_road_where_its_ray_meets_the_pavement(env):
    env.reset(seed=4)
    for _ in range(10):
        env.step(env.expert_action())
    mask = env.road_mask()
    camera, eye = env.intrinsics(), env._world.data.camera("front")
    position, rotation = eye.xpos.copy(), eye.xmat.reshape(3, 3).copy()
    compared = 0
    for row, column in np.ndindex(mask.shape[0] // 6, mask.shape[1] // 10):
        v, u = 6 * row + 3, 10 * column + 5
        right, down = (u - camera["cx"]) / camera["fx"], (v - camera["cy"]) / camera["fy"]
        ray = rotation @ [right, -down, -1.0]
        if ray[2] > -0.05:  # Far away a pixel shows many metres.
            continue
        x, y = (position - ray * position[2] / ray[2])[:2]
        offset = abs(env.road.project(x, y).offset)
        if abs(offset - env.road.half_width) > 0.3:
            assert mask[v, u] == (offset < env.road.half_width), (v, u, offset)
            compared += 1
    assert compared > 80
    assert 0.1 < mask.mean() < 0.7


def test_nothing_above_the_horizon_is_road(env):
    env.reset(seed=7)
    assert not env.road_mask()[:20].any()
