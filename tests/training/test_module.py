"""The loss counts what it should, and the state goes on where a recording does."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from liquid_control.data.drive import load_drives
from liquid_control.policy import Policy
from liquid_control.training.batches import Windows
from liquid_control.training.imitation import fit
from liquid_control.training.module import Imitation, learning_rate_share, weighted_loss
from liquid_control.training.networks import make_policy

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_loss_weighs_large_commands_more():
    labels = torch.tensor([[[0.0], [1.0]]])
    near_zero = weighted_loss(torch.tensor([[[0.1], [1.0]]]), labels, alpha=1.0)
    at_limit = weighted_loss(torch.tensor([[[0.0], [0.9]]]), labels, alpha=1.0)
    assert (at_limit / near_zero).item() == pytest.approx(np.e)
    assert weighted_loss(labels + 0.1, labels, alpha=1.0).item() == pytest.approx(0.01)


def test_each_output_has_a_loss_and_frames_that_do_not_count_have_none():
    labels = torch.zeros(2, 3, 2)
    commands = torch.zeros(2, 3, 2)
    commands[:, 0, 0], commands[:, 1:, 1] = 7.0, 0.5
    counted = torch.tensor([[False, True, True]] * 2)
    assert weighted_loss(commands, labels, 0.3, counted).tolist() == pytest.approx([0.0, 0.25])


def test_the_learning_rate_rises_and_falls_along_a_cosine():
    shares = [learning_rate_share(step, 110, 10) for step in range(111)]
    assert shares[0] == 0.1
    assert max(shares) == shares[9] == shares[10] == 1.0
    assert shares[60] == pytest.approx(0.5)
    assert shares[110] == pytest.approx(0.0)
    assert np.all(np.diff(shares[10:]) < 0)


def test_outputs_can_weigh_differently(small, tmp_path, monkeypatch):
    seen = []
    losses = Imitation._losses

    def kept(module, *args):
        seen.append(losses(module, *args))
        return seen[-1]

    monkeypatch.setattr(Imitation, "_losses", kept)
    logged = []
    log = Imitation.log
    monkeypatch.setattr(
        Imitation,
        "log",
        lambda self, name, value, **more: (logged.append((name, value)), log(self, name, value)),
    )
    recipe = small(outputs=("curvature", "speed"), weights=(3.0, 1.0), epochs=1)
    fit(recipe, tmp_path / "model", work=tmp_path / "work")
    first = seen[0][0].detach()
    total = next(value for name, value in logged if name == "losses/train")
    assert total.item() == pytest.approx(((3 * first[0] + first[1]) / 4).item())
    assert {"losses/train_curvature", "losses/train_speed"} <= {name for name, _ in logged}


def test_stateful_training_sees_the_state_that_a_whole_drive_would_have(
    small, posts, tmp_path, monkeypatch
):
    """With learning rates of 0 the state carried into a window is that of a run from the start."""
    (drive,) = load_drives([posts], outputs=("curvature",))
    states = []
    state_of = Imitation._state

    def kept(module, fresh):
        states.append((state_of(module, fresh), module))
        return states[-1][0]

    monkeypatch.setattr(Imitation, "_state", kept)
    items = []
    step = Imitation.training_step

    def seen(module, batch, index):
        items.append((batch["item"].tolist(), batch["fresh"].tolist()))
        return step(module, batch, index)

    monkeypatch.setattr(Imitation, "training_step", seen)
    recipe = small(mode="stateful", epochs=1, head_rate=0.0, circuit_rate=0.0, batch=4)
    policy = fit(recipe, tmp_path / "model", work=tmp_path / "work")
    windows = Windows([drive], recipe, varied=False)
    begun: dict[int, int] = {}
    compared = 0
    for (rows, fresh), (state, _) in zip(items, states, strict=True):
        for row, (item, new) in enumerate(zip(rows, fresh, strict=True)):
            if new:
                begun[row] = windows.sets[0].index[item][1]
                continue
            first, stop = begun[row], windows.sets[0].index[item][1]
            with torch.no_grad():
                frames = torch.from_numpy(np.array(drive.frames[first:stop]))[None]
                elapsed = torch.from_numpy(windows.sets[0]._elapsed[0][first:stop])[None]
                _, expected = policy(frames, None, elapsed)
            torch.testing.assert_close(state[row], expected[0], rtol=1e-4, atol=1e-5)
            compared += 1
    assert compared >= 8
    assert isinstance(policy, Policy)


def test_another_number_of_processes_goes_on_with_each_rows_own_state(small, posts, monkeypatch):
    recipe = small(mode="stateful")
    drives = load_drives([posts], outputs=("curvature",))
    windows = Windows(drives, recipe, varied=True)

    def process(rank: int, of: int) -> tuple[Imitation, SimpleNamespace]:
        module = Imitation(make_policy("ncp-ltc", recipe.spec), recipe, windows)
        # Lightning keeps a weak reference alone.
        trainer = SimpleNamespace(global_rank=rank, world_size=of)
        module.trainer = trainer
        return module, trainer

    # Row k of a batch has the state k, and process k % 2 of two.
    rows = torch.arange(4.0)[:, None].expand(4, 19)
    (first, trainer), checkpoint = process(0, 2), {}
    first._carried = (rows[0::2],)
    monkeypatch.setattr(first, "all_gather", lambda part: torch.stack((rows[0::2], rows[1::2])))
    first.on_save_checkpoint(checkpoint)
    for of in (1, 2, 4):
        for rank in range(of):
            module, trainer = process(rank, of)
            module.on_load_checkpoint(checkpoint)
            assert torch.equal(module._carried[0], rows[rank::of])
            assert trainer.world_size == of
