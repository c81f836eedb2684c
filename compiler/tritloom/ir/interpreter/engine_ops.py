"""Meaning of the `engine` dialect, with a trace of every tensor (docs/kernel.md, C interface)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import engine, numerics, tern
from ..mlir import Operation
from .frame import BINARY, F32, UNARY, Array, Frame, code_constant, quantize_normed, rows, serial_hgrn


def _embed(frame: Frame, op: engine.EmbedOp) -> None:
    frame.values[op.result] = rows(frame, op.token, op.table)
    frame.trace(op, "out", frame.values[op.result])


def _engine_quantize(frame: Frame, op: engine.QuantizeOp) -> None:
    codes, scale, norm = quantize_normed(frame, op)
    frame.values[op.codes], frame.values[op.factor] = codes, norm
    frame.scales[op.codes] = scale
    frame.trace(op, "codes", codes)
    frame.trace(op, "scale", scale)


def _interleaved(acc: Array) -> Array:
    """Rows u_0 v_0 u_1 v_1 ... of a product whose matrix holds u's rows, then v's: the order of the engine."""
    u, v = np.split(acc, 2, axis=-1)
    return np.stack([u, v], axis=-1).reshape(acc.shape)


def _engine_linear(frame: Frame, op: engine.LinearOp) -> None:
    kind = op.kind
    acc = numerics.dot(frame.codes(op.codes), frame.trits(op.weight))
    scale = frame.scales[op.codes]
    y = numerics.dequantize(acc, scale, code_constant(tern.weight(op, op.weight).scale))
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
    engine.QuantizeOp: _engine_quantize,
    engine.LinearOp: _engine_linear,
    engine.ElementwiseOp: _elementwise,
    engine.LoadStateOp: _load_state,
    engine.StoreStateOp: _store_state,
    engine.ViewOp: _view,
}
