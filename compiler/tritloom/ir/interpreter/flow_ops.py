"""Meaning of the `flow` dialect: what a stage computes of whole frames, whatever its folding.

A stream of windows is an array [frames, OH, OW, taps, C]; every other stream is the tensor that it carries.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import flow, tern
from ..mlir import Operation
from ..requantize import multiply_shift
from .frame import Frame
from .net_ops import grouped_product, integers, quantize_floats, ranked, step_function, windows


def _same(frame: Frame, op: flow.LoadOp | flow.StoreOp | flow.ResizeOp) -> None:
    frame.values[op.result] = frame.values[op.operand]


def _fork(frame: Frame, op: flow.ForkOp) -> None:
    for copy in op.copies:
        frame.values[copy] = frame.values[op.operand]


def _quantize(frame: Frame, op: flow.QuantizeOp) -> None:
    frame.values[op.result] = quantize_floats(step_function(frame, op.function), frame.f32(op.operand))


def _window(frame: Frame, op: flow.WindowOp) -> None:
    found = windows(integers(frame, op.operand), op.window(), op.pad_code.value.data)
    frame.values[op.result] = found.reshape(*found.shape[:3], -1, found.shape[-1])


def _mvau(frame: Frame, op: flow.MvauOp) -> None:
    codes = integers(frame, op.operand)
    taps = codes.shape[-2] if codes.ndim == 5 else 1
    vectors = codes.reshape(len(codes), op.pixels, taps, -1)
    found = grouped_product(vectors, frame.trits(op.weight), op.groups.value.data)
    frame.values[op.result] = found.reshape(len(codes), *flow.stream_of(op.result).shape)


def _pool(frame: Frame, op: flow.PoolOp) -> None:
    codes = integers(frame, op.operand)
    frame.values[op.result] = codes.max(axis=3) if op.kind.data == tern.Pooling.MAX else codes.sum(axis=3)


def _global_pool(frame: Frame, op: flow.GlobalPoolOp) -> None:
    codes = integers(frame, op.operand)
    largest = op.kind.data == tern.Pooling.MAX
    found = codes.max(axis=(1, 2), keepdims=True) if largest else codes.sum(axis=(1, 2), keepdims=True)
    frame.values[op.result] = found


def _requantize(frame: Frame, op: flow.RequantizeOp) -> None:
    operands = [integers(frame, value) for value in op.inputs]
    function = step_function(frame, op.function)
    if op.form.data == tern.Form.THRESHOLDS:
        frame.values[op.result] = function(*operands)
        return
    ranges = [tern.range_of(flow.stream_element(value)) for value in op.inputs]
    form = multiply_shift(function, ranges)
    if form is None or op.shift is None or form.shift != op.shift.value.data:
        raise ValueError(f"{op.name}: @{op.function.root_reference.data} has no such form")
    frame.values[op.result] = form(*operands)


def _add(frame: Frame, op: flow.AddOp) -> None:
    first, second = op.multiples
    frame.values[op.result] = first * integers(frame, op.lhs) + second * integers(frame, op.rhs)


def _concat(frame: Frame, op: flow.ConcatOp) -> None:
    frame.values[op.result] = np.concatenate([integers(frame, op.lhs), integers(frame, op.rhs)], axis=-1)


def _top_k(frame: Frame, op: flow.TopKOp) -> None:
    indices, sums = ranked(frame, op.operand, op.ranking, op.k.value.data, bool(op.last.value.data))
    kept = np.stack([indices, sums], axis=-1) if op.pairs.value.data else indices[..., np.newaxis]
    frame.values[op.result] = kept.reshape(*indices.shape[:-1], op.kept)


FLOW: dict[type[Operation], Callable[..., None]] = {
    flow.LoadOp: _same,
    flow.StoreOp: _same,
    flow.ResizeOp: _same,
    flow.ForkOp: _fork,
    flow.QuantizeOp: _quantize,
    flow.WindowOp: _window,
    flow.MvauOp: _mvau,
    flow.PoolOp: _pool,
    flow.GlobalPoolOp: _global_pool,
    flow.RequantizeOp: _requantize,
    flow.AddOp: _add,
    flow.ConcatOp: _concat,
    flow.TopKOp: _top_k,
}
