"""Minari datasets on this disk become bags, with images or without."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from liquid_control.data.bag import BagReader
from liquid_control.data.drive import load_drive
from liquid_control.data.importers.minari import import_minari
from liquid_control.data.messages import decode_image, read_named_vector
from liquid_control.errors import InputError

minari = pytest.importorskip("minari")
h5py = pytest.importorskip("h5py")
EpisodeBuffer = minari.data_collector.EpisodeBuffer
# That the datasets of these tests are not described well enough to be published.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:minari")

IMAGE = spaces.Box(0, 255, (24, 32, 3), np.uint8)
VECTOR = spaces.Box(-1, 1, (3,), np.float64)
CHOICE = spaces.Discrete(4)
STEER = spaces.Box(-1, 1, (2,), np.float64)


def stack(space: spaces.Space, count: int):
    """`count` random values, as an episode buffer keeps them."""
    values = [space.sample() for _ in range(count)]
    if isinstance(space, spaces.Dict):
        return {key: np.stack([value[key] for value in values]) for key in space}
    return np.stack(values)


def make_dataset(
    folder: Path, monkeypatch, observation: spaces.Space, action: spaces.Space, episodes: int = 2
) -> Path:
    """A dataset of `episodes` random episodes of 4 steps, written by Minari itself."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    observation.seed(0)
    action.seed(0)
    buffers = [
        EpisodeBuffer(
            observations=stack(observation, 5),
            actions=stack(action, 4),
            rewards=[0.5] * 4,
            terminations=[False, False, False, True],
            truncations=[False] * 4,
        )
        for _ in range(episodes)
    ]
    minari.create_dataset_from_buffers(
        "toy/test-v0",
        buffers,
        observation_space=observation,
        action_space=action,
        algorithm_name="random",
        author="test",
        author_email="test@example.org",
        code_permalink="https://example.org",
        jpeg_encoding=False,
    )
    return folder / "toy" / "test-v0"


def test_images_and_vectors_of_a_dataset_are_kept(
    tmp_path: Path, monkeypatch, look: Callable
) -> None:
    space = spaces.Dict({"camera": IMAGE, "speed": VECTOR})
    source = make_dataset(tmp_path / "sets", monkeypatch, space, STEER)
    names = ("curvature", "speed")
    report = import_minari(source, tmp_path / "bag", rate=25, outputs=names, progress=False)
    assert (report.frames, report.skipped, report.names) == (8, {}, names)
    assert report.sessions.tolist() == [1] * 4 + [2] * 4
    look(tmp_path / "bag", 8)
    assert report.rate_hz == pytest.approx(25)
    episode = next(minari.MinariDataset(source / "data").iterate_episodes([1]))
    drive = load_drive(tmp_path / "bag", outputs=names)
    assert drive.labels[4:] == pytest.approx(episode.actions)
    with BagReader(tmp_path / "bag") as bag:
        frames = [m for *_, m in bag.messages(["/camera/image_raw/compressed"])]
        vectors = [read_named_vector(m) for *_, m in bag.messages(["/observation"])]
        states = [read_named_vector(m) for *_, m in bag.messages(["/simulator/state"])]
    assert np.array_equal(decode_image(frames[5]), episode.observations["camera"][1])
    assert list(vectors[5].values()) == pytest.approx(episode.observations["speed"][1])
    assert states[7] == {"reward": 0.5, "terminated": 1.0, "truncated": 0.0}


def test_a_dataset_without_images_has_no_camera(
    tmp_path: Path, monkeypatch, look: Callable
) -> None:
    source = make_dataset(tmp_path / "sets", monkeypatch, VECTOR, CHOICE)
    report = import_minari(source, tmp_path / "bag", rate=10, progress=False)
    assert report.names == ("action_0",)
    assert "no camera" in report.notes[1]
    look(tmp_path / "bag", 8)
    assert set(report.commands[:, 0]) <= {0, 1, 2, 3}
    with BagReader(tmp_path / "bag") as bag:
        assert "/camera/image_raw/compressed" not in bag.topics
        assert bag.topics["/observation"][1] == 8


def test_an_image_alone_is_the_camera(tmp_path: Path, monkeypatch) -> None:
    source = make_dataset(tmp_path / "sets", monkeypatch, IMAGE, STEER, episodes=1)
    import_minari(source, tmp_path / "bag", rate=10, progress=False)
    with BagReader(tmp_path / "bag") as bag:
        assert bag.topics["/camera/image_raw/compressed"][1] == 4
        assert "/observation" not in bag.topics


def test_damaged_episodes_and_actions_are_left_out_and_counted(tmp_path: Path, monkeypatch) -> None:
    source = make_dataset(tmp_path / "sets", monkeypatch, VECTOR, STEER, episodes=3)
    with h5py.File(source / "data" / "main_data.hdf5", "a") as file:
        file["episode_0/actions"][1] = np.nan
        del file["episode_2/observations"]
    report = import_minari(source, tmp_path / "bag", rate=10, progress=False)
    assert report.frames == 7
    assert report.skipped == {"unreadable record": 1, "episode damaged": 1}


def test_what_is_no_dataset_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    source = make_dataset(tmp_path / "sets", monkeypatch, VECTOR, STEER, episodes=1)
    bag = tmp_path / "bag"
    with pytest.raises(InputError, match="--rate"):
        import_minari(source, bag)
    with pytest.raises(InputError, match="2 numbers"):
        import_minari(source, bag, rate=10, outputs=("speed",))
    with pytest.raises(InputError, match="no Minari dataset"):
        import_minari(tmp_path, bag, rate=10)
    metadata = source / "data" / "metadata.json"
    described = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**described, "action_space": None}))
    # Minari would make the environment, which runs code that the file names.
    with pytest.raises(InputError, match="does not describe its action_space"):
        import_minari(source, bag, rate=10)
    metadata.write_text(json.dumps({**described, "minari_version": "99.0"}))
    with pytest.raises(InputError, match="cannot be read"):
        import_minari(source, bag, rate=10)
    assert [path.name for path in tmp_path.iterdir()] == ["sets"]
