"""What happens between rollouts: progress, evaluation, checkpoints."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from liquid_control.policy import Policy
from liquid_control.training.rl.checkpoint import save
from liquid_control.training.rl.evaluation import Evaluator
from liquid_control.training.rl.recipe import RLRecipe

__all__ = ["BEST", "CHECKPOINT", "Keeper", "Progress"]

BEST, CHECKPOINT = "best", "checkpoint.pt"  # in the folder of a run


class Progress(BaseCallback):
    """A progress bar, and outcomes of the latest 100 training episodes in the logs."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total
        self._outcomes: deque[dict[str, float]] = deque(maxlen=100)

    def _on_training_start(self) -> None:
        self._bar = tqdm(total=self._total, initial=self.num_timesteps, unit="decision")

    def _on_step(self) -> bool:
        self._bar.update(self.num_timesteps - self._bar.n)
        self._outcomes += [info["outcome"] for info in self.locals["infos"] if "outcome" in info]
        return True

    def _on_rollout_end(self) -> None:
        if not self._outcomes:
            return
        for name in self._outcomes[0]:
            mean = float(np.mean([outcome[name] for outcome in self._outcomes]))
            self.logger.record(f"episodes/{name}", mean)
        crashed = np.mean([outcome["crashed"] for outcome in self._outcomes])
        reward = np.mean([outcome["reward"] for outcome in self._outcomes])
        self._bar.set_postfix(reward=f"{reward:.1f}", crashed=f"{crashed:.0%}", refresh=False)

    def _on_training_end(self) -> None:
        self._bar.close()


class Keeper(BaseCallback):
    """Evaluates, keeps the best model, and writes checkpoints to go on from.

    Between rollouts alone, when a checkpoint is all there is to know. It evaluates the start as
    well: what is learnt must be better than that.

    Args:
        policy: the trained policy; shares its circuit and head with the learner.
        recipe: how often.
        evaluator: what says how good it is.
        run: folder for checkpoint and best model.
    """

    def __init__(self, policy: Policy, recipe: RLRecipe, evaluator: Evaluator, run: Path) -> None:
        super().__init__()
        self._policy, self._recipe, self._evaluator, self._run = policy, recipe, evaluator, run

    def _on_training_start(self) -> None:
        self._saved = self.num_timesteps

    def _on_rollout_start(self) -> None:
        scores, wanted = self._evaluator.scores, self._recipe.evaluations > 0
        due = not scores or self.num_timesteps - scores[-1].steps >= self._recipe.evaluate_every
        if wanted and due:
            self._evaluate()
            # The best model and the table of scores belong to what a killed run goes on from.
            self._save()
        elif self.num_timesteps - self._saved >= self._recipe.checkpoint_every:
            self._save()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        scores = self._evaluator.scores
        if self._recipe.evaluations and (not scores or scores[-1].steps != self.num_timesteps):
            self._evaluate()
        self._save()

    def _evaluate(self) -> None:
        best = max((score.score for score in self._evaluator.scores), default=-np.inf)
        score = self._evaluator.evaluate(self._policy, self.num_timesteps)
        for name in ("score", "reward", "crash_free", "distance"):
            self.logger.record(f"evaluation/{name}", getattr(score, name))
        tqdm.write(
            f"{score.steps} decisions: score {score.score:.2f}, reward {score.reward:.2f}, "
            f"crash-free {score.crash_free:.0%}, distance {score.distance:.0f} m"
        )
        if score.score > best:
            self._policy.save(self._run / BEST)

    def _save(self) -> None:
        save(self._run / CHECKPOINT, self.model, self._recipe)
        self._saved = self.num_timesteps
