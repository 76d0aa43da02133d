"""A circuit learns to remember by reinforcement alone, which nobody without a memory can."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from liquid_control.circuits import LTC, CfC, flagship_wiring
from liquid_control.training.rl.algorithm import CircuitPPO

STEPS, CUE = 10, 2
# Who does not remember the side does best with 0, and pays 1 in each step after the cue.
WITHOUT_MEMORY = -float(STEPS - CUE)


class Cue(gymnasium.Env):
    """Two steps show a side, left or right; the action must stand there for all of ten steps."""

    observation_space = spaces.Dict(
        {"features": spaces.Box(0.0, 1.0, (32,)), "elapsed": spaces.Box(0.0, 1.0, (1,))}
    )
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.done, self.side = 0, float(self.np_random.choice([-1, 1]))
        return self.observe(), {}

    def step(self, action):
        self.done += 1
        reward = -4 * (float(action[0]) - 0.5 * self.side) ** 2
        return self.observe(), reward, self.done >= STEPS, False, {}

    def observe(self):
        features = self.np_random.uniform(0.4, 0.6, 32).astype(np.float32)
        if self.done < CUE:
            features[:8] = self.side > 0
        return {"features": features, "elapsed": np.array([1 / 30], np.float32)}


OPTIONS = {"n_steps": 64, "batch_size": 128, "n_epochs": 5, "gamma": 0.9, "seed": 0}


def score(model):
    """Mean reward of 40 episodes without noise."""
    worlds = DummyVecEnv([Cue])
    worlds.seed(1)
    return evaluate_policy(model, worlds, 40, warn=False)[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LTC, CfC])
def test_a_circuit_learns_to_remember_what_a_memoryless_policy_cannot_know(kind):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    worlds = DummyVecEnv([Cue] * 8)
    model = CircuitPPO(
        worlds,
        device="cpu",
        policy_kwargs={"circuit": kind(flagship_wiring(1)), "circuit_rate": 1e-2},
        **OPTIONS,
    )
    assert score(model) < 0.5 * WITHOUT_MEMORY
    model.learn(16_384)
    assert score(model) > 0.25 * WITHOUT_MEMORY


@pytest.mark.slow
def test_the_same_task_is_beyond_ppo_without_a_memory():
    torch.set_num_threads(1)
    model = PPO("MultiInputPolicy", DummyVecEnv([Cue] * 8), device="cpu", **OPTIONS)
    model.learn(16_384)
    assert score(model) < 0.9 * WITHOUT_MEMORY
