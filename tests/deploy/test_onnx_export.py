"""A policy as ONNX computes what it computes in torch, whatever its network."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from liquid_control.camera import CameraSetup
from liquid_control.circuits import LTC, LTCLSTM, ODERNN, CfC, Reservoir, flagship_wiring
from liquid_control.command import CURVATURE, SPEED, CommandSpec
from liquid_control.deploy.command import export
from liquid_control.deploy.onnx_export import export_onnx, policy_model
from liquid_control.deploy.runtime import ExportDriver
from liquid_control.errors import InputError
from liquid_control.perception.baseline import BaselineHead, FeedForward
from liquid_control.policy import Policy
from liquid_control.training.networks import CIRCUITS, make_policy

SPEC = CommandSpec((CURVATURE, SPEED))


def test_an_exported_flagship_drives_as_in_torch(folder, exported, frames, both_drive):
    both_drive(Policy.load(folder), ExportDriver(exported), frames)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CIRCUITS if name != "cnn"])
def test_every_network_that_a_recipe_names_is_exported(name, frames, both_drive, small, tmp_path):
    torch.manual_seed(1)
    policy = make_policy(name, SPEC, small)
    policy.save(tmp_path / "model")
    export_onnx(tmp_path / "model", tmp_path / "export")
    both_drive(policy.eval(), ExportDriver(tmp_path / "export"), frames)


def others() -> dict[str, object]:
    wiring, reservoir = flagship_wiring(2), Reservoir(32, 20, 2)
    reservoir.fit(torch.rand(4, 20, 32), torch.rand(4, 20, 2))
    return {
        "ltc-memory": LTC(wiring, mixed_memory=True),
        "ltc-lstm": LTCLSTM(32, flagship_wiring(2), memory=32),
        "cfc-pure": CfC(wiring, mode="pure"),
        "cfc-no-gate": CfC(32, 16, proj_size=2, mode="no_gate"),
        "ode-rnn": ODERNN(32, 16, 2, solver="rk4"),
        "reservoir": reservoir,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", list(others()))
def test_other_circuits_of_the_zoo_are_exported(name, frames, both_drive, small, tmp_path):
    torch.manual_seed(1)
    circuit = others()[name]
    policy = Policy(SPEC, small, circuit=circuit).eval()
    policy.save(tmp_path / "model")
    export_onnx(tmp_path / "model", tmp_path / "export")
    both_drive(policy, ExportDriver(tmp_path / "export"), frames)


@pytest.mark.slow
def test_the_feed_forward_baseline_is_exported_without_a_state(both_drive, tmp_path):
    torch.manual_seed(1)
    policy = Policy(SPEC, circuit=FeedForward(BaselineHead.features, 2), head="baseline").eval()
    policy.save(tmp_path / "model")
    export_onnx(tmp_path / "model", tmp_path / "export")
    frames = np.random.default_rng(0).integers(0, 256, (5, 78, 200, 3), np.uint8)
    driver = ExportDriver(tmp_path / "export")
    both_drive(policy, driver, frames)
    assert driver.step(frames[0], 0.1).state.shape == (0,)


@pytest.mark.parametrize(
    ("circuit", "sentence"),
    [
        (lambda: ODERNN(32, 8, 2), "solver='rk4'"),
        (lambda: LTC(flagship_wiring(2), solver="euler"), "set solver to fused"),
        (lambda: Reservoir(32, 20, 2), "no readout"),
    ],
)
def test_a_circuit_that_no_graph_can_follow_is_refused(small, tmp_path, circuit, sentence):
    Policy(SPEC, small, circuit=circuit()).save(tmp_path / "model")
    with pytest.raises(InputError, match=sentence):
        export_onnx(tmp_path / "model", tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_rows_of_a_batch_do_not_see_one_another(exported, frames):
    """Each row with a state and an elapsed time of its own."""
    sessions = {
        name: onnxruntime.InferenceSession(str(exported / f"{name}.onnx"))
        for name in ("policy", "attention")
    }
    rng = np.random.default_rng(0)
    feeds = {
        "frames": frames[:3],
        "state": rng.normal(0, 0.3, (3, 19)).astype(np.float32),
        "elapsed": np.array([0.0, 1 / 30, 0.5], np.float32),
    }

    def run(feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        seen = sessions["attention"].run(["attention"], {"frames": feeds["frames"]})
        return [*sessions["policy"].run(["command", "next_state"], feeds), *seen]

    together = run(feeds)
    for row in range(3):
        alone = run({name: each[row : row + 1] for name, each in feeds.items()})
        for one, all_rows in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], all_rows[row], atol=1e-6)
    assert np.array_equal(together[1][0], feeds["state"][0])


def test_commands_stay_within_their_limits_and_a_nan_stays_one(exported):
    session = onnxruntime.InferenceSession(str(exported / "circuit.onnx"))
    features = np.zeros((3, 32), np.float32)
    features[1] = 1e4
    features[2] = np.nan
    state = np.array([[0.0], [50.0], [0.0]], np.float32).repeat(19, 1)
    elapsed = np.array([0.1, 0.0, 0.1], np.float32)
    feeds = {"features": features, "state": state, "elapsed": elapsed}
    (command,) = session.run(["command"], feeds)
    assert (command[:2] >= SPEC.low).all()
    assert (command[:2] <= SPEC.high).all()
    assert (np.isin(command[1], [SPEC.low, SPEC.high])).all()
    assert np.isnan(command[2]).all()


def test_a_graph_says_what_it_is_of(folder, exported):
    model = onnx.load(exported / "policy.onnx")
    (entry,) = model.metadata_props
    said = json.loads(entry.value)
    config = json.loads((folder / "config.json").read_text())
    assert said["weights_sha256"] == config["weights_sha256"]
    assert said["command"]["outputs"][1] == {
        "name": "speed",
        "unit": "m/s",
        "low": 0.0,
        "high": 15.0,
    }
    assert said["camera"]["width"] == 40
    assert said["opset"] == model.opset_import[0].version
    assert len(said["state_names"]) == 19


@pytest.mark.parametrize(
    ("precision", "share"), [("float16", 2e-3), pytest.param("int8", 0.1, marks=pytest.mark.slow)]
)
def test_a_smaller_head_stays_close_and_leaves_the_circuit_alone(folder, frames, precision, share):
    policy = Policy.load(folder)
    model = policy_model(policy, precision, frames if precision == "int8" else None)
    whole = policy_model(policy)
    state = np.zeros((24, 19), np.float32)
    feeds = {"frames": frames, "state": state, "elapsed": np.full(24, 1 / 30, np.float32)}
    results = [
        onnxruntime.InferenceSession(each.SerializeToString()).run(["command", "attention"], feeds)
        for each in (whole, model)
    ]
    (command, seen), (small, small_seen) = results
    assert np.abs(small - command).max() <= share * (SPEC.high - SPEC.low).max()
    assert np.abs(small_seen - seen).mean() < 0.05
    assert np.abs(small - command).max() > 0

    def circuit(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
        nodes = [node for node in graph.graph.node if node.name.startswith("circuit/")]
        used = {name for node in nodes for name in node.input}
        constants = {
            each.name: onnx.numpy_helper.to_array(each) for each in graph.graph.initializer
        }
        return {name: constants[name] for name in sorted(used & constants.keys())}

    constants = circuit(model)
    assert len(constants) > 10
    for name, value in circuit(whole).items():
        assert np.array_equal(constants[name], value), name
    assert model.ByteSize() < whole.ByteSize()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"format": "tflite"}, "exported as onnx"),
        ({"precision": "int4"}, "int4"),
        ({"precision": "int8"}, "--calibrate BAG"),
        ({"precision": "float16", "calibrate": "somewhere"}, "--calibrate BAG"),
        ({"precision": "int8", "calibrate": "nowhere"}, "no bag"),
        ({"runtime": "tensorrt"}, "onnx or openvino"),
        ({"head": "float"}, "as onnx has no --head; .* as c by --format"),
        ({"prefix": "car", "bounds": False}, "no --prefix and no --no-bounds"),
        ({"format": "c", "precision": "int8"}, "as c has no --precision; .* as onnx by --format"),
        ({"format": "c", "runtime": "openvino"}, "no --runtime"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_sentence(folder, tmp_path, options, sentence):
    if "calibrate" in options:
        options = {**options, "calibrate": tmp_path / options["calibrate"]}
    with pytest.raises(InputError, match=sentence):
        export(str(folder), output=tmp_path / "export", **options)
    assert not (tmp_path / "export").exists()


def test_an_export_does_not_overwrite_its_model(folder):
    with pytest.raises(InputError, match="folder of its own"):
        export_onnx(folder, folder)


def test_the_camera_of_a_policy_decides_the_graphs_frames(exported):
    driver = ExportDriver(exported)
    assert driver.camera == CameraSetup(height=24, width=40)
    wide = np.zeros((120, 160, 3), np.uint8)
    assert driver.step(wide, 0.1).command.shape == (2,)
