"""A head in int8: weights per channel, activations by the ranges that recorded frames show."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

__all__ = ["quantised"]

# What is computed in int8; all else of the head, and the circuit, stays float32.
OPERATORS = ("Conv", "Gemm", "Relu")


def quantised(model: onnx.ModelProto, frames: np.ndarray, scope: str) -> onnx.ModelProto:
    """The model with the layers of `scope` quantised statically (ONNX Runtime, QDQ format).

    Activations are uint8 and weights int8, which processors multiply in one instruction (AVX-512
    VNNI, Arm's dot product).

    Args:
        model: of a policy.
        frames: uint8 (frames, rows, columns, 3).
        scope: first part of the names of the nodes to quantise.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader

    class Frames(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds = _feeds(model, frames)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._feeds, None)

    nodes = [
        node.name
        for node in model.graph.node
        if node.name.startswith(scope) and node.op_type in OPERATORS
    ]
    # The calibrator writes into the model that it is given.
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    logger, level = logging.getLogger(), logging.getLogger().level
    # It recommends a preprocessing that has nothing to do here.
    logger.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            quantize_static(
                copy,
                str(file),
                Frames(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=nodes,
            )
            done = onnx.load(file)
    finally:
        logger.setLevel(level)
    onnx.checker.check_model(done, full_check=True)
    return done


def _feeds(model: onnx.ModelProto, frames: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Inputs for one frame after the other; the head does not see the circuit's."""
    shapes = {
        item.name: [each.dim_value for each in item.type.tensor_type.shape.dim[1:]]
        for item in model.graph.input
        if item.name != "frames"
    }
    rest = {name: np.ones((1, *shape), np.float32) for name, shape in shapes.items()}
    for frame in frames:
        yield {"frames": frame[None], **rest}
