"""Drives during the training: a low loss does not say that a policy keeps its lane."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import lightning
import numpy as np
import torch

from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.rollout import (
    Episode,
    PolicyPilot,
    check_world,
    make_world,
    parse_options,
    run_episode,
    split_options,
)
from liquid_control.rollout.bundle import Bundle, model_bundle
from liquid_control.rollout.engine import Engine
from liquid_control.training.recipe import ClosedLoop

__all__ = ["ClosedLoopScore", "drive", "score"]

# What a metre of mean lateral error takes away, so that of two drivers that never crash the
# better one is found.
METRE = 0.1
# Of drives that a few episodes cannot tell apart, the later weights are taken: they have learnt
# for longer, at a smaller rate. The share of the best score that may be missing.
ALIKE = 0.005


def score(episodes: Sequence[Episode], settings: ClosedLoop) -> float:
    """How well drives went, larger is better; see `ClosedLoop.score`.

    Raises:
        InputError: they are to be scored by success, of which the world says nothing.
    """
    if settings.score == "reward":
        return float(np.mean([episode.reward for episode in episodes]))
    if settings.score == "success":
        if all(episode.success is None for episode in episodes):
            raise InputError(
                f"Drives cannot be scored by success: the world {settings.world} does not say "
                "whether its task was done; score them by survival or reward."
            )
        return float(np.mean([episode.success or 0.0 for episode in episodes]))
    shares = [
        min(1.0, episode.seconds / settings.seconds) if episode.crashed else 1.0
        for episode in episodes
    ]
    errors = [e.lateral_error for e in episodes if np.isfinite(e.lateral_error)]
    return float(np.mean(shares) - METRE * np.mean(errors or [0.0]))


def drive(folder: Path, settings: ClosedLoop, engine: Engine | None = None) -> list[Episode]:
    """The episodes of a saved policy, in order of their seeds.

    Args:
        engine: where they are driven; `settings.workers` processes of this machine by default.
    """
    made, reset = split_options(settings.world, parse_options(settings.options))
    model = model_bundle(folder)
    job = (settings.world, json.dumps(made), json.dumps(reset), settings.seconds, model)
    jobs = [(*job, settings.seed + index) for index in range(settings.episodes)]
    threads = torch.get_num_threads()
    try:
        done = (engine or Engine(settings.workers)).spread(_run, jobs)
        found = {key[-1]: episode for key, episode in done}
    finally:
        torch.set_num_threads(threads)
    return [found[seed] for seed in sorted(found)]


@functools.lru_cache(maxsize=1)
def _world(world: str, made: str):
    return make_world(world, **json.loads(made))


@functools.lru_cache(maxsize=1)
def _pilot(model: Bundle) -> PolicyPilot:
    return PolicyPilot(Policy.load(model.folder))


def _run(job: tuple) -> Episode:
    world, made, reset, seconds, model, seed = job
    options = json.loads(reset) or None
    return run_episode(_world(world, made), _pilot(model), seed, options=options, seconds=seconds)


class ClosedLoopScore(lightning.Callback):
    """Drives the policy now and then, keeps the best one, and ends a training that has stalled.

    Args:
        settings: world, episodes and how often.
        folder: for the best policy, `best`, in the format of `models/`.

    Raises:
        InputError: no such world or option.
    """

    def __init__(self, settings: ClosedLoop, folder: Path) -> None:
        made, reset = split_options(settings.world, parse_options(settings.options))
        check_world(settings.world, reset, **made)
        self.settings, self.folder = settings, folder
        self.history: list[list[float]] = []

    @property
    def best(self) -> Path:
        return self.folder / "best"

    def on_train_start(self, trainer, pl_module) -> None:
        trainer.should_stop = trainer.should_stop or self._stalled()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        every = self.settings.every or len(pl_module.stream.batch_sampler)
        if trainer.global_step % every == 0:
            self._check(trainer, pl_module)
            trainer.should_stop = trainer.should_stop or self._stalled()

    def on_train_end(self, trainer, pl_module) -> None:
        if trainer.global_step not in [step for step, _ in self.history]:
            self._check(trainer, pl_module)

    def state_dict(self) -> dict:
        return {"history": json.dumps(self.history)}

    def load_state_dict(self, state_dict: dict) -> None:
        self.history = json.loads(state_dict["history"])

    def _check(self, trainer, module) -> None:
        reached = None
        if trainer.is_global_zero:
            candidate = self.folder / "candidate"
            module.best.save(candidate)
            reached = score(drive(candidate, self.settings), self.settings)
            most = max((value for _, value in self.history), default=-np.inf)
            if reached >= most - ALIKE * abs(most):
                module.best.save(self.best, {"step": trainer.global_step, "score": reached})
        reached = trainer.strategy.broadcast(reached)
        self.history.append([trainer.global_step, reached])
        for logger in trainer.loggers:
            logger.log_metrics({"closed_loop/score": reached}, trainer.global_step)

    def _stalled(self) -> bool:
        if not self.settings.patience or not self.history:
            return False
        values = [value for _, value in self.history]
        return len(values) - 1 - int(np.argmax(values)) >= self.settings.patience
