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
        """The outputs with these names. The others are computed too: a graph is run whole."""


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
        self.version = runtime.__version__
        self.metadata = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        self.inputs = {item.name: tuple(item.shape[1:]) for item in self._session.get_inputs()}
        self.outputs = {item.name: tuple(item.shape[1:]) for item in self._session.get_outputs()}

    def run(self, names: Sequence[str], feeds: Feeds) -> list[np.ndarray]:
        return self._session.run(names, feeds)


class OpenVinoSession:
    """OpenVINO on the processor, for one batch size, that of the first run."""

    name = "openvino"

    def __init__(self, content: bytes) -> None:
        openvino = _package("openvino", "openvino")
        self._core = openvino.Core()
        try:
            self._model = self._core.read_model(content, b"")
        except RuntimeError as error:
            raise _unreadable(error) from error
        self.version = openvino.__version__
        place = ["framework", METADATA]
        found = self._model.has_rt_info(place)
        self.metadata = self._model.get_rt_info(place).value if found else None
        self.inputs = {item.any_name: _shape(item) for item in self._model.inputs}
        self.outputs = {item.any_name: _shape(item) for item in self._model.outputs}
        self._request: Any = None
        self._given: dict[str, np.ndarray] = {}

    def run(self, names: Sequence[str], feeds: Feeds) -> list[np.ndarray]:
        if self._request is None:
            self._compile({name: each.shape for name, each in feeds.items()})
        # Into arrays that the request keeps: handing it new ones takes as long as a small graph.
        for name, value in feeds.items():
            given = self._given[name]
            if value.shape != given.shape:
                raise ValueError(f"{name} was {given.shape} in the first run, got {value.shape}.")
            np.copyto(given, value, casting="equiv")
        self._request.start_async()
        self._request.wait()
        return [self._request.get_tensor(name).data.copy() for name in names]

    def _compile(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._model.reshape(shapes)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": 1,
            # Some processors would take bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = self._core.compile_model(self._model, "CPU", settings)
        self._request = compiled.create_infer_request()
        self._given = {name: self._request.get_tensor(name).data for name in shapes}


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
