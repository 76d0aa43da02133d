"""The sequence benchmarks: what their tasks hold, how big their networks are, that runs go on."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_control.errors import InputError

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import sequences
from sequence_tasks import activity, rollouts, trajectory
from sequence_tasks.bits import LONGEST, bit_streams, xor_data
from sequence_tasks.data import Data, Split, Task, run_lengths
from sequence_tasks.digits import digits_data
from sequence_tasks.models import MODELS, UNITS, VARIANTS, build, parameters
from sequence_tasks.results import add, read, table
from sequence_tasks.training import best_rate, pilot, score, train
from sequence_tasks.walkers import Controller

SMALL = {"train": 64, "validation": 32, "test": 32}


def splits(data: Data) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test


def same(first: Split, second: Split) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in vars(first))


def tiny_task(name: str = "xor_dense", epochs: int = 2) -> tuple[Task, Data]:
    data = xor_data(event_based=False, sizes=SMALL)
    return Task(name, "XOR", "accuracy", lambda: data, epochs, 32), data


def constant(frames: int, value: float) -> np.ndarray:
    return np.full((frames, 17), value, np.float32)


def write_recordings(folder: Path, robot: str) -> None:
    """Episodes whose observation is the frame's number, 1000 times the episode's number more."""
    count = rollouts.EPISODES[robot]
    frames = np.arange(80, dtype=np.float32)
    rows = [np.repeat((frames + 1000 * index)[:, None], 17, 1) for index in range(count)]
    np.savez(
        rollouts.recording_path(robot, folder),
        observations=np.concatenate(rows),
        lengths=np.full(count, 80),
    )


def test_events_come_at_changes_and_say_how_long_ago_the_last_one_was():
    assert run_lengths(np.array([1, 1, 1, 0, 1, 1])) == [(1, 1), (0, 3), (1, 1), (1, 1)]
    assert run_lengths(np.array([0, 1])) == [(0, 1), (1, 1)]


def test_the_elapsed_times_of_events_add_up_to_the_length_of_the_stream():
    for stream in bit_streams(50, np.random.default_rng(1)):
        found = run_lengths(stream)
        assert sum(waited for _, waited in found) == len(stream)
        assert found[-1][0] == stream[-1]


@pytest.mark.parametrize("event_based", [False, True])
def test_xor_data_repeat_and_have_the_stated_shapes(event_based: bool):
    data, again = (xor_data(event_based, SMALL) for _ in range(2))
    for split, other, count in zip(splits(data), splits(again), SMALL.values(), strict=True):
        assert same(split, other)
        assert split.inputs.shape == (count, split.elapsed.shape[1], 1)
        assert split.inputs.shape[1] <= LONGEST
        assert set(split.targets) == {0, 1}
    assert data.outputs == 2
    assert 0.5 <= data.reference < 0.8


def test_the_label_of_a_bit_stream_is_its_parity_in_both_encodings():
    dense, sparse = xor_data(False, SMALL).train, xor_data(True, SMALL).train
    for row in range(len(dense)):
        bits = dense.inputs[row, : dense.last[row] + 1, 0]
        assert bits.sum() % 2 == dense.targets[row] == sparse.targets[row]
        events = sparse.elapsed[row, : sparse.last[row] + 1]
        assert events.sum() == len(bits)


def test_digits_are_split_by_class_and_every_event_is_black_or_white():
    data = digits_data()
    assert [len(split) for split in splits(data)] == [1257, 180, 360]
    assert len({split.inputs.shape[1:] for split in splits(data)}) == 1
    for split in splits(data):
        assert set(np.unique(split.targets)) == set(range(10))
        assert set(np.unique(split.inputs)) == {0.0, 1.0}
        reached = [
            elapsed[: last + 1].sum()
            for elapsed, last in zip(split.elapsed, split.last, strict=True)
        ]
        assert set(reached) == {64.0}


def test_windows_of_activity_are_irregular_and_their_times_true():
    recording = np.arange(100, dtype=np.float32)[None, :, None].repeat(6, 2)
    split = activity.irregular(recording, np.array([2]), np.random.default_rng(0))
    assert split.inputs.shape == (11, 25, 6)
    assert (split.targets == 2).all()
    assert (np.diff(split.inputs[..., 0]) == split.elapsed[:, 1:]).all()
    assert split.elapsed.min() >= 1
    assert split.elapsed.max() > 2


def test_recordings_of_activity_are_read_channel_by_channel(tmp_path: Path):
    path = tmp_path / "some.ts"
    path.write_text("#note\n@data\n1,2,3:4,5,6:Walking\n7,8,9:1,1,1:Standing\n")
    recordings, classes = activity.read_ts(path)
    assert recordings.shape == (2, 3, 2)
    assert recordings[0, :, 1].tolist() == [4, 5, 6]
    assert [activity.CLASSES[index] for index in classes] == ["walking", "standing"]
    path.write_text("1,2:3,4:Swimming\n")
    with pytest.raises(InputError, match="Swimming"):
        activity.read_ts(path)


def test_without_its_data_the_activity_task_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr(activity.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install --no-deps aeon==1\.6\.0"):
        activity.activity_data()


def test_the_cheetah_is_predicted_one_frame_ahead(tmp_path: Path):
    write_recordings(tmp_path, "halfcheetah")
    data = rollouts.prediction_data("halfcheetah", tmp_path)
    assert data.train.inputs.shape[1:] == (rollouts.LENGTH, 17)
    ahead = (data.test.targets - data.test.inputs) * data.unit
    np.testing.assert_allclose(ahead, 1, atol=2e-2)
    assert data.reference == pytest.approx(1, abs=1e-2)
    assert (data.train.elapsed == 1).all()


def test_a_tenth_of_the_walkers_frames_is_missing_and_elapsed_times_say_which(tmp_path: Path):
    write_recordings(tmp_path, "walker2d")
    train = rollouts.prediction_data("walker2d", tmp_path).train
    unit = rollouts.prediction_data("walker2d", tmp_path).unit
    moved = np.diff(train.inputs[..., 0], axis=1) * unit
    np.testing.assert_allclose(moved, train.elapsed[:, 1:], atol=2e-2)
    assert 1.05 < train.elapsed.mean() < 1.2


def test_missing_recordings_are_named_with_the_command_that_makes_them(tmp_path: Path):
    with pytest.raises(InputError, match=r"sequences\.py rollouts"):
        rollouts.prediction_data("walker2d", tmp_path)


@pytest.mark.parametrize("robot", ["halfcheetah", "walker2d"])
def test_recordings_repeat_to_the_bit(robot: str, tmp_path: Path):
    pytest.importorskip("imageio")  # gymnasium's own MuJoCo worlds do not load without it
    found = []
    for name in ("first", "second"):
        with np.load(rollouts.record(robot, tmp_path / name, episodes=1, steps=60)) as file:
            found.append((file["observations"], file["lengths"]))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][0].shape == (found[0][1].sum(), 17)


def test_shipped_controllers_act_within_the_limits():
    for robot in ("halfcheetah", "walker2d"):
        action = Controller.load(robot)(np.full(17, 100.0))
        assert action.shape == (6,)
        assert np.abs(action).max() <= 1


def test_networks_have_the_stated_sizes_and_same_seeds_same_weights():
    sizes = {}
    for name in (*MODELS, *VARIANTS):
        network, again = build(name, 6, 4, 3), build(name, 6, 4, 3)
        for own, other in zip(network.parameters(), again.parameters(), strict=True):
            assert torch.equal(own, other)
        assert network(torch.zeros(2, 5, 6), torch.ones(2, 5)).shape == (2, 5, 4)
        neurons = network.circuit.state_size
        assert neurons == (UNITS + 4 if name == "ltc_ncp" else UNITS)
        sizes[name] = parameters(network)
    assert sizes["lstm"] == 4 * UNITS * (7 + UNITS + 1) + 4 * (UNITS + 1)
    assert min(sizes, key=sizes.get) == "ltc_ncp"


def test_every_network_but_the_lstm_gets_the_elapsed_time_as_what_it_is():
    for name in MODELS:
        network = build(name, 1, 1, 0)
        inputs = torch.ones(1, 4, 1)
        with torch.no_grad():
            soon, late = (network(inputs, torch.full((1, 4), time)) for time in (0.5, 3.0))
        assert not torch.allclose(soon, late, atol=1e-4), name
        assert network.sees_time == (name == "lstm")


def test_an_unknown_network_is_refused_by_name():
    with pytest.raises(InputError, match="transformer"):
        build("transformer", 1, 1, 0)


def test_a_training_repeats_and_learns():
    inputs = np.random.default_rng(0).normal(size=(192, 4, 1)).astype(np.float32)
    first_is_positive = (inputs[:, 0, 0] > 0).astype(np.int64)
    whole = Split(inputs, np.ones((192, 4), np.float32), first_is_positive, np.full(192, 3))
    parts = [whole.pick(np.arange(first, first + 64)) for first in (0, 64, 128)]
    data = Data(*parts, outputs=2)
    task = Task("first", "first sign", "accuracy", lambda: data, 25, 32)
    first, second = (train(task, data, "lstm", 0, 0.03, 60) for _ in range(2))
    assert first.curve == second.curve
    assert first.test > 0.85


def test_a_training_ends_at_its_cap():
    task, data = tiny_task(epochs=500)
    result = train(task, data, "lstm", 0, 0.001, cap_s=1e-9)
    assert (result.epochs, result.ended) == (1, "cap")


def test_the_error_of_predictions_is_in_the_units_of_the_recording():
    still = np.zeros((3, 4, 2), np.float32)
    split = Split(still, np.ones((3, 4), np.float32), still + 2, np.full(3, 3))
    task = Task("walk", "walk", "error", lambda: None, 1, 2)

    def zeros(inputs: torch.Tensor, elapsed: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(inputs)

    assert score(task, zeros, split, unit=5.0, batch=2) == pytest.approx(2**2 * 5**2)


def test_the_best_rate_is_that_of_the_best_pilot():
    task, data = tiny_task()
    some = pilot(task, data, "lstm", 0.01, 60)
    tried = [
        replace(some, validation=validation, recipe={"rate": rate})
        for validation, rate in ((0.5, 0.1), (0.9, 0.2), (0.7, 0.3))
    ]
    assert best_rate(tried, task) == 0.2
    assert best_rate(tried, replace(task, score="error")) == 0.1


def test_a_stopped_run_goes_on_with_what_is_missing(tmp_path: Path, monkeypatch):
    task, _ = tiny_task()
    monkeypatch.setattr("sequence_tasks.tasks.tasks", lambda recordings: {task.name: task})
    arguments = ["train", "--models", "lstm", "--folder", str(tmp_path)]
    assert sequences.main([*arguments, "--seeds", "1"]) == 0
    kept = (tmp_path / "runs.jsonl").read_text()
    assert len(kept.splitlines()) == 1
    assert sequences.main([*arguments, "--seeds", "2"]) == 0
    assert (tmp_path / "runs.jsonl").read_text().startswith(kept)
    assert [each.seed for each in read(tmp_path / "runs.jsonl")] == [0, 1]
    assert len(read(tmp_path / "pilots.jsonl")) == 4


def test_a_given_rate_and_number_of_epochs_need_no_pilots(tmp_path: Path, monkeypatch):
    task, _ = tiny_task()
    monkeypatch.setattr("sequence_tasks.tasks.tasks", lambda recordings: {task.name: task})
    own = ["--rate", "0.005", "--epochs", "3", "--seeds", "1", "--folder", str(tmp_path)]
    assert sequences.main(["train", "--models", "lstm", *own]) == 0
    (result,) = read(tmp_path / "runs.jsonl")
    assert (result.recipe["rate"], result.epochs) == (0.005, 3)
    assert not (tmp_path / "pilots.jsonl").exists()


def test_tables_give_mean_deviation_and_the_published_figure(tmp_path: Path):
    task, data = tiny_task()
    task = replace(task, published={"lstm": 0.5}, note="Some paper.")
    result = train(task, data, "lstm", 0, 0.001, 60)
    for seed, test in enumerate((0.6, 0.7, 0.8)):
        add(tmp_path / "runs.jsonl", replace(result, seed=seed, test=test))
    text = table(task, read(tmp_path / "runs.jsonl"))
    assert "**70.0 % ± 10.0 %**" in text
    assert "| 50.0 % |" in text
    assert "Some paper." in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "--models", "transformer"], "ltc_ncp"),
        (["train", "--tasks", "chess"], "xor_dense"),
        (["train", "--cap", "0"], "cap above 0 s"),
        (["train", "--rate", "0.1"], "a --folder of its own"),
        (["train", "--epochs", "0"], "above 0"),
        (["controller", "--robot", "ant"], "halfcheetah"),
        (["trajectory", "--trials", "1"], "2 trials or more"),
        (["tables", "--folder", "/nowhere"], "run `train`"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, expected, capsys):
    assert sequences.main(arguments) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert len(message.splitlines()) == 1


def test_path_lengths_of_known_curves():
    turn = np.linspace(0, 2 * np.pi, 2000)
    circle = np.stack((np.cos(turn), np.sin(turn)), 1)
    tilted = circle @ np.linalg.qr(np.random.default_rng(0).normal(size=(5, 2)))[0].T
    assert trajectory.path_length(circle) == pytest.approx(2 * np.pi, rel=1e-4)
    assert trajectory.path_length(trajectory.plane(tilted)) == pytest.approx(2 * np.pi, rel=1e-4)
    assert trajectory.folding(circle) == pytest.approx(np.pi, rel=1e-3)
    assert trajectory.folding(np.stack((turn, 2 * turn), 1)) == pytest.approx(1)


def test_random_networks_repeat_and_go_the_way_of_their_equations():
    setting = trajectory.Setting(width=10, depth=2, activation="sigmoid")
    found = {kind: trajectory.states(kind, setting, trials=2) for kind in trajectory.KINDS}
    for kind, state in found.items():
        assert state.shape == (2, trajectory.SAMPLES, 10)
        np.testing.assert_array_equal(state, trajectory.states(kind, setting, trials=2))
    # f lies in 0 to 1: a neural ODE never falls and rises by 1 a second at most, a CT-RNN leaks.
    assert (np.diff(found["node"], axis=1) >= 0).all()
    assert found["node"].max() < 2 * np.pi
    assert found["ctrnn"].mean() < found["node"].mean()
    with pytest.raises(InputError, match="gelu"):
        trajectory.states("ltc", replace(setting, activation="gelu"), 1)


def test_without_wide_targets_no_liquid_path_is_the_longest():
    wide, unit = (trajectory.Setting(width=25, targets=targets) for targets in ("wide", "unit"))
    for setting, longest in ((wide, "ltc"), (unit, "node")):
        reached = {
            kind: trajectory.path_length(trajectory.plane(trajectory.states(kind, setting, 1)[0]))
            for kind in trajectory.KINDS
        }
        assert max(reached, key=reached.get) == longest


def test_liquid_states_stay_between_their_targets():
    setting = trajectory.Setting(width=10, scale=0.0, targets="unit")
    state = trajectory.states("ltc", setting, trials=3)
    assert np.abs(state).max() < 5  # A and B of 60 normal numbers, of which x is an average


def test_every_sweep_varies_one_property_alone():
    for name, settings in trajectory.sweeps().items():
        base = vars(trajectory.Setting())
        may_change = {name} if name in base else {"targets", "recurrent"}
        for setting in settings:
            changed = {key for key, value in vars(setting).items() if value != base[key]}
            assert changed <= may_change


def test_committed_results_are_complete_lines():
    for name in ("runs.jsonl", "pilots.jsonl"):
        path = sequences.RESULTS / name
        for line in path.read_text().splitlines() if path.is_file() else ():
            assert json.loads(line)["model"] in MODELS | VARIANTS
