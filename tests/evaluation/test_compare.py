"""Two models on the same seeds: what differs, and how sure that is."""

import json

import numpy as np
import pytest
from small_world import WORLD

from liquid_control import models
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.errors import InputError
from liquid_control.evaluation.compare import compare, paired_differences, pairs_of
from liquid_control.evaluation.episodes import Row, read_episodes, read_rows, write_rows
from liquid_control.evaluation.evaluate import evaluate
from liquid_control.evaluation.statistics import paired_share_interval
from liquid_control.policy import Policy
from liquid_control.rollout import Episode


def episode(seed, seconds=5.0, crashed=False, success=1.0):
    nothing = float("nan")
    return Episode(
        *(seed, seconds, 2 * seconds, crashed, 0, nothing, nothing, nothing, 2.0, 0.1, 3.0),
        success,
    )


def write_episodes(folder, episodes):
    write_rows(folder, [Row("model", "world", "clean", 0.0, each) for each in episodes])


def evaluation(folder, episodes, **settings):
    """As evaluations looked before they had several models and conditions."""
    folder.mkdir(parents=True)
    write_episodes(folder, episodes)
    facts = {"env": "world", "noise": 0.0, "seconds": None} | settings
    (folder / "results.json").write_text(json.dumps(facts))
    return folder


def by_name(pairs):
    return {each.name: each for each in paired_differences(pairs)}


def test_a_table_comes_back_as_it_was_written(tmp_path):
    write_episodes(tmp_path, [episode(3), episode(4, crashed=True, success=0.0)])
    with (tmp_path / "episodes.csv").open("a") as file:
        file.write("5,1.0")  # A kill leaves half a row.
    found = read_episodes(tmp_path)
    assert [(each.seed, each.crashed, each.success) for each in found] == [
        (3, False, 1.0),
        (4, True, 0.0),
    ]


@pytest.mark.parametrize("name", ["driving_ncp", "driving_v0_ncp", "drone_ncp"])
def test_tables_of_shipped_models_from_older_versions_are_still_read(name):
    rows = read_rows(models.find(name))
    assert {row.group for row in rows} == {("", "", "clean", 0.0)}
    assert all(row.episode.distance > 0 and row.episode.interventions is None for row in rows)
    pairs = pairs_of(models.find(name), models.find(name))
    assert len(pairs) == len(rows)
    assert not {"interventions", "jerk"} & {each.name for each in paired_differences(pairs)}


def test_a_new_evaluation_is_compared_with_one_of_an_older_version(tmp_path):
    options = {"model": "expert", "env": WORLD, "episodes": 3, "seed": 0, "report": False}
    evaluate(**options, noise=0.1, output=tmp_path / "new")
    rows = [episode(seed, seconds=0.5) for seed in range(2)]
    old = evaluation(tmp_path / "old", rows, env=WORLD, noise=0.1)
    found = {each.name: each for each in paired_differences(pairs_of(old, tmp_path / "new"))}
    assert (found["seconds"].pairs, found["seconds"].difference) == (2, pytest.approx(0.5))
    clean = evaluation(tmp_path / "clean", rows, env=WORLD)
    with pytest.raises(InputError, match="another condition"):
        pairs_of(clean, tmp_path / "new")


def test_an_evaluation_of_several_models_compares_them_itself(tmp_path):
    Policy(CommandSpec((CURVATURE,))).save(tmp_path / "steers")
    options = {"env": WORLD, "episodes": 1, "report": False, "output": tmp_path / "both"}
    evaluate(("expert", str(tmp_path / "steers")), **options)
    with pytest.raises(InputError, match="several models, expert, steers"):
        pairs_of(tmp_path / "both", tmp_path / "both")


def test_pairs_see_a_difference_that_is_small_beside_the_spread_of_seeds(tmp_path):
    times = np.random.default_rng(0).uniform(4, 20, 60)
    slow = evaluation(tmp_path / "slow", [episode(k, t) for k, t in enumerate(times)])
    # In another order, and with a seed that only one has.
    quick = [episode(k, t - 0.2 + 0.1 * (k % 3)) for k, t in enumerate(times)][::-1]
    quick = evaluation(tmp_path / "quick", [*quick, episode(99, 100.0)])
    found = by_name(pairs_of(slow, quick))["seconds"]
    assert found.pairs == 60
    assert found.difference == pytest.approx(-0.1)
    assert found.certain
    assert found.interval[0] < -0.1 < found.interval[1] < 0
    assert not by_name(pairs_of(slow, slow))["seconds"].certain


@pytest.mark.parametrize("pairs", [5, 6])
def test_few_pairs_say_nothing_for_certain(pairs):
    before = [episode(k, 6.0) for k in range(pairs)]
    after = [episode(k, 5.0 + 0.01 * k) for k in range(pairs)]
    found = by_name(list(zip(before, after, strict=True)))["seconds"]
    assert found.interval[1] < 0
    assert found.certain == (pairs == 6)


def test_who_fails_early_is_not_quick():
    before = [episode(k, 6.0) for k in range(10)]
    after = [episode(k, 5.0) for k in range(5)]
    after += [episode(k, 0.5, crashed=True, success=0.0) for k in range(5, 10)]
    found = by_name(list(zip(before, after, strict=True)))
    assert found["success"].difference == pytest.approx(-0.5)
    assert found["crash_free"].certain
    assert found["seconds_of_successes"].difference == pytest.approx(-1.0)
    assert found["seconds_of_successes"].pairs == 5
    assert found["seconds"].difference < -2


def test_a_world_without_success_or_lane_has_no_such_figures():
    names = set(by_name([(episode(0, success=None), episode(0, success=None))]))
    assert "crash_free" in names
    assert not names & {"success", "lateral_error", "seconds_of_successes"}


def test_one_pair_has_no_interval_but_for_shares(tmp_path, capsys):
    one, other = (evaluation(tmp_path / name, [episode(0, s)]) for name, s in (("a", 6), ("b", 5)))
    assert compare(one, other) == 0
    assert "One pair gives no interval" in capsys.readouterr().out
    found = by_name(pairs_of(one, other))
    assert found["seconds"].interval is None
    assert not found["seconds"].certain
    assert found["crash_free"].interval[0] < 0 < found["crash_free"].interval[1]


def test_no_length_is_the_worlds_own(tmp_path):
    names = {"env": "liquid_control/Driving-v1"}
    default = evaluation(tmp_path / "default", [episode(0)], **names)
    asked = evaluation(tmp_path / "asked", [episode(0)], **names, seconds=120.0)
    assert len(pairs_of(default, asked)) == 1
    other = evaluation(tmp_path / "other", [episode(0)], **names, seconds=60.0)
    with pytest.raises(InputError, match="another seconds"):
        pairs_of(default, other)


def test_folders_of_evaluations_are_taken_together(tmp_path):
    for model, seconds in (("a", 6.0), ("b", 5.0)):
        for season in ("summer", "winter"):
            rows = [episode(k, seconds) for k in range(3)]
            evaluation(tmp_path / model / season, rows, options={"season": season})
    assert compare(tmp_path / "a", tmp_path / "b", output=tmp_path / "out.json") == 0
    found = json.loads((tmp_path / "out.json").read_text())["differences"]
    seconds = next(row for row in found if row["name"] == "seconds")
    assert (seconds["pairs"], seconds["difference"]) == (6, pytest.approx(-1.0))
    evaluation(tmp_path / "b" / "autumn", [episode(0)])
    with pytest.raises(InputError, match="autumn is in one of them alone"):
        pairs_of(tmp_path / "a", tmp_path / "b")


def test_what_cannot_be_compared_is_refused(tmp_path):
    one = evaluation(tmp_path / "one", [episode(0)])
    with pytest.raises(InputError, match="another condition"):
        pairs_of(one, evaluation(tmp_path / "noisy", [episode(0)], noise=0.1))
    changes = {"options": {"season": "winter"}, "seconds": 3.0}
    with pytest.raises(InputError, match="another options, seconds"):
        pairs_of(one, evaluation(tmp_path / "winter", [episode(0)], **changes))
    with pytest.raises(InputError, match="another env"):
        pairs_of(one, evaluation(tmp_path / "moon", [episode(0)], env="moon"))
    with pytest.raises(InputError, match="no seed in common"):
        pairs_of(one, evaluation(tmp_path / "other", [episode(1)]))
    with pytest.raises(InputError, match="has no results"):
        pairs_of(one, tmp_path / "nowhere")
    with pytest.raises(InputError, match="nowhere holds no evaluation"):
        pairs_of(tmp_path / "nowhere", tmp_path / "nowhere")
    (one / "episodes.csv").write_text("seed\n1\n")
    with pytest.raises(InputError, match="no table of episodes"):
        read_episodes(one)


def test_paired_shares_give_newcombes_published_values():
    # Newcombe (1998), table III: a, b, c, d and the interval of method 10.
    for (both, first, second, neither), interval in (
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((20, 12, 2, 16), (0.0562, 0.3292)),
        ((18, 14, 0, 18), (0.1441, 0.3963)),
        ((54, 0, 0, 0), (-0.0664, 0.0664)),
    ):
        counts = [both, first, second, neither]
        after = np.repeat([True, True, False, False], counts)
        before = np.repeat([True, False, True, False], counts)
        assert paired_share_interval(before, after) == pytest.approx(interval, abs=2e-4)


def test_more_pairs_make_a_share_more_certain():
    before, after = np.array([0, 0, 1, 1, 1]), np.array([1, 1, 1, 0, 1])
    narrow, wide = (paired_share_interval(np.tile(before, k), np.tile(after, k)) for k in (40, 4))
    assert wide[0] < narrow[0] < 0.2 < narrow[1] < wide[1]
