"""The measures say what they claim of maps that are right, wrong, or made by chance."""

import numpy as np
import pytest
import torch

from liquid_control.analysis.attend_measures import _interval, stretches, table
from liquid_control.analysis.measures import SHARES, hiding, on_road, shuffled
from liquid_control.attention.explained import Explained
from liquid_control.attention.maps import maps
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.training.networks import make_policy

PLACE = slice(24, 40), slice(80, 104)  # whole tiles


class LooksAtASpot:
    """Stands for an `Explained` whose target is the contrast of one place, and nothing else."""

    def __init__(self):
        self.policy, self.scale = self, torch.ones(1)

    def features(self, frames):
        spot = frames[:, *PLACE].float() / 255
        return spot.flatten(1).std(1, keepdim=True)

    def settle(self, features, state, elapsed):
        return features[:, -1, 0]


@pytest.fixture(scope="module")
def network():
    """A network as it is drawn, and a frame for it."""
    torch.manual_seed(0)
    policy = make_policy("lstm-64", CommandSpec((CURVATURE,))).eval()
    frame = np.random.default_rng(0).integers(0, 256, (6, 25, 3), np.uint8)
    return policy, frame.repeat(13, 0).repeat(8, 1)


def hidden(policy, frame, saliency, seed=0):
    state = np.zeros(sum(policy.circuit.state_sizes), np.float32)
    rng = np.random.default_rng(seed)
    return hiding(Explained(policy), frame, saliency, state, 1 / 30, rng)


def test_hiding_the_right_place_first_changes_the_target_first(network):
    right = np.zeros((78, 200), np.float32)
    right[PLACE] = 1
    nothing = np.zeros(0, np.float32)
    good, bad = (
        hiding(
            *(LooksAtASpot(), network[1], saliency, nothing, 1 / 30, np.random.default_rng(0))
        ).areas()
        for saliency in (right, 1 - right)
    )
    # All of it is hidden, or shown, in the first of ten steps.
    assert good["deletion"]["attention"] > 1.5 * good["deletion"]["random"]
    assert good["deletion"]["attention"] > 5 * good["deletion"]["inverse"]
    assert good["insertion"]["attention"] < 0.5 * good["insertion"]["random"]
    assert bad["deletion"]["attention"] < 0.5 * bad["deletion"]["random"]
    assert bad["insertion"]["attention"] > 1.2 * bad["insertion"]["random"]


def test_the_curves_begin_and_end_where_they_must(network):
    policy, frame = network
    curves = hidden(policy, frame, np.zeros((78, 200), np.float32))
    assert all(len(curve) == len(SHARES) for curve in curves.deletion.values())
    ends = [curve[-1] for curve in curves.deletion.values()]
    assert ends == pytest.approx([ends[0]] * 3)
    for order in curves.deletion:
        assert curves.deletion[order][0] == pytest.approx(0, abs=1e-7)
        assert curves.insertion[order][-1] == pytest.approx(0, abs=1e-7)
        assert curves.insertion[order][0] > 1e-5


def test_a_map_of_ties_is_no_better_than_chance(network):
    policy, frame = network
    flat = np.ones((78, 200), np.float32)
    gains = [
        areas["deletion"]["attention"] - areas["deletion"]["random"]
        for areas in (hidden(policy, frame, flat, seed).areas() for seed in range(6))
    ]
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(len(gains)) + 1e-9


def test_the_share_on_the_road_counts_attention_and_pixels():
    road = np.zeros((4, 10), bool)
    road[2:] = True
    saliency = np.zeros((4, 10), np.float32)
    saliency[0, 0], saliency[3, :3] = 1, 1
    assert on_road(saliency, road) == (0.75, 0.5)
    share, area = on_road(np.zeros((4, 10), np.float32), road)
    assert np.isnan(share)
    assert area == 0.5


def test_shuffled_weights_are_the_same_numbers_in_another_order(network):
    policy, frame = network
    other = shuffled(policy)
    pairs = zip(policy.parameters(), other.parameters(), strict=True)
    for mine, theirs in pairs:
        assert torch.equal(mine.flatten().sort()[0], theirs.flatten().sort()[0])
    assert np.abs(maps(other, frame[None]) - maps(policy, frame[None])).max() > 0.3


def test_frames_of_one_stretch_of_time_are_drawn_together():
    second = 1_000_000_000
    first = [k * second for k in range(0, 20, 4)]  # 0 to 16 s
    again = [k * second for k in range(0, 8, 4)]  # another drive
    assert stretches([*first, *again]).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert stretches([9 * second, 0]).tolist() == [0, 1]
    values = np.repeat([0.0, 1.0], 50)
    narrow = _interval(values, np.arange(100))
    assert 0.35 < narrow[0] < 0.5 < narrow[1] < 0.65
    assert _interval(values, np.repeat([0, 1], 50)) == [0.0, 1.0]
    assert _interval(values, np.zeros(100, int)) is None


def summary(name, attention, interval, stretches=6):
    def figure(mean, ends=(0, 0)):
        return {"mean": mean, "interval": list(ends), "frames": 9}

    figures = {
        f"{kind}_{order}": figure(value)
        for kind in ("deletion", "insertion")
        for order, value in (("attention", attention), ("random", 2.0), ("inverse", 1.0))
    }
    figures |= {
        f"{kind}_gain": figure(attention - 2, interval) for kind in ("deletion", "insertion")
    }
    figures["ssim_0.1"] = figure(0.5, (0.4, 0.6))
    return {
        "model": name,
        "method": "visual-backprop",
        "target": "curvature",
        "weighted_by_target": False,
        "frames": 9,
        "stretches": stretches,
        "figures": figures,
    }


def test_the_table_says_better_only_where_chance_is_ruled_out():
    rows = table([summary("a", 3.0, (0.5, 1.5)), summary("b", 2.1, (-0.5, 0.7))])
    cells = {row[0]: row[1:] for row in rows}
    assert cells["SSIM, noise of variance 0.1"] == ["0.50 (0.40 to 0.60)"] * 2
    assert cells["deletion, map / random"] == ["1.50", "1.05"]
    assert cells["deletion, against random"] == ["better", "no difference shown"]
    # Of an insertion curve less is better.
    assert cells["insertion, against random"] == ["worse", "no difference shown"]
    assert "SSIM, weights shuffled" not in cells


def test_few_stretches_rule_out_no_chance():
    few, enough = (summary(str(count), 3.0, (0.5, 1.5), count) for count in (5, 6))
    cells = {row[0]: row[1:] for row in table([few, enough])}
    assert cells["deletion, against random"] == ["no difference shown", "better"]
    assert cells["insertion, against random"] == ["no difference shown", "worse"]
