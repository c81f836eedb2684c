"""Values of one evaluation, and what the meanings of both dialects share.

A vector of T positions is an array [T, n], a scale [T, 1], a state [n], codes int8 [T, n].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .. import engine, numerics, tern
from ..mlir import FloatAttr, ModuleOp, Operation, SSAValue, SymbolRefAttr
from ..store import WeightStore

Array = NDArray[np.generic]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]


@dataclass(frozen=True)
class Trace:
    """One tensor of one instruction over all positions: `what` as in docs/kernel.md, data [T, n]."""

    op: Operation
    what: str
    data: Array


Observer = Callable[[Trace], None]


@dataclass(frozen=True)
class Slot:
    """Scale [T, 1] of a code slot, and the code of 0 [T, 1] where that is not 0."""

    scale: F32
    zero: I32 | None


@dataclass
class Frame:
    """Values of one evaluation."""

    module: ModuleOp
    store: WeightStore
    observer: Observer | None
    values: dict[SSAValue, Array] = field(default_factory=dict)
    positions: int = 1
    """Positions of a prompt that are evaluated together."""
    slots: dict[SSAValue, Slot] = field(default_factory=dict)
    """What the engine's code slots hold beside their codes, by these."""

    def get(self, value: SSAValue) -> Array:
        return self.values[value]

    def f32(self, value: SSAValue) -> F32:
        return self.values[value].astype(np.float32, copy=False)

    def vector(self, reference: SymbolRefAttr) -> F32:
        """Constant vector that a symbol names."""
        return self.store.vector(self.module, reference.root_reference.data)

    def trits(self, reference: SymbolRefAttr) -> NDArray[np.int8]:
        """Trits [rows, cols] of the weight that a symbol names."""
        return self.store.matrix(self.module, reference.root_reference.data)

    def codes(self, value: SSAValue) -> NDArray[np.int8]:
        return self.values[value].astype(np.int8, copy=False)

    def trace(self, op: Operation, what: str, data: Array) -> None:
        if self.observer is not None:
            self.observer(Trace(op, what, data))


def _largest(a: F32, b: F32) -> F32:
    result: F32 = np.where(a > b, a, b)
    return result


def _smallest(a: F32, b: F32) -> F32:
    result: F32 = np.where(a < b, a, b)
    return result


BINARY: dict[str, Callable[[F32, F32], F32]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": _largest,
    "min": _smallest,
}
UNARY: dict[str, Callable[[F32], F32]] = {
    "copy": lambda a: a,
    "sigmoid": numerics.sigmoid,
    "silu": numerics.silu,
    "sqrt": np.sqrt,
    "relu": numerics.relu,
    "center": numerics.center,
}


def f32(attribute: FloatAttr) -> np.float32:
    """A float attribute as a float32 scalar."""
    return np.float32(attribute.value.data)


def rows(frame: Frame, tokens: SSAValue, table: SymbolRefAttr) -> F32:
    """Rows [T, n] of an embedding table, widened to float32."""
    positions = frame.get(tokens)[:, 0].astype(np.int64, copy=False)
    values = frame.store.table(table.root_reference.data)[positions]
    if values.dtype == np.uint16:  # bfloat16 bits
        return np.left_shift(values, 16, dtype=np.uint32).view(np.float32)
    return values.astype(np.float32)


def quantize_normed(frame: Frame, op: tern.NormQuantizeOp | engine.QuantizeOp) -> tuple[Array, F32, F32]:
    """Codes, scale and norm factor of a quantiser with folded norms."""
    a = frame.f32(op.a)
    b = frame.f32(op.b) if op.b is not None else None
    u = a * frame.vector(op.gain)
    u = u if b is None else u * b
    codes, largest = numerics.quantize(u)
    if op.norm is not None:
        norm = frame.f32(op.norm)
    else:
        z = None
        if op.first_gain is not None:
            z = a * frame.vector(op.first_gain)
            z = z if b is None else z * b
        norm = norm_factor(op, a, z)
    return codes, largest * norm, norm


def norm_factor(op: tern.NormQuantizeOp | engine.QuantizeOp, a: F32, z: F32 | None) -> F32:
    """Factor of no, one or two norms of a, [T, 1]; z is a behind the first gain."""
    if op.eps0 is None:
        return np.ones((*a.shape[:-1], 1), np.float32)
    if z is None or op.eps1 is None:
        return numerics.norm_factor(a, f32(op.eps0))
    return numerics.double_norm_factor(a, z, f32(op.eps0), f32(op.eps1))


def code_constant(scale: FloatAttr, levels: int) -> np.float32:
    """beta/levels of a weight scale beta."""
    return numerics.code_constant(scale.value.data, levels)


def quantize_static(
    frame: Frame, op: tern.QuantizeStaticOp | engine.QuantizeStaticOp, u: F32
) -> tuple[Array, F32, I32]:
    """Codes, scale and code of 0 of a static quantiser."""
    low, high, zero = (number.value.data for number in (op.low, op.high, op.zero_code))
    codes = numerics.quantize_static(u, numerics.inverse_step(op.step.value.data), zero, low, high)
    column = (*u.shape[:-1], 1)
    return codes, np.full(column, op.step.value.data, np.float32), np.full(column, zero, np.int32)


def sums(frame: Frame, codes: SSAValue, zero: I32 | None, reference: SymbolRefAttr) -> I32:
    """Ternary product of codes, each less the code of 0."""
    trits = frame.trits(reference)
    acc = numerics.dot(frame.codes(codes), trits)
    return acc if zero is None else acc - zero * trits.sum(axis=1, dtype=np.int32)


def row_values(frame: Frame, op: tern.LinearOp | engine.LinearOp, y: F32) -> F32:
    """Rescaled sums with the scales and the bias of the rows."""
    if op.row_scales is not None:
        y = y * frame.vector(op.row_scales)
    return y if op.bias is None else y + frame.vector(op.bias)


def serial_hgrn(f0: F32, i0: F32, lower: F32, state: F32) -> tuple[F32, F32, F32]:
    """All positions of the token mixer: states [T, n], results [T, n], last state [n]."""
    states, results = np.empty_like(f0), np.empty_like(f0)
    h = state
    for position in range(f0.shape[0]):
        h, results[position] = numerics.hgrn(f0[position], i0[position], lower, h)
        states[position] = h
    return states, results, h
