"""A run in a world: actions, observations, resuming after a kill, and the model it leaves."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import cv2
import gymnasium
import numpy as np
import pytest
import torch

from liquid_control.camera import CameraSetup
from liquid_control.cli import main
from liquid_control.command import CommandSpec, Output
from liquid_control.errors import InputError
from liquid_control.evaluation.output import alone
from liquid_control.policy import Driver, Policy
from liquid_control.training.rl.checkpoint import restore
from liquid_control.training.rl.command import learn, make_learner, make_worlds
from liquid_control.training.rl.evaluation import read_scores
from liquid_control.training.rl.recipe import RLRecipe, read_rl_recipe
from liquid_control.training.rl.world import LearnerWorld

TURN = Output("turn", "rad/s", -2.0, 4.0)
SPEED = Output("speed", "m/s", 0.0, 8.0)


class Lamp(gymnasium.Env):
    """A lamp shines on the left or on the right; turning towards it pays."""

    metadata: ClassVar = {"render_modes": [], "render_fps": 20}
    command = CommandSpec((TURN, SPEED))
    observation_space = gymnasium.spaces.Box(0, 255, (78, 200, 3), np.uint8)
    action_space = gymnasium.spaces.Box(command.low, command.high)
    cruise = 3.0
    count = 0

    def __init__(self, steps: int = 12):
        self.steps = steps

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.done, self.actions = 0, []
        self.left = bool(self.np_random.integers(2))
        return self.frame(), {"side": float(self.left), "distance": 0.0}

    def step(self, action):
        Lamp.count += 1
        if Lamp.count == int(os.environ.get("LAMP_KILLS_AT", 0)):
            os.kill(os.getpid(), signal.SIGKILL)
        if Lamp.count == int(os.environ.get("LAMP_INTERRUPTS_AT", 0)):
            # As Ctrl-C does, which reaches every process of a terminal.
            for process in (os.getpid(), multiprocessing.parent_process().pid):
                os.kill(process, signal.SIGINT)
        self.actions.append(np.array(action))
        self.done += 1
        reward = float(action[0]) if self.left else -float(action[0])
        crashed = self.done >= self.steps and not self.left
        info = {"side": float(self.left), "distance": float(self.done)}
        return self.frame(), reward, crashed, self.done >= self.steps and self.left, info

    def frame(self):
        frame = self.np_random.integers(0, 40, (78, 200, 3)).astype(np.uint8)
        frame[20:60, 20:80] += np.uint8(200 * self.left)
        frame[20:60, 120:180] += np.uint8(200 * (not self.left))
        return frame


gymnasium.register("Lamp-v0", Lamp)
WORLD = f"{__name__}:Lamp-v0"


def small(**changes):
    values = {
        "model": "lamp",
        "env": WORLD,
        "steps": 96,
        "envs": 2,
        "processes": False,
        "rollout": 16,
        "batch": 16,
        "epochs": 2,
        "evaluate_every": 32,
        "evaluations": 2,
        "checkpoint_every": 32,
        "critic_layers": (8,),
        "privileged": ("side",),
        "outputs": ("turn",),
    }
    return RLRecipe(**(values | changes))


@pytest.fixture(autouse=True)
def one_thread(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)


def learner_world(**changes):
    values = {"world": WORLD, "options": {}, "spec": CommandSpec((TURN,)), "camera": CameraSetup()}
    return LearnerWorld(**(values | changes))


def test_actions_are_shares_of_the_upper_limit_and_other_outputs_keep_their_default():
    world = learner_world()
    assert world.action_space.low == [-0.5]  # -2 of 4 rad/s
    world.reset(seed=0)
    for action in ([0.25], [1.0], [-0.5]):
        world.step(np.array(action, np.float32))
    given = np.array(world._env.unwrapped.actions)
    np.testing.assert_allclose(given, [[1.0, 3.0], [4.0, 3.0], [-2.0, 3.0]])


def test_a_step_of_two_frames_says_how_long_it_took_and_adds_their_rewards():
    world = learner_world(strides=(2,), options={"steps": 5})
    observation, _ = world.reset(seed=0)
    assert observation["elapsed"] == np.float32(1 / 20)  # the camera's period at first
    rewards, spans, ended = [], [], False
    while not ended:
        observation, reward, terminated, truncated, info = world.step(np.array([0.25]))
        rewards.append(abs(reward))
        spans.append(float(observation["elapsed"][0]))
        ended = terminated or truncated
    assert spans == pytest.approx([0.1, 0.1, 0.05])
    assert rewards == pytest.approx([2.0, 2.0, 1.0])
    assert info["outcome"]["seconds"] == pytest.approx(0.25)
    assert abs(info["outcome"]["reward"]) == pytest.approx(5.0)
    assert info["outcome"]["crashed"] == float(terminated)


def test_changes_of_the_action_cost_what_the_recipe_says():
    plain, smooth = learner_world(), learner_world(smoothness=0.1)
    for world in (plain, smooth):
        world.reset(seed=0)
    costs = [
        plain.step(np.array([action]))[1] - smooth.step(np.array([action]))[1]
        for action in (0.5, 0.5, 0.3)
    ]
    assert costs == pytest.approx([0.0, 0.0, 0.1 * (0.2 * 20) ** 2 / 20])


def test_time_costs_what_the_recipe_says():
    plain, hurried = learner_world(strides=(2,)), learner_world(strides=(2,), time_cost=0.5)
    for world in (plain, hurried):
        world.reset(seed=0)
    action = np.array([0.25])
    assert plain.step(action)[1] - hurried.step(action)[1] == pytest.approx(0.5 * 2 / 20)
    # The score of an evaluation, too, which chooses the model that is kept.
    recipe = small(evaluations=2, steps=32)
    learn(recipe, Path("plain"), Path("run"))
    learn(replace(recipe, time_cost=0.5), Path("hurried"), Path("other"))
    free, costly = (read_scores(Path(run) / "evaluations.csv")[0] for run in ("run", "other"))
    assert free.score - costly.score == pytest.approx(0.5 * free.seconds)


@pytest.mark.parametrize("circuit", ["ncp-ltc", "ncp-cfc-mixed", "lstm-8", "cnn"])
def test_the_model_that_is_left_acts_as_the_learner_does(circuit):
    recipe = small(evaluations=0, circuit=circuit, steps=32)
    policy = learn(recipe, Path("out"), Path("run"))
    worlds = make_worlds(recipe, policy)
    model = make_learner(recipe, policy, worlds)
    restore(Path("run/checkpoint.pt"), model, recipe)
    driver = Driver(Policy.load("out"))
    world = Lamp()
    frame, _ = world.reset(seed=3)
    state = None
    for index in range(10):
        elapsed = 0.05 + 0.01 * index
        with torch.inference_mode():
            features = policy.features(torch.from_numpy(frame)[None]).numpy()
        seen = {
            "features": features,
            "elapsed": np.array([[elapsed]], np.float32),
            "privileged": np.zeros((1, 1), np.float32),
        }
        action, state = model.predict(seen, state, np.array([index == 0]), deterministic=True)
        command = driver.step(frame, elapsed).command
        np.testing.assert_allclose(action[0] * policy.spec.high, command, atol=2e-5)
        frame, *_ = world.step(np.array([command[0], 3.0]))
    worlds.close()


def test_only_the_circuit_learns_unless_the_head_has_a_rate():
    Policy(CommandSpec((TURN,))).save("start")
    before = Policy.load("start").state_dict()
    for rate, moves in ((0.0, False), (1e-3, True)):
        recipe = small(init="start", head_rate=rate, evaluations=0, steps=32, outputs=())
        after = learn(recipe, Path(f"out{rate}"), Path(f"run{rate}")).state_dict()
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert any(name.startswith("circuit") for name in changed)
        assert any(name.startswith("head") for name in changed) == moves


def test_a_run_goes_on_from_its_checkpoint_with_weights_moments_and_statistics(capsys):
    learn(small(steps=64), Path("out"), Path("run"))
    recipe = small(steps=128)
    policy = Policy(CommandSpec((TURN,)))
    worlds = make_worlds(recipe, policy)
    model = make_learner(recipe, policy, worlds)
    kept = torch.load("run/checkpoint.pt", weights_only=True)
    restore(Path("run/checkpoint.pt"), model, recipe)
    assert model.num_timesteps == 64
    for name, value in model.policy.state_dict().items():
        assert torch.equal(value, kept["policy"][name])
    moments = model.policy.optimizer.state_dict()["state"]
    assert torch.equal(moments[0]["exp_avg"], kept["optimizer"]["state"][0]["exp_avg"])
    normalize = model.get_vec_normalize_env()
    assert normalize.ret_rms.count > 60
    assert normalize.obs_rms["privileged"].mean == kept["statistics"]["privileged"]["mean"]
    worlds.close()
    learn(recipe, Path("out"), Path("run"))
    with Path("run/evaluations.csv").open() as file:
        assert [int(row["steps"]) for row in csv.DictReader(file)] == [0, 32, 64, 96, 128]
    facts = json.loads(Path("out/rl.json").read_text())
    assert facts["steps"] == 128
    assert facts["best"]["score"] >= facts["start"]["score"]
    assert cv2.imread("out/learning_curve.png").shape[2] == 3


def test_a_run_of_another_recipe_is_not_gone_on_with():
    learn(small(steps=32, evaluations=0), Path("out"), Path("run"))
    with pytest.raises(InputError, match="another gamma, clip; give another --run"):
        learn(small(gamma=0.9, clip=0.1), Path("out"), Path("run"))


def test_two_runs_at_a_time_do_not_share_a_checkpoint():
    Path("run").mkdir()
    with (
        alone(Path("run")),
        pytest.raises(InputError, match=r"another training writes into run.*another --run"),
    ):
        learn(small(evaluations=0), Path("out"), Path("run"))
    assert not list(Path("run").iterdir())
    assert not Path("out").exists()


def test_a_checkpoint_from_before_a_setting_existed_goes_on():
    learn(small(steps=32, evaluations=0), Path("out"), Path("run"))
    content = torch.load("run/checkpoint.pt", weights_only=True)
    kept = json.loads(content["recipe"])
    del kept["smoothness_of"]
    torch.save(content | {"recipe": json.dumps(kept)}, "run/checkpoint.pt")
    learn(small(steps=64, evaluations=0), Path("out"), Path("run"))
    assert json.loads(Path("out/rl.json").read_text())["steps"] == 64
    with pytest.raises(InputError, match="another smoothness_of"):
        learn(small(steps=64, evaluations=0, smoothness_of="mean"), Path("out"), Path("run"))


def test_the_world_pays_for_smoothness_only_where_actions_are_meant():
    for kind, paid in (("action", True), ("mean", False)):
        recipe = small(smoothness=1.0, smoothness_of=kind, processes=False)
        worlds = make_worlds(recipe, Policy(Lamp.command))
        world = worlds.venv.venv.venv.envs[0].unwrapped
        assert (world._smoothness > 0) == paid
        learner = make_learner(recipe, Policy(Lamp.command), worlds)
        assert (learner.smoothness > 0) != paid
        worlds.close()


def test_a_checkpoint_that_would_run_code_or_is_cut_off_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    Path("run").mkdir()
    torch.save({"format": Evil()}, "run/checkpoint.pt")
    with pytest.raises(InputError, match="no checkpoint of this version, or damaged"):
        learn(small(), Path("out"), Path("run"))
    assert not (tmp_path / "pwned").exists()
    Path("run/checkpoint.pt").write_bytes(b"PK")
    with pytest.raises(InputError, match="no checkpoint of this version, or damaged"):
        learn(small(), Path("out"), Path("run"))


@pytest.mark.slow
def test_ctrl_c_ends_a_run_with_processes_quietly_and_leaves_its_checkpoint(tmp_path, pytestconfig):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: lamp\nenv: {WORLD}\nsteps: 256\nenvs: 2\nrollout: 16\nbatch: 16\nepochs: 1\n"
        "evaluations: 0\ncheckpoint_every: 32\n"
    )
    environment = os.environ | {"PYTHONPATH": str(pytestconfig.rootpath)}
    done = subprocess.run(
        [sys.executable, "-m", "liquid_control", "rl", str(recipe), "--output=out", "--run=run"],
        env=environment | {"LAMP_INTERRUPTS_AT": "50"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert torch.load("run/checkpoint.pt", weights_only=True)["steps"] == 96


@pytest.mark.slow
def test_a_killed_run_goes_on_by_the_same_command(tmp_path, pytestconfig):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: lamp\nenv: {WORLD}\nsteps: 256\nenvs: 2\nrollout: 16\nbatch: 16\nepochs: 1\n"
        "evaluations: 0\ncheckpoint_every: 64\nprocesses: false\n"
    )
    command = [sys.executable, "-m", "liquid_control", "rl", str(recipe), "--output", "out"]
    command += ["--run", "run", "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(pytestconfig.rootpath)}
    killed = subprocess.run(command, env=environment | {"LAMP_KILLS_AT": "150"})
    assert killed.returncode == -signal.SIGKILL
    assert torch.load("run/checkpoint.pt", weights_only=True)["steps"] == 128
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert torch.load("run/checkpoint.pt", weights_only=True)["steps"] == 256
    assert json.loads(Path("out/rl.json").read_text())["steps"] == 256
    assert len(Policy.load("out").spec) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model: m\nenv: e\nclipp: 0.1\n", "unknown key 'clipp'; did you mean clip?"),
        ("model: m\n", "lacks env"),
        ("model: m\nenv: e\nsteps: many\n", "steps must be a whole number, got 'many'"),
        ("model: m\nenv: e\nsteps: 0\n", "steps must be at least 1, got 0"),
        ("model: m\nenv: e\nprivileged: [1]\n", "privileged must be a list, each a text"),
        ("model: m\nenv: e\nnoise: 0\n", "noise must be above 0"),
        ("model: m\nenv: e\ngamma: 1.1\n", "gamma and gae_lambda are at most 1"),
        (
            "model: m\nenv: e\nsmoothness_of: wheel\n",
            "is action or mean, got 'wheel'",
        ),
        ("model: m\nenv: e\ngamma: .nan\n", "gamma must be a finite number, got nan"),
        ("model: m\nenv: e\ncircuit_rate: .inf\n", "circuit_rate must be a finite number"),
        ("model: m\nenv: e\nseed: 4294967296\n", "seed must be below 2^32, got 4294967296"),
        ("model: m\nenv: e\ncritic_layers: [-1]\n", "critic_layers are numbers from 1 on"),
        ("model: ../m\nenv: e\n", "model must be a name, not a path, got '../m'"),
        ("model: m\nenv: e\nstrides: [0]\n", "strides are one or more numbers from 1 on"),
        ("- a\n", "must hold `key: value` lines"),
        ("model: [\n", "not valid YAML"),
    ],
)
def test_a_bad_recipe_is_refused_with_a_reason(tmp_path, capsys, text, sentence):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert main(["rl", str(path)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"env": "liquid_control/Nowhere-v0"}, "No world"),
        ({"init": "nobody"}, "No model 'nobody'"),
        ({"circuit": "ltcc"}, "There is no circuit 'ltcc'"),
        ({"outputs": ("wings",)}, "takes turn, speed, got outputs wings"),
        ({"privileged": ("wind",)}, "does not tell wind.*distance, side"),
        ({"init": "other", "outputs": ()}, "gives pull, but the world takes turn, speed"),
        ({"init": "other"}, "gives pull, the recipe wants turn"),
    ],
)
def test_a_recipe_that_does_not_fit_its_world_is_refused_with_a_reason(changes, sentence):
    Policy(CommandSpec((Output("pull", "1", -1.0, 1.0),))).save("other")
    with pytest.raises(InputError, match=sentence):
        learn(small(**changes), Path("out"), Path("run"))
    assert not Path("run").exists()


def test_what_the_command_line_says_stands_in_for_the_recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("model: m\nenv: e\nsteps: 5\nstrides: [1, 2]\n")
    recipe = read_rl_recipe(path, {"steps": 7, "privileged": ("a", "b")})
    assert (recipe.steps, recipe.strides, recipe.privileged) == (7, (1, 2), ("a", "b"))


def test_the_shipped_recipes_are_valid(pytestconfig):
    for path in (pytestconfig.rootpath / "config").glob("rl_*.yaml"):
        assert read_rl_recipe(path).model
