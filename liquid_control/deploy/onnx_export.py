"""Writes a policy as an ONNX folder: graph, configuration, weights, and what ties them together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from liquid_control import __version__
from liquid_control.deploy.calibration import calibration_frames
from liquid_control.deploy.export_files import (
    ATTENTION,
    CIRCUIT,
    GRAPH,
    MANIFEST,
    METADATA,
    Precision,
    manifest,
)
from liquid_control.deploy.onnx_circuit import add_circuit, circuit_model
from liquid_control.deploy.onnx_graph import OPSET, Graph
from liquid_control.deploy.onnx_head import add_head
from liquid_control.deploy.onnx_quantise import quantised
from liquid_control.deploy.output import begin, check_output
from liquid_control.deploy.sessions import check_runtime
from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import configuration_hash, weights_hash

__all__ = ["export_onnx", "policy_model"]

# Outputs that only some frames are asked for.
ON_DEMAND = ("attention", "activity")
# Beside weights and configuration: the node's attention monitor is calibrated with the model.
COPIED = ("config.json", "model.safetensors", "attention_monitor.json")
NORMALISATION = (
    "frames are uint8 RGB (batch, rows, columns, 3); the graph gives each image zero mean and unit "
    "variance, the standard deviation being at least 255 / sqrt(values)"
)


def export_onnx(
    folder: Path,
    output: Path,
    precision: Precision = "float32",
    calibrate: Path | None = None,
    runtime: str = "onnx",
) -> dict[str, Any]:
    """Write the policy of `folder` as ONNX into `output`.

    Args:
        folder: of the policy.
        output: made where it does not exist; complete once `export.json` names its graphs.
        precision: of the head; the circuit is float32 in all of them.
        calibrate: bag, or folder of bags, whose frames give the ranges of int8.
        runtime: that drives from the folder where none is named.

    Returns:
        What the graph says of itself.

    Raises:
        InputError: no policy, a calibration that does not fit, or a folder that `check_output`
            refuses.
    """
    policy, runtime = Policy.load(folder), check_runtime(runtime)
    if (calibrate is None) == (precision == "int8"):
        raise InputError(
            "The head becomes int8 by ranges that come from recorded frames: give --calibrate BAG "
            f"with --precision int8 and only with it, got precision {precision} and "
            f"{'no bag' if calibrate is None else calibrate}."
        )
    check_output(output, folder, MANIFEST)
    frames = None if calibrate is None else calibration_frames(policy, calibrate)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    metadata = _describe(policy, precision, config["weights_sha256"])
    if frames is not None:
        metadata["calibration"] = {"bag": str(calibrate), "frames": len(frames)}
    whole, graphs = policy_model(policy, precision, frames), {}
    given = [each.name for each in whole.graph.input]
    decided = [each.name for each in whole.graph.output if each.name not in ON_DEMAND]
    # A runtime computes all outputs of a graph, and attention takes a quarter of the head's time.
    parts = onnx.utils.Extractor(whole)
    for name, model in (
        (GRAPH, parts.extract_model(given, decided)),
        (ATTENTION, parts.extract_model(["frames"], list(ON_DEMAND))),
        (CIRCUIT, circuit_model(policy)),
    ):
        onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata)})
        graphs[name] = model.SerializeToString()
    begin(output, MANIFEST)
    for name in COPIED:
        if (folder / name).is_file():
            replace_file(output / name, (folder / name).read_bytes())
    for name, content in graphs.items():
        replace_file(output / name, content)
    replace_file(output / MANIFEST, manifest(precision, runtime, graphs))
    return metadata


def policy_model(
    policy: Policy, precision: Precision = "float32", frames: np.ndarray | None = None
) -> onnx.ModelProto:
    """Head, circuit, limits and attention; see `docs/deploy.md` for inputs and outputs.

    Args:
        policy: in float32.
        precision: of the head.
        frames: uint8 (frames, rows, columns, 3) for int8.
    """
    graph = Graph("head/")
    half = np.float16 if precision == "float16" else np.float32
    features, count = add_head(graph, policy.head, half)
    graph.output(features, (count,))
    add_circuit(graph, policy, features)
    model = graph.model("policy")
    return model if frames is None else quantised(model, frames, "head/")


def _describe(policy: Policy, precision: str, weights_sha256: str) -> dict[str, Any]:
    return {
        "version": __version__,
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "opset": OPSET,
        "precision": precision,
        "weights_sha256": weights_sha256,
        "weights": weights_hash(policy),
        "configuration": configuration_hash(policy),
        "command": policy.spec.to_dict(),
        "camera": policy.camera.to_dict(),
        "normalisation": NORMALISATION,
        "circuit": type(policy.circuit).__name__,
        "head": type(policy.head).__name__,
        "state_names": policy.state_names,
    }
