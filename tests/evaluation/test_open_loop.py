"""Open loop: figures of known recordings, honest intervals, autonomy by its stated rule, a page."""

import csv
import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from liquid_control.camera import CameraSetup, Viewpoint, intrinsics
from liquid_control.command import CURVATURE, STEERING, CommandSpec
from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.data.drive import load_drive
from liquid_control.data.sequences import elapsed_times
from liquid_control.deploy.onnx_export import export_onnx
from liquid_control.deploy.runtime import load_driver
from liquid_control.errors import InputError
from liquid_control.evaluation.evaluate import evaluate
from liquid_control.evaluation.open_loop import answers
from liquid_control.evaluation.open_loop_autonomy import (
    AWAY_M,
    autonomy,
    deviations,
    driven_with_views,
)
from liquid_control.evaluation.open_loop_command import measure
from liquid_control.evaluation.open_loop_figures import (
    Blocks,
    bin_edges,
    binned,
    block_numbers,
    disagreements,
    figures,
    paired,
)
from liquid_control.evaluation.open_loop_recordings import bags_of
from liquid_control.evaluation.page_parts import Cell, sortable
from liquid_control.policy import Policy
from liquid_control.rollout import Engine

SPEED, PERIOD_NS = 8.0, 50_000_000
SETUP = CameraSetup(horizon=0.3)


def write_bag(path: Path, names=("curvature", "speed"), frames=120, odometry=True) -> np.ndarray:
    """A winding road as a bag, with a pause in the middle; the recorded commands come back."""
    rng = np.random.default_rng(0)
    time = np.arange(frames) * PERIOD_NS / 1e9
    first = (0.03 if names[0] == "curvature" else 0.6) * np.sin(time)
    with BagWriter(path) as bag:
        for row in range(frames):
            at = 1_000_000_000 + row * PERIOD_NS + (row >= frames // 2) * 2_000_000_000
            image = rng.integers(0, 256, (78, 200, 3), dtype=np.uint8)
            data = cv2.imencode(".jpg", image)[1]
            topic = "/camera/image_raw/compressed"
            bag.write(topic, messages.compressed_image(data, at, format="jpeg"), at)
            command = messages.named_vector(list(names), [first[row], SPEED], at)
            bag.write("/expert/command", command, at)
            if odometry:
                bag.write("/odom", messages.odometry(0, 0, 0, SPEED, SPEED * first[row], at), at)
    return first


def make_tub(path: Path, angle: float) -> Path:
    """A Donkeycar tub of three frames with one steering angle."""
    (path / "images").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 256, (78, 200, 3), dtype=np.uint8)
    (path / "images" / "whole.jpg").write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
    columns = ["cam/image_array", "user/angle", "user/throttle", "user/mode"]
    row = dict(zip(columns, ["whole.jpg", angle, 0.3, "user"], strict=True))
    rows = [row | {"_index": n, "_timestamp_ms": 1_668_220_932_000 + 50 * n} for n in range(3)]
    (path / "one.catalog").write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts = {"paths": ["one.catalog"], "current_index": 3, "deleted_indexes": []}
    lines = [columns, ["image_array", "float", "float", "str"], {}, {}, facts]
    (path / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def make_policy(folder: Path, output=CURVATURE, seed=0) -> str:
    torch.manual_seed(seed)
    Policy(CommandSpec((output,)), SETUP).save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A measurement of two models on one bag: folder, results, recorded curvature."""
    root = tmp_path_factory.mktemp("open")
    recorded = write_bag(root / "bag")
    models = [make_policy(root / name, seed=seed) for seed, name in enumerate(("first", "second"))]
    out = root / "out"
    assert evaluate(model=tuple(models), data=(root / "bag",), output=out) == 0
    return out, json.loads((out / "results.json").read_text()), recorded


def test_results_are_those_of_the_commands_themselves(measured):
    out, results, recorded = measured
    policy = Policy.load(out.parent / "first")
    drive = load_drive(out.parent / "bag", policy.camera, ("curvature",))
    error = answers(policy, drive)[:, 0] - recorded
    found = results["groups"][0]["figures"]
    assert found["mse"]["mean"] == pytest.approx(np.mean(error**2), rel=1e-4)
    assert found["mae"]["mean"] == pytest.approx(np.mean(np.abs(error)), rel=1e-4)
    assert found["bias"]["mean"] == pytest.approx(np.mean(error), rel=1e-4)
    assert results["groups"][0]["mse_of_zero"] == pytest.approx(np.mean(recorded**2), rel=1e-4)
    assert results["frames"] == 120
    assert results["blocks"] == 2, "two runs of 3 s, with a pause in between"


def test_frames_csv_holds_every_frame_with_what_was_asked(measured):
    out, _, recorded = measured
    with (out / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["curvature_recorded"]) for row in rows] == pytest.approx(recorded, abs=1e-6)
    assert {row["run"] for row in rows} == {"0", "1"}
    assert {"curvature_first", "curvature_second", "left_first"} <= rows[0].keys()


def test_an_export_answers_itself_and_not_the_torch_model_that_it_was_made_from(tmp_path):
    write_bag(tmp_path / "bag")
    torch.manual_seed(0)
    cut = CameraSetup(top=0.25, horizon=0.3)
    Policy(CommandSpec((CURVATURE,)), cut).save(tmp_path / "own")
    half = tmp_path / "half"
    export_onnx(tmp_path / "own", half, "float16")
    names = [str(tmp_path / "own"), str(half)]
    measure(names, [tmp_path / "bag"], tmp_path / "out", report=False)
    with (tmp_path / "out" / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    asked = {
        name: np.array([float(row[f"curvature_{name}"]) for row in rows])
        for name in ("own", "half")
    }
    driver, drive = load_driver(half), load_drive(tmp_path / "bag", CameraSetup(), ("curvature",))
    elapsed, alone = elapsed_times(drive), []
    for row in range(len(drive)):
        if row in (0, 60):
            driver.reset()
        alone.append(driver.step(drive.frames[row], elapsed[row]).command[0])
    assert asked["half"] == pytest.approx(np.array(alone), abs=1e-7)
    assert 1e-7 < np.abs(asked["half"] - asked["own"]).max() < 1e-3
    facts = json.loads((tmp_path / "out" / "results.json").read_text())["models"]
    assert facts["half"]["precision"] == "float16"
    assert "precision" not in facts["own"]
    with pytest.raises(InputError, match=r"an export \(half\) is not made for"):
        measure(names, [tmp_path / "bag"], tmp_path / "other", 1.3)


def test_every_row_of_frames_csv_has_its_columns_where_only_some_bags_tell_the_speed(tmp_path):
    write_bag(tmp_path / "data" / "a", frames=4)
    write_bag(tmp_path / "data" / "b", ("curvature", "throttle"), frames=4, odometry=False)
    measure([make_policy(tmp_path / "model")], [tmp_path / "data"], tmp_path / "out", report=False)
    with (tmp_path / "out" / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(None not in row and None not in row.values() for row in rows)
    told = {row["bag"]: bool(row["left_model"]) for row in rows}
    assert told == {"a": True, "b": False}


def test_a_bag_of_one_frame_is_refused_in_one_sentence(tmp_path):
    write_bag(tmp_path / "bag", frames=1)
    with pytest.raises(InputError, match="one frame"):
        measure([make_policy(tmp_path / "model")], [tmp_path / "bag"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_recording_of_one_block_has_no_interval_and_is_told_so(tmp_path, capsys):
    tub = make_tub(tmp_path / "tub", 0.1)
    model = make_policy(tmp_path / "model", STEERING)
    measure([model], [tub], tmp_path / "out")
    said = capsys.readouterr().out
    assert "one block of 5 s, which gives no interval" in said
    assert "– to –" not in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "mean |error| of steering</dd>" in page


def test_tubs_of_the_same_name_are_all_measured(tmp_path):
    tubs = [make_tub(tmp_path / car / "data", angle) for car, angle in (("a", 0.1), ("b", -0.2))]
    bags = bags_of([*tubs, tubs[0]], tmp_path / "bags")
    assert len(bags) == 2
    recorded = [load_drive(bag, SETUP, ("steering",)).labels[0, 0] for bag in bags]
    assert recorded == pytest.approx([-0.1, 0.2])


@pytest.mark.parametrize("blocks", [5, 6])
def test_few_blocks_say_nothing_for_certain(blocks):
    frames = np.arange(100 * blocks)
    error = 1.0 + 0.1 * np.sin(frames)
    row = paired(np.zeros(len(frames)), error, 0.5 * error, Blocks.of(frames // 100))["mae"]
    assert row["interval"][1] < 0
    assert row["certain"] == (blocks == 6)


def test_models_are_compared_with_the_first_in_pairs(measured):
    _, results, _ = measured
    rows = {row["figure"]: row for row in results["paired"]}
    means = [group["figures"]["mse"]["mean"] for group in results["groups"]]
    assert rows["mse"]["models"] == ["first", "second"]
    assert rows["mse"]["difference"] == pytest.approx(means[1] - means[0])


def test_the_page_fetches_nothing_and_shows_every_part(measured):
    text = (measured[0] / "report.html").read_text()
    assert not re.search(r"https?://|url\([^#)]|@import", text)
    for part in (
        "Model against model",
        "Autonomy",
        "Error by recorded curvature",
        "frame by frame",
    ):
        assert part in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_a_figure_that_is_not_defined_is_sorted_behind_all_others():
    rows = [[Cell("–", float("inf"))], [Cell("0.5", 0.5)]]
    # A browser reads these texts as numbers, "inf" as none.
    assert re.findall('data-value="(.*?)"', sortable(["r"], rows, 0)) == ["Infinity", "0.5"]


def test_steering_without_metres_gets_no_autonomy(tmp_path):
    write_bag(tmp_path / "bag", ("steering", "throttle"), odometry=False)
    model = make_policy(tmp_path / "model", STEERING)
    measure([model], [tmp_path / "bag"], tmp_path / "out", report=False)
    with pytest.raises(InputError, match="--camera-height is for autonomy"):
        measure([model], [tmp_path / "bag"], tmp_path / "other", 1.3)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert "autonomy" not in results
    assert "no metric geometry" in results["autonomy_refused"]
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": (Path("/nowhere"),)}, "There is no bag at or below /nowhere"),
        ({"env": ("liquid_control/Driving-v1",)}, "leave --env"),
        ({"seed": 3, "videos": 1}, "leave --seed, --videos out"),
        ({"episodes": 0, "engine": Engine(2)}, "leave --episodes, --workers"),
        ({"data": (), "camera_height": 1.0}, "--camera-height belongs to --data"),
        ({"camera_height": -1.0}, "height above the road in metres, got -1.0"),
        ({"camera_height": 1.3}, "needs the camera's intrinsics"),
        ({"model": ("driving_ncp", "driving_ncp")}, "a name of its own"),
        ({"model": "rc_track_ncp"}, "not steering"),
        ({"model": "nobody"}, "No model 'nobody'"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(tmp_path, changes, sentence):
    if "/nowhere" not in str(changes) and changes.get("data") != ():
        write_bag(tmp_path / "bag", frames=4)
    given = {"model": "driving_ncp", "data": (tmp_path / "bag",), "output": tmp_path / "out"}
    with pytest.raises(InputError, match=re.escape(sentence)):
        evaluate(**(given | changes))
    assert not (tmp_path / "out").exists()


def test_intervals_of_correlated_frames_are_as_wide_as_those_of_independent_blocks():
    rng = np.random.default_rng(1)
    errors = rng.normal(0.1, 1.0, 200)
    slow = np.repeat(errors, 50)
    blocks = Blocks.of(np.repeat(np.arange(200), 50))
    low, high = figures(np.zeros(10_000), slow, blocks)["bias"]["interval"]
    # The error of a mean of 200 independent values, not of 10,000.
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(200), rel=0.15)
    assert low < errors.mean() < high


def test_correlation_of_a_constant_is_not_known():
    blocks = Blocks.of(np.arange(20))
    found = figures(np.full(20, 8.33), np.linspace(8, 9, 20), blocks)
    assert found["correlation"] == {"mean": None, "interval": None}


def test_one_block_has_no_interval():
    found = figures(np.arange(9.0), np.arange(9.0) + 1, Blocks.of(np.zeros(9, int)))
    assert found["mae"] == {"mean": 1.0, "interval": None}


def test_blocks_never_cross_a_gap():
    stamps = np.array([0, 1, 2, 3, 4, 5, 6]) * 1_000_000_000
    runs = np.array([0, 0, 0, 0, 1, 1, 1])
    assert block_numbers(stamps, runs, 2.0).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_bins_hold_every_frame_once_and_the_error_that_was_put_there():
    recorded = np.random.default_rng(2).normal(0, 0.02, 5000)
    asked = recorded + np.where(recorded > 0, 0.01, 0.0)
    rows = binned(recorded, asked, Blocks.of(np.arange(5000) // 50), bin_edges(recorded))
    assert sum(row["frames"] for row in rows) == 5000
    assert rows[0]["mae"]["mean"] == pytest.approx(0.0, abs=1e-12)
    assert rows[-1]["bias"]["mean"] == pytest.approx(0.01)
    assert (rows[0]["low"], rows[-1]["high"]) == (None, None)


def test_paired_interval_is_narrower_than_the_models_own():
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 1, 2000)
    before, after = shared + 0.01, 1.05 * shared + 0.01
    blocks = Blocks.of(np.arange(2000) // 10)
    row = paired(np.zeros(2000), before, after, blocks)["mae"]
    own = figures(np.zeros(2000), before, blocks)["mae"]["interval"]
    assert row["certain"]
    assert row["difference"] > 0
    assert np.ptp(row["interval"]) < 0.2 * np.ptp(own)


def test_short_errors_are_no_disagreement_and_long_ones_count_once():
    asked = np.zeros(400)
    asked[50] = 1.0
    asked[200:260] = 1.0
    assert disagreements(np.zeros(400), asked, 0.05, np.zeros(400, int), 1.0) == 1


def test_a_constant_error_leaves_the_path_when_geometry_says_so():
    more, frames = 0.002, 4000
    each = np.full(frames, 0.01)
    left, away = deviations(np.full(frames, more), np.full(frames, SPEED), each, [(0, frames)])
    # y = v^2 k t^2 / 2 for small angles.
    seconds = math.sqrt(2 * AWAY_M / (more * SPEED**2))
    assert np.flatnonzero(away)[0] * 0.01 == pytest.approx(seconds, rel=0.02)
    assert np.diff(np.flatnonzero(away)).std() <= 1, "set back onto the path each time"
    assert np.abs(left).max() < 1.1 * AWAY_M


def test_autonomy_is_the_published_formula():
    away = np.zeros(6000, bool)
    away[[1000, 3000]] = True
    found = autonomy(away, np.full(6000, 0.1), Blocks.of(np.arange(6000) // 50))
    # Bojarski et al. 2016: two interventions in 600 s are 98 %.
    assert found["autonomy"]["mean"] == pytest.approx(98.0)
    low, high = found["autonomy"]["interval"]
    assert 90 < low < 98 < high <= 100


def test_no_intervention_in_a_short_time_proves_little():
    found = autonomy(np.zeros(600, bool), np.full(600, 0.1), Blocks.of(np.arange(600) // 50))
    low, high = found["autonomy"]["interval"]
    assert high == 100
    assert low == pytest.approx(100 * (1 - 3.689 * 6 / 60))


class _Returning(Policy):
    """Reads the position of a bright column, and steers it back to the middle."""

    def forward(self, frames, state, elapsed):
        columns = frames[0, 0, -1, :, 0].float()
        middle = (columns * torch.arange(len(columns))).sum() / columns.sum()
        return (0.0004 * (99.5 - middle)).reshape(1, 1, 1), state


def test_shown_where_it_would_be_a_policy_corrects_itself(tmp_path):
    frames = 200
    with BagWriter(tmp_path / "bag") as bag:
        image = np.zeros((78, 200, 3), np.uint8)
        image[40:, 95:105] = 255
        for row in range(frames):
            at = 1_000_000_000 + row * PERIOD_NS
            bag.write("/camera/image_raw", messages.image(image, at), at)
            command = messages.named_vector(["curvature"], [0.0], at)
            bag.write("/expert/command", command, at)
    policy = _Returning(CommandSpec((CURVATURE,)), SETUP)
    drive = load_drive(tmp_path / "bag", SETUP, ("curvature",))
    camera = intrinsics(200, 78, math.radians(37))
    view = Viewpoint(camera, math.radians(9), 1.35)
    # The recorded vehicle drifts by a constant curvature; a blind policy would lose the line.
    path, speed = np.full(frames, -0.002), np.full(frames, SPEED)
    left, away = driven_with_views(policy, drive, view, path, speed, lambda: None)
    elapsed = np.full(frames, PERIOD_NS / 1e9)
    _, blind = deviations(-path, speed, elapsed, [(0, frames)])
    assert not away.any()
    assert blind.any()
    assert np.abs(left).max() < 0.7 * AWAY_M
