"""Meaning of the `engine` dialect, with a trace of every tensor (docs/kernel.md, C interface)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import engine, numerics, tern
from ..mlir import Operation
from .frame import (
    BINARY,
    F32,
    I32,
    UNARY,
    Array,
    Frame,
    Slot,
    code_constant,
    f32,
    quantize_normed,
    quantize_static,
    row_values,
    rows,
    serial_hgrn,
    sums,
)


def _embed(frame: Frame, op: engine.EmbedOp) -> None:
    frame.values[op.result] = rows(frame, op.token, op.table)
    frame.trace(op, "out", frame.values[op.result])


def _receive(frame: Frame, op: engine.ReceiveOp) -> None:
    frame.values[op.result] = frame.f32(op.vector)
    frame.trace(op, "out", frame.values[op.result])


def _fill_slot(frame: Frame, op: engine.Quantizer, codes: Array, scale: F32, zero: I32 | None) -> None:
    frame.values[op.codes] = codes
    frame.slots[op.codes] = Slot(scale, zero)
    frame.trace(op, "codes", codes)
    frame.trace(op, "scale", scale)


def _engine_quantize(frame: Frame, op: engine.QuantizeOp) -> None:
    codes, scale, frame.values[op.factor] = quantize_normed(frame, op)
    _fill_slot(frame, op, codes, scale, None)


def _quantize_range(frame: Frame, op: engine.QuantizeRangeOp) -> None:
    _fill_slot(frame, op, *numerics.quantize_range(frame.f32(op.a)))


def _quantize_static(frame: Frame, op: engine.QuantizeStaticOp) -> None:
    _fill_slot(frame, op, *quantize_static(frame, op, frame.f32(op.a)))


def _reduce(frame: Frame, op: engine.ReduceOp) -> None:
    a = frame.f32(op.a)
    frame.values[op.factor] = numerics.mean(a) if op.eps is None else numerics.norm_factor(a, f32(op.eps))
    frame.trace(op, "scale", frame.values[op.factor])


def _interleaved(acc: Array) -> Array:
    """Rows u_0 v_0 u_1 v_1 ... of a product whose matrix holds u's rows, then v's: the order of the engine."""
    u, v = np.split(acc, 2, axis=-1)
    return np.stack([u, v], axis=-1).reshape(acc.shape)


def _engine_linear(frame: Frame, op: engine.LinearOp) -> None:
    kind = op.kind
    slot = frame.slots[op.codes]
    acc = sums(frame, op.codes, slot.zero if op.has_zero else None, op.weight)
    constant = code_constant(tern.weight(op, op.weight).scale, engine.levels_of(op))
    y = row_values(frame, op, numerics.dequantize(acc, slot.scale, constant))
    swiglu = kind is engine.EpilogueKind.SWIGLU
    frame.trace(op, "acc", _interleaved(acc) if swiglu else acc)
    states: F32 | None = None
    if kind is engine.EpilogueKind.ADD and op.src is not None:
        y = frame.f32(op.src) + y
    elif swiglu:
        u, v = np.split(y, 2, axis=-1)
        y = numerics.silu(u) * v
    elif op.src is not None and op.state is not None and op.lower is not None:
        lower, state = frame.vector(op.lower), frame.f32(op.state)
        states, y, last = serial_hgrn(y, frame.f32(op.src), lower, state)
        if op.next_state is not None:
            frame.values[op.next_state] = last
    frame.values[op.result] = y
    frame.trace(op, "out", y)
    if states is not None:
        frame.trace(op, "state", states)


def _second(frame: Frame, op: engine.ElementwiseOp) -> F32:
    """The second operand: a vector, a streamed constant or an immediate."""
    if op.b is not None:
        return frame.f32(op.b)
    if op.stream is not None:
        return frame.vector(op.stream)
    return np.asarray(0.0 if op.imm is None else op.imm.value.data, np.float32)


def _elementwise(frame: Frame, op: engine.ElementwiseOp) -> None:
    function, a = op.function.data, frame.f32(op.a)
    binary = function in engine.BINARY_FUNCTIONS
    frame.values[op.result] = BINARY[function](a, _second(frame, op)) if binary else UNARY[function](a)
    frame.trace(op, "out", frame.values[op.result])


def _load_state(frame: Frame, op: engine.LoadStateOp) -> None:
    frame.values[op.result] = frame.f32(op.state)[np.newaxis]
    frame.trace(op, "out", frame.values[op.result])


def _store_state(frame: Frame, op: engine.StoreStateOp) -> None:
    frame.values[op.next_state] = numerics.flush(frame.f32(op.value))[-1]
    frame.trace(op, "state", frame.values[op.next_state][np.newaxis])


def _view(frame: Frame, op: engine.ViewOp) -> None:
    start = op.offset.value.data
    frame.values[op.result] = frame.f32(op.operand)[..., start : start + engine.engine_length(op.result)]


ENGINE: dict[type[Operation], Callable[..., None]] = {
    engine.EmbedOp: _embed,
    engine.ReceiveOp: _receive,
    engine.QuantizeOp: _engine_quantize,
    engine.QuantizeRangeOp: _quantize_range,
    engine.QuantizeStaticOp: _quantize_static,
    engine.ReduceOp: _reduce,
    engine.LinearOp: _engine_linear,
    engine.ElementwiseOp: _elementwise,
    engine.LoadStateOp: _load_state,
    engine.StoreStateOp: _store_state,
    engine.ViewOp: _view,
}
