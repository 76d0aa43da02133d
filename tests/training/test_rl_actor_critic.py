"""A circuit learns by RecurrentPPO: what it stores, what it evaluates, what it refuses."""

import copy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from liquid_control.circuits import LSTM, LTC, CfC, flagship_wiring
from liquid_control.errors import InputError
from liquid_control.perception import VisionHead
from liquid_control.training.rl.actor_critic import roughness
from liquid_control.training.rl.algorithm import CircuitPPO

FEATURES = spaces.Box(-np.inf, np.inf, (32,))
FRAME = spaces.Box(0, 255, (78 * 200 * 3,), np.uint8)
ELAPSED = spaces.Box(0.0, np.inf, (1,))
PRIVILEGED = spaces.Box(-np.inf, np.inf, (3,))


class Noise(gymnasium.Env):
    """Random observations; episodes of 3 to 20 steps, whose steps last 1 or 2 frames."""

    action_space = spaces.Box(-1.0, 1.0, (2,))

    def __init__(self, seen=FEATURES, privileged=True):
        self.observation_space = spaces.Dict(
            {"frame" if seen is FRAME else "features": seen, "elapsed": ELAPSED}
            | ({"privileged": PRIVILEGED} if privileged else {})
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(3, 20))
        return self.observe(), {}

    def step(self, action):
        self.left -= 1
        reward = -float(np.square(action).sum())
        return self.observe(), reward, self.left <= 0, False, {}

    def observe(self):
        drawn = {}
        for name, space in self.observation_space.items():
            whole = space.dtype == np.uint8
            values = self.np_random.uniform(0, 255 if whole else 1, space.shape)
            drawn[name] = values.astype(space.dtype)
        drawn["elapsed"][:] = self.np_random.integers(1, 3) / 30
        return drawn


def learner(circuit, world=Noise, warmup=0, n_steps=32, **options):
    torch.manual_seed(0)
    return CircuitPPO(
        DummyVecEnv([world] * 2),
        critic_warmup=warmup,
        n_steps=n_steps,
        batch_size=24,
        n_epochs=2,
        seed=0,
        device="cpu",
        policy_kwargs={"circuit": circuit, "critic_layers": (8,)} | options,
    )


@pytest.mark.parametrize(
    ("circuit", "critic"),
    [
        (lambda: LTC(flagship_wiring(2)), lambda: None),
        (lambda: CfC(flagship_wiring(2)), lambda: LSTM(35, 12, 4)),
        (lambda: LTC(32, flagship_wiring(2), mixed_memory=True), lambda: None),
    ],
)
def test_what_was_stored_while_driving_is_what_whole_sequences_give(circuit, critic):
    """Probabilities and values of a rollout, step by step, and of the batches made of it."""
    model = learner(circuit(), critic_circuit=critic())
    model.learning_rate = 0.0
    model._setup_lr_schedule()
    model.learn(64)
    compared = 0
    for batch in model.rollout_buffer.get(24):
        real = batch.mask > 0
        values, log_prob, _ = model.policy.evaluate_actions(
            batch.observations, batch.actions, batch.lstm_states, batch.episode_starts
        )
        torch.testing.assert_close(
            values.flatten()[real], batch.old_values[real], atol=1e-5, rtol=0
        )
        torch.testing.assert_close(log_prob[real], batch.old_log_prob[real], atol=1e-5, rtol=1e-5)
        compared += int(real.sum())
    assert compared == 64


def test_predicting_step_by_step_is_one_whole_sequence():
    model = learner(LTC(flagship_wiring(2)))
    rng = np.random.default_rng(0)
    seen = [
        {
            "features": rng.uniform(0, 1, (2, 32)).astype(np.float32),
            "elapsed": rng.uniform(0.01, 0.1, (2, 1)).astype(np.float32),
            "privileged": np.zeros((2, 3), np.float32),
        }
        for _ in range(9)
    ]
    state, actions = None, []
    for index, each in enumerate(seen):
        starts = np.array([index in (0, 5), index == 0])
        action, state = model.predict(each, state, starts, deterministic=True)
        actions.append(action)
    features = torch.tensor(np.stack([each["features"] for each in seen], 1))
    elapsed = torch.tensor(np.stack([each["elapsed"][:, 0] for each in seen], 1))
    circuit = model.policy.circuit
    whole, _ = circuit(features, None, elapsed)
    later, _ = circuit(features[:1, 5:], None, elapsed[:1, 5:])
    whole[:1, 5:] = later
    np.testing.assert_allclose(np.stack(actions, 1), whole.detach().clip(-1, 1), atol=1e-5)


def test_the_critic_alone_learns_until_its_warm_up_is_over():
    model = learner(LTC(flagship_wiring(2)), warmup=64)
    before = copy.deepcopy(model.policy.state_dict())
    model.learn(64)
    changed = {k for k, v in model.policy.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {name for name in before if name.startswith("value_net")}
    model.learn(64, reset_num_timesteps=False)
    after = model.policy.state_dict()
    assert not torch.equal(after["log_std"], before["log_std"])
    assert any(not torch.equal(after[name], before[name]) for name in before if "circuit" in name)


def test_each_part_has_its_own_learning_rate():
    model = learner(LTC(flagship_wiring(2)), circuit_rate=1e-3, critic_rate=2e-3)
    model.learn(64)
    rates = {group["name"]: group["lr"] for group in model.policy.optimizer.param_groups}
    assert rates == {"actor": 1e-3, "critic": 2e-3}


def test_a_head_learns_from_the_actor_and_not_from_the_critic():
    torch.manual_seed(0)
    head = VisionHead()
    model = learner(
        LTC(flagship_wiring(2)), lambda: Noise(FRAME), n_steps=12, head=head, head_rate=1e-3
    )
    before = copy.deepcopy(head.state_dict())
    model.learn(24)
    assert any(not torch.equal(value, before[name]) for name, value in head.state_dict().items())
    batch = next(model.rollout_buffer.get(24))
    values, log_prob, _ = model.policy.evaluate_actions(
        batch.observations, batch.actions, batch.lstm_states, batch.episode_starts
    )
    asked = list(head.parameters())
    by_values = torch.autograd.grad(values.sum(), asked, allow_unused=True, retain_graph=True)
    assert all(each is None for each in by_values)
    by_actions = torch.autograd.grad(log_prob[batch.mask > 0].sum(), asked)
    assert any(each.abs().max() > 0 for each in by_actions)


def test_parameters_that_turn_nan_stop_the_run_with_one_sentence():
    model = learner(LTC(flagship_wiring(2)), circuit_rate=float("inf"))
    with pytest.raises(InputError, match="NaN or infinite after 64 decisions, in batch 1"):
        model.learn(64)


def test_the_same_seed_learns_the_same_weights():
    weights = []
    for _ in range(2):
        torch.manual_seed(1)
        model = learner(LTC(flagship_wiring(2)))
        model.learn(64)
        weights.append(model.policy.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize(
    ("outputs", "world", "options", "sentence"),
    [
        (2, lambda: Noise(spaces.Box(0.0, 1.0, (7,))), {}, r"takes 32 inputs.*shape \(7,\)"),
        (2, lambda: Noise(FRAME), {}, "dictionary with 'features' and 'elapsed'"),
        (1, Noise, {}, "gives 1 outputs"),
        (2, Noise, {"critic_circuit": LSTM(9, 4)}, "must take 35 inputs"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(outputs, world, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        learner(LTC(flagship_wiring(outputs)), world, **options)


def test_roughness_counts_changes_within_episodes_by_the_time_they_took():
    means = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [5.0, 1.0], [9.0, 1.0], [9.5, 7.0]]])
    starts = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0]])
    elapsed = torch.tensor([[0.1, 0.1, 0.5, 0.1, 0.0]])  # the last one is padding
    expected = torch.tensor([[0.0, 9 / 0.1, 5 / 0.5, 0.0, 0.0]])
    torch.testing.assert_close(roughness(means, starts, elapsed), expected)


def swings(model):
    """Mean roughness of the rollout that was driven last."""
    with torch.no_grad():
        (batch,) = model.rollout_buffer.get()
        model.policy.bonus = 0.0, 1.0
        found = -model.policy.evaluate_actions(
            batch.observations, batch.actions, batch.lstm_states, batch.episode_starts
        )[2]
    return float(found[batch.mask > 0].mean())


def test_a_penalty_on_the_means_calms_a_circuit_down():
    """Nothing else is rewarded, so that calming down is all there is to do."""

    class Still(Noise):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, 0.0, *rest

    def after(smoothness):
        torch.manual_seed(0)
        rates = {"circuit_rate": 3e-3, "critic_layers": (8,)}
        model = CircuitPPO(
            DummyVecEnv([Still] * 2),
            smoothness=smoothness,
            n_steps=64,
            batch_size=64,
            seed=0,
            device="cpu",
            policy_kwargs={"circuit": CfC(flagship_wiring(2)), **rates},
        )
        model.learn(128)
        before = swings(model)
        model.policy.bonus = None
        model.learn(640, reset_num_timesteps=False)
        return swings(model) / before

    calmed, left = after(0.01), after(0.0)
    assert calmed < 0.5 * left


def test_a_penalty_weighs_what_it_weighs_against_the_reward_of_the_world():
    """Advantages are normalised and rewards are scaled; the penalty goes with them."""
    torch.manual_seed(0)
    worlds = VecNormalize(DummyVecEnv([Noise] * 2), norm_obs=False, gamma=0.9)
    model = CircuitPPO(
        worlds,
        smoothness=0.3,
        ent_coef=0.02,
        n_steps=32,
        batch_size=64,
        seed=0,
        device="cpu",
        policy_kwargs={"circuit": CfC(flagship_wiring(2)), "critic_layers": (8,)},
    )
    model.learn(64)
    entropy, smooth = model.policy.bonus
    reward_scale = np.sqrt(worlds.ret_rms.var + worlds.epsilon)
    assert entropy == 0.02
    assert smooth == pytest.approx(
        0.3 / reward_scale / model.rollout_buffer.advantages.std(), rel=1e-5
    )
