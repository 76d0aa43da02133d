"""Drive in between, without noise and with the same pilot as `liquid-control evaluate`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np

from liquid_control.files import replace_file
from liquid_control.policy import Policy
from liquid_control.rollout import (
    Episode,
    Moment,
    PolicyPilot,
    make_world,
    run_episode,
    split_options,
)
from liquid_control.training.rl.recipe import RLRecipe
from liquid_control.training.rl.world import places

__all__ = ["Evaluator", "Score", "read_scores"]


@dataclass(frozen=True)
class Score:
    """Means over the episodes of one evaluation.

    Attributes:
        steps: decisions that had been learnt from.
        score: reward less the recipe's penalties on changes of the action and on time; larger is
            better.
        reward: by the world's own measure.
        crash_free: share of the episodes.
        success: share of the episodes, NaN where the world has no such end.
        seconds: length of an episode [s].
        distance: [m].
        lateral_error: mean absolute [m], NaN in worlds without a lane.
        steering_rate: mean absolute change of the first output per second.
    """

    steps: int
    score: float
    reward: float
    crash_free: float
    success: float
    seconds: float
    distance: float
    lateral_error: float
    steering_rate: float


class Evaluator:
    """Evaluates a policy on the same episodes each time, and keeps the scores in a table.

    Args:
        recipe: says in which world, how many episodes and which ones.
        table: CSV file; scores of an earlier part of the run stay in it.
        done: decisions of that earlier part, 0 for none; scores after it are dropped.
    """

    def __init__(self, recipe: RLRecipe, table: Path, done: int) -> None:
        self._recipe, self._table = recipe, table
        self.scores = [score for score in read_scores(table) if done and score.steps <= done]
        self._env: gymnasium.Env | None = None

    def evaluate(self, policy: Policy, steps: int) -> Score:
        """The score of a policy after `steps` decisions; written into the table."""
        recipe = self._recipe
        made, reset = split_options(recipe.env, recipe.options)
        if self._env is None:
            self._env = make_world(recipe.env, **made)
        chosen, _ = places(self._env, policy.spec)
        pilot, episodes, penalties = PolicyPilot(policy), [], []
        for seed in range(recipe.evaluation_seed, recipe.evaluation_seed + recipe.evaluations):
            shares: list[np.ndarray] = []

            def keep(moment: Moment, shares: list[np.ndarray] = shares) -> None:
                shares.append(moment.action[chosen] / policy.spec.high)

            episode = run_episode(self._env, pilot, seed, options=reset or None, on_moment=keep)
            rate = self._env.metadata["render_fps"]
            change = float((np.diff(shares, axis=0) ** 2).sum()) * rate
            penalties.append(recipe.smoothness * change + recipe.time_cost * episode.seconds)
            episodes.append(episode)
        self.scores = [score for score in self.scores if score.steps != steps]
        self.scores.append(_score(steps, episodes, penalties))
        self._write()
        return self.scores[-1]

    def close(self) -> None:
        if self._env is not None:
            self._env.close()

    def _write(self) -> None:
        names = list(Score.__dataclass_fields__)
        rows = [",".join(str(getattr(score, name)) for name in names) for score in self.scores]
        replace_file(self._table, "\n".join([",".join(names), *rows]) + "\n")


def read_scores(table: Path) -> list[Score]:
    """The scores that a table holds, none where there is no table."""
    if not table.is_file():
        return []
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Score(**{k: int(v) if k == "steps" else float(v) for k, v in row.items()}) for row in rows
    ]


def _score(steps: int, episodes: list[Episode], penalties: list[float]) -> Score:
    def mean(name: str) -> float:
        values = [getattr(episode, name) for episode in episodes]
        return float(np.mean([np.nan if value is None else value for value in values]))

    return Score(
        steps=steps,
        score=mean("reward") - float(np.mean(penalties)),
        reward=mean("reward"),
        crash_free=1 - mean("crashed"),
        success=mean("success"),
        seconds=mean("seconds"),
        distance=mean("distance"),
        lateral_error=mean("lateral_error"),
        steering_rate=mean("steering_rate"),
    )
