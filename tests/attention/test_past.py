"""Contributions of past frames add up, and reach as far back as the network remembers."""

import numpy as np
import pytest
import torch

from liquid_control.attention import maps as module
from liquid_control.attention.maps import maps
from liquid_control.attention.past import past
from liquid_control.training.networks import CIRCUITS

LENGTH = 6


@pytest.mark.parametrize(
    "circuit",
    ["ncp-ltc", *(pytest.param(each, marks=pytest.mark.slow) for each in CIRCUITS[1:])],
)
def test_the_contributions_add_up_to_the_change_of_the_command(circuit, policy_of, blobs):
    policy = policy_of(circuit)
    found = past(policy, blobs(LENGTH), steps=24)
    assert found.maps.shape == (LENGTH, 78, 200)
    assert found.change != 0
    assert abs(found.missing) < 0.1 * abs(found.change) + 1e-5
    assert found.shares.sum() == pytest.approx(1)


def test_a_network_without_a_memory_looks_at_the_last_frame_alone(policy_of, blobs):
    found = past(policy_of("cnn"), blobs(LENGTH), steps=4)
    assert found.shares[-1] == pytest.approx(1)
    assert found.mean_lag == 0
    assert found.reach() == 0


def test_a_recurrent_one_looks_back_and_less_the_further(policy_of, blobs):
    found = past(policy_of("ncp-ltc"), blobs(LENGTH), 0.05, steps=4)
    assert found.shares[0] < 0.1 < found.shares[-3:].min()
    assert 0 < found.mean_lag < found.reach() < found.lags[0] == pytest.approx(0.25)


def test_lags_follow_the_elapsed_times(policy_of, blobs):
    found = past(policy_of("ncp-ltc"), blobs(4), np.array([9.0, 0.1, 0.02, 0.03]), steps=2)
    assert found.lags == pytest.approx([0.15, 0.05, 0.03, 0.0])


def test_a_frame_for_which_no_time_passes_contributes_nothing(policy_of, blobs):
    found = past(policy_of("lstm-64"), blobs(4), np.array([0.03, 0.03, 0.0, 0.03]), steps=2)
    assert found.shares[2] == 0
    assert (found.shares[[0, 1, 3]] > 0).all()


def test_of_one_frame_it_is_what_integrated_gradients_show(monkeypatch, policy_of, blobs):
    monkeypatch.setattr(module, "STEPS", 8)
    policy, frames = policy_of("ncp-ltc"), blobs()
    state = np.random.default_rng(0).normal(0, 0.5, 19).astype(np.float32)
    alone = past(policy, frames, 0.05, state, "command_2", steps=8).maps[0]
    shown = maps(policy, frames, "integrated-gradients", "command_2", state[None], 0.05, True)[0]
    inside = np.abs(shown) < 1
    scale = np.abs(alone[inside]).max() / np.abs(shown[inside]).max()
    np.testing.assert_allclose(alone[inside] / scale, shown[inside], atol=1e-3)


def test_the_change_is_against_a_frame_without_contrast(policy_of, blobs):
    policy = policy_of("cnn")
    frames = blobs(3)
    with torch.no_grad():
        whole = policy(torch.from_numpy(frames)[None], None, 1 / 30)[0][0, -1, 0]
        grey = policy(torch.full((1, 1, 78, 200, 3), 128, dtype=torch.uint8), None, 1 / 30)[0]
    assert past(policy, frames, steps=2).change == pytest.approx(
        float(whole - grey[0, 0, 0]), abs=1e-6
    )
