"""The programs that run an exported graph, behind one call: by name from arrays to arrays."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from liquid_control.deploy.export_files import METADATA
from liquid_control.errors import InputError

__all__ = ["RUNTIMES", "OnnxSession", "OpenVinoSession", "Session", "check_runtime"]

Feeds = Mapping[str, np.ndarray]


class Session(Protocol):
    """A graph that is ready to run, in one thread.

    Attributes:
        name: of the runtime.
        version: of the runtime.
        metadata: what the graph says of itself, JSON; None where it says nothing.
        inputs, outputs: shapes without the batch by name.
    """

    name: str
    version: str
    metadata: str | None
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]

    def run(self, names: Sequence[str], feeds: Feeds) -> list[np.ndarray]:
        """The outputs with these names; nothing is computed for the others."""


class OnnxSession:
    """ONNX Runtime on the processor."""

    name = "onnx"

    def __init__(self, content: bytes) -> None:
        runtime = _package("onnxruntime", "onnxruntime")
        options = runtime.SessionOptions()
        # One frame is too little work to share; more threads only disturb other processes.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        # ONNX Runtime's own exceptions have no common class but this one.
        except Exception as error:
            raise _unreadable(error) from error
        self._options = runtime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        self.version = runtime.__version__
        self.metadata = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        self.inputs = {item.name: tuple(item.shape[1:]) for item in self._session.get_inputs()}
        self.outputs = {item.name: tuple(item.shape[1:]) for item in self._session.get_outputs()}

    def run(self, names: Sequence[str], feeds: Feeds) -> list[np.ndarray]:
        return self._session.run(names, feeds, self._options)


class OpenVinoSession:
    """OpenVINO on the processor; a graph is compiled for each set of outputs that is asked for."""

    name = "openvino"

    def __init__(self, content: bytes) -> None:
        self._openvino = _package("openvino", "openvino")
        self._core = self._openvino.Core()
        self._content = content
        model = self._read()
        self.version = self._openvino.__version__
        place = ["framework", METADATA]
        self.metadata = model.get_rt_info(place).value if model.has_rt_info(place) else None
        self.inputs = {item.any_name: _shape(item) for item in model.inputs}
        self.outputs = {item.any_name: _shape(item) for item in model.outputs}
        self._compiled: dict[tuple[str, ...], Any] = {}

    def run(self, names: Sequence[str], feeds: Feeds) -> list[np.ndarray]:
        key = tuple(names)
        if key not in self._compiled:
            self._compiled[key] = self._compile(key, len(next(iter(feeds.values()))))
        request, needed = self._compiled[key]
        results = request.infer({name: feeds[name] for name in needed}, share_inputs=True)
        return [results[name] for name in key]

    def _read(self) -> Any:
        try:
            return self._core.read_model(self._content, b"")
        except RuntimeError as error:
            raise _unreadable(error) from error

    def _compile(self, names: tuple[str, ...], batch: int) -> tuple[Any, list[str]]:
        """A request for these outputs alone; it computes nothing for the others."""
        whole = self._read()
        by_name = {result.any_name: result for result in whole.outputs}
        results = [by_name[name].node for name in names]
        needed = _needed(results)
        inputs = [each for each in whole.get_parameters() if each.friendly_name in needed]
        model = self._openvino.Model(results, inputs, "policy")
        shapes = {each.friendly_name: (batch, *self.inputs[each.friendly_name]) for each in inputs}
        model.reshape(shapes)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": 1,
            # Some processors would take bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = self._core.compile_model(model, "CPU", settings)
        return compiled.create_infer_request(), list(shapes)


RUNTIMES: dict[str, type] = {"onnx": OnnxSession, "openvino": OpenVinoSession}


def check_runtime(name: str) -> str:
    """The name of a runtime that drives from an export.

    Raises:
        InputError: there is no such runtime.
    """
    if name not in RUNTIMES:
        raise InputError(
            f"A policy is exported for {' or '.join(RUNTIMES)}, got runtime {name!r}; choose one."
        )
    return name


def _needed(results: Sequence[Any]) -> set[str]:
    """Names of the inputs that results are computed from."""
    found, seen, waiting = set(), set(), list(results)
    while waiting:
        node = waiting.pop()
        if node.friendly_name in seen:
            continue
        seen.add(node.friendly_name)
        if node.get_type_name() == "Parameter":
            found.add(node.friendly_name)
        waiting += [source.get_source_output().get_node() for source in node.inputs()]
    return found


def _shape(item: Any) -> tuple[int, ...]:
    return tuple(each.get_length() for each in list(item.partial_shape)[1:])


def _package(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"Driving from an exported policy needs the Python package {name!r}, which is not "
            f"installed; pip install {name}, or take the runtime torch."
        ) from error


def _unreadable(error: Exception) -> InputError:
    return InputError(
        f"The exported graph is no ONNX file that this runtime reads ({str(error).splitlines()[0]})"
        "; export the policy again, or install a newer runtime."
    )
