"""`attend` from the command line: what it writes, and how it refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import av
import cv2
import numpy as np
import pytest
import torch

from liquid_control.analysis.attend_output import Film
from liquid_control.analysis.explainer import Explainer, Model
from liquid_control.analysis.rerun_log import Viewer
from liquid_control.analysis.sources import Shot
from liquid_control.cli import main
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.errors import InputError
from liquid_control.policy import Driver
from liquid_control.training.networks import make_policy

FRAMES = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images, and two untrained models beside it."""
    root = tmp_path_factory.mktemp("attend")
    (root / "images").mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (FRAMES, 6, 20, 3), np.uint8)
    for number, image in enumerate(coarse.repeat(13, 1).repeat(10, 2)):
        cv2.imwrite(str(root / "images" / f"{number:02d}.png"), image)
    for name in ("ncp-ltc", "cnn"):
        torch.manual_seed(0)
        make_policy(name, CommandSpec((CURVATURE,))).save(root / name)
    return root


def attend(folder, *arguments):
    return main(["attend", str(folder / "images"), *arguments, "-o", str(folder / "out")])


@pytest.fixture
def written(folder):
    """Names of what the last call wrote."""
    return lambda: sorted(path.name for path in (folder / "out").iterdir())


def video(path):
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


@pytest.mark.lengthy
def test_it_writes_a_video_a_sheet_a_recording_and_results(folder, written, capsys):
    model = str(folder / "ncp-ltc")
    assert attend(folder, "--model", model, "--every", "2", "--past", "0.1") == 0
    assert written() == [
        *("attention.mp4", "past.png", "recording.rrd", "results.json", "stills.png")
    ]
    results = json.loads((folder / "out" / "results.json").read_text())
    assert results["source"] == {
        "kind": "images",
        "name": "images",
        "frames": FRAMES,
        "explained": FRAMES // 2,
        "drives": 1,
        "skipped": {},
    }
    shares = results["past"]["ncp-ltc"]["shares_newest_first"][-1]
    assert sum(shares) == pytest.approx(1)
    assert len(video(folder / "out" / "attention.mp4")) == FRAMES
    assert cv2.imread(str(folder / "out" / "stills.png")).std() > 20
    assert "8 frames in 1 drives, 4 explained" in capsys.readouterr().out


def test_ctrl_c_ends_the_stream_and_keeps_what_came(folder, monkeypatch, capsys):
    add = Film.add

    def interrupted(self, seen, seconds):
        add(self, seen, seconds)
        if seconds > 0.05:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Film, "add", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert attend(folder, "--model", str(folder / "cnn")) == 0
    assert "Interrupted" in capsys.readouterr().out
    assert len(video(folder / "out" / "attention.mp4")) == 3
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_models_and_methods_are_compared_in_one_table(folder):
    models = [word for name in ("ncp-ltc", "cnn") for word in ("--model", str(folder / name))]
    methods = ["--method", "visual-backprop", "--method", "grad-cam"]
    assert attend(folder, *models, *methods, "--measure", "--limit", "2") == 0
    results = json.loads((folder / "out" / "results.json").read_text())
    found = [(each["model"], each["method"]) for each in results["measures"]]
    assert found == [
        ("ncp-ltc", "visual-backprop"),
        ("ncp-ltc", "grad-cam"),
        ("cnn", "visual-backprop"),
        ("cnn", "grad-cam"),
    ]
    for each in results["measures"]:
        assert each["frames"] == 2
        assert 0 < each["figures"]["ssim_0.1"]["mean"] <= 1
        assert each["figures"]["deletion_attention"]["mean"] > 0
    lines = (folder / "out" / "measures.md").read_text().splitlines()
    assert lines[0].startswith("|  | ncp-ltc, visual-backprop | ncp-ltc, grad-cam of curvature |")
    assert {line.count("|") for line in lines} == {6}


@pytest.mark.slow
def test_a_world_is_driven_and_says_where_its_road_is(folder):
    model = str(folder / "ncp-ltc")
    words = ["--model", model, "--measure", "--limit", "2", "--every", "3", "--option", "seconds=1"]
    assert main(["attend", "Driving-v1", *words, "-o", str(folder / "world")]) == 0
    (measures,) = json.loads((folder / "world" / "results.json").read_text())["measures"]
    assert 0.1 < measures["figures"]["pixels_on_road"]["mean"] < 0.7
    assert 0 < measures["figures"]["attention_on_road"]["mean"] < 1


@pytest.mark.slow
def test_the_recording_holds_all_on_one_time_line(folder):
    assert attend(folder, "--model", str(folder / "ncp-ltc")) == 0
    path = str(folder / "out" / "recording.rrd")
    done = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", path],
        capture_output=True,
        text=True,
        env={"CI": "1", "PATH": "/usr/bin:/bin"},
    )
    for place in ("/camera", "/attention", "/neurons", "/command/curvature"):
        assert f"- {place} " in done.stdout
    rows = [
        int(line.split("with ")[1].split()[0])
        for line in done.stdout.splitlines()
        if "- /camera " in line
    ]
    assert sum(rows) == FRAMES


@pytest.mark.slow
def test_the_page_is_served_on_this_machine_alone_and_ends_with_its_viewer():
    viewer = Viewer(page=True)
    port = viewer.address.split(":")[2].split("/")[0]
    listening = subprocess.run(["ss", "-ltn"], capture_output=True, text=True).stdout
    assert f"127.0.0.1:{port} " in listening
    assert f"0.0.0.0:{port} " not in listening
    viewer.close()
    assert f":{port} " not in subprocess.run(["ss", "-ltn"], capture_output=True, text=True).stdout


@pytest.mark.slow
def test_a_served_pass_that_is_terminated_leaves_nothing_behind(folder, tmp_path):
    words = ["--model", str(folder / "ncp-ltc"), "--serve", "--option", "seconds=60"]
    process = subprocess.Popen(
        [sys.executable, "-m", "liquid_control", "attend", "Driving-v1", *words, "-o", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    address = process.stdout.readline()
    port = address.split(":")[3].split("/")[0]
    while not any(f.stat().st_size > 50_000 for f in tmp_path.glob("out/.attend-*/recording.rrd")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # ends the pass, whose results are then written
    while "Ctrl-C ends the page" not in (line := process.stdout.readline()):
        assert line
    assert (tmp_path / "out" / "results.json").exists()
    process.send_signal(signal.SIGTERM)  # ends the page
    process.stdout.read()
    assert process.wait(60) == 0
    assert f":{port} " not in subprocess.run(["ss", "-ltn"], capture_output=True, text=True).stdout
    assert not list(tmp_path.glob("out/.attend-*"))


def test_a_window_without_a_screen_is_refused_before_anything_is_written(folder, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="no screen here"):
        Viewer(page=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "attend needs a --model"),
        (("--model", "nobody"), "No model 'nobody'"),
        (("--model", "{}/cnn", "--method", "gradcam"), "no attention method 'gradcam'"),
        (("--model", "{}/cnn", "--neuron", "command_1"), "no output or neuron 'command_1'"),
        (("--model", "{}/cnn", "--every", "0"), "--every and --limit of at least 1"),
        (("--model", "{}/cnn", "--live", "--serve"), "choose one of the two"),
        (("--model", "{}/cnn", "--rate", "0"), "rate of images"),
    ],
)
def test_what_does_not_fit_is_answered_in_one_sentence(folder, arguments, sentence, capsys):
    assert attend(folder, *(word.format(folder) for word in arguments)) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_an_unknown_input_names_what_can_be_given_and_the_worlds(folder, capsys):
    assert main(["attend", "Drivin-v1", "--model", str(folder / "ncp-ltc")]) == 2
    said = capsys.readouterr().err
    assert "topic:/camera/image_raw" in said
    assert "The worlds are Driving-v" in said


def test_frames_between_explained_ones_still_move_the_state(folder):
    policy = Model.load(str(folder / "ncp-ltc")).policy
    driver, explainer = Driver(policy), Explainer(Model("x", policy), keep=3)
    other = Explainer(Model("x", policy), keep=3)
    for number in range(5):
        image = np.full((78, 200, 3), 40 * number, np.uint8)
        image[:, : 20 * number + 10] = 200
        seen = explainer.look(Shot(number, image, 0.04, number == 0), explain=number == 4)
        wanted, same = driver.step(image, 0.04), other.also(seen)
        np.testing.assert_array_equal(seen.decision.state, wanted.state)
        assert (seen.saliency is None) == (same.saliency is None) == (number < 4)
    np.testing.assert_allclose(seen.saliency, driver.attention(), atol=1e-6)
    np.testing.assert_allclose(same.saliency, seen.saliency, atol=1e-5)
    assert [each.shot.stamp for each in explainer.past] == [2, 3, 4]
    fresh = explainer.look(Shot(9, image, 0.04, True))
    assert not fresh.decision.state_before.any()
    assert len(explainer.past) == 1
