"""Suites of conditions: those that are shipped, and files of one's own."""

import numpy as np
import pytest

from liquid_control.errors import InputError
from liquid_control.evaluation.episodes import Row, read_rows, write_rows
from liquid_control.evaluation.statistics import bootstrap_ratio_interval
from liquid_control.evaluation.suite import chosen, merged, read_suite, suites
from liquid_control.evaluation.suite_run import check
from liquid_control.evaluation.suite_summary import summarise
from liquid_control.rollout import Episode


def test_the_shipped_suites_are_those_of_the_page():
    assert set(suites()) == {"smoke", "paper", "robustness", "carracing", "drone-ood"}
    robust = read_suite("robustness")
    assert {each.name for each in robust.conditions} == {
        *("clean", "noise", "light", "fog", "rain", "night", "winter", "shadows", "occlusion"),
        *("blur", "camera_shifted", "camera_turned", "latency", "dropped", "frame_rate"),
    }
    # Curves need points; hours need an end.
    assert all(
        len(chosen(robust, [name]).conditions) >= 2 for name in set(robust.kinds) - {"clean"}
    )
    assert len(robust.conditions) <= 32
    assert {each.seconds for each in robust.conditions} == {20.0}
    levels = {each.level for each in chosen(read_suite("paper"), ["noise"]).conditions}
    assert levels == {0.1, 0.2, 0.3}


@pytest.mark.parametrize(
    "name",
    [
        *("smoke", "paper", "carracing"),
        pytest.param("robustness", marks=pytest.mark.slow),
        pytest.param("drone-ood", marks=pytest.mark.slow),
    ],
)
def test_every_world_takes_every_condition_of_its_suite(name):
    suite = read_suite(name, {"camera": False})
    check({"expert": None}, suite.worlds, suite)
    keys = [each.key for each in suite.conditions]
    assert len(set(keys)) == len(keys)
    assert keys[0] == "clean"
    definitions = [str(sorted(each.definition.items())) for each in suite.conditions]
    assert len(set(definitions)) == len(definitions)


def test_what_is_asked_for_changes_the_suite_but_not_what_its_conditions_are_about():
    suite = read_suite("robustness", {"season": "autumn", "effects": {"jpeg": 40}}, 3.0)
    named = {each.key: each for each in suite.conditions}
    assert named["clean"].options["season"] == "autumn"
    assert named["winter=40"].options["season"] == "winter"
    assert named["blur=6"].options["effects"] == {"jpeg": 40, "defocus": 6}
    assert {each.seconds for each in suite.conditions} == {3.0}
    assert merged({"a": 1, "effects": {"b": 2}}, {"a": 3}) == {"a": 3, "effects": {"b": 2}}


def test_some_conditions_or_one_level_can_be_chosen():
    suite = chosen(read_suite("robustness"), ["frame_rate", "fog=12", "clean"])
    assert [each.key for each in suite.conditions] == [
        *("clean", "fog=12", "frame_rate=10", "frame_rate=15", "frame_rate=60"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "worlds: [w]\nconditions: {c: {levels: {1: {nois: 1}}}}",
            "has no 'nois'; it may have noi",
        ),
        ("worlds: [w]\nconditions: {c: {levels: {}}}", "must hold at least one entry"),
        ("worlds: [w]\nconditions: {c: {levels: {hard: }}}", "expected a number, got 'hard'"),
        ("worlds: [w]\nconditions: {c: {level: 1}}", "has no 'level'; it may have levels"),
        ("worlds: w\nconditions: {c: {levels: {1: }}}", "needs `worlds`, a list"),
        ("conditions: {c: {levels: {1: }}}", "needs `worlds`, a list"),
        ("worlds: [w]\nseconds: -1\nconditions: {c: {levels: {1: }}}", "more than 0 s"),
        ("worlds: [w]\nseconds: long\nconditions: {c: {levels: {1: }}}", "expected a number"),
        ("worlds: [w]\nseconds: .nan\nconditions: {c: {levels: {1: }}}", "has an end, got nan"),
        (
            "worlds: [w]\noptions: season=winter\nconditions: {c: {levels: {1: }}}",
            "options: expected names with values.*got 'season=winter'",
        ),
        (
            "worlds: [w]\nconditions: {c: {levels: {1: {options: [fog]}}}}",
            "c=1: options: expected names with values",
        ),
        ("- a list", "must hold about, worlds"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_suite(str(path))


def test_a_table_comes_back_with_all_its_columns(tmp_path):
    figures = (1.5, 2.0, True, 1, 0.1, 0.2, 0.3, 4.0, 0.5, 6.0)
    rows = [
        Row("a", "w", "noise", 0.1, Episode(3, *figures, 0.0, 1.0, 2.0, 4, 0.7, None, 0.8)),
        Row("b", "w", "fog", 30.0, Episode(4, *figures, error='ValueError: "x", y')),
    ]
    write_rows(tmp_path, rows)
    assert read_rows(tmp_path) == rows
    whole = (tmp_path / "episodes.csv").read_text()
    # Wherever a kill cuts the last row, the others stay and it is left out.
    last = whole.rindex("b,w")
    for end in range(last, len(whole)):
        (tmp_path / "episodes.csv").write_text(whole[:end])
        assert read_rows(tmp_path) == rows[:1]


def episode(seed, distance, interventions, **changes):
    nothing = float("nan")
    figures = (10.0, distance, False, 0, *(nothing,) * 6)
    return Episode(seed, *figures, **({"interventions": interventions} | changes))


def test_distance_per_intervention_is_all_distance_over_all_interventions():
    found = summarise([episode(0, 100.0, 1), episode(1, 300.0, 0), episode(2, 200.0, 2)])["figures"]
    figure, rate = found["distance_per_intervention"], found["interventions_per_km"]
    assert figure["mean"] == pytest.approx(200.0)
    assert rate["mean"] == pytest.approx(5.0)
    low, high = figure["interval"]
    assert low < 200
    # One of 27 draws holds nothing but the second episode, in which nobody had to take over.
    assert high is None
    assert "lateral_error" not in found


def test_one_episode_has_no_interval_but_for_shares():
    found = summarise([episode(0, 100.0, 1, success=1.0)])
    assert 0 < found["crash_free"]["interval"][0] < found["crash_free"]["interval"][1] == 1
    assert found["figures"]["success"]["interval"] == found["crash_free"]["interval"]
    for name in ("distance", "distance_per_intervention", "interventions_per_km"):
        assert found["figures"][name]["interval"] is None
    # Of none seen something is known.
    known = summarise([episode(0, 100.0, 0)])["figures"]["interventions_per_km"]
    assert known["interval"] == [0.0, pytest.approx(36.89, rel=1e-3)]


def test_nobody_knows_how_far_a_driver_without_interventions_goes():
    found = summarise([episode(seed, 1000.0, 0) for seed in range(10)])["figures"]
    figure = found["distance_per_intervention"]
    # Three and a bit interventions in 10 km would be seen with 97.5 %.
    assert figure["mean"] is None
    assert figure["interval"] == [pytest.approx(10_000 / 3.689, rel=1e-3), None]


def test_a_share_of_successes_has_a_width_where_all_succeed_or_none_does():
    for successes in (0.0, 1.0):
        flights = [episode(seed, 10.0, 0, success=successes) for seed in range(40)]
        figure = summarise(flights)["figures"]["success"]
        assert figure["mean"] == successes
        # As 40 of 40 crash-free episodes.
        assert np.ptp(figure["interval"]) == pytest.approx(0.0876, abs=1e-3)
        assert successes in figure["interval"]


def test_a_group_of_broken_episodes_has_no_figures():
    found = summarise([episode(7, float("nan"), None, error="ValueError: x")])
    assert (found["episodes"], found["broken"], found["broken_seeds"]) == (1, 1, [7])
    assert found["crash_free"] == {"count": 0, "share": None, "interval": None}
    assert found["figures"] == {}


def test_the_interval_of_a_ratio_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        metres = rng.uniform(50, 150, 60)
        low, high = bootstrap_ratio_interval(rng.poisson(0.01 * metres), metres, 400)
        hits += low <= 0.01 <= high
    assert 0.88 < hits / 200 < 0.99
