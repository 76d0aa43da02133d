"""Recordings of any world: complete, the same for any number of workers, safe to interrupt."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_world import COMMAND, WORLD

from liquid_control.command import CommandSpec
from liquid_control.data.bag import BagReader
from liquid_control.data.messages import decode_image, read_named_vector
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.rollout.engine import Engine
from liquid_control.rollout.record import record

COMMAND_LINE = [sys.executable, "-m", "liquid_control", "record", WORLD]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}


def content(bag: Path) -> list[tuple]:
    with BagReader(bag) as reader:
        return list(reader.raw_messages())


def save_policy(folder: Path) -> Path:
    torch.manual_seed(1)
    Policy(COMMAND).save(folder)
    return folder


def vectors(bag: Path, topic: str) -> np.ndarray:
    with BagReader(bag) as reader:
        return np.array([list(read_named_vector(m).values()) for *_, m in reader.messages([topic])])


def test_a_bag_holds_all_that_the_world_knows(tmp_path: Path) -> None:
    record(WORLD, tmp_path, expert=True, episodes=1, disturb=0.0)
    with BagReader(tmp_path / "000000") as bag:
        first = {topic: message for topic, _, message in reversed(list(bag.messages()))}
        counts = {count for _, count in bag.topics.values()}
        facts = bag.facts
    assert len(counts) == 1
    odom = first["/odom"]
    assert odom.pose.pose.position.z == 2.0
    linear = odom.twist.twist.linear
    assert (linear.x, linear.y, linear.z) == (1.0, 0.1, -0.2)
    assert odom.twist.twist.angular.z == 0.3
    # Roll, pitch and yaw come back from the quaternion.
    q = odom.pose.pose.orientation
    angles = [
        np.arctan2(2 * (q.w * q.x + q.y * q.z), 1 - 2 * (q.x**2 + q.y**2)),
        np.arcsin(2 * (q.w * q.y - q.z * q.x)),
        np.arctan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y**2 + q.z**2)),
    ]
    assert angles == pytest.approx([0.1, -0.2, 0.5])
    camera = first["/camera/camera_info"]
    assert (camera.width, camera.height, camera.k[0], camera.k[4]) == (200, 78, 150.0, 151.0)
    assert camera.k[[2, 5]].tolist() == camera.p[[2, 6]].tolist() == [100.0, 39.0]
    assert camera.d.tolist() == [0.1, 0, 0, 0, 0]
    assert list(read_named_vector(first["/command"])) == list(COMMAND.names)
    assert (facts["world"], facts["seed"], facts["pilot"]) == (WORLD, "0", "expert")
    assert CommandSpec.from_dict(json.loads(facts["command"])) == COMMAND
    assert "liquid_control" in json.loads(facts["versions"])
    # The world ended the episode because its goal was reached.
    assert json.loads(facts["outcome"])["success"] == 1.0
    assert not json.loads(facts["outcome"])["crashed"]


def test_the_expert_is_asked_once_a_frame_and_its_command_is_the_label(tmp_path: Path) -> None:
    record(WORLD, tmp_path, episodes=1, disturb=0.0)
    labels = vectors(tmp_path / "000000", "/expert/command")
    assert np.diff(labels[:, 2]) == pytest.approx(1e-3, abs=1e-6)
    assert np.array_equal(labels, vectors(tmp_path / "000000", "/command"))


def test_options_reach_the_world_typed_and_are_written_into_the_bag(tmp_path: Path) -> None:
    options = ("goal=2", "season=winter")
    record(WORLD, tmp_path, episodes=1, option=options)
    with BagReader(tmp_path / "000000") as bag:
        assert json.loads(bag.facts["options"]) == {"goal": 2, "season": "winter"}
        message = next(m for *_, m in bag.messages(["/camera/image_raw/compressed"]))
    assert decode_image(message)[0, 0, 0] == 250


@pytest.mark.parametrize("option", ["season", "=winter", "season=[", "goal=2020-01-01"])
def test_an_option_that_is_none_is_refused(option: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        record(WORLD, tmp_path / "bags", option=(option,))
    assert not (tmp_path / "bags").exists()


def test_what_the_world_refuses_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No season 'fall'"):
        record(WORLD, tmp_path / "bags", option=("season=fall",))
    with pytest.raises(InputError, match=r"no output steering; choose among vx, vy, yaw_rate"):
        record(WORLD, tmp_path / "bags", disturb_output=("steering",))
    assert not (tmp_path / "bags").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be made"):
        record(WORLD, tmp_path / "file")


@pytest.mark.parametrize(
    "wrong",
    [{"quality": 0}, {"seconds": 0.0}, {"episodes": 0}, {"dart_scale": -1.0}, {"seed": -1}],
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        record(WORLD, tmp_path, **wrong)


def test_every_output_can_be_pulled(tmp_path: Path) -> None:
    record(WORLD, tmp_path, episodes=1, option=("goal=9",), disturb=0.5, disturb_output=("all",))
    bag = tmp_path / "000000"
    pulls = np.abs(vectors(bag, "/command") - vectors(bag, "/expert/command")).max(0)
    assert (pulls > 0.05).all()
    # At most half of half an output's range.
    assert (pulls <= (COMMAND.high - COMMAND.low) / 4 + 1e-6).all()


def test_jpeg_is_smaller_and_nearly_the_same(tmp_path: Path) -> None:
    record(WORLD, tmp_path, episodes=1, image="jpeg", quality=90)
    with BagReader(tmp_path / "000000") as bag:
        message = next(m for *_, m in bag.messages(["/camera/image_raw/compressed"]))
        assert bag.facts["image"] == "jpeg 90"
    assert message.format == "jpeg"
    assert bytes(message.data[:2]) == b"\xff\xd8"
    assert abs(int(decode_image(message)[70, 0, 0]) - 90) <= 2


@pytest.mark.parametrize("dart", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.lengthy
def test_the_bags_are_the_same_for_any_number_of_workers(dart: bool, tmp_path: Path) -> None:
    noise = {"disturb": 0.3}
    if dart:
        noise |= {"dart_model": str(save_policy(tmp_path / "model")), "dart_episodes": 3}
    for workers in (1, 2):
        engine, folder = Engine(workers), tmp_path / str(workers)
        record(WORLD, folder, episodes=3, seconds=2.0, engine=engine, **noise)
    if dart:
        one, two = (tmp_path / w / "dart.json" for w in ("1", "2"))
        assert one.read_text() == two.read_text()
    for seed in range(3):
        one, two = (tmp_path / w / f"{seed:06d}" for w in ("1", "2"))
        assert content(one) == content(two)
        assert BagReader(one).facts == BagReader(two).facts
    assert content(tmp_path / "1" / "000000") != content(tmp_path / "1" / "000001")


def test_injected_noise_has_the_covariance_of_the_models_error(tmp_path: Path) -> None:
    model = save_policy(tmp_path / "model")
    options = {"option": ("goal=1000",), "seconds": 30.0, "dart_model": str(model)}
    record(WORLD, tmp_path / "dart", episodes=1, dart_scale=0.04, dart_episodes=2, **options)
    kept = np.array(json.loads((tmp_path / "dart" / "dart.json").read_text())["covariance"])
    bag = tmp_path / "dart" / "000000"
    noise = vectors(bag, "/command") - vectors(bag, "/expert/command")
    assert len(noise) == 300
    assert np.cov(noise.T) == pytest.approx(kept, abs=0.2 * np.abs(kept).max())
    with pytest.raises(InputError, match="noise for another scale"):
        record(WORLD, tmp_path / "dart", episodes=2, dart_scale=1.0, dart_episodes=2, **options)


def test_a_model_drives_and_the_expert_labels(tmp_path: Path) -> None:
    model = save_policy(tmp_path / "model")
    record(WORLD, tmp_path / "bags", model=str(model), episodes=1, seconds=1.0, disturb=0.0)
    bag = tmp_path / "bags" / "000000"
    labels, done = vectors(bag, "/expert/command"), vectors(bag, "/command")
    assert labels[:, 0] == pytest.approx(1.0)
    assert np.abs(done - labels).max() > 0.01
    with pytest.raises(InputError, match="expert drives or a model"):
        record(WORLD, tmp_path / "bags", model=str(model), expert=True)


def test_bags_of_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    record(WORLD, tmp_path, episodes=1, seconds=1.0)
    with pytest.raises(InputError, match="recorded with another options"):
        record(WORLD, tmp_path, episodes=2, seconds=1.0, option=("goal=3",))
    assert not (tmp_path / "000001").exists()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.lengthy
def test_ctrl_c_keeps_what_was_recorded_and_the_same_command_goes_on(
    workers: int, tmp_path: Path
) -> None:
    bags = tmp_path / "bags"
    options = ["--seconds", "100", "--option", "goal=1e9", "--workers", str(workers)]
    with subprocess.Popen(
        [*COMMAND_LINE, str(bags), "--episodes", "1000", *options],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As in a terminal, where Ctrl-C reaches the workers too.
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as recorder:
        until = time.monotonic() + 60
        while not ((bags / "000000").exists() and _growing(bags)):
            assert time.monotonic() < until
            assert recorder.poll() is None
            time.sleep(0.01)
        os.killpg(recorder.pid, signal.SIGINT)
        errors = recorder.stderr.read()
    assert recorder.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("liquid-control: interrupted; ")
    partial = _growing(bags)[0]
    with BagReader(partial) as begun:
        frames = begun.topics["/camera/image_raw/compressed"][1]
        assert 0 < frames < 1000
        assert begun.facts["world"] == WORLD
    before = content(bags / "000000")
    assert len(before) == 1000 * 6
    seed = int(partial.name.split(".")[1])
    again = [*COMMAND_LINE, str(bags), "--episodes", "1", "--seed", str(seed), *options]
    done = subprocess.run(again, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole = content(bags / f"{seed:06d}")
    assert len(whole) == 1000 * 6
    assert not partial.exists()
    assert content(bags / "000000") == before


@pytest.mark.slow
def test_workers_of_a_killed_recording_close_their_bags_and_end(tmp_path: Path) -> None:
    options = ["--seconds", "300", "--option", "goal=1e9", "--workers", "2"]
    with subprocess.Popen(
        [*COMMAND_LINE, str(tmp_path), "--episodes", "1000", *options],
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    ) as recorder:
        until = time.monotonic() + 100
        while len(_growing(tmp_path)) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
        listed = Path(f"/proc/{recorder.pid}/task/{recorder.pid}/children").read_text()
        recorder.kill()
    while any(_runs(int(child)) for child in listed.split()):
        assert time.monotonic() < until
        time.sleep(0.01)
    for partial in tmp_path.glob(".*.partial"):
        with BagReader(partial) as bag:
            assert not bag.recovered


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _growing(bags: Path) -> list[Path]:
    """Unfinished bags that hold something."""
    found = bags.glob(".*.partial")
    return [bag for bag in found if any(x.stat().st_size > 100_000 for x in bag.glob("*.mcap"))]


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    record(WORLD, tmp_path, episodes=1, seconds=1.0, option=("goal=1e9",))
    before = content(tmp_path / "000000")
    arguments = [*COMMAND_LINE, str(tmp_path), "--episodes", "1", "--seed", "1"]
    arguments += ["--seconds", "150", "--option", "goal=1e9"]
    done = subprocess.run(
        arguments,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_200_000, 2_200_000)),
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    said = next(line for line in lines if line.startswith("liquid-control: "))
    assert "cannot be written on (File too large); make room and run the same command" in said
    assert content(tmp_path / "000000") == before
    (partial,) = tmp_path.glob(".*.partial")
    with BagReader(partial) as begun:
        assert begun.recovered
        read = list(begun.messages())
    assert len(read) > 100
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The second attempt begins exactly as the first one did.
    with BagReader(tmp_path / "000001") as bag:
        whole = list(bag.messages(["/command"]))
    begun = [message for topic, _, message in read if topic == "/command"]
    assert [m.position.tolist() for m in begun] == [
        m.position.tolist() for _, _, m in whole[: len(begun)]
    ]
