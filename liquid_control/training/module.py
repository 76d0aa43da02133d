"""Loss, carried state, parameter groups, averaged weights, as a Lightning module."""

from __future__ import annotations

import copy
import json
import math

import lightning
import torch
from torch import Tensor

from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.training.batches import Order, Stream, Windows
from liquid_control.training.budget import Budget
from liquid_control.training.recipe import Recipe

__all__ = ["Imitation", "learning_rate_share", "weighted_loss"]


def weighted_loss(
    commands: Tensor,
    labels: Tensor,
    alpha: float,
    counted: Tensor | None = None,
) -> Tensor:
    """Mean squared error of each output in which large commands weigh more, (outputs,).

    sum w (c - y)^2 / sum w with w = exp(alpha |y|) (Lechner et al. 2020, Methods).

    Args:
        commands, labels: (batch, time, outputs) as shares of the upper limits.
        alpha: 0 gives the plain mean.
        counted: (batch, time), how much each frame counts, or whether; all alike by default. The
            loss of no frame is 0.
    """
    weight = torch.exp(alpha * labels.abs())
    if counted is not None:
        weight = weight * counted.unsqueeze(-1)
    dims = tuple(range(labels.dim() - 1))
    total = weight.sum(dims).clamp_min(torch.finfo(weight.dtype).tiny)
    return (weight * (commands - labels) ** 2).sum(dims) / total


def learning_rate_share(step: int, steps: int, warmup: int) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Imitation(lightning.LightningModule):
    """Behavioural cloning of the labels on windows of frames.

    Args:
        policy: what is trained.
        recipe: how.
        windows: the training data.
        facts: what identifies this training; a checkpoint is only resumed by its own.
        workers: processes that load batches; 0 loads them in this one.
        budget: of processor time, if the training may end before all its steps are done.

    Attributes:
        averaged: exponential moving average of the policy, or None.
        stream: the training batches, once the training has begun.
    """

    def __init__(
        self,
        policy: Policy,
        recipe: Recipe,
        windows: Windows,
        facts: dict | None = None,
        workers: int = 0,
        budget: Budget | None = None,
    ) -> None:
        super().__init__()
        self.policy, self.recipe, self.windows = policy, recipe, windows
        self.facts, self.workers, self.budget = facts or {}, workers, budget
        self.steps = recipe.epochs * len(Order(windows, recipe))
        self.averaged: Policy | None = None
        if recipe.ema:
            self.averaged = copy.deepcopy(policy).requires_grad_(False).eval()
        weights = torch.tensor(recipe.weights or (1.0,) * len(recipe.outputs))
        self.register_buffer("output_weights", weights / weights.sum(), persistent=False)
        self.stream: Stream | None = None
        self._carried: tuple[Tensor, ...] | None = None

    @property
    def best(self) -> Policy:
        """What is checked and saved: the averaged policy where there is one."""
        return self.policy if self.averaged is None else self.averaged

    def train_dataloader(self) -> Stream:
        trainer = self.trainer
        order = Order(self.windows, self.recipe, trainer.global_rank, trainer.world_size)
        self.stream = Stream(self.windows, order, self.workers)
        return self.stream

    def on_train_batch_start(self, batch: dict[str, Tensor], index: int) -> None:
        # Dropout follows from the step alone, too, so that a resumed training draws the same.
        torch.manual_seed(
            (self.recipe.seed * 1_000_003 + self.global_step) * 64 + self.trainer.global_rank
        )

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        fresh = batch["fresh"]
        state = self._state(fresh)
        losses, _, state = self._losses(batch, state, fresh)
        loss = losses @ self.output_weights
        if not torch.isfinite(loss):
            self._stop("loss", loss.item(), batch)
        if self.recipe.mode == "stateful" and state is not None:
            parts = (state,) if isinstance(state, Tensor) else state
            self._carried = tuple(part.detach() for part in parts)
        self._batch = batch
        # Of the whole batch, also where several processes share it.
        self.log("losses/train", loss, prog_bar=True, sync_dist=True)
        if len(losses) > 1:
            for name, value in zip(self.recipe.outputs, losses, strict=True):
                self.log(f"losses/train_{name}", value, sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        losses, errors, _ = self._losses(batch, None, batch["fresh"])
        size = len(batch["frames"])
        loss = losses @ self.output_weights
        self.log("losses/validation", loss, prog_bar=True, batch_size=size, sync_dist=True)
        self.log("losses/validation_mse", errors.mean(), batch_size=size, sync_dist=True)

    def _losses(
        self, batch: dict[str, Tensor], state: Tensor | tuple[Tensor, ...] | None, fresh: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | tuple[Tensor, ...] | None]:
        """Loss and mean squared error of each output, and the state after the last frame."""
        policy = self.policy if self.training else self.best
        labels = batch["labels"] / policy.scale
        commands, state = policy(batch["frames"], state, batch["elapsed"])
        commands = commands / policy.scale
        frame = torch.arange(labels.shape[1], device=labels.device)
        counted = ((frame >= self.recipe.burn_in) | ~fresh.unsqueeze(1)) * batch["weights"]
        losses = weighted_loss(commands, labels, self.recipe.alpha, counted)
        return losses, weighted_loss(commands.detach(), labels, 0.0, counted), state

    def _state(self, fresh: Tensor) -> Tensor | tuple[Tensor, ...] | None:
        """The state that each row of the batch goes on with."""
        if self._carried is None or bool(fresh.all()):
            return None
        keep = (~fresh).to(self._carried[0]).unsqueeze(1)
        parts = tuple(part.to(keep) * keep for part in self._carried)
        return parts[0] if len(parts) == 1 else parts

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.recipe.clip)
        # Float16 begins with too large a factor on the loss; Lightning then skips the step.
        if not torch.isfinite(norm) and self.recipe.precision != "16-mixed":
            self._stop("gradient", norm.item(), self._batch)
        self.log("gradient_norm", norm)

    def optimizer_step(self, *args, **kwargs) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.averaged is None:
            return
        # Young averages would remember the weights of the start for too long.
        decay = min(self.recipe.ema, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()), list(self.policy.parameters()), 1 - decay
            )

    def configure_optimizers(self) -> dict:
        recipe, policy = self.recipe, self.policy
        # Scaling the head's gradient instead would do nothing: Adam divides by its size.
        groups = [
            {
                "params": list(policy.head.parameters()),
                "lr": recipe.head_rate,
                "weight_decay": recipe.weight_decay,
                "name": "head",
            },
            {
                "params": list(policy.circuit.parameters()),
                "lr": recipe.circuit_rate,
                "weight_decay": 0.0,
                "name": "circuit",
            },
        ]
        optimiser = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate_share)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate_share(self, step: int) -> float:
        # A rate that is still high when the time is over would cost a slow network its last digits.
        if self.budget is not None and step >= self.recipe.warmup:
            step = max(step, round(self.budget.share * self.steps))
        return learning_rate_share(step, self.steps, self.recipe.warmup)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["training"] = json.dumps(self.facts)
        if self._carried is not None:
            # In the order of the whole batch, as another number of processes may go on from here.
            checkpoint["carried"] = [self._of_all(part).cpu() for part in self._carried]

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        if "carried" in checkpoint:
            # As `Order` shares a batch.
            mine = slice(self.trainer.global_rank, None, self.trainer.world_size)
            self._carried = tuple(part[mine].to(self.device) for part in checkpoint["carried"])

    def _of_all(self, part: Tensor) -> Tensor:
        """The rows of all processes from this one's, (batch, size)."""
        found = self.all_gather(part)
        return found if found.dim() == part.dim() else found.transpose(0, 1).flatten(0, 1)

    def _stop(self, what: str, value: float, batch: dict[str, Tensor]) -> None:
        """End the training with a sentence that says where the numbers broke."""
        with torch.no_grad():
            commands, _ = self.policy(batch["frames"], None, batch["elapsed"])
        broken = ~torch.isfinite(commands).flatten(1).all(1)
        row = int(broken.float().argmax()) if broken.any() else 0
        others = int(broken.sum()) - 1 if broken.any() else len(broken) - 1
        folder = self.trainer.default_root_dir
        steps = len(self.stream.batch_sampler)
        raise InputError(
            f"The {what} became {value} at batch {self.global_step % steps} of epoch "
            f"{self.current_epoch} (step {self.global_step}), in "
            f"{self.windows.where(int(batch['item'][row]))}, and {others} more windows; the last "
            f"good checkpoint, if any, stays in {folder}: look at these frames, or lower "
            "head_rate, circuit_rate or clip and begin again elsewhere."
        )
