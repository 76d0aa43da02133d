"""`liquid-control data`: any bag can be looked at and mended from the command line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from liquid_control import cli
from liquid_control.data import messages
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.data.info import histogram_edges, survey

MS = 1_000_000


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A bag whose recorder was killed: half its file, no metadata."""
    bag = tmp_path / "killed"
    with BagWriter(bag, compression="", flush_interval_s=0.0, facts={"world": "test"}) as writer:
        for index in range(40):
            stamp = index * 50 * MS + MS
            image = messages.png_image(np.full((20, 30, 3), index, np.uint8), stamp)
            writer.write("/camera/image_raw/compressed", image, stamp)
            command = messages.named_vector(["steering"], [index / 40], stamp)
            writer.write("/expert/command", command, stamp)
    (bag / "metadata.yaml").unlink()
    file = bag / "killed_0.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return bag


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A bag of another recorder, in SQLite, with raw images and plain Twist."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    bag = tmp_path / "foreign"
    with Writer(bag, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        eye = writer.add_connection("/eye", "sensor_msgs/msg/Image", typestore=store)
        drive = writer.add_connection("/cmd_vel", "geometry_msgs/msg/Twist", typestore=store)
        for index in range(20):
            stamp = index * 100 * MS + MS
            picture = np.full((20, 30, 3), index, np.uint8)
            writer.write(eye, stamp, messages.serialize(messages.image(picture, stamp)))
            twist = messages.twist_stamped(2.0, 0.5, stamp).twist
            writer.write(drive, stamp, messages.serialize(twist))
    return bag


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_info_counts_rates_and_gaps(tmp_path: Path, make_drive_bag: Callable, capsys) -> None:
    bag = make_drive_bag(tmp_path / "bag", 60, skip=tuple(range(30, 40)))
    assert run("data", "info", bag, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    camera = next(one for one in found["topics"] if one["name"].startswith("/camera"))
    assert camera["count"] == 50
    assert camera["rate_hz"] == pytest.approx(30, rel=1e-3)
    assert camera["gaps"] == 1
    assert camera["longest_gap_s"] == pytest.approx(11 / 30, rel=1e-3)
    figures = found["commands"]["/expert/command"]["curvature"]
    assert figures["count"] == sum(figures["counts"]) == 50
    assert (figures["min"], figures["max"]) == (0.0, pytest.approx(0.059))
    assert found["messages"] == 100


def test_info_prints_tables_and_histograms(
    tmp_path: Path, make_drive_bag: Callable, capsys
) -> None:
    make_drive_bag(tmp_path / "bags" / "a", 20)
    make_drive_bag(tmp_path / "bags" / "b", 30)
    assert run("data", "info", tmp_path / "bags") == 0
    printed = capsys.readouterr().out
    assert "/camera/image_raw/compressed" in printed
    assert "/expert/command curvature: 20" in printed
    assert "/expert/command curvature: 30" in printed
    assert "####" in printed


def test_killed_and_foreign_bags_are_surveyed(killed: Path, foreign: Path) -> None:
    found = survey(killed)
    assert found.recovered
    assert found.facts == {"world": "test"}
    assert 5 < len(found.commands["/expert/command"].values) < 40
    found = survey(foreign)
    assert not found.recovered
    commands = found.commands["/cmd_vel"]
    assert commands.names == ("curvature", "speed")
    assert commands.values[7] == pytest.approx([0.25, 2.0])


def test_a_damaged_message_and_a_damaged_chunk_are_counted(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    with BagWriter(bag, compression="", flush_interval_s=0.0) as writer:
        for index in range(10):
            vector = messages.named_vector(["steering"], [index], index * MS)
            cdr = bytes(messages.serialize(vector))
            kind = "sensor_msgs/msg/JointState"
            writer.write_raw("/command", kind, cdr[:8] if index == 3 else cdr, index * MS)
            text = messages.string("mark" if index == 5 else "plain")
            writer.write("/note", text, index * MS)
    assert next(x.damaged for x in survey(bag).topics if x.name == "/command") == 1
    file = bag / "bag_0.mcap"
    data = file.read_bytes()
    file.write_bytes(data.replace(b"mark", b"MARK", 1))
    found = survey(bag)
    assert (found.recovered, found.damaged) == (True, 1)
    assert found.messages in (18, 19)


def test_view_draws_every_kind_of_bag(
    tmp_path: Path, make_drive_bag: Callable, killed: Path, foreign: Path
) -> None:
    gap = make_drive_bag(tmp_path / "gap", 60, skip=tuple(range(30, 40)))
    with BagWriter(tmp_path / "blind") as writer:
        for index in range(20):
            vector = messages.named_vector(["vx", "vy", "vz"], np.sin([index] * 3), index * MS)
            writer.write("/expert/command", vector, index * MS)
    output = tmp_path / "all.png"
    blind = tmp_path / "blind"
    assert run("data", "view", gap, killed, foreign, blind, "-o", output, "--frames", 7) == 0
    picture = cv2.imread(str(output))
    assert picture.shape[1] > 1000
    # Orange frames of the first bag, and red where it has none.
    assert (np.abs(picture[..., ::-1].astype(int) - (40, 90, 160)).sum(-1) < 10).sum() > 5000
    assert (np.abs(picture[..., ::-1].astype(int) - (246, 211, 211)).sum(-1) < 12).sum() > 500


def test_view_names_its_picture_after_the_bag(
    tmp_path: Path, make_drive_bag: Callable, monkeypatch
) -> None:
    bag = make_drive_bag(tmp_path / "first", 10)
    monkeypatch.chdir(tmp_path)
    assert run("data", "view", bag) == 0
    assert (tmp_path / "first.png").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "nowhere"),
        ("view", "nowhere"),
        ("repair", "nowhere"),
        ("info",),
        ("view", "bag", "--frames", "0"),
        ("view", "bag", "-o", "picture.gif"),
        ("view", "bag", "-o", "no/such/folder.png"),
        ("view", "bag", "--topic", "/eye"),
        ("view", "silent"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_sentence(
    tmp_path: Path, make_drive_bag: Callable, monkeypatch, capsys, arguments: tuple
) -> None:
    make_drive_bag(tmp_path / "bag", 4)
    with BagWriter(tmp_path / "silent") as writer:
        writer.write("/note", messages.string("x"), 1)
    monkeypatch.chdir(tmp_path)
    assert run("data", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("liquid-control: ")
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "silent"]


def test_repair_keeps_the_original(killed: Path, capsys) -> None:
    file = killed / "killed_0.mcap"
    broken, count = file.read_bytes(), survey(killed).messages
    assert run("data", "repair", killed) == 0
    assert f"{count} messages, the original is kept as killed_0.mcap.original" in (
        capsys.readouterr().out
    )
    assert (killed / "killed_0.mcap.original").read_bytes() == broken
    with BagReader(killed) as bag:
        assert not bag.recovered
        assert bag.facts == {"world": "test"}
        assert sum(n for _, n in bag.topics.values()) == count
    assert run("data", "repair", killed) == 0
    assert "files were whole" in capsys.readouterr().out
    assert (killed / "killed_0.mcap.original").read_bytes() == broken


def test_data_alone_says_what_may_follow(capsys) -> None:
    assert run("data") == 2
    said = capsys.readouterr().err
    assert all(f"data {name}" in said for name in ("info", "view", "repair"))


def test_histograms_are_symmetric_about_zero_where_signs_differ() -> None:
    assert histogram_edges(np.array([-1.0, 3.0]), 2).tolist() == [-3, 0, 3]
    assert histogram_edges(np.array([1.0, 3.0]), 2).tolist() == [1, 2, 3]
    assert len(histogram_edges(np.array([2.0, 2.0]))) == 2


def test_the_command_line_imports_with_options_of_its_format(
    tmp_path: Path, make_tub: Callable, capsys
) -> None:
    tub = make_tub(tmp_path / "tub", [{}] * 4)
    assert run("import", "donkeycar", tub, tmp_path / "bag", "--rate", 3) == 2
    assert "--rate has no place in an import of donkeycar" in capsys.readouterr().err
    assert run("import", "rosbag", tub, tmp_path / "bag") == 2
    assert "--topics" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()


def test_info_needs_no_torch(tmp_path: Path, make_drive_bag: Callable) -> None:
    bag = make_drive_bag(tmp_path / "bag", 4)
    code = "import sys\nfrom liquid_control.cli import main\nmain(sys.argv[1:])\n"
    code += "sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "data", "info", str(bag)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
