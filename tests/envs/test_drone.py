"""The drone's world as its users meet it: through Gymnasium."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control.envs.drone import DroneEnv
from liquid_control.envs.drone.options import COLOURS, SHAPES, TASKS
from liquid_control.errors import InputError

WORLD = "liquid_control/Drone-v0"


@pytest.fixture(scope="module")
def world():
    env = gymnasium.make(WORLD).unwrapped
    yield env
    env.close()


@pytest.fixture(scope="module")
def blind():
    """Physics alone."""
    env = gymnasium.make(WORLD, camera=False).unwrapped
    yield env
    env.close()


def fly(env, seed, steps, action=None, **options):
    """Frames, rewards and infos of `steps` steps by the expert, or with one action."""
    frame, info = env.reset(seed=seed, options=options)
    frames, infos, rewards = [frame], [info], []
    for _ in range(steps):
        chosen = env.expert_action() if action is None else np.array(action, np.float32)
        frame, reward, terminated, truncated, info = env.step(chosen)
        frames.append(frame)
        rewards.append(reward)
        infos.append(info)
        if terminated or truncated:
            break
    return np.array(frames), np.array(rewards), infos


@pytest.mark.filterwarnings("ignore:.*For Box action spaces, we recommend.*")
def test_gymnasium_finds_nothing_to_complain_about(world):
    check_env(world, skip_render_check=True)


def test_frames_and_commands_have_the_shape_that_was_asked_for(world):
    frame, info = world.reset(seed=0)
    assert frame.shape == (144, 256, 3)
    assert world.command.names == ("vx", "vy", "vz", "yaw_rate")
    assert all(type(value) is float for value in info.values())
    small = DroneEnv(width=64, height=48)
    assert small.reset(seed=0)[0].shape == small.observation_space.shape == (48, 64, 3)
    small.close()


@pytest.mark.parametrize(
    "options",
    [
        {"scene": "forest", "task": "moving", "wind": 3.0, "gusts": 1.0, "motor_noise": 0.05},
        {"scene": "city", "weather": "rain", "distractors": 2, "effects": {"noise": 0.01}},
    ],
)
def test_a_seed_repeats_to_the_bit_whatever_was_flown_before(world, options):
    frames, rewards, infos = fly(world, 11, 12, **options)
    fly(world, 12, 5, scene="city" if options["scene"] == "forest" else "forest")
    again = fly(world, 11, 12, **options)
    assert np.array_equal(frames, again[0])
    assert np.array_equal(rewards, again[1])
    assert infos == again[2]


def test_another_instance_sees_the_same(world):
    other = gymnasium.make(WORLD).unwrapped
    fly(other, 8, 3, scene="city", daytime="night")
    assert np.array_equal(fly(world, 3, 4)[0], fly(other, 3, 4)[0])
    other.close()


def test_seeds_differ_in_scenery_and_light(world):
    first, second = (world.reset(seed=seed)[0].astype(int) for seed in (1, 2))
    assert np.abs(first - second).mean() > 5


def test_physics_does_not_depend_on_the_camera(world, blind):
    assert fly(world, 5, 10)[2] == fly(blind, 5, 10)[2]


def test_one_seed_is_the_same_flight_in_every_light(world):
    flights = [
        fly(world, 6, 8, season=season, daytime=daytime, weather=weather)
        for season, daytime, weather in (
            ("summer", "day", "clear"),
            ("winter", "dusk", "snow"),
            ("autumn", "night", "clear"),
        )
    ]
    assert flights[0][2] == flights[1][2] == flights[2][2]
    assert np.abs(flights[0][0].astype(int) - flights[1][0]).mean() > 5


@pytest.mark.parametrize("scene", ["forest", "city"])
@pytest.mark.parametrize("task", TASKS)
def test_the_expert_succeeds_without_touching_anything(blind, scene, task):
    for seed in range(2):
        _, _, infos = fly(blind, seed, 2000, scene=scene, task=task, distractors=2)
        assert infos[-1]["success"] == 1.0
        assert infos[-1]["collisions"] == 0.0
    if task == "hike":
        assert infos[-1]["targets_reached"] == 3.0


def test_the_expert_bears_wind_gusts_and_uneven_motors(blind):
    for seed in range(3):
        _, _, infos = fly(blind, seed, 2000, wind=4.0, gusts=1.0, motor_noise=0.08)
        assert infos[-1]["success"] == 1.0


def test_the_small_drone_succeeds_as_well():
    env = DroneEnv(kind="nano", camera=False)
    for seed in range(2):
        assert fly(env, seed, 2000)[2][-1]["success"] == 1.0


def test_a_target_is_found_from_twice_the_distance(blind):
    for seed in range(2):
        infos = fly(blind, seed, 2000, distance=(20.0, 24.0))[2]
        assert 19.5 < infos[0]["target_distance"] < 24.5
        assert infos[-1]["success"] == 1.0


def test_the_target_is_where_the_intrinsics_and_the_bearing_say(world):
    """Pixels of the target's colour lie around the projection of its middle."""
    for seed, colour in enumerate(COLOURS):
        frame, info = world.reset(
            seed=seed, options={"colour": colour, "target": "sphere", "weather": "overcast"}
        )
        camera = world.intrinsics()
        column = camera["cx"] - camera["fx"] * np.tan(info["target_bearing"])
        flat = np.sqrt(info["target_distance"] ** 2 - (info["z"] - 0.58) ** 2)
        row = camera["cy"] + camera["fy"] * (info["z"] - 0.58) / flat
        shade = np.array(COLOURS[colour]) / np.linalg.norm(COLOURS[colour])
        pixels = frame / np.maximum(np.linalg.norm(frame, axis=-1, keepdims=True), 1)
        rows, columns = np.nonzero(pixels @ shade > 0.985)
        near = (np.abs(columns - column) < 12) & (np.abs(rows - row) < 12)
        assert near.sum() > 60, colour
        assert np.abs(np.median(columns[near]) - column) < 3
        assert np.abs(np.median(rows[near]) - row) < 3


@pytest.mark.parametrize("gimbal", [True, False])
def test_a_gimbal_keeps_the_camera_level(world, gimbal):
    """While the drone leans forward, the target is where the pitch puts it, or where none does."""
    options = {"colour": "blue", "target": "sphere", "weather": "overcast", "season": "summer"}
    frames, _, infos = fly(world, 3, 7, (4.0, 0.0, 0.0, 0.0), gimbal=gimbal, **options)
    frame, info = frames[-1].astype(int), infos[-1]
    assert info["pitch"] > np.deg2rad(10)
    camera, drop = world.intrinsics(), info["z"] - 0.58
    below = np.arctan2(drop, np.sqrt(info["target_distance"] ** 2 - drop**2))
    row = camera["cy"] + camera["fy"] * np.tan(below - (0.0 if gimbal else info["pitch"]))
    assert info["target_visible"] == float(row > 0)
    blue = (frame[..., 2] > 1.6 * frame[..., :2].max(-1)) & (frame[..., 2] > 60)
    assert np.median(np.nonzero(blue)[0]) == pytest.approx(row, abs=5)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_seen_at_the_start(world, shape):
    frames = {}
    for target in (shape, next(other for other in SHAPES if other != shape)):
        options = {"target": target, "colour": "red", "weather": "overcast", "season": "summer"}
        frames[target] = world.reset(seed=4, options=options)[0].astype(int)
    reds = [((f[..., 0] > 90) & (f[..., 1] < 60) & (f[..., 2] < 60)).sum() for f in frames.values()]
    assert min(reds) > 60
    first, second = frames.values()
    assert (np.abs(first - second).max(-1) > 40).sum() > 20, "shapes differ"


def test_flying_into_the_ground_is_a_crash_and_costs(blind):
    _, rewards, infos = fly(blind, 0, 300, (0.0, 0.0, -2.0, 0.0))
    assert infos[-1]["crashed"] == 1.0
    assert infos[-1]["success"] == 0.0
    assert infos[-1]["collisions"] == 1.0
    assert rewards[-1] < -10
    assert len(rewards) < 60


def test_touching_the_ground_softly_is_a_collision_but_no_crash(blind):
    _, _, infos = fly(blind, 0, 300, (0.0, 0.0, -0.4, 0.0))
    assert infos[-1]["collisions"] >= 1.0
    assert infos[-1]["crashed"] == 0.0


def test_reaching_the_target_is_rewarded(blind):
    _, rewards, infos = fly(blind, 2, 2000)
    way = infos[0]["target_distance"] - infos[-1]["target_distance"]
    assert rewards[-1] > 10
    assert rewards.sum() == pytest.approx(10 + way, abs=0.025 * len(rewards))


def test_turning_left_turns_left_and_flying_left_goes_left(blind):
    infos = fly(blind, 0, 20, (0.0, 0.0, 0.0, 1.0))[2]
    turned = np.angle(np.exp(1j * (infos[-1]["yaw"] - infos[0]["yaw"])))
    assert 0.3 < turned < 0.8
    assert infos[-1]["target_bearing"] < infos[0]["target_bearing"]
    infos = fly(blind, 0, 20, (0.0, 1.0, 0.0, 0.0))[2]
    yaw = infos[0]["yaw"]
    step = np.array([infos[-1][key] - infos[0][key] for key in ("x", "y")])
    assert step @ [-np.sin(yaw), np.cos(yaw)] > 0.2
    assert infos[-1]["vy"] > 0.7


def test_an_episode_ends_at_its_time_limit_or_far_away(blind):
    _, rewards, infos = fly(blind, 0, 300, (0.0, 0.0, 0.0, 0.0), seconds=1.0)
    assert len(rewards) == 30
    assert infos[-1]["crashed"] == infos[-1]["success"] == 0.0
    _, rewards, infos = fly(blind, 0, 2000, (0.0, 0.0, 2.0, 0.0), seconds=100.0)
    assert infos[-1]["z"] > 29
    assert infos[-1]["time"] < 30


def test_the_view_from_behind_shows_the_drone():
    env = gymnasium.make(WORLD, render_mode="rgb_array")
    env.reset(seed=0, options={"scene": "city", "season": "summer", "colour": "blue"})
    picture = env.render().astype(int)
    env.close()
    assert picture.shape == (360, 640, 3)
    orange = (picture[..., 0] > 150) & (picture[..., 1] < 130) & (picture[..., 2] < 60)
    assert orange[150:250, 270:370].sum() > 100
    assert orange[:, :200].sum() < 20


def test_a_window_opens_for_people(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make(WORLD, render_mode="human", width=64, height=48)
    env.reset(seed=0)
    env.step(env.unwrapped.expert_action())
    assert env.render() is None
    env.close()


@pytest.mark.parametrize("action", [[np.nan, 0, 0, 0], [0, 0, 0, np.inf], [0.0], [0.0] * 5])
def test_actions_that_make_no_sense_are_refused(blind, action):
    blind.reset(seed=0)
    with pytest.raises(ValueError, match="four finite numbers"):
        blind.step(np.array(action))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"season": "sumer"}, "one of summer, "),
        ({"sezon": "winter"}, "no option 'sezon'; it has season, "),
        ({"task": "hoover"}, "one of hover, "),
        ({"colour": "green"}, "Unknown colour 'green'"),
        ({"distractors": 9}, "whole number from 0 to 4, got 9"),
        ({"wind": np.nan}, "from 0 to 8, got nan"),
        ({"distance": (5.0, 60.0)}, "within 3 to 40 m"),
        ({"distance": ("near", "far")}, "within 3 to 40 m, got \\('near', 'far'\\)"),
        ({"weather": "snow", "season": "summer"}, "Snow falls in winter"),
        ({"task": "hike", "targets": 6, "distance": (30.0, 40.0)}, "at most 120 m"),
        ({"effects": {"nose": 0.1}}, "no camera effect 'nose'; those there are: noise"),
    ],
)
def test_bad_options_name_the_good_ones(blind, options, message):
    with pytest.raises(InputError, match=message):
        blind.reset(seed=0, options=options)
    with pytest.raises(InputError, match=message):
        DroneEnv(camera=False, **options)


def test_a_bad_kind_size_or_render_mode_is_refused():
    with pytest.raises(InputError, match="x2, nano"):
        DroneEnv(kind="x3")
    with pytest.raises(InputError, match="16 to 2048"):
        DroneEnv(width=0)
    with pytest.raises(InputError, match="rgb_array"):
        DroneEnv(render_mode="depth")
