"""Vectors of LANES float32 numbers for numba, which become the machine's vector instructions.

numba's loops are turned into vector instructions only where LLVM can prove it safe, and slowly
compiled; here the vectors are explicit. In compiled code `lanes = load(array, row)` takes a row of
a (rows, LANES) array, `store(array, row, lanes)` writes one; + - * / work between vectors and with
float32 numbers. Where a machine's vectors are shorter, LLVM uses several.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

__all__ = [
    "LANES",
    "OPTIONS",
    "absolute",
    "choose",
    "clear_started",
    "elapsed_of",
    "floats_at",
    "kept",
    "load",
    "logistic",
    "read_rows",
    "state_of",
    "store",
    "vectors",
    "zero",
]

LANES = 16

FLOATS = ir.VectorType(ir.FloatType(), LANES)
INTEGERS = ir.VectorType(ir.IntType(32), LANES)

# No reassociation and no assumption that values are finite: the range reduction of the exponential
# needs its order of operations, and a NaN must reach the output.
FLAGS = ("contract", "nsz", "arcp")


# numpy's error model: a division that may raise would need a test at each.
OPTIONS = {"error_model": "numpy", "nogil": True}


def kept(function: Callable) -> Callable:
    """Compile, and keep the result beside its file or in the user's cache if either is writable.

    numba compiles anew when the file of `function` changes, but not when this one does.
    """
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:
        return njit(**OPTIONS)(function)


class Lanes(types.Type):
    """The type of a vector in compiled code."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


lanes = Lanes()


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager, type_) -> None:
        super().__init__(manager, type_, FLOATS)


def _add_operator(function, instruction) -> None:
    pairs = ((lanes, lanes), (lanes, types.float32), (types.float32, lanes))

    class Typing(ConcreteTemplate):
        cases = tuple(signature(lanes, *pair) for pair in pairs)

    def lower(context, builder, signature, arguments):
        both = [_spread(builder, argument) for argument in arguments]
        return getattr(builder, instruction)(*both, flags=FLAGS)

    infer_global(function)(Typing)
    for pair in pairs:
        lower_builtin(function, *pair)(lower)


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _add_operator(_function, _instruction)


@intrinsic
def zero(_):
    """A vector of zeros."""
    return lanes(), lambda context, builder, signature, arguments: ir.Constant(FLOATS, None)


@intrinsic
def choose(_, condition, value, otherwise):
    """`value` in the lanes where `condition` is not 0, else `otherwise`."""

    def generate(context, builder, signature, arguments):
        condition, value, otherwise = arguments
        zeros = ir.Constant(FLOATS, None)
        return builder.select(builder.fcmp_unordered("!=", condition, zeros), value, otherwise)

    return lanes(condition, value, otherwise), generate


@intrinsic
def absolute(_, value):
    """|value|."""

    def generate(context, builder, signature, arguments):
        name = f"llvm.fabs.v{LANES}f32"
        kind = ir.FunctionType(FLOATS, [FLOATS])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [arguments[0]])

    return lanes(value), generate


@intrinsic
def load(_, array, row):
    """Row `row` of a C-contiguous float32 array (rows, LANES); its index is not checked."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature, arguments)
        return builder.load(address, align=4)

    return lanes(array, row), generate


@intrinsic
def store(_, array, row, value):
    """Write `value` to row `row` of an array as `load` takes it."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature, arguments)
        builder.store(arguments[2], address, align=4)
        return context.get_dummy_value()

    return types.void(array, row, value), generate


@intrinsic
def logistic(_, value):
    """1 / (1 + e^-value) with a relative error below 2e-7 for values above -87."""
    return lanes(value), lambda context, builder, signature, arguments: _logistic(
        builder, arguments[0]
    )


def _logistic(builder, value):
    def number(constant):
        return ir.Constant(FLOATS, [constant] * LANES)

    def multiply(left, right):
        return builder.fmul(left, right, flags=FLAGS)

    def multiply_add(left, right, addend):
        return builder.fadd(multiply(left, right), addend, flags=FLAGS)

    # Clamped where e^x is still a normal float32. A NaN fails both comparisons and stays.
    x = builder.fneg(value)
    for limit, comparison in ((-87.0, "<"), (87.0, ">")):
        beyond = builder.fcmp_ordered(comparison, x, number(limit))
        x = builder.select(beyond, number(limit), x)
    # e^x = 2^n e^r with n = round(x / ln 2); ln 2 in two parts keeps r exact.
    rint = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(FLOATS, [FLOATS]), f"llvm.rint.v{LANES}f32"
    )
    n = builder.call(rint, [multiply(x, number(1.4426950408889634))])
    r = multiply_add(n, number(-0.693359375), x)
    r = multiply_add(n, number(2.12194440e-4), r)
    # Polynomial of (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2 (Moshier, Cephes, expf).
    series = number(1.9875691500e-4)
    for coefficient in (
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ):
        series = multiply_add(series, r, number(coefficient))
    exponential = builder.fadd(multiply_add(series, multiply(r, r), r), number(1.0), flags=FLAGS)
    # 2^n by writing the exponent's bits.
    exponent = builder.add(builder.fptosi(n, INTEGERS), ir.Constant(INTEGERS, [127] * LANES))
    bits = builder.shl(exponent, ir.Constant(INTEGERS, [23] * LANES))
    power = builder.bitcast(bits, FLOATS)
    return builder.fdiv(number(1.0), multiply_add(exponential, power, number(1.0)), flags=FLAGS)


def _address(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    row = context.cast(builder, arguments[1], signature.args[1], types.intp)
    first = builder.mul(row, ir.Constant(row.type, LANES))
    return builder.bitcast(builder.gep(array.data, [first]), FLOATS.as_pointer())


def _spread(builder, value):
    """A float32 number in every lane; vectors stay as they are."""
    if value.type == FLOATS:
        return value
    single = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(
        single, ir.Constant(FLOATS, ir.Undefined), ir.Constant(INTEGERS, None)
    )


@njit(**OPTIONS)
def vectors(rows):
    """Zeros (rows, LANES), at a multiple of 64 bytes: no vector spans two cache lines."""
    raw = np.zeros(rows * LANES + 16, np.float32)
    start = (-raw.ctypes.data // 4) % 16
    return raw[start : start + rows * LANES].reshape(rows, LANES)


@njit(**OPTIONS)
def read_rows(array, first, time, vectors):
    """vectors (columns, LANES) = rows `first` on of (rows, time, columns); the last repeats."""
    for lane in range(LANES):
        row = min(first + lane, array.shape[0] - 1)
        for column in range(array.shape[2]):
            vectors[column, lane] = array[row, time, column]


@njit(**OPTIONS)
def clear_started(starts, first, time, values):
    """Zero the lanes of `values` in whose rows something new starts at this time."""
    for lane in range(min(LANES, starts.shape[0] - first)):
        if starts[first + lane, time]:
            for i in range(values.shape[0]):
                values[i, lane] = 0


@intrinsic
def _pointer(_, address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.FloatType().as_pointer())

    return types.CPointer(types.float32)(address), generate


@njit(**OPTIONS)
def floats_at(address, shape):
    """The float32 array of this shape at an address: ten times faster to hand over than an array.

    It does not keep its memory: the caller must, for as long as it is used.
    """
    return carray(_pointer(address), shape)


@njit(**OPTIONS)
def state_of(address, shape):
    """The state at an address, of zeros for the address 0."""
    return floats_at(address, shape) if address else np.zeros(shape, np.float32)


@njit(**OPTIONS)
def elapsed_of(address, elapsed, batch):
    """Elapsed times (batch, 1), `elapsed` for the address 0, and whether all are possible."""
    times, good = np.empty((batch, 1), np.float32), True
    for row in range(batch):
        times[row, 0] = floats_at(address, batch)[row] if address else elapsed
        good = good and 0 <= times[row, 0] < np.inf
    return times, good
