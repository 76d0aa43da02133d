"""Rollouts as batches of sequences of one length, with almost no padding."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer
from sb3_contrib.common.recurrent.type_aliases import RecurrentDictRolloutBufferSamples, RNNStates
from torch import Tensor

__all__ = ["Rollouts"]


class Rollouts(RecurrentDictRolloutBuffer):
    """What `RecurrentPPO` learns from, cut into sequences of one length from all worlds.

    sb3-contrib cuts where episodes start and pads to the longest piece of a batch: of 512 decisions
    with episodes of 20 to 200 steps that is half of what the networks then compute. Here episodes
    start inside of the sequences, which `run_sequences` sees to. A batch also holds decisions of
    all worlds and times in random order, not of one or two worlds alone.

    A sequence begins with the state that the circuit had there while driving, as those of
    sb3-contrib do, and no gradient goes further back.

    Args:
        arguments, options: of `RecurrentDictRolloutBuffer`; observations have the key "elapsed".
        length: most steps in a sequence.
    """

    def __init__(self, *arguments: Any, length: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.length = length

    def get(
        self, batch_size: int | None = None
    ) -> Generator[RecurrentDictRolloutBufferSamples, None, None]:
        """Every decision once, in batches of at most `batch_size` or, without it, in one.

        Where a rollout is no multiple of the length, the last sequence of each world is filled up:
        there no time passes and the mask is 0.
        """
        pieces = -(-self.buffer_size // min(self.length, batch_size or self.length))
        length = -(-self.buffer_size // pieces)
        firsts = np.arange(0, self.buffer_size, length)
        rows = np.stack(np.meshgrid(firsts, np.arange(self.n_envs)), -1).reshape(-1, 2)
        batches = -(-len(rows) // max(1, batch_size // length)) if batch_size else 1
        # By torch's generator, which stable-baselines3 seeds with the others.
        for chosen in np.array_split(rows[torch.randperm(len(rows)).numpy()], batches):
            yield self._sequences(chosen[:, 0], chosen[:, 1], length)

    def _sequences(
        self, first: np.ndarray, world: np.ndarray, length: int
    ) -> RecurrentDictRolloutBufferSamples:
        step = first[:, np.newaxis] + np.arange(length)
        inside = step < self.buffer_size
        at = np.minimum(step, self.buffer_size - 1).ravel(), world.repeat(length)

        def samples(array: np.ndarray) -> Tensor:
            return self.to_torch(array[at], copy=False)

        def states(array: np.ndarray) -> Tensor:
            return self.to_torch(array[first, :, world].swapaxes(0, 1), copy=False).contiguous()

        mask = self.to_torch(inside.ravel().astype(np.float32), copy=False)
        observations = {key: samples(array) for key, array in self.observations.items()}
        observations["elapsed"] = observations["elapsed"] * mask.unsqueeze(1)
        return RecurrentDictRolloutBufferSamples(
            observations=observations,
            actions=samples(self.actions),
            old_values=samples(self.values),
            old_log_prob=samples(self.log_probs),
            advantages=samples(self.advantages),
            returns=samples(self.returns),
            lstm_states=RNNStates(
                (states(self.hidden_states_pi), states(self.cell_states_pi)),
                (states(self.hidden_states_vf), states(self.cell_states_vf)),
            ),
            episode_starts=samples(self.episode_starts) * mask,
            mask=mask,
        )
