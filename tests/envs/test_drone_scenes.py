"""Forest and city of the drone's world: what stands where, and what is hit."""

import mujoco
import numpy as np
import pytest

from liquid_control.envs.drone import DroneEnv
from liquid_control.envs.drone.obstacles import Obstacles, segment_distance
from liquid_control.envs.drone.options import COLOURS, Options
from liquid_control.envs.drone.route import CIRCLE, draw_route
from liquid_control.envs.drone.task import Sight, Task


@pytest.fixture(scope="module")
def blind():
    return DroneEnv(camera=False)


@pytest.mark.parametrize("scene", ["forest", "city"])
@pytest.mark.parametrize("task", ["target", "hover", "hike", "moving"])
def test_the_target_is_in_view_at_every_start(blind, scene, task):
    low, high = {"target": (8, 12), "hover": (4, 7), "hike": (8, 12), "moving": (6, 10)}[task]
    for seed in range(15):
        options = {"scene": scene, "task": task, "density": 1.0, "distractors": 3}
        _, info = blind.reset(seed=seed, options=options)
        assert info["target_visible"] == 1.0
        assert abs(info["target_bearing"]) < np.deg2rad(20)
        assert low - 0.1 < info["target_distance"] < high + 0.3


@pytest.mark.parametrize("scene", ["forest", "city"])
def test_nothing_stands_on_the_way(blind, scene):
    for seed in range(10):
        blind.reset(seed=seed, options={"scene": scene, "task": "hike", "density": 1.0})
        world = blind.unwrapped._world
        line = world.route.line
        for share in np.linspace(0, 1, 30):
            point = line[0] + share * (line[1] - line[0])
            gaps = np.linalg.norm(world.obstacles.away(*point, 1.5), axis=1)
            assert gaps.min() > 0.45
        trees = world.obstacles.pillars
        assert (np.linalg.norm(trees[:, :2], axis=1) < 60).sum() > 20


def test_more_density_is_more_trees(blind):
    counts = []
    for density in (0.0, 0.3, 1.0):
        blind.reset(seed=1, options={"scene": "forest", "density": density})
        pillars = blind._world.obstacles.pillars
        counts.append(int((np.abs(pillars[:, 0]) < 100).sum()))
    assert counts[0] == 0
    assert counts[1] < counts[2]


def random_obstacles(rng) -> Obstacles:
    low = rng.uniform(-1, 1, 20)
    pillars = np.column_stack(
        [rng.uniform(-8, 8, (20, 2)), rng.uniform(0.1, 1, 20), low, low + rng.uniform(1, 4, 20)]
    )
    low = rng.uniform(-1, 1, 12)
    blocks = np.column_stack(
        [
            rng.uniform(-8, 8, (12, 2)),
            rng.uniform(-3, 3, 12),
            rng.uniform(0.2, 1.5, (12, 2)),
            low,
            low + rng.uniform(1, 4, 12),
        ]
    )
    return Obstacles(pillars, blocks)


def test_what_hides_a_point_is_what_a_ray_of_mujoco_hits():
    """Cylinders instead of our pillars, which end flat: MuJoCo's rays are the reference."""
    rng, agreed = np.random.default_rng(0), []
    for _ in range(15):
        obstacles, spec = random_obstacles(rng), mujoco.MjSpec()
        for x, y, radius, low, high in obstacles.pillars:
            spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                pos=[x, y, (low + high) / 2],
                size=[radius, (high - low) / 2, 0],
            )
        for x, y, yaw, half, side, low, high in obstacles.blocks:
            spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=[x, y, (low + high) / 2],
                quat=[np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)],
                size=[half, side, (high - low) / 2],
            )
        model = spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        for _ in range(20):
            eye, point = rng.uniform([-9, -9, 0.5], [9, 9, 2.5], (2, 3))
            geom = np.zeros(1, np.int32)
            reach = mujoco.mj_ray(model, data, eye, point - eye, None, 1, -1, geom)
            agreed.append(obstacles.hide(tuple(eye), tuple(point)) == (0 <= reach < 1))
    # A ray through the lid of a pillar alone is told apart by its nearest point only.
    assert np.mean(agreed) > 0.95


def test_the_nearest_points_of_obstacles_are_on_their_surfaces():
    rng = np.random.default_rng(1)
    obstacles = Obstacles(np.zeros((0, 5)), random_obstacles(rng).blocks)
    edge = np.linspace(-1, 1, 401)
    for x, y in rng.uniform(-12, 12, (20, 2)):
        for row, way in zip(obstacles.blocks, obstacles.away(x, y, 1.0), strict=False):
            cos, sin = np.cos(row[2]), np.sin(row[2])
            walls = [np.column_stack([edge * row[3], 0 * edge + s * row[4]]) for s in (-1, 1)]
            walls += [np.column_stack([0 * edge + s * row[3], edge * row[4]]) for s in (-1, 1)]
            points = np.concatenate(walls) @ [[cos, sin], [-sin, cos]] + row[:2]
            nearest = np.linalg.norm(points - [x, y], axis=1).min()
            if np.linalg.norm(way) > 0:
                assert np.linalg.norm(way) == pytest.approx(nearest, abs=0.02)


@pytest.mark.parametrize("scene", ["forest", "city"])
def test_whatever_stands_there_is_hit(scene):
    """The drone is set against the nearest obstacles of many places, and touches them."""
    env, touched = DroneEnv(camera=False, scene=scene, density=1.0), []
    for seed in range(10):
        env.reset(seed=seed)
        world, drone = env._world, env._drone
        rows = world.obstacles.pillars
        low = rows[(rows[:, 3] < 1.0) & (rows[:, 4] > 2.0) & (np.abs(rows[:, 0]) < 90)]
        for x, y, radius, *_ in low[:: max(len(low) // 10, 1)]:
            drone.place(x - radius - 0.25, y, 1.5, 0.0)
            world.surround(x - radius - 0.25, y)
            drone.step((0.5, 0.0, 0.0, 0.0), 1 / 30)
            touched.append(drone.touched)
    assert np.mean(touched) == 1.0
    assert len(touched) > 50


def test_a_tree_stops_a_drone_that_flies_at_it():
    env = DroneEnv(camera=False, scene="forest", density=1.0)
    env.reset(seed=0)
    rows = env._world.obstacles.pillars
    trunk = rows[(rows[:, 3] < 0) & (rows[:, 4] > 2.5)][30]
    env._drone.place(trunk[0] - 2.5, trunk[1], 1.4, 0.0)
    env._look()
    for _ in range(120):
        *_, terminated, _, info = env.step(np.array([3.0, 0.0, 0.0, 0.0]))
        if terminated:
            break
    assert info["crashed"] == 1.0
    assert info["x"] < trunk[0]


def test_houses_and_cars_stop_it_as_well():
    env = DroneEnv(camera=False, scene="city", density=1.0)
    for side in (1.0, -1.0):
        env.reset(seed=2)
        for _ in range(200):
            action = np.array([0.0, 0.0, 0.0, 0.0])
            yaw = env._pose.yaw
            action[:2] = 3 * np.sin(yaw) * side, 3 * np.cos(yaw) * side
            *_, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                break
        assert info["crashed"] == 1.0
        assert abs(info["y"]) < 11.5


def test_distractors_differ_from_the_target_and_stand_apart():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        options = Options(distractors=4, scene="city").decided(rng)
        route = draw_route(rng, options)
        assert len(route.others) == 4
        kinds = {(other.shape, other.colour) for other in route.others}
        assert len(kinds) == 4
        assert (options.target, options.colour) not in kinds
        for other in route.others:
            assert other.colour in COLOURS
            assert np.linalg.norm(other.place - route.targets[0]) > 0.8


def test_a_hike_goes_on_in_sight():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        options = Options(task="hike", targets=5, scene=("forest", "city")[seed % 2]).decided(rng)
        line = draw_route(rng, options).line
        legs = np.diff(line, axis=0)
        lengths = np.linalg.norm(legs, axis=1)
        assert np.all((lengths > 7.9) & (lengths < 12.1))
        headings = np.arctan2(legs[:, 1], legs[:, 0])
        assert np.abs(np.diff(headings)).max() < np.deg2rad(50)


def test_a_moving_target_keeps_its_speed_on_its_circle():
    rng = np.random.default_rng(3)
    route = draw_route(rng, Options(task="moving").decided(rng))
    times = np.arange(0, 40, 0.1)
    places = np.array([route.moved(0.7, time) for time in times])
    assert np.linalg.norm(places - route.circle, axis=1) == pytest.approx(CIRCLE)
    assert places[0] == pytest.approx(route.targets[0])
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=1) / 0.1
    assert speeds == pytest.approx(0.7, rel=0.01)


def test_holding_counts_only_without_a_break():
    rng = np.random.default_rng(0)
    options = Options(task="hover", hold=1.0).decided(rng)
    task = Task(options, draw_route(rng, options))
    good = Sight(distance=1.7, bearing=0.1, visible=True, relative_speed=0.1)
    bad = [
        Sight(distance=3.0, bearing=0.1, visible=True, relative_speed=0.1),
        Sight(distance=1.0, bearing=0.1, visible=True, relative_speed=0.1),
        Sight(distance=1.7, bearing=0.4, visible=True, relative_speed=0.1),
        Sight(distance=1.7, bearing=0.1, visible=False, relative_speed=0.1),
        Sight(distance=1.7, bearing=0.1, visible=True, relative_speed=0.9),
    ]
    for sight in bad:
        assert not any(task.update(good, 0.1) for _ in range(9))
        assert not task.update(sight, 0.1)
    assert not task.done
    assert [task.update(good, 0.1) for _ in range(11)].count(True) == 1
    assert task.done


def test_a_target_is_reached_only_when_it_is_near_in_view_and_ahead():
    rng = np.random.default_rng(0)
    options = Options().decided(rng)
    route = draw_route(rng, options)
    for changes, reached in (
        ({}, True),
        ({"distance": 2.1}, False),
        ({"bearing": 0.3}, False),
        ({"visible": False}, False),
    ):
        sight = {"distance": 1.9, "bearing": 0.2, "visible": True, "relative_speed": 1.0, **changes}
        assert Task(options, route).update(Sight(**sight), 1 / 30) is reached


def test_distance_from_a_line_of_several_legs():
    line = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0]])
    points = np.array([[2.0, 1.0], [5.0, 3.0], [-3.0, -4.0], [4.0, 1.0]])
    assert segment_distance(points, line) == pytest.approx([1.0, 1.0, 5.0, 0.0])
