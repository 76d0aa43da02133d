"""CarRacing behind the project's command, as its users meet it: through Gymnasium."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control.envs.car_racing import CarRacingEnv
from liquid_control.errors import InputError
from liquid_control.rollout import ExpertPilot, run_episode

WORLD = "liquid_control/CarRacing-v0"


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


def drive(env, seed, steps, action=None, **options):
    """Frames, rewards and infos of `steps` steps by the expert, or with one action."""
    frame, info = env.reset(seed=seed, options=options)
    frames, rewards, infos = [frame], [], [info]
    for _ in range(steps):
        command = env.expert_action() if action is None else np.array(action, np.float32)
        frame, reward, terminated, truncated, info = env.step(command)
        frames.append(frame)
        rewards.append(reward)
        infos.append(info)
        if terminated or truncated:
            break
    return np.array(frames), rewards, infos


@pytest.mark.filterwarnings("ignore:.*For Box action spaces, we recommend.*")
def test_gymnasium_finds_nothing_to_complain_about(world):
    check_env(world, skip_render_check=True)


@pytest.mark.filterwarnings("ignore:We recommend you to use a symmetric and normalized Box")
def test_stable_baselines3_finds_nothing_to_complain_about(world):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(world)


@pytest.mark.parametrize("domain_randomize", [False, True])
def test_a_seed_shows_and_pays_what_gymnasiums_own_world_does(world, domain_randomize):
    peer = gymnasium.make("CarRacing-v3", domain_randomize=domain_randomize).unwrapped
    rng = np.random.default_rng(0)
    for seed in (5, 6):
        theirs = peer.reset(seed=seed)[0]
        ours = world.reset(seed=seed, options={"domain_randomize": domain_randomize})[0]
        assert np.array_equal(ours, theirs)
        for _ in range(20):
            steering, gas = rng.uniform(-0.4, 0.4), rng.uniform()
            theirs = peer.step(np.array([-steering, gas, 0.0], np.float32))
            ours = world.step(np.array([steering, gas, 0.0], np.float32))
            assert np.array_equal(ours[0], theirs[0])
            assert ours[1:4] == theirs[1:4]
    peer.close()


def test_a_seed_repeats_to_the_bit_whatever_was_driven_before(world):
    frames, rewards, infos = drive(world, 11, 60)
    drive(world, 12, 20, [-0.4, 1.0, 0.0], variant="color", domain_randomize=True, start=0.4)
    again = drive(world, 11, 60)
    assert np.array_equal(frames, again[0])
    assert (rewards, infos) == again[1:]


def test_another_process_sees_the_same(world):
    frames, rewards, _ = drive(world, 3, 20, variant="noise")
    code = f"""
import gymnasium, hashlib, liquid_control.envs
env = gymnasium.make({WORLD!r}).unwrapped
frame, _ = env.reset(seed=3, options={{"variant": "noise"}})
digest, total = hashlib.sha256(frame.tobytes()), 0.0
for _ in range(20):
    frame, reward, *_ = env.step(env.expert_action())
    digest.update(frame.tobytes())
    total += reward
print(digest.hexdigest(), repr(total))
"""
    import hashlib

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    digest, total = printed.stdout.split()
    assert digest == hashlib.sha256(frames.tobytes()).hexdigest()
    assert float(total) == sum(rewards)


def test_physics_does_not_depend_on_the_camera(world, blind):
    frames, rewards, infos = drive(blind, 5, 40)
    assert not frames.any()
    assert (rewards, infos) == drive(world, 5, 40)[1:]


@pytest.mark.parametrize("steering", [-0.2, 0.2])
def test_positive_steering_turns_left(blind, steering):
    _, _, infos = drive(blind, 0, 45, [steering, 0.3, 0.0])
    assert np.sign(infos[-1]["yaw_rate"]) == np.sign(steering)
    turned = np.angle(np.exp(1j * (infos[-1]["yaw"] - infos[0]["yaw"])))
    assert np.sign(turned) == np.sign(steering)
    assert np.sign(infos[-1]["lateral_error"]) == np.sign(steering), "the start is straight"
    assert np.sign(infos[-1]["heading_error"]) == np.sign(steering)
    # Displacement to the left of where the car looked at first.
    dx, dy = infos[-1]["x"] - infos[0]["x"], infos[-1]["y"] - infos[0]["y"]
    yaw = infos[0]["yaw"]
    assert np.sign(dy * np.cos(yaw) - dx * np.sin(yaw)) == np.sign(steering)
    assert dx * np.cos(yaw) + dy * np.sin(yaw) > 1.0


def test_what_info_says_is_documented_and_agrees_with_itself(blind):
    _, rewards, infos = drive(blind, 4, 120)
    for name, value in infos[-1].items():
        assert f"`{name}`" in CarRacingEnv.__doc__
        assert type(value) is float
    speeds = np.array([info["speed"] for info in infos])
    assert infos[-1]["distance"] == pytest.approx(speeds.sum() / 50, rel=0.05)
    assert infos[-1]["score"] == pytest.approx(sum(rewards))
    assert infos[-1]["time"] == pytest.approx(120 / 50)
    assert np.hypot(infos[-1]["vx"], infos[-1]["vy"]) == pytest.approx(speeds[-1])
    moved = np.hypot(infos[-1]["x"] - infos[-2]["x"], infos[-1]["y"] - infos[-2]["y"])
    assert moved * 50 == pytest.approx(speeds[-1], rel=0.05)


def test_brakes_stop_the_car(blind):
    drive(blind, 0, 60, [0.0, 1.0, 0.0])
    for _ in range(60):
        info = blind.step(np.array([0.0, 0.0, 0.8], np.float32))[4]
    assert info["speed"] < 0.5


def test_leaving_the_playfield_ends_the_episode_and_costs(blind):
    _, rewards, infos = drive(blind, 0, 1000, [0.0, 0.3, 0.0])
    assert infos[-1]["crashed"] == 1.0
    assert infos[-1]["success"] == 0.0
    assert infos[-1]["off_road"] == infos[-1]["lane_departure"] == 1.0
    assert rewards[-1] == -100.0
    assert max(abs(infos[-1]["x"]), abs(infos[-1]["y"])) > 333


def test_the_time_limit_truncates():
    env = gymnasium.make(WORLD, camera=False, seconds=0.5).unwrapped
    env.reset(seed=0)
    ends = [env.step(np.zeros(3, np.float32))[2:4] for _ in range(25)]
    assert ends == [(False, False)] * 24 + [(False, True)]
    assert len(drive(env, 0, 100, seconds=0.2)[1]) == 10


def test_an_episode_can_start_anywhere_on_the_lap(blind):
    _, plain = blind.reset(seed=0)
    _, info = blind.reset(seed=0, options={"start": 0.5})
    assert np.hypot(info["x"] - plain["x"], info["y"] - plain["y"]) > 50
    assert info == blind.reset(seed=0, options={"start": np.float32(0.5)})[1]
    assert abs(info["lateral_error"]) < 0.1
    assert info["distance"] == 0.0
    assert info["tiles"] < 0.02


def test_the_colours_of_the_episode_before_can_be_kept(world):
    def colours(seed=9, **options):
        """The frequent ones: road, field and patches, before the car has moved."""
        world.reset(seed=seed, options=options)
        for _ in range(20):
            frame = world.step(np.zeros(3))[0]
        pixels, counts = np.unique(frame[:80].reshape(-1, 3), axis=0, return_counts=True)
        return {tuple(pixel) for pixel in pixels[counts > 50]} - {(0, 0, 0)}

    plain = colours()
    drawn = colours(domain_randomize=True)
    others = colours(seed=1, domain_randomize=True)
    assert min(len(plain), len(drawn), len(others)) >= 3
    assert not drawn & (plain | others)
    kept = colours(domain_randomize=True, randomize=False)
    assert len(kept & others) >= 3
    assert colours() == plain


def test_a_picture_and_a_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make(WORLD, render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (400, 600, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    env.close()
    window = gymnasium.make(WORLD, render_mode="human", variant="noise")
    window.reset(seed=0)
    frame = window.step(np.array([0.0, 1.0, 0.0]))[0]
    shown = window.unwrapped._racing.surf
    assert frame.std() > 10
    assert len({tuple(shown.get_at((x, 300))) for x in range(300, 400)}) > 90
    window.close()


@pytest.mark.parametrize("action", [[np.nan, 0, 0], [0, np.inf, 0], [0.0], [[0.0, 0.0, 0.0]]])
def test_actions_that_make_no_sense_are_refused(blind, action):
    blind.reset(seed=0)
    with pytest.raises(ValueError, match="three finite numbers"):
        blind.step(np.array(action))


def test_actions_beyond_the_limits_are_clipped(blind):
    over = drive(blind, 2, 30, [-3.0, 7.0, -1.0])
    assert over[1:] == drive(blind, 2, 30, [-1.0, 1.0, 0.0])[1:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variants": "bar"}, "no option 'variants'; choose from variant, "),
        ({"variant": "colour"}, "one of color, color3, .*got 'colour'"),
        ({"start": 1.5}, "'start' is a number from 0 to 1, got 1.5"),
        ({"start": float("nan")}, "'start' is a number from 0 to 1, got nan"),
        ({"seconds": float("inf")}, "'seconds' is a number from 0.02 to 3600, got inf"),
        ({"lap_complete_percent": "all"}, "is a number from 0 to 1, got 'all'"),
        ({"variant": ["bar"]}, r"got \['bar'\]"),
        ({"domain_randomize": 1}, "is True or False, got 1"),
    ],
)
def test_bad_options_name_the_good_ones(blind, options, message):
    with pytest.raises(InputError, match=message):
        blind.reset(seed=0, options=options)
    with pytest.raises(InputError, match=message):
        CarRacingEnv(**options)


def test_an_unknown_render_mode_and_a_step_before_reset_are_refused():
    with pytest.raises(InputError, match="rgb_array"):
        CarRacingEnv(render_mode="chase")
    fresh = CarRacingEnv()
    with pytest.raises(ResetNeeded):
        fresh.expert_action()
    with pytest.raises(ResetNeeded):
        fresh.step(np.zeros(3))


def test_without_box2d_one_sentence_says_what_to_install():
    code = (
        "import sys; sys.modules['Box2D'] = None\n"
        "import gymnasium, liquid_control.envs\n"
        "from liquid_control.errors import InputError\n"
        "try:\n"
        f"    gymnasium.make({WORLD!r})\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install liquid_control[carracing]" in printed.stdout
    assert len(printed.stdout.splitlines()) == 1


def test_the_closed_loop_of_the_project_drives_it(blind):
    episode = run_episode(blind, ExpertPilot(), 21)
    assert episode.success == 1.0
    assert not episode.crashed
    assert episode.reward > 900
    assert episode.lateral_error_max < 6.7
    assert episode.speed > 50


@pytest.mark.slow
def test_resets_do_not_leak(world):
    import gc
    from pathlib import Path

    def resident():
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 / 2**20

    for seed in range(50):
        world.reset(seed=seed)
    before = resident()
    for seed in range(1000):
        world.reset(seed=seed)
    assert resident() - before < 10, "MiB"
