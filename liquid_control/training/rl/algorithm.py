"""RecurrentPPO with a learning rate for each part, and an actor that waits for its critic."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.vec_env import VecEnv

from liquid_control.errors import InputError
from liquid_control.training.rl.actor_critic import CircuitActorCritic
from liquid_control.training.rl.rollouts import Rollouts

__all__ = ["CircuitPPO"]


class CircuitPPO(RecurrentPPO):
    """Proximal policy optimisation of a `CircuitActorCritic` (Schulman et al. 2017).

    Args:
        env: with observations as `CircuitActorCritic` takes them.
        critic_warmup: steps in which the critic alone learns. An actor that comes from imitation
            would be driven away from what it can do by a critic that knows nothing yet.
        length: most decisions in a sequence, which is as far as gradients go back in time.
        smoothness: penalty on changes of the mean action, per second and squared change per second,
            in units of the reward; see `actor_critic.roughness`.
        options: of `sb3_contrib.RecurrentPPO`; `policy_kwargs` are those of `CircuitActorCritic`,
            and `learning_rate` is a factor on its rates, 1 by default.
    """

    def __init__(
        self,
        env: VecEnv,
        critic_warmup: int = 0,
        length: int = 32,
        smoothness: float = 0.0,
        **options: Any,
    ) -> None:
        self.critic_warmup, self.length, self.smoothness = critic_warmup, length, smoothness
        super().__init__(CircuitActorCritic, env, **{"learning_rate": 1.0} | options)
        # RecurrentPPO's loss has one place for a bonus beside the advantages: the entropy's.
        self.entropy_weight, self.ent_coef = self.ent_coef, 1.0 if smoothness else self.ent_coef
        self._batch = 0
        self.policy.optimizer.register_step_post_hook(self._check)

    def _setup_model(self) -> None:
        super()._setup_model()
        self.rollout_buffer = Rollouts(
            self.n_steps,
            self.observation_space,
            self.action_space,
            self.rollout_buffer.hidden_state_shape,
            self.device,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            n_envs=self.n_envs,
            length=self.length,
        )

    def _update_learning_rate(self, optimizers: torch.optim.Optimizer) -> None:
        factor = self.lr_schedule(self._current_progress_remaining)
        waiting = self.num_timesteps <= self.critic_warmup
        for group in optimizers.param_groups:
            acts = group["name"] != "critic"
            group["lr"] = 0.0 if waiting and acts else factor * group["rate"]
            self.logger.record(f"train/{group['name']}_rate", group["lr"])

    def train(self) -> None:
        """Learn from the rollout.

        Raises:
            InputError: a parameter is no finite number any more.
        """
        self._batch = 0
        if self.smoothness:
            self.policy.bonus = self.entropy_weight, self.smoothness / self._advantage_scale()
        super().train()

    def _advantage_scale(self) -> float:
        """What the world's reward was divided by until it was an advantage of the loss."""
        scale = float(self.rollout_buffer.advantages.std()) + 1e-8
        worlds = self.get_vec_normalize_env()
        if worlds is None or not worlds.norm_reward:
            return scale
        return scale * float(np.sqrt(worlds.ret_rms.var + worlds.epsilon))

    def _check(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._batch += 1
        if not all(parameter.isfinite().all() for parameter in self.policy.parameters()):
            raise InputError(
                f"A parameter turned NaN or infinite after {self.num_timesteps} decisions, in "
                f"batch {self._batch} of the update; the last checkpoint is from before: lower the "
                "learning rates or the clip range."
            )
