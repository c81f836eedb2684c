"""Meaning of the `tern` dialect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .. import numerics, tern
from ..mlir import Operation
from .frame import (
    BINARY,
    UNARY,
    Frame,
    code_constant,
    f32,
    quantize_normed,
    quantize_static,
    row_values,
    rows,
    serial_hgrn,
    sums,
)


def _embedding(frame: Frame, op: tern.EmbeddingOp) -> None:
    frame.values[op.result] = rows(frame, op.token, op.table)


def _rms_norm(frame: Frame, op: tern.RmsNormOp) -> None:
    x = frame.f32(op.operand)
    frame.values[op.result] = (x * numerics.norm_factor(x, f32(op.eps))) * frame.vector(op.gain)


def _quantize_absmax(frame: Frame, op: tern.QuantizeAbsmaxOp) -> None:
    frame.values[op.codes], frame.values[op.scale] = numerics.quantize(frame.f32(op.operand))


def _quantize_range(frame: Frame, op: tern.QuantizeRangeOp) -> None:
    found = numerics.quantize_range(frame.f32(op.operand))
    frame.values[op.codes], frame.values[op.scale], frame.values[op.zero] = found


def _quantize_static(frame: Frame, op: tern.QuantizeStaticOp) -> None:
    found = quantize_static(frame, op, frame.f32(op.operand))
    frame.values[op.codes], frame.values[op.scale], frame.values[op.zero] = found


def _sums(frame: Frame, op: tern.DotOp | tern.LinearOp) -> NDArray[np.int32]:
    zero = frame.get(op.zero).astype(np.int32, copy=False) if op.zero is not None else None
    return sums(frame, op.codes, zero, op.weight)


def _dot(frame: Frame, op: tern.DotOp) -> None:
    frame.values[op.result] = _sums(frame, op)


def _dequantize(frame: Frame, op: tern.DequantizeOp) -> None:
    constant = code_constant(op.weight_scale, tern.levels_of(op.scale))
    acc = frame.get(op.acc).astype(np.int32, copy=False)
    frame.values[op.result] = numerics.dequantize(acc, frame.f32(op.scale), constant)


def _linear(frame: Frame, op: tern.LinearOp) -> None:
    constant = code_constant(tern.weight(op, op.weight).scale, tern.levels_of(op.scale))
    y = numerics.dequantize(_sums(frame, op), frame.f32(op.scale), constant)
    frame.values[op.result] = row_values(frame, op, y)


def _recurrence(frame: Frame, op: tern.RecurrenceOp) -> None:
    f, c, h = frame.f32(op.forget), frame.f32(op.input), frame.f32(op.state)
    results = np.empty_like(f)
    for position in range(f.shape[0]):
        h = numerics.flush(f[position] * h + c[position])
        results[position] = h
    frame.values[op.next_state], frame.values[op.result] = h, results


def _read_state(frame: Frame, op: tern.ReadStateOp) -> None:
    frame.values[op.result] = frame.f32(op.state)[np.newaxis]


def _write_state(frame: Frame, op: tern.WriteStateOp) -> None:
    frame.values[op.next_state] = numerics.flush(frame.f32(op.value))[-1]


def _norm_quantize(frame: Frame, op: tern.NormQuantizeOp) -> None:
    codes, scale, norm = quantize_normed(frame, op)
    frame.values[op.codes], frame.values[op.scale], frame.values[op.factor] = codes, scale, norm


def _swiglu(frame: Frame, op: tern.SwigluOp) -> None:
    u, v = np.split(frame.f32(op.operand), 2, axis=-1)
    frame.values[op.result] = numerics.silu(u) * v


def _hgrn(frame: Frame, op: tern.HgrnOp) -> None:
    state = frame.f32(op.state)
    lower = frame.vector(op.lower) if op.lower is not None else np.zeros_like(state)
    _, results, last = serial_hgrn(frame.f32(op.forget), frame.f32(op.input), lower, state)
    frame.values[op.next_state], frame.values[op.result] = last, results


def _load(frame: Frame, op: tern.LoadOp) -> None:
    values = frame.vector(op.vector)
    frame.values[op.result] = np.broadcast_to(values, (frame.positions, len(values)))


def _fill(frame: Frame, op: tern.FillOp) -> None:
    frame.values[op.result] = np.full((frame.positions, tern.length_of(op.result)), op.value.value.data, np.float32)


def _slice(frame: Frame, op: tern.SliceOp) -> None:
    start = op.offset.value.data
    frame.values[op.result] = frame.f32(op.operand)[..., start : start + tern.length_of(op.result)]


def _binary(frame: Frame, op: tern.BinaryOp) -> None:
    function = BINARY[op.name.removeprefix("tern.")]
    frame.values[op.result] = function(frame.f32(op.lhs), frame.f32(op.rhs))


def _unary(frame: Frame, op: tern.UnaryOp) -> None:
    frame.values[op.result] = UNARY[op.name.removeprefix("tern.")](frame.f32(op.operand))


TERN: dict[type[Operation], Callable[..., None]] = {
    tern.EmbeddingOp: _embedding,
    tern.RmsNormOp: _rms_norm,
    tern.QuantizeAbsmaxOp: _quantize_absmax,
    tern.QuantizeRangeOp: _quantize_range,
    tern.QuantizeStaticOp: _quantize_static,
    tern.DotOp: _dot,
    tern.DequantizeOp: _dequantize,
    tern.LinearOp: _linear,
    tern.RecurrenceOp: _recurrence,
    tern.ReadStateOp: _read_state,
    tern.WriteStateOp: _write_state,
    tern.NormQuantizeOp: _norm_quantize,
    tern.SwigluOp: _swiglu,
    tern.HgrnOp: _hgrn,
    tern.LoadOp: _load,
    tern.FillOp: _fill,
    tern.SliceOp: _slice,
    **dict.fromkeys(tern.BINARY.values(), _binary),
    **dict.fromkeys(tern.UNARY.values(), _unary),
}
