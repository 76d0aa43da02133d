"""Rollouts become batches of sequences: all of it, each once, in order, with the right states."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from liquid_control.training.rl.rollouts import Rollouts

SPACE = spaces.Dict(
    {"features": spaces.Box(-np.inf, np.inf, (3,)), "elapsed": spaces.Box(0.0, np.inf, (1,))}
)


def filled(steps, worlds, length):
    """Every number tells the world and the step that it belongs to: world + step / 1000."""
    buffer = Rollouts(
        *(steps, SPACE, spaces.Box(-1.0, 1.0, (1,)), (steps, 1, worlds, 4), "cpu"),
        n_envs=worlds,
        length=length,
    )
    number = np.arange(worlds) + np.arange(steps)[:, np.newaxis] / 1000
    buffer.observations["features"][:] = number[..., np.newaxis]
    buffer.observations["elapsed"][:] = 1 / 30
    for name in ("values", "log_probs", "advantages", "returns"):
        getattr(buffer, name)[:] = number
    buffer.actions[:] = number[..., np.newaxis]
    buffer.hidden_states_pi[:] = number[:, np.newaxis, :, np.newaxis]
    buffer.episode_starts[steps - 1] = 1
    buffer.full = True
    return buffer, number.astype(np.float32)


@pytest.mark.parametrize(
    ("steps", "worlds", "length", "batch"), [(64, 3, 16, 48), (50, 2, 16, 40), (7, 1, 32, 4)]
)
def test_each_decision_is_in_one_batch_and_sequences_go_on_in_time(steps, worlds, length, batch):
    buffer, number = filled(steps, worlds, length)
    seen = []
    for given in buffer.get(batch):
        assert len(given.mask) <= batch
        real = given.mask > 0
        rows = given.lstm_states.pi[0].shape[1]
        values = given.old_values.reshape(rows, -1)
        assert torch.equal(given.lstm_states.pi[0][0, :, 0], values[:, 0])
        inside = real.reshape(rows, -1)
        steps_on = torch.diff(values)[inside[:, 1:]]
        torch.testing.assert_close(steps_on, torch.full_like(steps_on, 1e-3), atol=1e-5, rtol=0)
        for each in (given.observations["features"][:, 0], given.actions[:, 0], given.returns):
            assert torch.equal(each, given.old_values)
        seen.append(given.old_values[real])
    assert torch.equal(
        torch.cat(seen).sort().values, torch.from_numpy(number.ravel()).sort().values
    )


def test_what_fills_up_a_sequence_takes_no_time_and_starts_no_episode():
    buffer, _ = filled(steps=50, worlds=2, length=16)
    batch = next(buffer.get())
    padding = batch.mask == 0
    assert padding.sum() == 2 * (4 * 13 - 50)
    assert batch.observations["elapsed"][padding].abs().max() == 0
    assert batch.observations["elapsed"][~padding].min() > 0
    assert batch.episode_starts[padding].sum() == 0
    assert batch.episode_starts.sum() == 2


def test_batches_of_two_passes_differ():
    buffer, _ = filled(steps=64, worlds=4, length=16)
    first, second = (next(buffer.get(64)).old_values for _ in range(2))
    assert not torch.equal(first, second)
