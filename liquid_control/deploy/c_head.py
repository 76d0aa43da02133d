"""The vision head as C: which rows of which map are kept, tables of weights, code."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from liquid_control.deploy.c_quantise import QuantisedHead
from liquid_control.deploy.c_text import Table, fragment, integers, reals
from liquid_control.perception import VisionHead

__all__ = ["HeadCode", "Shape", "float_head", "int8_head", "shapes"]

# Output pixels that share each weight, and filters that fill whole vectors: measured with gcc 12,
# 40.6 million multiplications in 0.67 ms with AVX-512, 1.0 ms with AVX2, 2.6 ms with SSE2.
PIXELS = 5
VECTOR, LEAST_FILTERS = 8, 16
# Steps of a pixel's grey level in the int8 head: 255 of them stay below 2^15.
PIXEL_STEPS = 64


@dataclass(frozen=True)
class Shape:
    """Sizes of one convolution.

    Attributes:
        number: 1 for the first.
        channels, filters: of the map that goes in and of the one that comes out.
        kernel, stride: of the convolution.
        rows, columns: of the map that goes in [px].
        height, width: of the map that comes out [px].
        top, left: zeros before the map.
        line: values in a row of the map that goes in, with its margins.
    """

    number: int
    channels: int
    filters: int
    kernel: int
    stride: int
    rows: int
    columns: int
    height: int
    width: int
    top: int
    left: int
    line: int

    @property
    def kept(self) -> int:
        """Values of the map that goes in that are kept: as many rows as the kernel is high."""
        return self.kernel * self.line

    @property
    def padded(self) -> int:
        """Filters, with those that only fill a vector."""
        return max(LEAST_FILTERS, -(-self.filters // VECTOR) * VECTOR)


@dataclass(frozen=True)
class HeadCode:
    """A head as C.

    Attributes:
        tables: its parameters.
        code: its functions; the last one is `see(scratch, frame, features)`.
        members: of the scratch struct.
        constants: names and values of integers that the code speaks of.
        ram: bytes of the scratch.
    """

    tables: list[Table]
    code: str
    members: str
    ram: int
    constants: dict[str, int] = field(default_factory=dict)

    @property
    def flash(self) -> int:
        """Bytes of the tables."""
        return sum(table.size for table in self.tables)


def shapes(head: VisionHead) -> list[Shape]:
    """Sizes of the head's convolutions, first one first."""
    found, channels, (rows, columns) = [], 3, head.size
    for number, layer in enumerate(head.layers, 1):
        top, bottom = layer.padding(rows)
        left, right = layer.padding(columns)
        height = (top + rows + bottom - layer.kernel) // layer.stride + 1
        width = (left + columns + right - layer.kernel) // layer.stride + 1
        found.append(
            Shape(
                *(number, channels, layer.filters, layer.kernel, layer.stride),
                *(rows, columns, height, width, top, left),
                line=(left + columns + right) * channels,
            )
        )
        channels, rows, columns = layer.filters, height, width
    return found


def float_head(head: VisionHead, prefix: str) -> HeadCode:
    """Weights and sums in float32."""
    layers = shapes(head)
    tables, code = _common(head, layers), ""
    for shape, convolution in zip(layers, head.convolutions, strict=True):
        weight = convolution.weight.detach().numpy().transpose(2, 3, 1, 0)
        blank = np.zeros((*weight.shape[:3], shape.padded), np.float32)
        blank[..., : shape.filters] = weight
        bias = np.zeros(shape.padded)
        bias[: shape.filters] = convolution.bias.detach().numpy()
        table = reals(f"weight_{shape.number}", blank.ravel(), f"[{blank.size}]")
        order = f"Convolution {shape.number}, by row, column, channel and filter."
        tables.append(table.noted(order))
        tables.append(reals(f"bias_{shape.number}", bias, f"[{shape.padded}]"))
        code += _convolve_float(shape)
    dense = head.dense_weight.detach().numpy().transpose(1, 0, 2)  # (pixels, filters, units)
    table = reals("dense_weight", dense.ravel(), f"[{dense.size}]")
    tables.append(table.noted("Dense units, by pixel, filter and unit."))
    tables.append(reals("dense_bias", head.dense_bias.detach().numpy().ravel(), "[INPUTS]"))
    cases = [_case(shape, after, "") for shape, after in pairwise(layers)]
    return _head(prefix, layers, tables, code, "float", "float", "float", 4, 4, cases)


def int8_head(quantised: QuantisedHead, head: VisionHead, prefix: str) -> HeadCode:
    """Weights in int8 per filter, maps in uint8, sums in int32."""
    layers = shapes(head)
    tables, code = _common(head, layers), ""
    for shape, layer in zip(layers, quantised.layers, strict=True):
        number = shape.number
        # (filters / 4, rows, columns, channels, 4)
        fours = layer.weight.reshape(-1, 4, *layer.weight.shape[1:])
        weight = fours.transpose(0, 3, 4, 2, 1)
        table = integers(f"weight_{number}", weight, "int8_t", f"[{weight.size}]")
        order = (
            f"Convolution {number}, by four filters, row, column, channel and filter of the four."
        )
        tables.append(table.noted(order))
        tables.append(reals(f"factor_{number}", layer.factor, f"[{shape.filters}]"))
        tables.append(reals(f"shift_{number}", layer.shift, f"[{shape.filters}]"))
        code += fragment(
            "convolve_int8.c",
            **_sizes(shape),
            input="int16_t" if number == 1 else "uint8_t",
        )
    dense = quantised.dense_weight.transpose(1, 0, 2)
    table = integers("dense_weight", dense, "int8_t", f"[{dense.size}]")
    tables.append(table.noted("Dense units, by pixel, filter and unit."))
    tables.append(reals("dense_factor", quantised.dense_factor.ravel(), "[INPUTS]"))
    tables.append(reals("dense_bias", quantised.dense_bias.ravel(), "[INPUTS]"))
    cases = [
        _case(shape, after, "first_factor, " if shape.number == 1 else f"factor_{shape.number}, ")
        for shape, after in pairwise(layers)
    ]
    made = _head(prefix, layers, tables, code, "int8", "int16_t", "uint8_t", 2, 1, cases)
    made.constants.update(FIRST_FILTERS=layers[0].filters, PIXEL_STEPS=PIXEL_STEPS)
    return made


def _common(head: VisionHead, layers: list[Shape]) -> list[Table]:
    """Tables of the order in which rows are made; the first entry is the frame's."""
    rows = [head.size[0], *(shape.height for shape in layers)]
    columns = {
        "layer_rows": rows,
        "layer_stride": [1, *(shape.stride for shape in layers)],
        "layer_top": [0, *(shape.top for shape in layers)],
        "layer_kernel": [1, *(shape.kernel for shape in layers)],
    }
    tables = [
        integers(name, np.array(values), "int16_t", "[CONVOLUTIONS + 1]")
        for name, values in columns.items()
    ]
    return [tables[0].noted("Of the frame, then of each convolution."), *tables[1:]]


def _sizes(shape: Shape) -> dict[str, int]:
    return {
        "n": shape.number,
        "channels": shape.channels,
        "rows": shape.rows,
        "kernel": shape.kernel,
        "stride": shape.stride,
        "top": shape.top,
        "line": shape.line,
        "width": shape.width,
        "filters": shape.filters,
        "padded": shape.padded,
    }


def _convolve_float(shape: Shape) -> str:
    pixels = range(min(PIXELS, shape.width))

    def lines(indent: int, template: str) -> str:
        return "\n".join(" " * indent + template.format(p=pixel) for pixel in pixels)

    return fragment(
        "convolve_float.c",
        **_sizes(shape),
        pixels=len(pixels),
        sums=", ".join(f"sum_{pixel}[PADDED]" for pixel in pixels),
        start=" = ".join(f"sum_{pixel}[o]" for pixel in pixels) + f" = bias_{shape.number}[o];",
        values=lines(16, "const float value_{p} = value[{p} * STRIDE * CHANNELS + k];"),
        products=lines(20, "sum_{p}[o] += value_{p} * weight[o];"),
        stores=lines(12, "out[(x + {p}) * FILTERS + o] = sum_{p}[o] > 0.0F ? sum_{p}[o] : 0.0F;"),
    )


def _slot(shape: Shape) -> str:
    """Where row `done[...]` of the map that goes into `shape` is kept."""
    before = shape.number - 1
    return f"(done[{before}] % {shape.kernel}) * {shape.line} + {shape.left * shape.channels}"


def _case(shape: Shape, after: Shape, factor: str) -> str:
    number = shape.number
    return (
        f"        case {number}:\n"
        f"            convolve_{number}(scratch->rows_{number - 1}, done[{number}], {factor}\n"
        f"                       scratch->rows_{number} + {_slot(after)});\n"
        "            break;\n"
    ).replace(", \n", ",\n")


def _head(
    prefix: str,
    layers: list[Shape],
    tables: list[Table],
    code: str,
    kind: str,
    first: str,
    rest: str,
    first_size: int,
    size: int,
    cases: list[str],
) -> HeadCode:
    last = layers[-1]
    names = [
        (f"rows_{shape.number - 1}", shape.kept, first if shape.number == 1 else rest)
        for shape in layers
    ]
    notes = ["of the standardised frame", *(f"of map {shape.number}" for shape in layers[:-1])]
    members = [
        f"    {type_} {name}[{count}]; /* {shape.kernel} rows {note} */"
        for (name, count, type_), note, shape in zip(names, notes, layers, strict=True)
    ]
    members.append(f"    {rest} last[{last.width * last.filters}]; /* 1 row of the last map */")
    clear = "\n".join(
        f"    for (i = 0; i < {count}; ++i) {{\n        scratch->{name}[i] = 0;\n    }}"
        for name, count, _ in names
    )
    ending = fragment(f"last_{kind}.c", n=last.number, before=last.number - 1)
    see = fragment(
        f"see_{kind}.c",
        prefix=prefix,
        clear=clear,
        slot_0=_slot(layers[0]),
        cases="".join(cases) + ending.rstrip("\n"),
    )
    rows, columns = layers[0].rows, layers[0].columns
    ram = first_size * layers[0].kept + size * sum(shape.kept for shape in layers[1:])
    constants = {
        "VALUES": 3 * rows * columns,
        "FRAME_LINE": 3 * columns,
        "CONVOLUTIONS": len(layers),
        "LAST_WIDTH": last.width,
        "LAST_FILTERS": last.filters,
        "UNITS_PER_FILTER": 4,
    }
    ram += size * last.width * last.filters
    return HeadCode(
        tables, code + fragment("see.c") + see, "\n".join(members), -(-ram // 4) * 4, constants
    )
