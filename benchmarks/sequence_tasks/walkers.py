"""HalfCheetah and Walker2d controllers: trained by PPO here, kept as plain arrays.

The controllers only make the recordings that the prediction tasks learn from (see `rollouts`).
Trained ones are committed beside this file, so that the recordings repeat without training.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
from safetensors.numpy import load_file, save

from liquid_control.errors import InputError
from liquid_control.files import replace_file

__all__ = ["ROBOTS", "Controller", "mean_return", "train_controller"]

ROBOTS = {"halfcheetah": "HalfCheetah-v5", "walker2d": "Walker2d-v5"}
FOLDER = Path(__file__).with_name("controllers")

# Discounts of the RL zoo's tuned PPO; small networks and 16 worlds at once suit one core.
PPO = {
    "halfcheetah": {"gamma": 0.98, "gae_lambda": 0.92, "ent_coef": 0.0004},
    "walker2d": {"gamma": 0.99, "gae_lambda": 0.95, "ent_coef": 0.0006},
}
WORLDS, HIDDEN = 16, 64


@dataclass(frozen=True)
class Controller:
    """Mean action of a trained policy: two tanh layers on normalised observations.

    Attributes:
        arrays: mean, deviation (observations,), and weight0, bias0 to weight2, bias2.
    """

    arrays: dict[str, np.ndarray]

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """Action (actions,) in [-1, 1] for an observation (observations,)."""
        arrays = self.arrays
        hidden = (observation - arrays["mean"]) / arrays["deviation"]
        hidden = np.clip(hidden, -10, 10)
        for layer in range(3):
            hidden = arrays[f"weight{layer}"] @ hidden + arrays[f"bias{layer}"]
            if layer < 2:
                hidden = np.tanh(hidden)
        return np.clip(hidden, -1, 1)

    @classmethod
    def load(cls, robot: str, folder: Path = FOLDER) -> Controller:
        """The trained controller of a robot.

        Raises:
            InputError: there is none.
        """
        path = folder / f"{robot}.safetensors"
        if not path.is_file():
            raise InputError(
                f"Expected the trained controller {path}, found none; train it with `python "
                f"benchmarks/sequences.py controller --robot {robot}`."
            )
        return cls(load_file(path))

    def save(self, robot: str, folder: Path = FOLDER) -> Path:
        """Write the arrays in one step."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{robot}.safetensors"
        replace_file(path, save(self.arrays))
        return path


def mean_return(
    controller: Controller, robot: str, episodes: int = 20, first_seed: int = 1000
) -> tuple[float, float]:
    """Mean and standard deviation of the undiscounted return, without random actions."""
    env = gymnasium.make(ROBOTS[robot])
    returns = []
    for seed in range(first_seed, first_seed + episodes):
        observation, _ = env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(controller(observation))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    env.close()
    return float(np.mean(returns)), float(np.std(returns))


def train_controller(robot: str, steps: int, checkpoints: Path, seed: int = 0) -> Controller:
    """PPO for `steps` steps; goes on from the checkpoint that an interrupted run left."""
    import torch
    from stable_baselines3 import PPO as Learner
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    torch.set_num_threads(1)
    checkpoints.mkdir(parents=True, exist_ok=True)
    weights, statistics = checkpoints / f"{robot}.zip", checkpoints / f"{robot}_statistics.pkl"
    worlds = make_vec_env(ROBOTS[robot], WORLDS, seed=seed)
    if weights.is_file() and statistics.is_file():
        worlds = VecNormalize.load(str(statistics), worlds)
        learner = Learner.load(weights, worlds, device="cpu")
    else:
        worlds = VecNormalize(worlds, gamma=PPO[robot]["gamma"])
        learner = Learner(
            "MlpPolicy",
            worlds,
            learning_rate=lambda left: 1e-4 + 2e-4 * left,
            n_steps=128,
            batch_size=256,
            n_epochs=10,
            clip_range=0.2,
            max_grad_norm=0.8,
            policy_kwargs={
                "net_arch": [HIDDEN, HIDDEN],
                "activation_fn": torch.nn.Tanh,
                "log_std_init": -1.0,
            },
            seed=seed,
            device="cpu",
            **PPO[robot],
        )
    # One call to the end of training decays the learning rate once; saving happens inside of it.
    learner.learn(
        steps - learner.num_timesteps,  # what it counts is added to what was done before
        reset_num_timesteps=False,
        callback=_saver(worlds, weights, statistics),
    )
    return controller_of(learner, worlds)


def controller_of(learner, worlds) -> Controller:
    """The mean action of a PPO policy and its observation statistics as arrays."""
    layers = [*learner.policy.mlp_extractor.policy_net[::2], learner.policy.action_net]
    running = worlds.obs_rms
    arrays = {"mean": running.mean, "deviation": np.sqrt(running.var + worlds.epsilon)}
    for index, layer in enumerate(layers):
        arrays[f"weight{index}"] = layer.weight.detach().numpy()
        arrays[f"bias{index}"] = layer.bias.detach().numpy()
    return Controller({name: np.ascontiguousarray(a, np.float32) for name, a in arrays.items()})


def _saver(worlds, weights: Path, statistics: Path, every_s: float = 60.0):
    from stable_baselines3.common.callbacks import BaseCallback

    class Saver(BaseCallback):
        """Saves the learner each minute and says how far it is."""

        def _on_training_start(self) -> None:
            self.saved = time.monotonic()

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            if time.monotonic() - self.saved < every_s:
                return
            self.saved = time.monotonic()
            self.model.save(weights)
            worlds.save(str(statistics))
            score = np.mean([episode["r"] for episode in self.model.ep_info_buffer] or [np.nan])
            print(f"{self.num_timesteps:>9} steps, return {score:7.0f}", flush=True)

    return Saver()
