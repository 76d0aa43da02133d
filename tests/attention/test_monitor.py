"""What the attention monitor notices, when it says so, and what it needs to have been told."""

import json

import numpy as np
import pytest

from liquid_control.attention.monitor import (
    FILE,
    SETTLING,
    AttentionMonitor,
    Calibration,
    Limits,
    describe,
)
from liquid_control.errors import InputError

HEAD = "0123456789abcdef"
CHANNELS = 6
LIMITS = Limits(drift=15.0, drift_clear=12.0, similarity=0.2, similarity_clear=0.4)
STEP = 0.2


def scene(random: np.random.Generator, column: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """A map with one bright spot that trembles about a column, and its channels' activity."""
    v, u = np.mgrid[:39, :60]
    x, y = column + random.normal(0, 2), 20 + random.normal(0, 2)
    saliency = np.exp(-((u - x) ** 2 + (v - y) ** 2) / 40) + 0.02 * random.random((39, 60))
    return (saliency / saliency.max()).astype(np.float32), random.lognormal(0, 0.2, CHANNELS)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    random = np.random.default_rng(0)
    seen = np.array([describe(*scene(random)) for _ in range(2000)])
    return Calibration(HEAD, *Calibration.fit(seen), LIMITS, {"bags": 1})


def test_training_itself_drifts_little_and_less_than_its_number_of_directions(calibration):
    random = np.random.default_rng(1)
    drifts = np.array([calibration.drift(describe(*scene(random))) for _ in range(500)])
    assert (drifts**2).mean() < len(calibration.mean)
    assert np.quantile(drifts, 0.95) < LIMITS.drift_clear


def follow(monitor: AttentionMonitor, *scenes: tuple) -> list:
    return [monitor.look(*each, STEP) for each in scenes]


def test_an_ordinary_drive_raises_no_alarm(calibration):
    random = np.random.default_rng(2)
    seen = follow(AttentionMonitor(calibration), *(scene(random) for _ in range(300)))
    assert not any(each.alarm for each in seen)
    assert seen[-1].similarity > 0.4


def test_a_view_unlike_training_raises_an_alarm_that_lasts_until_it_is_ordinary_again(calibration):
    random = np.random.default_rng(3)
    monitor = AttentionMonitor(calibration)
    follow(monitor, *(scene(random) for _ in range(20)))
    odd = follow(monitor, *(scene(random, column=45.0) for _ in range(30)))
    first = next(place for place, each in enumerate(odd) if each.alarm)
    assert first * STEP < 2.0
    assert all(each.alarm for each in odd[first:])
    again = follow(monitor, *(scene(random) for _ in range(60)))
    # The means remember for a while, and an alarm ends at other limits than it begins.
    assert again[0].alarm
    assert not again[-1].alarm
    changes = np.diff([each.alarm for each in again]).astype(bool).sum()
    assert changes == 1


def test_channels_that_respond_otherwise_raise_an_alarm_though_the_map_is_the_same(calibration):
    random = np.random.default_rng(4)
    monitor = AttentionMonitor(calibration)
    follow(monitor, *(scene(random) for _ in range(20)))
    odd = [(saliency, 20 * activity) for saliency, activity in (scene(random) for _ in range(20))]
    assert follow(monitor, *odd)[-1].alarm


def test_a_sudden_change_lowers_the_similarity_at_once_and_for_a_while(calibration):
    random = np.random.default_rng(5)
    monitor = AttentionMonitor(calibration)
    before = follow(monitor, *(scene(random) for _ in range(30)))[-1].similarity
    after = follow(monitor, *(scene(random, column=40.0) for _ in range(60)))
    assert after[2].similarity < before - 0.1
    assert after[-1].similarity > before - 0.1


def test_nothing_is_said_at_the_start_of_a_drive_and_after_a_break(calibration):
    random = np.random.default_rng(6)
    monitor = AttentionMonitor(calibration)
    for _ in range(2):
        odd = follow(monitor, *(scene(random, column=45.0) for _ in range(20)))
        first = next(place for place, each in enumerate(odd) if each.alarm)
        assert first * STEP == pytest.approx(SETTLING, abs=STEP)
        monitor.forget()


def test_half_as_many_maps_lead_to_the_same_figures(calibration):
    random = np.random.default_rng(7)
    scenes = [scene(random, column=20 + 4 * np.sin(place / 20)) for place in range(200)]
    every, other = AttentionMonitor(calibration), AttentionMonitor(calibration)
    dense = [every.look(*each, 0.1) for each in scenes][-1]
    sparse = [other.look(*each, 0.2) for each in scenes[::2]][-1]
    assert sparse.drift == pytest.approx(dense.drift, rel=0.25)
    assert sparse.similarity == pytest.approx(dense.similarity, abs=0.1)


def test_a_black_frame_which_has_no_attention_at_all_is_unlike_training(calibration):
    monitor = AttentionMonitor(calibration)
    black = (np.zeros((39, 60), np.float32), np.zeros(CHANNELS))
    seen = follow(monitor, *[black] * 20)
    assert seen[-1].alarm
    assert np.isfinite(seen[-1].drift)


def test_a_saved_calibration_measures_as_before(calibration, tmp_path):
    calibration.save(tmp_path)
    loaded = Calibration.load(tmp_path, HEAD)
    assert (loaded.limits, loaded.facts) == (calibration.limits, calibration.facts)
    moved = describe(*scene(np.random.default_rng(8), column=40.0))
    assert loaded.drift(moved) == pytest.approx(calibration.drift(moved), rel=1e-3)


def test_a_model_without_a_calibration_has_none(tmp_path):
    assert Calibration.load(tmp_path, HEAD) is None


def test_a_calibration_of_other_weights_is_refused(calibration, tmp_path):
    calibration.save(tmp_path)
    with pytest.raises(InputError, match="calibrated for a head with the hash 0123456789abcdef"):
        Calibration.load(tmp_path, "f" * 16)


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields.pop("limits"),
        lambda fields: fields.update(format="something else"),
        lambda fields: fields["whitening"].pop(),
        lambda fields: fields["mean"].__setitem__(0, float("nan")),
        lambda fields: fields["mean"].__setitem__(0, None),
        lambda fields: fields["limits"].update(drift="high"),
        lambda fields: fields["limits"].update(more=1.0),
    ],
)
def test_a_damaged_calibration_is_refused(calibration, tmp_path, damage):
    calibration.save(tmp_path)
    fields = json.loads((tmp_path / FILE).read_text())
    damage(fields)
    (tmp_path / FILE).write_text(json.dumps(fields))
    with pytest.raises(InputError, match="is no calibration of an attention monitor"):
        Calibration.load(tmp_path, HEAD)


def test_a_truncated_calibration_is_refused(calibration, tmp_path):
    calibration.save(tmp_path)
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match="is no calibration"):
        Calibration.load(tmp_path, HEAD)
