"""Loss, parameter groups and learning rates, as a Lightning module."""

from __future__ import annotations

import math

import lightning
import torch
from torch import Tensor

from liquid_control.policy import Policy
from liquid_control.training.recipe import Recipe

__all__ = ["Imitation", "weighted_loss"]


def weighted_loss(commands: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """Mean squared error in which large commands weigh more.

    sum w (c - y)^2 / sum w with w = exp(alpha |y|), for commands and labels (..., outputs) as
    shares of the upper limits (Lechner et al. 2020, Methods).
    """
    weight = torch.exp(alpha * labels.abs())
    return (weight * (commands - labels) ** 2).sum() / weight.sum()


class Imitation(lightning.LightningModule):
    """Behavioural cloning of the labels on windows of frames, from a zero state.

    Args:
        policy: what is trained.
        recipe: how.
        steps: number of optimiser steps of the whole training.
    """

    def __init__(self, policy: Policy, recipe: Recipe, steps: int) -> None:
        super().__init__()
        self.policy, self.recipe, self.steps = policy, recipe, steps

    def on_train_epoch_start(self) -> None:
        self.trainer.train_dataloader.dataset.epoch = self.current_epoch

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        loss, _ = self._losses(batch["frames"], batch["labels"], batch["elapsed"])
        self.log("losses/train", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        loss, error = self._losses(batch["frames"], batch["labels"], batch["elapsed"])
        size = len(batch["frames"])
        self.log("losses/validation", loss, prog_bar=True, batch_size=size)
        self.log("losses/validation_mse", error, batch_size=size)

    def _losses(self, frames: Tensor, labels: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor]:
        commands, _ = self.policy(frames, None, elapsed)
        scale, start = self.policy.scale, self.recipe.burn_in
        commands, labels = commands[:, start:] / scale, labels[:, start:] / scale
        error = torch.mean((commands.detach() - labels) ** 2)
        return weighted_loss(commands, labels, self.recipe.alpha), error

    def configure_optimizers(self):
        recipe = self.recipe
        # Scaling the head's gradient instead would do nothing: Adam divides by its size.
        optimiser = torch.optim.AdamW(
            [
                {
                    "params": self.policy.head.parameters(),
                    "lr": recipe.head_rate,
                    "weight_decay": recipe.weight_decay,
                },
                {
                    "params": self.policy.circuit.parameters(),
                    "lr": recipe.circuit_rate,
                    "weight_decay": 0.0,
                },
            ]
        )

        def share(step: int) -> float:
            if step < recipe.warmup:
                return (step + 1) / recipe.warmup
            done = (step - recipe.warmup) / max(1, self.steps - recipe.warmup)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
