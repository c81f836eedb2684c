"""Meaning of the integer layers of the `tern` dialect. Values are arrays [frames, H, W, C] or [frames, K]."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import numerics, tern
from ..mlir import Operation, SSAValue, SymbolRefAttr
from ..ranking import best
from ..steps import I64, StepFunction
from .frame import Frame

if TYPE_CHECKING:
    from ..tern import Window

_EXACT_F32 = 2**24


def windows(values: I64, window: Window, pad_code: int) -> I64:
    """Windows [frames, OH, OW, kh, kw, C] of an image [frames, H, W, C], `pad_code` outside of it."""
    top, left, bottom, right = window.pads
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad_code)
    rows, columns = window.output_size(*values.shape[1:3])
    down, across = window.strides
    found = np.empty((len(values), rows, columns, *window.kernel, values.shape[-1]), values.dtype)
    for ky, kx in np.ndindex(*window.kernel):
        y, x = ky * window.dilations[0], kx * window.dilations[1]
        found[:, :, :, ky, kx] = padded[:, y : y + rows * down : down, x : x + columns * across : across][
            :, :rows, :columns
        ]
    return found


def product(codes: I64, trits: NDArray[np.int8]) -> I64:
    """Exact sums [..., N] of codes [..., K] and trits [..., N, K]. float32 BLAS where every sum is below 2^24."""
    largest = max(abs(int(codes.max(initial=0))), abs(int(codes.min(initial=0))))
    columns = trits.swapaxes(-1, -2)
    if largest * trits.shape[-1] < _EXACT_F32:
        return (codes.astype(np.float32) @ columns.astype(np.float32)).astype(np.int64)
    return (codes.astype(np.float64) @ columns.astype(np.float64)).astype(np.int64)


def quantize_floats(function: StepFunction, values: NDArray[np.float32]) -> I64:
    """Codes of float32 values [..., C]: `function` of each, exactly. NaN counts as 0; +inf is beyond every step."""
    tables, negative = function.float_thresholds
    codes = np.empty(values.shape, np.int64)
    plain = np.where(np.isnan(values), np.float32(0.0), values)
    for channel in range(values.shape[-1]):
        at = channel if len(tables) > 1 else 0
        part = -plain[..., channel] if negative[at] else plain[..., channel]
        codes[..., channel] = np.searchsorted(tables[at], part, side="right")
    return function.low + function.step * codes


def step_function(frame: Frame, reference: SymbolRefAttr) -> StepFunction:
    """The step function that a symbol names."""
    return frame.store.steps(frame.module, reference.root_reference.data)


def integers(frame: Frame, value: SSAValue) -> I64:
    """An integer value, widened."""
    return frame.values[value].astype(np.int64, copy=False)


def _quantize(frame: Frame, op: tern.QuantizeOp) -> None:
    frame.values[op.result] = quantize_floats(step_function(frame, op.function), frame.f32(op.operand))


def _requantize(frame: Frame, op: tern.RequantizeOp) -> None:
    operands = [integers(frame, value) for value in op.inputs]
    frame.values[op.result] = step_function(frame, op.function)(*operands)


def _conv2d(frame: Frame, op: tern.Conv2dOp) -> None:
    patches = windows(integers(frame, op.operand), op.window(), op.pad_code.value.data)
    vectors = patches.reshape(*patches.shape[:3], -1, patches.shape[-1])
    frame.values[op.result] = grouped_product(vectors, frame.trits(op.weight), op.groups.value.data)


def grouped_product(vectors: I64, trits: NDArray[np.int8], groups: int) -> I64:
    """Exact sums [..., N] of vectors [..., taps, C] and trits [N, taps * C / groups], each group of channels alone."""
    *outer, taps, channels = vectors.shape
    parts = vectors.reshape(-1, taps, groups, channels // groups).transpose(2, 0, 1, 3)
    sums = product(parts.reshape(groups, -1, trits.shape[1]), trits.reshape(groups, -1, trits.shape[1]))
    return sums.transpose(1, 0, 2).reshape(*outer, -1)


def _dense(frame: Frame, op: tern.DenseOp) -> None:
    codes = integers(frame, op.operand)
    frame.values[op.result] = product(codes.reshape(len(codes), -1), frame.trits(op.weight))


def _pool(frame: Frame, op: tern.PoolOp) -> None:
    largest = op.kind.data == tern.Pooling.MAX
    outside = tern.range_of(tern.element_of(op.operand))[0] if largest else 0
    patches = windows(integers(frame, op.operand), op.window(), outside)
    frame.values[op.result] = patches.max(axis=(3, 4)) if largest else patches.sum(axis=(3, 4))


def _sum(frame: Frame, op: tern.SumOp) -> None:
    first, second = op.multiples
    frame.values[op.result] = first * integers(frame, op.lhs) + second * integers(frame, op.rhs)


def _concat(frame: Frame, op: tern.ConcatOp) -> None:
    frame.values[op.result] = np.concatenate([integers(frame, value) for value in op.inputs], axis=-1)


def _scores(frame: Frame, op: tern.ScoresOp) -> None:
    scaled = frame.f32(op.operand) * frame.vector(op.scale)
    frame.values[op.result] = scaled + frame.vector(op.offset)


def ranked(frame: Frame, operand: SSAValue, reference: SymbolRefAttr, count: int, last: bool) -> tuple[I64, I64]:
    """Indices and sums of the best channels, the best first."""
    sums = integers(frame, operand)
    indices = best(frame.store.ranking(reference.root_reference.data).keys(sums), count, last)
    return indices, np.take_along_axis(sums, indices, axis=-1)


def _top_k(frame: Frame, op: tern.TopKOp) -> None:
    found = ranked(frame, op.operand, op.ranking, op.k.value.data, bool(op.last.value.data))
    frame.values[op.indices], frame.values[op.sums] = found


def _unpair(frame: Frame, op: tern.UnpairOp) -> None:
    pairs = integers(frame, op.operand)
    frame.values[op.indices], frame.values[op.sums] = pairs[..., 0::2], pairs[..., 1::2]


def _scores_at(frame: Frame, op: tern.ScoresAtOp) -> None:
    indices = integers(frame, op.indices)
    scaled = frame.f32(op.operand) * frame.vector(op.scale)[indices]
    frame.values[op.result] = scaled + frame.vector(op.offset)[indices]


def _take(frame: Frame, op: tern.TakeOp) -> None:
    frame.values[op.result] = np.take_along_axis(frame.f32(op.operand), integers(frame, op.indices), axis=-1)


_ACTIVATIONS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    tern.Activation.SIGMOID: numerics.sigmoid,
    tern.Activation.SOFTMAX: numerics.softmax,
    tern.Activation.LOG_SOFTMAX: numerics.log_softmax,
}


def _activation(frame: Frame, op: tern.ActivationOp) -> None:
    frame.values[op.result] = _ACTIVATIONS[op.kind.data](frame.f32(op.operand))


NET: dict[type[Operation], Callable[..., None]] = {
    tern.QuantizeOp: _quantize,
    tern.RequantizeOp: _requantize,
    tern.Conv2dOp: _conv2d,
    tern.DenseOp: _dense,
    tern.PoolOp: _pool,
    tern.SumOp: _sum,
    tern.ConcatOp: _concat,
    tern.ScoresOp: _scores,
    tern.TopKOp: _top_k,
    tern.UnpairOp: _unpair,
    tern.ScoresAtOp: _scores_at,
    tern.TakeOp: _take,
    tern.ActivationOp: _activation,
}
