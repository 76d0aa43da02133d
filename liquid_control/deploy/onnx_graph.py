"""Writes ONNX graphs node by node, with names that say what a tensor is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["BATCH", "OPSET", "Graph"]

# Of 2023: read by ONNX Runtime from 1.17 and OpenVINO from 2024 on, older than what a robot's
# image from these years ships.
OPSET, IR_VERSION = 20, 9
BATCH = "batch"
KINDS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


class Graph:
    """A graph under construction.

    Args:
        scope: first part of the names of nodes, which later steps choose nodes by.
    """

    def __init__(self, scope: str = "") -> None:
        self.scope = scope
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int], kind: str = "float32") -> str:
        """An input (batch, *shape); its name."""
        self.inputs.append(helper.make_tensor_value_info(name, KINDS[kind], (BATCH, *shape)))
        return name

    def output(self, name: str, shape: Sequence[int]) -> None:
        """The tensor `name` is an output (batch, *shape), float32."""
        self.outputs.append(helper.make_tensor_value_info(name, KINDS["float32"], (BATCH, *shape)))

    def constant(self, name: str, value: object, kind: type = np.float32) -> str:
        """A constant; its name."""
        array = np.ascontiguousarray(np.asarray(value).astype(kind))
        # ascontiguousarray makes a number a row.
        self.constants.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """A node with one output; the output's name."""
        name = f"{self.scope}{output}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name, **attributes))
        return output

    def extend(self, model: onnx.ModelProto, names: dict[str, str], prefix: str) -> None:
        """Take over a model's nodes.

        Args:
            model: of which inputs and outputs become tensors of this graph.
            names: what its inputs and outputs are called here.
            prefix: of all its other names.
        """

        def here(name: str) -> str:
            return names.get(name, f"{prefix}{name}") if name else ""

        for tensor in model.graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = here(tensor.name)
            self.constants.append(copy)
        for node in model.graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{self.scope}{prefix}{node.name}"
            # What an exporter notes on where a node came from is larger than the node.
            copy.ClearField("metadata_props")
            copy.ClearField("doc_string")
            copy.input[:] = [here(name) for name in node.input]
            copy.output[:] = [here(name) for name in node.output]
            self.nodes.append(copy)

    def model(self, name: str) -> onnx.ModelProto:
        """The checked model."""
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)
        imports = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
        model.producer_name = "liquid_control"
        onnx.checker.check_model(model, full_check=True)
        return model
