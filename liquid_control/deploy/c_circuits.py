"""The circuits of the zoo as C: their constants as tables, their equations as fragments of `c/`.

A fragment defines `circuit(features, elapsed, x)`, which advances a state x by an elapsed time in
the circuit's own unit, and `read_out(x, outputs)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from liquid_control.circuits import CTRNN, GRU, GRUD, LSTM, LTC, CfC
from liquid_control.circuits.cfc_cells import ACTIVATIONS
from liquid_control.circuits.memory import LongMemory
from liquid_control.deploy.c_text import Table, fragment, integers, literal, reals
from liquid_control.errors import InputError

__all__ = ["CircuitCode", "circuit_code"]

REMEMBER = "    remember(features, x, x + UNITS);\n"
FORMULAS = {
    "lecun_tanh": ("1.7159 tanh(0.666 u) (LeCun et al. 1998).", "1.7159F * tanhf(0.666F * u)"),
    "tanh": ("tanh(u).", "tanhf(u)"),
    "relu": ("max(0, u).", "u > 0.0F ? u : 0.0F"),
    "silu": ("u s(u).", "u * logistic(u)"),
    "gelu": (
        "u Phi(u), Phi the normal distribution.",
        "0.5F * u * (1.0F + erff(u * 0.707106781F))",
    ),
}


@dataclass(frozen=True)
class CircuitCode:
    """A circuit as C.

    Attributes:
        about: what it is, in a few words.
        constants: names and values of integers that the code speaks of.
        defines: the same for floats.
        tables: its parameters.
        code: its equations.
    """

    about: str
    constants: dict[str, int]
    defines: dict[str, float]
    tables: list[Table]
    code: str

    @property
    def flash(self) -> int:
        """Bytes of the tables."""
        return sum(table.size for table in self.tables)


def circuit_code(circuit: nn.Module) -> CircuitCode:
    """C of a circuit.

    Raises:
        InputError: there is none for circuits of its kind.
    """
    writers = {LTC: _ltc, CfC: _cfc, LSTM: _lstm, GRU: _gru, GRUD: _gru, CTRNN: _ctrnn}
    writer = writers.get(type(circuit))
    if writer is None:
        names = ", ".join(kind.__name__ for kind in writers)
        raise InputError(
            f"There is no C export of a {type(circuit).__name__}; export a model with one of "
            f"{names}, or this one with --format onnx."
        )
    return writer(circuit)


def _numpy(value: Tensor) -> np.ndarray:
    return value.detach().cpu().double().numpy()


def _dense(name: str, weight: np.ndarray, bias: np.ndarray | None, shape: str) -> list[Table]:
    """Tables of a linear map (outputs, inputs), stored input by input."""
    inputs, outputs = shape.split(" x ")
    bias = np.zeros(len(weight)) if bias is None else bias
    return [
        reals(f"{name}_weight", weight.T.ravel(), f"[({inputs}) * ({outputs})]"),
        reals(f"{name}_bias", bias, f"[{outputs}]"),
    ]


def _linear(name: str, layer: nn.Linear, shape: str) -> list[Table]:
    bias = None if layer.bias is None else _numpy(layer.bias)
    return _dense(name, _numpy(layer.weight), bias, shape)


def _memory(memory: LongMemory | None) -> tuple[list[Table], str]:
    """Tables and code of mixed memory; none without."""
    if memory is None:
        return [], ""
    weight = np.hstack([_numpy(memory.input_map.weight), _numpy(memory.recurrent_map.weight)])
    bias = _numpy(memory.input_map.bias)
    tables = _dense("memory", weight, bias, "INPUTS + UNITS x 4 * UNITS")
    return tables, fragment("dense.c") + fragment("memory.c")


def _synapses(
    name: str,
    pairs: np.ndarray,
    columns: np.ndarray,
    targets: list[str],
    sources: list[str],
    row: str,
) -> list[Table]:
    """Synapses by their targets, each a row of `columns` (K, numbers) and its source.

    `row` is what C writes for the numbers and the source: "{%s, %d}".
    """
    order = np.lexsort((pairs[0], pairs[1]))
    source, target = pairs[:, order]
    first = np.searchsorted(target, np.arange(len(targets) + 1))
    rows = [
        f"    {row % (', '.join(map(literal, numbers)), place)}, "
        f"/* {sources[place]} -> {targets[end]} */\n"
        for numbers, place, end in zip(columns[order].tolist(), source, target, strict=True)
    ]
    # Without a synapse there is still an array, as C has none of length 0.
    rows = rows or [f"    {row % ('0.0F', 0)},\n"]
    text = f"static const synapse {name}[{len(rows)}] = {{\n{''.join(rows)}}};\n"
    index = integers(f"{name}_first", first, "uint16_t", "[UNITS + 1]")
    return [
        Table(text, len(rows) * (4 * columns.shape[1] + 4)),
        index.noted("Where the synapses of each neuron begin in the table above."),
    ]


def _features(count: int) -> list[str]:
    return [f"feature_{index}" for index in range(count)]


def _ltc(circuit: LTC) -> CircuitCode:
    if circuit.solver != "fused":
        raise InputError(
            f"The C export of an LTC needs the solver 'fused', got {circuit.solver!r}, which is "
            "not stable for every elapsed time; train one with 'fused', or use --format onnx."
        )
    wiring, units = circuit.wiring, circuit.wiring.units
    factor, offset = _numpy(circuit.input_weight), _numpy(circuit.input_bias)

    def columns(synapses: nn.Module, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
        slope, midpoint, weight, reversal = (
            _numpy(getattr(synapses, name)) for name in ("slope", "midpoint", "weight", "reversal")
        )
        source = synapses.pairs[0]
        return np.stack(
            (slope * scale[source], slope * (shift[source] - midpoint), weight * reversal, weight),
            1,
        )

    conductance = _numpy(circuit.leak_conductance)
    tables = [
        *_synapses(
            "sensory",
            circuit.sensory.pairs,
            columns(circuit.sensory, factor, offset),
            *(wiring.names, _features(wiring.inputs), "{%s, %d}"),
        ),
        *_synapses(
            "recurrent",
            circuit.recurrent.pairs,
            columns(circuit.recurrent, np.ones(units), np.zeros(units)),
            *(wiring.names, wiring.names, "{%s, %d}"),
        ),
        reals("leak_pull", conductance * _numpy(circuit.leak_potential), "[UNITS]").noted("g v"),
        reals("leak_conductance", conductance, "[UNITS]").noted("g"),
        reals("capacitance", _numpy(circuit.capacitance), "[UNITS]").noted("C, in units of time"),
        reals("output_weight", _numpy(circuit.output_weight), "[OUTPUTS]"),
        reals("output_bias", _numpy(circuit.output_bias), "[OUTPUTS]"),
    ]
    row = Table(
        "/* A synapse opens by s(slope source + offset), the input's affine map folded in; opened, "
        "it\n * adds pull = w E and weight = w. */\ntypedef struct synapse {\n"
        "    float slope, offset, pull, weight;\n    uint16_t source;\n} synapse;\n",
        0,
    )
    memory, code = _memory(circuit.memory)
    count = circuit.sensory.pairs.shape[1] + circuit.recurrent.pairs.shape[1]
    remember = REMEMBER if circuit.memory is not None else ""
    return CircuitCode(
        f"{'mixed-memory ' if memory else ''}LTC of {units} neurons and {count} synapses",
        {"UNITS": units, "UNFOLDS": circuit.unfolds},
        {},
        [row, *tables, *memory],
        fragment("logistic.c")
        + code
        + fragment("ltc.c", remember=remember)
        + fragment("read_affine.c"),
    )


def _cfc(circuit: CfC) -> CircuitCode:
    mode = circuit.cell.closed_form.mode
    heads, units = circuit.cell.closed_form.heads, circuit.state_sizes[0]
    memory, code = _memory(circuit.memory)
    tables = []
    if mode == "pure":
        form = circuit.cell.closed_form
        tables.append(reals("decay_rate", _numpy(form.w_tau), "[UNITS]"))
        tables.append(reals("amplitude", _numpy(form.A), "[UNITS]"))
    remember = REMEMBER if circuit.memory is not None else ""
    wired = circuit.wiring is not None
    own, body, extra = (_wired if wired else _dense_cfc)(circuit, heads, remember)
    count = f" and {len(own[1].splitlines()) - 2} synapses" if wired else ""
    read_from = circuit._read_from
    if circuit.projection is None:
        read = fragment("read_plain.c")
    else:
        own += _linear("readout", circuit.projection, "UNITS - READ_FROM x OUTPUTS")
        read = fragment("read_dense.c")
    dense = "" if memory or (wired and circuit.projection is None) else fragment("dense.c")
    # A CfC "pure" without memory has no gate.
    sigmoid = mode != "pure" or memory or "logistic(" in body
    return CircuitCode(
        f"{'mixed-memory ' if memory else ''}{'wired' if wired else 'dense'} CfC of {units} "
        f"neurons{count}",
        {"UNITS": units, "HEADS": heads, "READ_FROM": read_from, **extra},
        {},
        [*tables, *own, *memory],
        (fragment("logistic.c") if sigmoid else "")
        + (code or dense)
        + fragment(f"cfc_{mode}.c")
        + body
        + read,
    )


def _wired(circuit: CfC, heads: int, remember: str) -> tuple[list[Table], str, dict[str, int]]:
    cell, wiring = circuit.cell, circuit.wiring
    polarity = np.concatenate((wiring.sensory, wiring.adjacency))
    pairs = np.stack(np.nonzero(polarity))
    signs = _numpy(cell.polarity)
    weight = np.logaddexp(0, _numpy(cell.raw_weight)) * signs
    columns = np.concatenate((weight, _numpy(cell.gate_weight))).T
    sources = [*_features(wiring.inputs), *wiring.names]
    starts = [layer.start for layer in cell.layers] + [cell.layers[-1].stop]
    row = Table(
        "/* A synapse adds weight[head] times its source to each head f1, f2, a, b of its target. "
        "*/\ntypedef struct synapse {\n    float weight[HEADS];\n"
        "    uint16_t source;\n} synapse;\n",
        0,
    )
    tables = [
        row,
        *_synapses("synapses", pairs, columns, wiring.names, sources, "{{%s}, %d}"),
        integers("layer_first", np.array(starts), "uint16_t", "[LAYERS + 1]"),
        reals("own_weight", _numpy(cell.own_weight).T, "[UNITS][HEADS]"),
        reals("head_bias", _numpy(cell.bias).T, "[UNITS][HEADS]"),
    ]
    layers = {"LAYERS": len(cell.layers)}
    return tables, fragment("cfc_wired.c", remember=remember), layers


def _dense_cfc(circuit: CfC, heads: int, remember: str) -> tuple[list[Table], str, dict[str, int]]:
    cell = circuit.cell
    layers = [cell.first, *(layer for layer in cell.rest if isinstance(layer, nn.Linear))]
    width = layers[0].out_features if len(layers) > 1 else 0
    names = [f"backbone_{index}" for index in range(len(layers) - 1)] + ["heads"]
    tables, calls, source, inputs = [], [], "seen", "INPUTS + UNITS"
    for name, layer in zip(names, layers, strict=True):
        outputs = "HEADS * UNITS" if name == "heads" else "WIDTH"
        target = "all" if name == "heads" else f"hidden_{len(calls) // 2 % 2}"
        tables += _linear(name, layer, f"{inputs} x {outputs}")
        arguments = f"{name}_weight, {name}_bias, {source}, {inputs}, {outputs}, {target}"
        calls.append(f"    dense({arguments});")
        if name != "heads":
            calls.append(f"    activate({target});")
        source, inputs = target, "WIDTH"
    buffers = [f"hidden_{index}[WIDTH]" for index in range(min(len(layers) - 1, 2))]
    activate = ""
    if width:
        what, formula = FORMULAS[_activation(circuit)]
        activate = fragment(
            "activate.c", what=f"The backbone's activation, {what}", formula=formula
        )
    body = fragment(
        "cfc_dense.c",
        remember=remember,
        buffers=f"    float {', '.join(buffers)};" if buffers else "",
        backbone="\n".join(calls),
    )
    return tables, activate + body.replace("\n\n    float all", "\n    float all"), {"WIDTH": width}


def _activation(circuit: CfC) -> str:
    kinds = {kind: name for name, kind in ACTIVATIONS.items()}
    return next(kinds[type(layer)] for layer in circuit.cell.rest if type(layer) in kinds)


def _readout(circuit: nn.Module) -> tuple[list[Table], str]:
    if circuit.readout is None:
        return [], fragment("read_plain.c")
    return _linear("readout", circuit.readout, "UNITS x OUTPUTS"), fragment("read_dense.c")


def _lstm(circuit: LSTM) -> CircuitCode:
    cell = circuit.cell
    weight = np.hstack([_numpy(cell.weight_ih), _numpy(cell.weight_hh)])
    bias = _numpy(cell.bias_ih) + _numpy(cell.bias_hh)
    readout, read = _readout(circuit)
    return CircuitCode(
        f"LSTM of {circuit.units} units",
        {"UNITS": circuit.units, "READ_FROM": 0},
        {},
        [*_dense("gate", weight, bias, "INPUTS + UNITS x 4 * UNITS"), *readout],
        fragment("logistic.c") + fragment("dense.c") + fragment("lstm.c") + read,
    )


def _gru(circuit: GRU | GRUD) -> CircuitCode:
    cell = circuit.cell
    readout, read = _readout(circuit)
    tables = [
        *_dense("input", _numpy(cell.weight_ih), _numpy(cell.bias_ih), "INPUTS x 3 * UNITS"),
        *_dense("own", _numpy(cell.weight_hh), _numpy(cell.bias_hh), "UNITS x 3 * UNITS"),
    ]
    time, decay = "Does not look at the time.", "    (void)elapsed;"
    if isinstance(circuit, GRUD):
        tables.append(reals("decay_weight", _numpy(circuit.decay_weight), "[UNITS]"))
        tables.append(reals("decay_bias", _numpy(circuit.decay_bias), "[UNITS]"))
        time = (
            "Between samples h decays by\n * exp(-max(0, w dt + b)) (Che et al. 2018, eq. 10, 13)."
        )
        decay = (
            "    for (i = 0; i < UNITS; ++i) {\n"
            "        const float decay = decay_weight[i] * elapsed + decay_bias[i];\n\n"
            "        x[i] *= decay > 0.0F ? expf(-decay) : 1.0F;\n    }"
        )
    return CircuitCode(
        f"{'GRU-D' if isinstance(circuit, GRUD) else 'GRU'} of {circuit.units} units",
        {"UNITS": circuit.units, "READ_FROM": 0},
        {},
        [*tables, *readout],
        fragment("logistic.c")
        + fragment("dense.c")
        + fragment("gru.c", time=time, decay=decay)
        + read,
    )


def _ctrnn(circuit: CTRNN) -> CircuitCode:
    readout, read = _readout(circuit)
    own = _numpy(circuit.recurrent_map.weight).T.ravel()
    tables = [
        *_linear("input", circuit.input_map, "INPUTS x UNITS"),
        reals("own_weight", own, "[UNITS * UNITS]"),
    ]
    return CircuitCode(
        f"CT-RNN of {circuit.units} units",
        {"UNITS": circuit.units, "UNFOLDS": circuit.unfolds, "READ_FROM": 0},
        {"TIME_CONSTANT_S": circuit.time_constant},
        [*tables, *readout],
        fragment("dense.c") + fragment("ctrnn.c") + read,
    )
