"""Driving from an export: without torch, on demand, and refusing what does not belong together."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from liquid_control.cli import main
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.deploy.export_files import manifest
from liquid_control.deploy.onnx_export import export_onnx
from liquid_control.deploy.runtime import ExportDriver, load_driver
from liquid_control.deploy.sessions import OpenVinoSession
from liquid_control.errors import InputError
from liquid_control.policy import Driver, Policy


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def sign(folder: Path) -> None:
    """Make the manifest fit the graph that is there."""
    graphs = {"policy.onnx": (folder / "policy.onnx").read_bytes()}
    (folder / "export.json").write_text(manifest("float32", "onnx", graphs))


def test_an_export_drives_without_torch(exported):
    code = (
        "import sys, numpy\n"
        "from liquid_control.deploy.runtime import load_driver\n"
        f"driver = load_driver({str(exported)!r})\n"
        "frame = numpy.zeros((24, 40, 3), numpy.uint8)\n"
        "driver.step(frame, 0.1), driver.attention()\n"
        "print([name for name in ('torch', 'onnx', 'rclpy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_attention_is_computed_on_demand_and_changes_no_command(exported, frames):
    quiet, watched = ExportDriver(exported), ExportDriver(exported)
    with pytest.raises(RuntimeError, match="needs a frame"):
        watched.attention()
    for frame in frames[:8]:
        wanted, got = quiet.step(frame, 1 / 30), watched.step(frame, 1 / 30)
        assert np.array_equal(got.command, wanted.command)
        assert np.array_equal(got.state, wanted.state)
        seen = watched.attention()
        assert seen.shape == (24, 40)
        assert (seen.min(), seen.max()) == (0, 1)
    assert np.array_equal(quiet.attention(), watched.attention())


def test_attention_is_of_the_frame_that_was_decided_on(exported, frames):
    """Also when its array holds something else by now."""
    driver, buffer = ExportDriver(exported), frames[0].copy()
    driver.step(buffer, 0.1)
    buffer[:] = frames[1]
    late = driver.attention()
    driver.reset()
    driver.step(frames[0], 0.1)
    assert np.array_equal(driver.attention(), late)


def test_a_decision_is_made_again_to_the_bit_from_its_record(exported, frames):
    driver, again = ExportDriver(exported), ExportDriver(exported)
    for frame in frames[:6]:
        decision = driver.step(frame, 1 / 30)
        again.restore(decision.state_before)
        made = again.step(frame, decision.elapsed)
        assert np.array_equal(made.command, decision.command)
        assert np.array_equal(made.state, decision.state)
    driver.reset()
    assert driver.step(frames[0], 1 / 30).reset
    assert not driver.step(frames[0], 1 / 30).reset


def test_a_refused_frame_leaves_the_driver_as_it_was(exported, frames):
    driver, other = ExportDriver(exported), ExportDriver(exported)
    driver.step(frames[0], 0.1), other.step(frames[0], 0.1)
    with pytest.raises(InputError, match="uint8"):
        driver.step(frames[1].astype(float), 0.1)
    for elapsed in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Elapsed times"):
            driver.step(frames[1], elapsed)
    assert np.array_equal(driver.step(frames[1], 0.1).state, other.step(frames[1], 0.1).state)


@pytest.mark.slow
def test_openvino_drives_as_torch_does(folder, exported, frames, both_drive):
    pytest.importorskip("openvino", reason="openvino is an optional extra")
    both_drive(Policy.load(folder), ExportDriver(exported, "openvino"), frames)


@pytest.mark.slow
def test_openvino_gives_arrays_of_their_own_and_refuses_another_batch(exported, frames):
    pytest.importorskip("openvino", reason="openvino is an optional extra")
    session = OpenVinoSession((exported / "policy.onnx").read_bytes())
    elapsed = np.array([0.1], np.float32)
    feeds = {"frames": frames[:1], "state": np.zeros((1, 19), np.float32), "elapsed": elapsed}
    (first,) = session.run(["next_state"], feeds)
    kept = first.copy()
    (second,) = session.run(["next_state"], feeds | {"state": first})
    assert np.array_equal(first, kept)
    assert not np.array_equal(first, second)
    with pytest.raises(ValueError, match="frames was"):
        session.run(["next_state"], feeds | {"frames": frames[:2]})
    with pytest.raises(TypeError):
        session.run(["next_state"], feeds | {"frames": frames[:1].astype(np.float32)})


def test_what_drives_is_what_the_folder_was_made_for(folder, exported, copy):
    assert isinstance(load_driver(folder), Driver)
    assert isinstance(load_driver(exported, "torch"), Driver)
    driver = load_driver(exported)
    assert driver.facts["runtime"] == "onnx"
    assert driver.policy.spec == driver.spec == Policy.load(folder).spec
    fields = json.loads((copy / "export.json").read_text())
    (copy / "export.json").write_text(json.dumps(fields | {"runtime": "tensorrt"}))
    with pytest.raises(InputError, match="got runtime 'tensorrt'"):
        load_driver(copy)


def test_a_damaged_graph_is_refused(copy, exported):
    content = bytearray((copy / "policy.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "policy.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"policy\.onnx is damaged or another file"):
        ExportDriver(copy)
    (copy / "policy.onnx").write_bytes(content[: len(content) // 2])
    sign(copy)
    with pytest.raises(InputError, match="no ONNX file that this runtime reads"):
        ExportDriver(copy)
    (copy / "attention.onnx").write_bytes(b"")
    driver = ExportDriver(Path(shutil.copytree(exported, copy.with_name("again"))))
    driver.folder = copy
    driver.step(np.zeros((24, 40, 3), np.uint8), 0.1)
    with pytest.raises(InputError, match=r"attention\.onnx is damaged"):
        driver.attention()
    (copy / "policy.onnx").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        ExportDriver(copy)


def test_another_programs_graph_is_refused(copy):
    model = onnx.load(copy / "policy.onnx")
    model.ClearField("metadata_props")
    onnx.save(model, copy / "policy.onnx")
    sign(copy)
    with pytest.raises(InputError, match="liquid-control did not write it"):
        ExportDriver(copy)


def test_another_models_graph_is_refused(copy, small, tmp_path):
    torch.manual_seed(5)
    Policy(CommandSpec((CURVATURE,)), small).save(tmp_path / "other")
    export_onnx(tmp_path / "other", tmp_path / "export")
    for name in ("policy.onnx", "export.json"):
        shutil.copy(tmp_path / "export" / name, copy / name)
    with pytest.raises(InputError, match="two different models"):
        ExportDriver(copy)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "something"}', "{"])
def test_a_folder_that_is_no_export_is_refused(copy, content):
    (copy / "export.json").write_text(content)
    with pytest.raises(InputError, match=r"export|exported"):
        ExportDriver(copy, "onnx")


@pytest.mark.parametrize(("runtime", "package"), [("onnx", "onnxruntime"), ("openvino",) * 2])
def test_a_runtime_that_is_not_installed_is_named(exported, monkeypatch, runtime, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"needs the Python package '{package}'"):
        ExportDriver(exported, runtime)


@pytest.mark.slow
def test_an_export_is_evaluated_like_any_other_model(tmp_path):
    """The shipped model in its own world: the same drive as in torch, to the millimetre."""
    assert main(["export", "driving_ncp", "--output", str(tmp_path / "export")]) == 0
    world = "liquid_control/Driving-v1"
    models = ["--model", "driving_ncp", "--model", str(tmp_path / "export")]
    options = ["--env", world, "--episodes", "1", "--seconds", "4"]
    out = tmp_path / "scores"
    assert main(["evaluate", *models, *options, "--output", str(out)]) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["models"]["export"]["runtime"] == "onnx"
    first, second = (group["figures"]["distance"]["mean"] for group in results["groups"])
    assert first == pytest.approx(second, abs=1e-3)
