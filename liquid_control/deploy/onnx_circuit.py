"""Circuits as ONNX: one sample, from features, state and elapsed time to command and next state.

The liquid circuits that drive, an LTC with the fused solver, are written node by node: 56 nodes for
6 unfolds after ONNX Runtime has fused them. All others are traced by `torch.onnx`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from liquid_control.circuits import LTC, LTCLSTM, Circuit
from liquid_control.circuits.ode import UNTRACEABLE
from liquid_control.deploy.onnx_graph import OPSET, Graph
from liquid_control.errors import InputError
from liquid_control.perception.baseline import FeedForward
from liquid_control.policy import Policy

__all__ = ["add_circuit", "circuit_model"]

# As `circuits.fused_step`: a neuron moves by less than rounding in it, and dividing by less could
# overflow.
SHORTEST = 1e-20


class Names(NamedTuple):
    """Tensors of a graph on the way from features to a command."""

    output: str
    state: str | None = None
    time_constants: str | None = None


def circuit_model(policy: Policy) -> onnx.ModelProto:
    """The circuit alone, for a vision of one's own: `features` (batch, features) come in."""
    graph = Graph()
    features = graph.input("features", (policy.circuit.inputs,))
    add_circuit(graph, policy, features)
    return graph.model("circuit")


def add_circuit(graph: Graph, policy: Policy, features: str) -> None:
    """Add what lies between `features` and `command`, and its inputs and outputs.

    Inputs `state` (batch, numbers) and `elapsed` (batch,) [s], both left out where the circuit has
    no state; outputs `command` (batch, outputs) in physical units within the limits, `next_state`
    as `state`, and of an LTC `time_constants` (batch, neurons) [s].

    Raises:
        InputError: the circuit's solver takes a changing number of steps.
    """
    _check(policy.circuit)
    graph.scope = "circuit/"
    circuit, numbers = policy.circuit, sum(policy.circuit.state_sizes)
    if numbers:
        graph.input("state", (numbers,))
        graph.input("elapsed", ())
    if type(circuit) is LTC and circuit.solver == "fused" and circuit.memory is None:
        names = _add_ltc(graph, policy, features)
    else:
        names = _add_traced(graph, policy, features)
    scale = graph.constant("output_scale", policy.spec.high)
    physical = graph.add("Mul", [names.output, scale], "command_unlimited")
    low = graph.constant("command_low", policy.spec.low)
    high = graph.constant("command_high", policy.spec.high)
    limited = graph.add("Min", [graph.add("Max", [physical, low], "command_raised"), high], "limit")
    # Not every runtime's Min and Max keep a NaN, and safety must see it to refuse it.
    invalid = graph.add("IsNaN", [physical], "command_invalid")
    graph.output(graph.add("Where", [invalid, physical, limited], "command"), (circuit.outputs,))
    if names.state:
        graph.output(names.state, (numbers,))
    if names.time_constants:
        graph.output(names.time_constants, (numbers,))


def _add_ltc(graph: Graph, policy: Policy, features: str) -> Names:
    """The fused solver, x <- (k x + p) / (k + q) with k = unfolds C / h (see `circuits.solvers`).

    With s the synapses' activations, p = s @ pull + base_pull and q = s @ conduct + base_conduct:
    two products and a division, and k x + base_pull is the bias of the first.
    """
    circuit: LTC = policy.circuit
    with torch.no_grad():
        prepared = [each.double().numpy() for each in circuit.prepare()]
    sensory_slope, sensory_offset, sensory_current, slope, offset, current, leak, c = prepared
    units = circuit.wiring.units
    names = {
        "sensory_slope": sensory_slope,
        "sensory_offset": sensory_offset,
        "sensory_pull": sensory_current[:, :units],
        "sensory_conduct": sensory_current[:, units:],
        "slope": slope,
        "offset": offset,
        "pull": current[:, :units],
        "conduct": current[:, units:],
        "leak_pull": leak[:units],
        "leak_conduct": leak[units:],
        "capacitance": c[None] * policy.tick,
        "capacitance_unfolds": c[None] * circuit.unfolds * policy.tick,
    }
    for name, value in names.items():
        graph.constant(name, value)

    def product(inputs: str, weight: str, bias: str, output: str) -> str:
        return graph.add("Gemm", [inputs, weight, bias], output)

    def activation(inputs: str, kind: str, output: str) -> str:
        sums = product(inputs, f"{kind}slope", f"{kind}offset", f"{output}_sum")
        return graph.add("Sigmoid", [sums], output)

    sensed = activation(features, "sensory_", "sensed")
    base_pull = product(sensed, "sensory_pull", "leak_pull", "base_pull")
    base_conduct = product(sensed, "sensory_conduct", "leak_conduct", "base_conduct")
    last = graph.constant("last_axis", [1], np.int64)
    column = graph.add("Unsqueeze", ["elapsed", last], "elapsed_column")
    shortest = graph.constant("shortest", SHORTEST)
    span = graph.add("Max", [column, shortest], "elapsed_above_0")
    rate = graph.add("Div", ["capacitance_unfolds", span], "capacitance_rate")
    rest = graph.add("Add", [base_conduct, rate], "rest_conduct")
    state = "state"
    for unfold in range(circuit.unfolds):
        active = activation(state, "", f"active{unfold}")
        inert = graph.add("Mul", [state, rate], f"inert{unfold}")
        inert = graph.add("Add", [inert, base_pull], f"inert_pull{unfold}")
        above = product(active, "pull", inert, f"above{unfold}")
        below = product(active, "conduct", rest, f"below{unfold}")
        state = graph.add("Div", [above, below], f"state{unfold + 1}")
    still = graph.add("LessOrEqual", [column, shortest], "no_time")
    after = graph.add("Where", [still, "state", state], "next_state")
    settled = activation(after, "", "settled")
    conducted = product(settled, "conduct", base_conduct, "conductance")
    constants = graph.add("Div", ["capacitance", conducted], "time_constants")
    motor = circuit.wiring.motor
    start = graph.constant("motor_start", [units - motor], np.int64)
    end = graph.constant("motor_end", [units], np.int64)
    output = graph.add("Slice", [after, start, end, last], "motor")
    weight = graph.constant("output_weight", circuit.output_weight.detach().numpy())
    bias = graph.constant("output_bias", circuit.output_bias.detach().numpy())
    output = graph.add("Mul", [output, weight], "motor_weighted")
    return Names(graph.add("Add", [output, bias], "output"), after, constants)


def _check(circuit: Circuit | FeedForward) -> None:
    """Refuse what takes as many steps as the numbers need: a graph always takes the same ones."""
    flow = getattr(circuit, "flow", None)
    if flow is not None and flow._step is None:
        raise InputError(f"This circuit cannot become ONNX. {UNTRACEABLE}")
    liquid = circuit.liquid if isinstance(circuit, LTCLSTM) else circuit
    if isinstance(liquid, LTC) and liquid.solver != "fused":
        raise InputError(
            f"An LTC with solver={liquid.solver!r} takes more steps for a longer elapsed time, "
            "which ONNX cannot; set solver to fused, which is stable for any."
        )


class _Sample(nn.Module):
    """One sample of any circuit with its state in one row, as `Driver` keeps it."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.circuit, self.tick = policy.circuit, policy.tick
        self.sizes = list(policy.circuit.state_sizes)
        self.constants = type(self.circuit) is LTC and self.circuit.memory is None
        with torch.no_grad():
            self.prepared = self.circuit.prepare()

    def forward(
        self, features: Tensor, state: Tensor | None = None, elapsed: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if not self.sizes:
            return (self.circuit.step(features)[0],)
        parts = state if len(self.sizes) == 1 else state.split(self.sizes, 1)
        output, after = self.circuit.step(features, parts, elapsed / self.tick, self.prepared)
        after = after if isinstance(after, Tensor) else torch.cat(after, 1)
        if not self.constants:
            return output, after
        constants = self.circuit.time_constants(features, after, self.prepared) * self.tick
        return output, after, constants


def _add_traced(graph: Graph, policy: Policy, features: str) -> Names:
    """Any circuit, by `torch.onnx.export`."""
    sample = _Sample(policy).eval()
    inputs = (torch.rand(2, policy.circuit.inputs),)
    if sample.sizes:
        inputs += (torch.zeros(2, sum(sample.sizes)), torch.full((2,), 1 / 30))
    try:
        # What only shows in a run, as a readout that was never fitted.
        sample(*inputs)
    except ValueError as error:
        raise InputError(f"This circuit cannot become ONNX: {error}") from error
    results = ("output", "next_state", "time_constants")
    outputs = results[: 1 + bool(sample.sizes) + sample.constants]
    given = dict(zip(("features", "state", "elapsed"), inputs, strict=False))
    model = _traced(sample, given, outputs)
    graph.extend(model, {**{name: name for name in (*given, *outputs)}, "features": features}, "t_")
    return Names(*outputs)


def _traced(
    sample: _Sample, inputs: dict[str, Tensor], outputs: tuple[str, ...]
) -> onnx.ModelProto:
    batch = torch.export.Dim("batch")
    # What the exporter says on the way is for its developers: it prints, warns and logs.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                sample,
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                opset_version=OPSET,
                verbose=False,
            ).model_proto
    finally:
        logger.setLevel(level)
